"""How well pictures and films of music say what is heard in it, and whether they tell pieces apart.

    python -m benchmarks.music --sounds FOLDER

Every row is measured on the model's pictures and on those of the renderer that taught it, each with a 95%
confidence interval (bootstrap over pieces) and what chance would reach.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import measures
from benchmarks.painters import Painter, paint_all
from benchmarks.pieces import Piece, read_pieces
from training.export import MODEL

WHO = ("teacher", "model")
VECTORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "traits": measures.traits,
    "signature": measures.signature,
}


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    name, goal : str
        What is measured, and what it should be.
    values : np.ndarray [shape=(n,)]
        One figure for each piece or film; their mean is what counts.
    chance : float
        What pictures that know nothing of the sound would reach; NaN where that has no meaning.
    """

    name: str
    goal: str
    values: np.ndarray
    chance: float = float("nan")

    def __str__(self) -> str:
        low, high = interval(self.values)
        chance = "      -" if np.isnan(self.chance) else f"{self.chance:7.3f}"
        return f"{self.name:<52} {self.goal:>8} {self.values.mean():7.3f} [{low:6.3f}, {high:6.3f}] {chance}"


def interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """Bootstrap the 95% confidence interval of a mean."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def recognition_rows(painter: Painter, pieces: list[Piece], options: argparse.Namespace) -> Iterator[Row]:
    """Ask whether the nearest other picture is one of the same piece."""
    count = options.seeds
    pictures = paint_all(painter, [p.moment() for p in pieces], range(count), options.jobs)
    labels = np.repeat(np.arange(len(pieces)), count)
    chance = (count - 1) / (len(labels) - 1)
    for name, vector in VECTORS.items():
        vectors = measures.standardised(np.array([vector(picture) for picture in pictures]))
        shares = measures.recognised(vectors, labels).reshape(len(pieces), count).mean(1)
        goal = ">= 0.85" if painter.who == "teacher" else ">= 0.70"
        yield Row(f"recognition of {len(pieces)} pieces by {name}", goal, shares, chance)


SECTIONS = {"recognition": recognition_rows}


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    flags.add_argument("--sounds", type=Path, required=True, help="folder of pieces, 8 s or longer")
    flags.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    flags.add_argument("--who", nargs="+", choices=WHO, default=list(WHO), help="whose pictures")
    flags.add_argument("--teacher-only", dest="who", action="store_const", const=["teacher"])
    flags.add_argument("--pieces", type=int, metavar="N", help="pieces, evenly chosen; by default all")
    flags.add_argument("--offset", type=float, default=1.0, help="seconds of each piece to pass over")
    flags.add_argument("--model", default=str(MODEL), help="a model folder")
    flags.add_argument("--seeds", type=int, default=3, help="pictures of each piece")
    flags.add_argument("--jobs", type=int, default=1, help="processes")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Measure every row and print the table."""
    options = parser().parse_args(argv)
    pieces = read_pieces(options.sounds, options.pieces, options.offset)
    print(f"{'':<52} {'goal':>8} {'mean':>7} {'95% interval':>16} {'chance':>7}")
    for who in options.who:
        print(who)
        painter = Painter(who, options.model)
        for name in options.only:
            for row in SECTIONS[name](painter, pieces, options):
                print(row, flush=True)


if __name__ == "__main__":
    main()
