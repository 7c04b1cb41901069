"""Show each preset as a strip of frames under its sound, and count its flashes.

    python -m benchmarks.presets [--sound examples/song.ogg] [--offset 4] [--seconds 6] [--sheet FILE.jpg]

A row for each preset: Pearson's correlation of onset strength with the change of the picture, the mean change
from frame to frame (0 to 1), and the most flashes within a second; above 3 a film is warned of.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

import sound_diffusion as sd
from benchmarks import film_measures
from benchmarks.made import make_film, one_model
from benchmarks.sheets import Strip, film_sheet
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film.flashes import changes_within_a_second, relative_luminance
from sound_diffusion.presets import preset_names
from sound_diffusion.starting_pictures import load_picture

FPS = Fraction(12)
EVERY = 6  # frames: two a second on the sheet


def film_of(preset: str, words: list[str]) -> np.ndarray:
    """Make a film with a preset; return its frames [shape=(n, h, w, 3), dtype=uint8]."""
    with tempfile.TemporaryDirectory() as folder:
        make_film([*words, "--preset", preset, "--outdir", folder, "--no-audio", "--allow-flashing"])
        return np.array([load_picture(path) for path in sorted(Path(folder).glob("*/frames/*.png"))])


def row(y: np.ndarray, frames: np.ndarray) -> str:
    """Return what is measured of a film, as text."""
    onsets, change = film_measures.onsets(y, len(frames), float(FPS)), film_measures.change(frames)
    luminances = [relative_luminance(Image.fromarray(frame)) for frame in frames]
    _, counts = changes_within_a_second(luminances, FPS)
    followed = np.corrcoef(onsets[1:], change)[0, 1]
    return f"{followed:16.2f} {change.mean():8.3f} {max(counts, default=0) // 2:8d}"


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--sound", type=Path, default=Path("examples/song.ogg"))
    flags.add_argument("--offset", type=float, default=4.0, help="seconds (default: 4)")
    flags.add_argument("--seconds", type=float, default=6.0, help="of the sound (default: 6)")
    flags.add_argument("--only", nargs="+", choices=preset_names(), default=preset_names())
    flags.add_argument("--flags", default="", help="more flags of audio2video")
    flags.add_argument("--sheet", type=Path, metavar="FILE.jpg")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Make the films, print a row for each and save the sheet."""
    options = parser().parse_args(argv)
    first, stop = (round(at * SAMPLE_RATE) for at in (options.offset, options.offset + options.seconds))
    y = sd.load_audio(options.sound)[first:stop]
    words = ["--path", str(options.sound), "--offset", str(options.offset), "--fps", str(FPS)]
    words += ["--duration", str(options.seconds), *shlex.split(options.flags)]
    films = {}
    print(f"{'preset':<8} {'onsets - change':>16} {'change':>8} {'flashes':>8}")
    with one_model():
        for name in options.only:
            films[name] = film_of(name, words)
            print(f"{name:<8} {row(y, films[name])}", flush=True)
    if options.sheet is not None:
        film_sheet([Strip(f"{options.sound}, from {options.offset:g} s", y, films)], options.sheet, EVERY)


if __name__ == "__main__":
    main()
