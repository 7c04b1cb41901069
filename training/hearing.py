"""How well the ear hears: `python -m training.hearing`.

Prints, for every feature, the share of each descriptor's variance that the ear of a checkpoint explains, on
sounds that it has not heard; 1 is all of it, 0 no better than the mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from training import dataset, examples, unet
from training.export import WORK
from training.loop import load_average

DESCRIPTORS = (
    "light", "chord", "pitch", "noisiness", "motion", "bands", "harmony", "key", "modes", "colour",
    "envelope", "attacks",
)  # fmt: skip
UNHEARD = 10_000_000  # seeds from here on are in no shard
TIMESTEP = 700  # the ear hears the same at any


def explained(told: np.ndarray, targets: np.ndarray) -> list[float]:
    """Share of the variance of each descriptor that is told, in the mean over its numbers."""
    shares = 1 - ((told - targets) ** 2).mean(0) / (targets.var(0) + 1e-6)
    return [float(part.mean()) for part in np.split(shares, np.cumsum(unet.GROUPS)[:-1])]


@torch.no_grad()
def hear(model: unet.Painter, feature: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Let the ear tell so many new sounds of one feature: what it tells, and the targets."""
    made = [dataset.hear(np.random.default_rng(UNHEARD + seed), {feature: 1.0}) for seed in range(count)]
    audible = [sound for sound in made if sound.targets[0] > 0]
    embeddings = torch.from_numpy(np.stack([sound.embedding for sound in audible])).float()
    descriptors = torch.from_numpy(np.stack([sound.told for sound in audible]))
    told = model.listen(embeddings, descriptors, torch.full((len(embeddings),), TIMESTEP)).numpy()
    return told, np.stack([sound.targets for sound in audible])


def main(argv: list[str] | None = None) -> None:
    """Print a row for every feature."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=WORK, help="work folder (default: %(default)s)")
    parser.add_argument("--checkpoint", default="unet.pt", help="ear.pt or unet.pt (default: %(default)s)")
    parser.add_argument("--count", type=int, default=200, help="sounds a feature (default: %(default)s)")
    options = parser.parse_args(argv)
    model = unet.Painter(unet.UNetOptions())
    load_average(options.work / options.checkpoint, model)
    model.eval()
    mean, deviation = examples.target_scale(options.work)
    print(f"{'':<16}" + "".join(f"{name:>11}" for name in DESCRIPTORS))
    for feature in dataset.PAINTED:
        told, targets = hear(model, feature, options.count)
        shares = explained(told, (targets - mean) / deviation)
        print(f"{feature:<16}" + "".join(f"{share:11.2f}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
