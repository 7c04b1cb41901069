"""Measure the mean spectrum of music and its deviation: the constants of `--scaling whiten`.

    python -m training.whitening

Of every feature, for columns as Stable Diffusion 1.x, 2.x and XL have them where they make a difference, over
windows of the corpus's music as training draws them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sound_diffusion.sound.features import FEATURES, extract
from sound_diffusion.sound.whitening import CONSTANTS, compress
from training.corpus import FOLDER, draw_window, open_corpus, varied
from training.sounds import log_uniform

# The resolution of `fft` follows from the columns; the others are interpolated from one to the other.
WIDTHS = {"fft": (768, 1024, 2048)}
SECONDS = (0.75, 10.0)


def mean_and_deviation(sounds: Iterable[np.ndarray], feature: str, width: int) -> np.ndarray:
    """Measure every column over all rows of some sounds.

    Parameters
    ----------
    sounds : iterable of np.ndarray [shape=(n,)]
    feature : str
    width : int

    Returns
    -------
    np.ndarray [shape=(2, width), dtype=float32]
    """
    count, total, squares = 0, np.zeros(width), np.zeros(width)
    for y in sounds:
        rows = compress(extract(y, feature, width)).astype(np.float64)
        count += len(rows)
        total += rows.sum(0)
        squares += (rows**2).sum(0)
    mean = total / count
    return np.stack([mean, np.sqrt(np.maximum(squares / count - mean**2, 0))]).astype(np.float32)


def main(argv: list[str] | None = None) -> None:
    """Write the constants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, default=FOLDER, help="the corpus (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=CONSTANTS, help="the file (default: %(default)s)")
    parser.add_argument("--count", type=int, default=500, help="windows of music (default: %(default)s)")
    options = parser.parse_args(argv)
    rng = np.random.default_rng(0)
    pieces = open_corpus(options.corpus).music
    sounds = [varied(rng, draw_window(rng, pieces, log_uniform(rng, *SECONDS))) for _ in range(options.count)]
    constants = {
        f"{feature}_{width}": mean_and_deviation(sounds, feature, width)
        for feature in FEATURES
        for width in WIDTHS.get(feature, (768,))
    }
    np.savez_compressed(options.out, **constants)
    print(options.out)


if __name__ == "__main__":
    main()
