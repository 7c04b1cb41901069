"""Measure whether long chains of frames drift: in colour, contrast and sharpness.

    python -m benchmarks.drift
    python -m benchmarks.drift --frames 600 --sheet FILE.png

Two seconds of a sound are repeated for as long as the film is, so that every period of frames hears the
same; what the last period has otherwise than the second one is drift. Films of ``--chain latent`` and of
``--chain picture``, else by the model's defaults. Colour is the mean chroma (CIELAB), contrast the deviation
of lightness, sharpness the mean gradient of lightness; each with its change over the film, and for comparison
its deviation within a period.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import sound_diffusion as sd
from benchmarks.made import make_film
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.starting_pictures import load_picture

ROOT = Path(__file__).resolve().parent.parent
FPS = 12
PERIOD = 2  # seconds
OFFSET = 4.0  # seconds: where the piece is in full swing
MEASURES = ("colour", "contrast", "sharpness")


def measures_of(picture: Image.Image) -> tuple[float, float, float]:
    """Return chroma, deviation of lightness and its mean gradient, in units of CIELAB."""
    lab = np.asarray(picture.convert("LAB"), dtype=np.float64)  # lightness from 0 to 255
    lightness = lab[..., 0] / 2.55
    # Pillow has the other two as signed bytes.
    a, b = ((lab[..., channel] + 128) % 256 - 128 for channel in (1, 2))
    rows, columns = np.gradient(lightness)
    return float(np.hypot(a, b).mean()), float(lightness.std()), float(np.hypot(rows, columns).mean())


def film(sound: Path, model: str, chain: str, folder: Path) -> list[Path]:
    """Make a film and return its frames."""
    words = ["--path", str(sound), "--fps", str(FPS), "--model", model, "--chain", chain, "--quiet"]
    make_film([*words, "--outdir", str(folder), "--device", "cpu"])
    return sorted(folder.rglob("frames/*.png"))


def show(chain: str, frames: list[Path]) -> None:
    """Print the mean of the second and the last whole period, and what one period has by itself."""
    values = np.array([measures_of(load_picture(frame)) for frame in frames])
    period = FPS * PERIOD
    n_periods = len(values) // period
    periods = values[: n_periods * period].reshape(n_periods, period, len(MEASURES))
    second, last = periods[1].mean(0), periods[-1].mean(0)
    for number, name in enumerate(MEASURES):
        change = 100 * (last[number] / second[number] - 1)
        within = 100 * periods[:, :, number].std(1).mean() / second[number]
        levels = f"{second[number]:.2f} | {last[number]:.2f}"
        print(f"| {chain} | {name} | {levels} | {change:+.1f}% | {within:.1f}% |", flush=True)


def sheet(films: dict[str, list[Path]], path: Path) -> None:
    """Save the same frame of every other period of each film, one row each."""
    rows = [frames[FPS :: 2 * FPS * PERIOD] for frames in films.values()]
    width, height = load_picture(rows[0][0]).size
    whole = Image.new("RGB", (width * min(map(len, rows)), height * len(rows)))
    for row, frames in enumerate(rows):
        for column, frame in enumerate(frames):
            whole.paste(load_picture(frame), (column * width, row * height))
    whole.save(path)


def main(argv: list[str] | None = None) -> None:
    """Make the films and print the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--sound", type=Path, default=ROOT / "examples" / "song.ogg")
    flags.add_argument("--model", default="cymatics")
    flags.add_argument("--frames", type=int, default=312, help="whole periods of 24 (default: 312)")
    flags.add_argument("--sheet", type=Path, help="where a picture of some frames goes")
    options = flags.parse_args(argv)
    y = sd.load_audio(options.sound, offset=OFFSET, duration=PERIOD)
    y = np.pad(y, (0, PERIOD * SAMPLE_RATE - len(y)))
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "repeated.wav"
        n_samples = options.frames * SAMPLE_RATE // FPS
        soundfile.write(sound, np.resize(y, n_samples), SAMPLE_RATE)
        print("| chain | | second period | last | change | within a period |")
        print("| --- | --- | ---: | ---: | ---: | ---: |")
        films = {}
        for chain in ("latent", "picture"):
            films[chain] = film(sound, options.model, chain, Path(folder) / chain)
            show(chain, films[chain])
        if options.sheet:
            sheet(films, options.sheet)


if __name__ == "__main__":
    main()
