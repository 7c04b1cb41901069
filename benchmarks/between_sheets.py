"""Draw what lies between the frames: sheets of films, and of pictures that are bent.

    python -m benchmarks.between_sheets FOLDER [--films FOLDER] [the flags of benchmarks.between]

between_films.jpg has a row for each way from frame to frame, between_bends.jpg one for each operator of
--bend, and how far it changes a picture is printed, as the mean absolute difference of 255.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import sound_diffusion as sd
from benchmarks.between import TXT2IMG, Films, describe_flags
from benchmarks.made import one_model
from sound_diffusion.bending import OPERATORS

COLUMNS = 10
BENDS = {  # from what changes nothing to about the largest amount after which there is a picture
    "add": (0, 0.25, 0.5, 1, 1.5),
    "multiply": (1, 0.75, 0.5, 1.25, 1.5),
    "rotate": (0, np.pi / 4, np.pi / 2, np.pi, 3 * np.pi / 2),
    "noise": (0, 0.25, 0.5, 0.75, 1),
    "flip": (0, 0.25, 0.5, 0.75, 1),
    "threshold": (0, 0.25, 0.5, 1, 1.5),
}


def rows_of_films(films: Films, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Return some frames of films, by what is to be seen in them: (COLUMNS, height, width, 3) each."""
    key = str(args.fps)
    keys = (*TXT2IMG, "--interpolate", key, "--spacing")
    kinds = {  # the names of benchmarks.between, whose films are taken where they are kept
        "time": (*keys, "time"),
        "even": (*keys, "even"),
        "music": (*keys, "music"),
        "img2img 1": (),
        "img2img 3": ("--cadence", "3"),
        "sheet walk": (*TXT2IMG, "--seed-mode", "walk", "--walk-rate", "4"),
        "loop txt2img, circle": (*TXT2IMG, "--seed-mode", "circle", "--loop"),
        "loop img2img": ("--loop",),
    }
    made = {name: films.make(name, *flags)[0] for name, flags in kinds.items()}
    over_all = np.linspace(0, len(made["time"]) - 1, COLUMNS).round().astype(int)
    turned = np.roll(made["loop img2img"], COLUMNS // 2, 0)
    return {
        f"--interpolate {key} --spacing time, over the film": made["time"][over_all],
        f"--interpolate {key} --spacing even, over the film": made["even"][over_all],
        f"--interpolate {key} --spacing music, over the film": made["music"][over_all],
        "every frame painted": made["img2img 1"][:COLUMNS],
        "--cadence 3: the first, the fourth ... painted, the others decoded": made["img2img 3"][:COLUMNS],
        "--seed-mode walk --walk-rate 4, over the film": made["sheet walk"][over_all],
        "--seed-mode circle --loop, over the film": made["loop txt2img, circle"][over_all],
        "--loop: the last five frames, and the first five": turned[:COLUMNS],
    }


def draw_films(path: Path, rows: dict[str, np.ndarray]) -> None:
    """Draw frames of films, one film above the other."""
    figure = Figure(figsize=(COLUMNS * 0.9, 1.08 * len(rows)), layout="constrained")
    for axes, (name, film) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        axes.imshow(np.hstack(list(film)))
        axes.set_title(name, fontsize=7, loc="left", pad=2)
        axes.set_axis_off()
    figure.savefig(path, dpi=130, pil_kwargs={"quality": 80})


def draw_bends(args: argparse.Namespace, path: Path) -> None:
    """Draw one picture with every operator, by amount: a row for each operator."""
    model = sd.load_model(args.model)
    y = sd.load_audio(args.sound, offset=args.offset, duration=args.duration)
    embedding = sd.embed(y, feature="fft", model=model)
    figure = Figure(figsize=(7.2, 9), layout="constrained")
    print("operator, and the mean change by amount")
    for row, (name, amounts) in zip(figure.subplots(len(BENDS), 5), BENDS.items(), strict=True):
        pictures = []
        for axes, amount in zip(row, amounts, strict=True):
            bends = [f"{name}@{args.step}: {amount}"]
            pictures.append(np.asarray(sd.paint(model, embedding, args.seed, bends=bends)).astype(int))
            axes.imshow(pictures[-1])
            axes.set_title(f"{name} {amount:.3g}", fontsize=7, pad=2)
            axes.set_axis_off()
        changes = [np.abs(picture - pictures[0]).mean() for picture in pictures]
        shown = (f"{amount:.3g}: {change:.1f}" for amount, change in zip(amounts, changes, strict=True))
        print(f"{name:<10} {'  '.join(shown)}", flush=True)
    figure.savefig(path, dpi=100, pil_kwargs={"quality": 80})


def main() -> int:
    """Draw both sheets."""
    assert BENDS.keys() == OPERATORS.keys()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the sheets")
    describe_flags(parser)
    parser.add_argument("--only", choices=("films", "bends"), help="draw one of them")
    parser.add_argument("--step", default="30%", help="after which step pictures are bent")
    parser.add_argument("--seed", type=int, default=42, help="of these pictures")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.only != "bends":
        with tempfile.TemporaryDirectory() as temporary, one_model():
            films = Films(args, args.films or Path(temporary))
            draw_films(args.folder / "between_films.jpg", rows_of_films(films, args))
    if args.only != "films":
        draw_bends(args, args.folder / "between_bends.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
