"""Seconds a picture in float32 and with bfloat16 arithmetic, on a CPU.

    python -m benchmarks.precision [--model auto] [--pictures 5]

Paints in turns with both, so that other work on the machine slows both alike. For Stable Diffusion at its
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
    models = {name: dataclasses.replace(loaded, precision=name) for name in ("full", "autocast")}
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
    print(f"autocast takes {medians['autocast'] / medians['full']:.2f} of the time of full")
    difference = np.abs(pictures["full"] - pictures["autocast"]).mean()
    print(f"mean difference of the two pictures: {difference:.2f} of 255")


if __name__ == "__main__":
    main()
