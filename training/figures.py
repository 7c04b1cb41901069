"""Draw the figures of the documentation: `python -m training.figures`.

The strips that explain the picture language come from the renderer; `eight_sounds.jpg` from the model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sound_diffusion.sound.features import extract
from training.descriptors import describe
from training.export import MODEL
from training.renderer import render
from training.synthesis import chime, drum, hiss, level, pulses, times, tone

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
SIDE = 192  # pixels of a picture in a figure


def strips() -> dict[str, list[tuple[str, np.ndarray]]]:
    """Name the sounds of each strip."""
    saw = tone(110, 40)
    t = times(1.0)
    return {
        "pitch": [(f"{f} Hz", level(tone(f))) for f in (60, 150, 400, 1000, 2500, 4000)],
        "colour": [
            (name, level(tone(165, n, s)))
            for name, n, s in (
                ("1 partial", 1, 1.0),
                ("3 partials", 3, 1.0),
                ("8, soft", 8, 1.5),
                ("12", 12, 0.8),
                ("30", 30, 0.6),
                ("80, bright", 80, 0.2),
            )
        ],
        "noise": [
            (f"noise {r} dB", level(level(tone(300, 4), 0) + level(hiss(seed=11), r)))
            for r in (-50, -34, -26, -18, -8, 10)
        ],
        "loudness": [(f"{d} dB", level(tone(220, 8), d)) for d in (-50, -40, -30, -20, -10, -5)],
        "time": [
            ("steady", level(tone(300, 6))),
            ("decays", level(tone(300, 6) * np.exp(-5 * t), -16)),
            ("swells", level(tone(300, 6) * np.exp(-5 * (1 - t)), -16)),
            ("3 attacks", level(pulses(tone(300, 6), 3, 7), -14)),
            ("6 attacks", level(pulses(tone(300, 6), 6, 7), -14)),
            ("low to high", level(np.sin(2 * np.pi * 100 * 40**t / np.log(40)))),
        ],
        "chance": [(f"seed {seed}", level(saw, -12)) for seed in range(6)],
    }


def caption(picture: np.ndarray, text: str) -> np.ndarray:
    """Shrink a picture and write a line under it."""
    tile = Image.new("RGB", (SIDE, SIDE + 18), "white")
    tile.paste(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (0, 0))
    ImageDraw.Draw(tile).text((4, SIDE + 3), text, fill="black")
    return np.asarray(tile)


def draw_strips(folder: Path) -> None:
    """Render the strips of the picture language."""
    for name, sounds in strips().items():
        seeds = range(len(sounds)) if name == "chance" else [1] * len(sounds)
        tiles = [
            caption(render(describe(extract(y, "fft")), seed), text)
            for (text, y), seed in zip(sounds, seeds, strict=True)
        ]
        Image.fromarray(np.concatenate(tiles, axis=1)).save(folder / f"language_{name}.jpg", quality=88)


def eight() -> dict[str, np.ndarray]:
    """Eight sounds that differ as a musician hears it."""
    chord = tone(196, 8) + tone(247, 8) + tone(294, 8)
    return {
        "bass note, 65 Hz": level(tone(65, 3, 2.0), -8),
        "kick drum": level(drum(1.0), -12),
        "major chord": level(chord, -10),
        "bell": level(chime(520, 1.0), -16),
        "flute, 1.2 kHz": level(tone(1200, 3, 2.0), -12),
        "synth, six beats": level(pulses(tone(147, 40, 0.7), 6, 7), -10),
        "breath and tone": level(level(tone(440, 5), 0) + level(hiss(seed=11), -16), -12),
        "rain": level(hiss(seed=11), -18),
    }


def draw_eight(model: Path, folder: Path, seeds: int = 3) -> None:
    """Let the model paint eight sounds, a column each, with several seeds."""
    import sound_diffusion as sd

    loaded = sd.load_model(str(model))
    columns = []
    for name, y in eight().items():
        matrix = sd.embed(y, feature="fft", scaling=loaded.scaling_for("fft"))
        pictures = [np.asarray(sd.paint(loaded, matrix, seed=seed)) for seed in range(seeds)]
        tiles = [np.asarray(Image.fromarray(p).resize((SIDE, SIDE))) for p in pictures[:-1]]
        columns.append(np.concatenate([*tiles, caption(pictures[-1], name)]))
    Image.fromarray(np.concatenate(columns, axis=1)).save(folder / "eight_sounds.jpg", quality=86)


def main(argv: list[str] | None = None) -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="a model folder")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="where the figures go")
    parser.add_argument("--language-only", action="store_true", help="only the strips from the renderer")
    options = parser.parse_args(argv)
    options.figures.mkdir(parents=True, exist_ok=True)
    draw_strips(options.figures)
    if not options.language_only:
        draw_eight(options.model, options.figures)


if __name__ == "__main__":
    main()
