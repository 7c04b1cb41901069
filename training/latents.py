"""Latents of the rendered pictures, made once by the trained autoencoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training import autoencoder, dataset
from training.examples import latents_of
from training.loop import make_accelerator


def symmetric(latents: torch.Tensor) -> torch.Tensor:
    """Average the latents over the mirror images and turns of a square picture, which are all the same."""
    mean = (latents + latents.flip(3)) / 2
    mean = (mean + mean.flip(2)) / 2
    return (mean + mean.mT) / 2


@torch.no_grad()
def encode(folder: Path, batch: int = 32) -> int:
    """Encode the pictures of every shard that has no latents yet; several processes share the work.

    Parameters
    ----------
    folder : Path
        Work folder: reads `autoencoder.pt` and `shards/`, writes `latents/`.
    batch : int
        Pictures at a time.

    Returns
    -------
    int
        Shards that were encoded now.
    """
    accelerator = make_accelerator()
    vae = autoencoder.load_trained(folder).to(accelerator.device)
    (folder / "latents").mkdir(parents=True, exist_ok=True)
    done = 0
    mine = slice(accelerator.process_index, None, accelerator.num_processes)
    for shard in dataset.shards(folder / "shards")[mine]:
        path = latents_of(shard)
        if path.exists():
            continue
        pictures = dataset.load([shard], "pictures")
        parts = []
        for start in range(0, len(pictures), batch):
            x = autoencoder.to_tensor(pictures[start : start + batch], accelerator.device)
            with accelerator.autocast():
                latents = vae.encode(x).latent_dist.mean.float()
            parts.append(symmetric(latents).cpu().numpy())
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.save(file, np.concatenate(parts).astype(np.float16))
        beside.rename(path)
        done += 1
        print(f"latents {path.stem}", flush=True)
    accelerator.wait_for_everyone()
    return done
