"""Measure whether the colours of a long film drift or flicker, with and without --color-coherence.

    python -m benchmarks.color [--sound examples/song.ogg] [--seconds 25] [--flags "--strength 0.4"]

Frames of 128 x 128 pixels, unless the flags say otherwise.
For each colour space: how far the mean in CIE LAB of the last 24 frames lies from that of the first 24,
chroma of the last over that of the first (below 1 the palette dies), and flicker: the mean distance in LAB
between the mean colours of successive frames.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.made import make_film, one_model
from sound_diffusion.film.colors import COLOR_SPACES, to_lab
from sound_diffusion.starting_pictures import load_picture

ENDS = 24  # frames
SIZE = ("--H", "128", "--W", "128")


def film_colors(flags: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Make a film; return the mean LAB of every frame [shape=(n, 3)] and its mean chroma [shape=(n,)]."""
    with tempfile.TemporaryDirectory() as folder:
        make_film([*flags, "--outdir", folder, "--no-audio"])
        labs = [
            to_lab(np.asarray(load_picture(path))) for path in sorted(Path(folder).glob("*/frames/*.png"))
        ]
    means = np.array([lab.mean((0, 1)) for lab in labs])
    return means, np.array([np.hypot(lab[..., 1], lab[..., 2]).mean() for lab in labs])


def main(argv: list[str] | None = None) -> None:
    """Read the flags and print a row for every colour space."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sound", default="examples/song.ogg")
    parser.add_argument("--seconds", default="25", help="300 frames at 12 a second (default: 25)")
    parser.add_argument("--spaces", nargs="+", choices=COLOR_SPACES, default=COLOR_SPACES)
    parser.add_argument("--flags", default="", help="more flags of audio2video")
    options = parser.parse_args(argv)
    own = ["--path", options.sound, "--duration", options.seconds, *SIZE, *shlex.split(options.flags)]
    with one_model():
        table(own, options.spaces)


def table(own: list[str], spaces: list[str]) -> None:
    """Make a film for every colour space and print its row."""
    print(f"{'coherence':<10} {'drift of LAB':>12} {'chroma':>7} {'flicker':>8}")
    for space in spaces:
        means, chroma = film_colors([*own, "--color-coherence", space])
        drift = np.linalg.norm(means[-ENDS:].mean(0) - means[:ENDS].mean(0))
        flicker = np.linalg.norm(np.diff(means, axis=0), axis=1).mean()
        ratio = chroma[-ENDS:].mean() / chroma[:ENDS].mean()
        print(f"{space:<10} {drift:12.2f} {ratio:7.2f} {flicker:8.2f}", flush=True)


if __name__ == "__main__":
    main()
