"""What the small decoder adds to what was painted in few steps: the sharpness that these leave out.

One step comes to the mean of all that many steps might have come to, and its lines are soft. They are in the
right places: sharpened, they look as the renderer's do. So the decoder learns to give painted latents back as
sharpened pictures, at no cost while it decodes. Rendered pictures are sharp, and stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageFilter

from sound_diffusion.model.mirrored import mirrored
from training import autoencoder, dataset
from training.examples import latents_of, scaling_factor
from training.loop import make_accelerator
from training.unet import Painter, load_trained, make_scheduler

PAINTED = "painted"  # folder of painted latents and their sharpened pictures, in shards
STEPS = (1, 2)  # in which they are painted
UNSHARP = ImageFilter.UnsharpMask(radius=2, percent=150, threshold=0)


@torch.no_grad()
def paint(painter: Painter, embeddings: torch.Tensor, told: torch.Tensor, steps: int) -> torch.Tensor:
    """Paint sounds from noise in so many steps [shape=(n, 4, 32, 32)]."""
    scheduler = make_scheduler()
    scheduler.set_timesteps(steps)
    states = painter.encoder(embeddings.float(), told)
    latents = mirrored(torch.randn(len(states), 4, 32, 32, device=states.device))
    for timestep in scheduler.timesteps:
        predicted = painter.unet(latents, timestep, encoder_hidden_states=states).sample
        latents = scheduler.step(predicted, timestep, latents).prev_sample
    return latents


@torch.no_grad()
def sharpened(vae: AutoencoderKL, latents: torch.Tensor) -> np.ndarray:
    """Decode latents by the large autoencoder and sharpen [shape=(n, 256, 256, 3), dtype=uint8]."""
    decoded = vae.decode(latents).sample.clamp(-1, 1).permute(0, 2, 3, 1)
    pixels = ((decoded + 1) * 127.5).round().to(torch.uint8).cpu().numpy()
    return np.stack([np.asarray(Image.fromarray(picture).filter(UNSHARP)) for picture in pixels])


def paint_shards(folder: Path, most: int, batch: int = 32) -> int:
    """Paint the sounds of the last shards, unless that is done; several processes share the work.

    Parameters
    ----------
    folder : Path
        Work folder: reads `few_step.pt`, `autoencoder.pt`, `shards/` and `latents/`, writes `painted/`.
    most : int
        Shards.
    batch : int
        Pictures at a time.

    Returns
    -------
    int
        Shards that were painted now.
    """
    accelerator = make_accelerator()
    painter = load_trained(folder, checkpoint="few_step.pt").to(accelerator.device)
    vae = autoencoder.load_trained(folder).to(accelerator.device)
    scale = scaling_factor(folder)
    (folder / PAINTED).mkdir(parents=True, exist_ok=True)
    shards = [shard for shard in dataset.shards(folder / "shards") if latents_of(shard).exists()][-most:]
    missing = [shard for shard in shards if not (folder / PAINTED / shard.name).exists()]
    mine = missing[accelerator.process_index :: accelerator.num_processes]
    for number, shard in enumerate(mine):
        torch.manual_seed(number)
        columns = [torch.from_numpy(dataset.load([shard], name)) for name in ("embeddings", "told")]
        parts = [
            paint(painter, *(part.to(accelerator.device) for part in pair), STEPS[place % len(STEPS)]) / scale
            for place, pair in enumerate(zip(*(column.split(batch) for column in columns), strict=True))
        ]
        beside = folder / PAINTED / f"{shard.stem}.part"
        with beside.open("wb") as file:
            np.savez(
                file,
                latents=torch.cat(parts).half().cpu().numpy(),
                pictures=np.concatenate([sharpened(vae, part) for part in parts]),
            )
        beside.rename(folder / PAINTED / shard.name)
        print(f"{PAINTED} {shard.stem}", flush=True)
    accelerator.wait_for_everyone()
    return len(mine)
