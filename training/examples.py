"""What the UNet learns from: latents, embeddings and descriptors of a work folder, and how they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from training import dataset

KEEP_SILENCE = 4  # of so many black pictures, one is learnt


class Examples:
    """Draws what training reads: it is all in the memory of the device, or a process's share of it.

    Parameters
    ----------
    folder : Path
        Work folder. Shards whose latents have been made are painted, all of them and `sounds/` are heard.
    accelerator : Accelerator
        Which process this is, and its device.
    seed : int
        Of what is drawn; another one in each process.
    """

    def __init__(self, folder: Path, accelerator: Accelerator, seed: int):
        share = slice(accelerator.process_index, None, accelerator.num_processes)
        pairs = dataset.shards(folder / "shards")
        painted = [path for path in pairs if latents_of(path).exists()]
        heard = [path for path in pairs if path not in painted] + dataset.shards(folder / dataset.SOUNDS)
        painted = painted[share] or painted
        names = painted + heard[share]
        targets = dataset.load(names, "targets")
        kept = (targets[:, 0] > 0) | (np.arange(len(targets)) % KEEP_SILENCE == 0)
        self.device = accelerator.device
        self.heard = self._keep(np.flatnonzero(kept))
        self.latents = self._keep(np.concatenate([np.load(latents_of(p)) for p in painted]))
        self.painted = self.heard[self.heard < len(self.latents)]
        self.scale = scaling_factor(folder)
        self.embeddings = self._keep(dataset.load(names, "embeddings"))
        self.told = self._keep(dataset.load(names, "told"))
        mean, deviation = target_scale(folder)
        self.targets = self._keep((targets - mean) / deviation)
        self.generator = torch.Generator(self.device).manual_seed(1000 * seed + accelerator.process_index)

    def _keep(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def sounds(self, count: int) -> list[torch.Tensor]:
        """Draw sounds to hear: timesteps, embeddings, descriptors as told, standardised targets."""
        return self._draw(count, self.heard, self.embeddings, self.told, self.targets)

    def pairs(self, count: int) -> list[torch.Tensor]:
        """Draw pictures to paint: the same, and latents of deviation 1."""
        *heard, latents = self._draw(
            count, self.painted, self.embeddings, self.told, self.targets, self.latents
        )
        return [*heard, latents * self.scale]

    def _draw(self, count: int, among: torch.Tensor, *arrays: torch.Tensor) -> list[torch.Tensor]:
        index = among[
            torch.randint(len(among), (count,), generator=self.generator, device=self.generator.device)
        ]
        return [draw_timesteps(count, self.generator), *(array[index].float() for array in arrays)]


def target_scale(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the targets of a work folder's audible sounds [shape=(71,), each]."""
    every = dataset.load(
        dataset.shards(folder / "shards") + dataset.shards(folder / dataset.SOUNDS), "targets"
    )
    audible = every[every[:, 0] > 0]
    return audible.mean(0), audible.std(0) + 1e-3


def latents_of(shard: Path) -> Path:
    """Name of the file that keeps a shard's latents."""
    return shard.parent.parent / "latents" / (shard.stem + ".npy")


def scaling_factor(folder: Path) -> float:
    """One over the deviation of the latents, from the first shards."""
    files = sorted((folder / "latents").glob("shard_*.npy"))[:8]
    return float(1 / np.concatenate([np.load(f) for f in files]).astype(np.float32).std())


def draw_timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw timesteps that cover 0..999 evenly within the batch."""
    device = generator.device
    place = torch.arange(count, device=device) + torch.rand(count, generator=generator, device=device)
    return (place * 1000 / count).long().clamp(max=999)
