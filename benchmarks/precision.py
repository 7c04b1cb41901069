"""Seconds a picture in float32, decoded with bfloat16 arithmetic, and painted with it too, on a CPU.

    python -m benchmarks.precision [--model auto] [--pictures 5]

Paints in turns with all, so that other work on the machine slows them alike. For Stable Diffusion at its
full size, see full_size.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np

import sound_diffusion as sd
from training.synthesis import level, tone


def main(argv: list[str] | None = None) -> None:
    """Paint in turns, print medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="auto")
    parser.add_argument("--pictures", type=int, default=5, help="of each precision (default: %(default)s)")
    options = parser.parse_args(argv)
    loaded = sd.load_model(options.model, device="cpu", precision="full")
    embedding = sd.embed(level(tone(440)), feature="fft", model=loaded)
    models = {name: dataclasses.replace(loaded, precision=name) for name in ("full", "mixed", "autocast")}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    pictures = {}
    for _ in range(options.pictures + 1):
        for name, model in models.items():
            began = time.perf_counter()
            pictures[name] = np.asarray(sd.paint(model, embedding, seed=0)).astype(float)
            seconds[name].append(time.perf_counter() - began)
    medians = {name: float(np.median(values[1:])) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s a picture")
    for name in ("mixed", "autocast"):
        difference = np.abs(pictures["full"] - pictures[name])
        print(
            f"{name} takes {medians[name] / medians['full']:.2f} of the time of full, and differs by "
            f"{difference.mean():.2f} of 255 in the mean, {difference.max():.0f} at most"
        )


if __name__ == "__main__":
    main()
