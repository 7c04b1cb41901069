"""Sheets for a jury: what two models make of the same music, in random order and without names.

    python -m benchmarks.jury --sounds FOLDER --before MODEL --after MODEL --out FOLDER

Each pair of pictures stands beside a plot of its sound, each pair of films below it. Which one is whose is
written to a file outside the folder, OUT-key.json, so that the folder can be shown as it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.painters import Painter, paint_all, spread
from benchmarks.pieces import Piece, choose, read_pieces
from benchmarks.sheets import Strip, film_sheet, pair_sheet

SEED = 42  # of all pictures: the one of the scripts
QUESTIONS = """\
Each sheet shows one sound and what two painters, A and B, made of it. The waveform is blue, the red curve
shows where notes and beats begin; the plot below it shows low frequencies at the bottom and high ones at the
top. In the sheets of films time runs from left to right, for the sound and for both films.

Answer for every sheet, with A or B:
1. Which one follows the sound?
2. Which one would you put on a cover?
"""


def numbered(kind: str, pieces: Sequence[Piece], rng: np.random.Generator) -> dict[str, Piece]:
    """Bring pieces into random order and give each a name that tells nothing."""
    return {f"{kind}-{number:02}": pieces[i] for number, i in enumerate(rng.permutation(len(pieces)), 1)}


def lots(names: Sequence[str], rng: np.random.Generator) -> dict[str, list[str]]:
    """Draw whose work is A and whose is B; each is A in half of them, to one."""
    orders = [["before", "after"], ["after", "before"]] * (len(names) // 2 + 1)
    return {name: orders[i] for name, i in zip(names, rng.permutation(len(names)), strict=True)}


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--sounds", type=Path, required=True, help="folder of pieces of 8 s or more")
    flags.add_argument("--before", required=True, help="a model")
    flags.add_argument("--after", required=True, help="another model")
    flags.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the sheets go")
    flags.add_argument("--pairs", type=int, default=12, help="pairs of pictures (default: 12)")
    flags.add_argument("--films", type=int, default=4, help="pairs of films (default: 4)")
    flags.add_argument(
        "--offset", type=float, default=1.0, metavar="SECONDS", help="to pass over (default: 1)"
    )
    flags.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Paint, shuffle, and save sheets and key."""
    options = parser().parse_args(argv)
    painters = {who: Painter("model", vars(options)[who]) for who in ("before", "after")}
    pieces, rng = read_pieces(options.sounds, options.offset), np.random.default_rng()
    pairs = numbered("pair", choose(pieces, options.pairs), rng)
    films = numbered("film", choose(pieces, options.films), rng)
    order = lots([*pairs], rng) | lots([*films], rng)
    key = {
        name: {"sound": piece.name, "A": order[name][0], "B": order[name][1]}
        for name, piece in (pairs | films).items()
    }
    options.out.mkdir(parents=True, exist_ok=True)
    options.out.with_name(options.out.name + "-key.json").write_text(json.dumps(key, indent=2) + "\n")
    (options.out / "questions.txt").write_text(QUESTIONS)

    sounds = [piece.moment() for piece in pairs.values()]
    painted = {who: paint_all(painter, sounds, [SEED], options.jobs) for who, painter in painters.items()}
    for index, (name, y) in enumerate(zip(pairs, sounds, strict=True)):
        pictures = {letter: painted[who][index] for letter, who in zip("AB", order[name], strict=True)}
        pair_sheet(y, pictures, options.out / f"{name}.png")
    sounds = [piece.film() for piece in films.values()]
    filmed = {who: spread(painter.film, sounds, options.jobs) for who, painter in painters.items()}
    for index, (name, y) in enumerate(zip(films, sounds, strict=True)):
        shown = {letter: filmed[who][index] for letter, who in zip("AB", order[name], strict=True)}
        film_sheet([Strip(name, y, shown)], options.out / f"{name}.png", every=3)


if __name__ == "__main__":
    main()
