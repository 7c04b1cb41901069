"""Make the embedded model: sounds and pictures, autoencoders, UNet, few steps, export.

Stopped at any point, the same command continues where it was. With a GPU it uses the GPU.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from training import autoencoder, dataset, distillation, export, latents, tiny_autoencoder, unet
from training.loop import LoopOptions, make_accelerator

# Of the time; the latents and the paths of distillation take what is left.
SHARES = {
    "shards": 0.17,
    "sounds": 0.02,
    "autoencoder": 0.12,
    "tiny_autoencoder": 0.12,
    "ear": 0.02,
    "unet": 0.32,
    "few_step": 0.2,
}
# Without and with a GPU: examples a step, paths that are followed, and how many of them at once.
AMOUNTS = {
    "autoencoder": (8, 64),
    "unet": (16, 256),
    "tiny_autoencoder": (12, 32),
    "paths": (3000, 12_288),
    "paths_at_once": (32, 512),
}


def make_shards(
    folder: Path, make: Callable[[int], dataset.Sound], minutes: float, most: int, workers: int | None
) -> None:
    """Make shards of pairs or sounds until the time is over or there are enough; at least one."""
    end = time.monotonic() + 60 * minutes
    there = len(dataset.shards(folder))
    for path in dataset.write_shards(folder, make, most, workers):
        if len(dataset.shards(folder)) > there:
            print(f"{folder.name} {path.stem}", flush=True)
        if time.monotonic() > end:
            break


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    flags.add_argument("--minutes", type=float, required=True, help="time in all, shared between the stages")
    flags.add_argument("--work", type=Path, default=export.WORK, help="folder of shards and checkpoints")
    flags.add_argument("--model", type=Path, default=export.MODEL, help="folder that the model is written to")
    flags.add_argument(
        "--begin", type=Path, help="a model folder whose weights training begins with (default: new weights)"
    )
    flags.add_argument("--shards", type=int, default=600, help="at most so many shards of 128 pairs")
    flags.add_argument("--workers", type=int, help="processes that make pairs; by default one a core")
    flags.add_argument(
        "--paths",
        type=int,
        help="paths that few steps are learnt from (default: 3000, with a GPU 12288)",
    )
    flags.add_argument("--batch", type=int, help="pictures a step of the UNet (default: 16, with a GPU 256)")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Run the stages in order."""
    options = parser().parse_args(argv)
    options.work.mkdir(parents=True, exist_ok=True)
    amounts = {name: pair[torch.cuda.is_available()] for name, pair in AMOUNTS.items()}
    minutes = {stage: share * options.minutes for stage, share in SHARES.items()}
    first = int(os.environ.get("RANK", "0")) == 0
    if not (options.work / "latents").exists():
        if first:
            for name, make in (("shards", dataset.make_pair), (dataset.SOUNDS, dataset.make_sound)):
                make_shards(options.work / name, make, minutes[name], options.shards, options.workers)
        make_accelerator().wait_for_everyone()
        loop = LoopOptions(minutes["autoencoder"], rate=2e-3, batch=amounts["autoencoder"], ema=0.995)
        autoencoder.train(options.work, loop, begin=options.begin)
    latents.encode(options.work)
    batch = options.batch or amounts["unet"]
    if options.begin is None:
        unet.train_ear(options.work, LoopOptions(minutes["ear"], rate=1.5e-3, batch=batch))
    unet.train(options.work, LoopOptions(minutes["unet"], rate=1e-3, batch=batch), begin=options.begin)
    loop = LoopOptions(minutes["tiny_autoencoder"], rate=3e-3, batch=amounts["tiny_autoencoder"])
    tiny_autoencoder.train(options.work, loop, begin=options.begin)
    paths = options.paths or amounts["paths"]
    distillation.follow_paths(options.work, paths, batch=amounts["paths_at_once"])
    distillation.train(options.work, LoopOptions(minutes["few_step"], rate=3e-4, batch=batch, ema=0.99))
    if first:
        print(export.export(options.work, options.model))


if __name__ == "__main__":
    main()
