"""How well pictures and films of music say what is heard in it, and whether they tell pieces apart.

    python -m benchmarks.music --sounds FOLDER

Every row is measured on the model's pictures and on those of the renderer that taught it, each with a 95%
confidence interval (bootstrap over pieces) and with what pictures would reach that know nothing of the sound.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist, pdist

from benchmarks import measures
from benchmarks.film_measures import (
    Heard,
    Seen,
    av_align,
    deviation,
    frame_rate,
    harmony_and_hue,
    loudness_and_light,
    motion,
    onset_times,
    onsets_and_change,
    onsets_and_rise,
)
from benchmarks.painters import Painter, paint_all, spread
from benchmarks.pieces import ALTERATIONS, Piece, choose, read_pieces
from benchmarks.sheets import Strip, film_sheet, picture_sheet
from training.export import MODEL

WHO = ("teacher", "model")
FILMS = 8
SHUFFLES = 3
VECTORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "traits": measures.traits,
    "signature": measures.signature,
}
RELATIONS = {
    "loudness - light": (">= 0.60", loudness_and_light),
    "onsets - rise of light": (">= 0.50", onsets_and_rise),
    "onsets - change of picture": (">= 0.30", onsets_and_change),
    "distance in chroma - in hue": (">= 0.40", harmony_and_hue),
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
    chance : float or None
        What pictures that know nothing of the sound would reach, where that has a meaning.
    """

    name: str
    goal: str
    values: np.ndarray
    chance: float | None = None

    def __str__(self) -> str:
        low, high = interval(self.values)
        chance = "-" if self.chance is None else f"{self.chance:.3f}"
        mean = float(np.mean(self.values))
        return f"{self.name:<48} {self.goal:>8} {mean:7.3f} [{low:6.3f}, {high:6.3f}] {chance:>7}"


def interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """Bootstrap the 95% confidence interval of a mean."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(draws, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Show:
    """What one painter makes of the pieces. It is painted when it is first looked at, and once."""

    painter: Painter
    pieces: list[Piece]
    seeds: int
    jobs: int

    @cached_property
    def moments(self) -> list[np.ndarray]:
        """Pictures of each piece's moment: all seeds of the first piece, then all of the second."""
        return self.paint([piece.moment() for piece in self.pieces], range(self.seeds))

    @cached_property
    def filmed(self) -> list[Piece]:
        """The pieces that films are made of."""
        return choose(self.pieces, FILMS)

    @cached_property
    def films(self) -> list[np.ndarray]:
        """Films of these pieces."""
        return spread(self.painter.film, [piece.film() for piece in self.filmed], self.jobs)

    def paint(self, sounds: list[np.ndarray], seeds: Iterable[int]) -> list[np.ndarray]:
        """Paint every sound with every seed."""
        return paint_all(self.painter, sounds, list(seeds), self.jobs)


def recognition_rows(show: Show) -> Iterator[Row]:
    """Ask whether the nearest other picture is one of the same piece."""
    labels = np.repeat(np.arange(len(show.pieces)), show.seeds)
    goal = ">= 0.85" if show.painter.who == "teacher" else ">= 0.70"
    chance = (show.seeds - 1) / (len(labels) - 1)
    for name, vector in VECTORS.items():
        vectors = measures.standardised(np.array([vector(picture) for picture in show.moments]))
        shares = measures.recognised(vectors, labels).reshape(-1, show.seeds).mean(1)
        yield Row(f"recognition of {len(show.pieces)} pieces, {name}", goal, shares, chance)


def film_rows(show: Show) -> Iterator[Row]:
    """Ask whether films follow their sound; chance is what they reach with the sound of another film."""
    heard = [Heard.of(piece.film(), film) for piece, film in zip(show.filmed, show.films, strict=True)]
    seen = [Seen.of(film) for film in show.films]
    own = np.eye(len(seen), dtype=bool)
    for name, (goal, relation) in RELATIONS.items():
        table = np.array([[relation(h, s) for s in seen] for h in heard])
        lag = table[own].mean(0).argmax()  # at once or a frame late: the same for all films
        yield Row(f"film: {name} (Spearman)", goal, table[own][:, lag], table[~own][:, lag].mean())
    yield Row("film: deviation of a pixel", ">= 0.16", np.array([deviation(film) for film in show.films]))


def stability_rows(show: Show) -> Iterator[Row]:
    """Ask whether a sound that is hardly altered keeps its picture, and another moment the character."""
    altered = {
        change: show.paint([alter(piece) for piece in show.pieces], [0])
        for change, alter in ALTERATIONS.items()
    }
    others = show.paint([piece.other_moment() for piece in show.pieces], [0])
    for name, vector in VECTORS.items():
        reference = np.array([vector(picture) for picture in show.moments])
        originals = measures.standardised(reference)[:: show.seeds]
        unit = pdist(originals).mean()
        for change, pictures in altered.items():
            vectors = measures.standardised(np.array([vector(picture) for picture in pictures]), reference)
            table = cdist(vectors, originals) / unit
            nearest = table.argmin(1) == np.arange(len(table))
            yield Row(f"{change}: nearest to its own, {name}", ">= 0.95", nearest, 1 / len(table))
            yield Row(f"{change}: distance to its own, {name}", "<= 0.33", np.diag(table), 1.0)
        vectors = measures.standardised(np.array([vector(picture) for picture in others]), reference)
        table = cdist(originals, vectors)
        nearer = (np.diag(table)[:, None] < table).sum(1) / (len(table) - 1)
        yield Row(f"other moment nearer than another's, {name}", "> 0.5", nearer, 0.5)


def alignment_rows(show: Show) -> Iterator[Row]:
    """Compare AV-Align of films with that of other films' sounds, and of the films shuffled in time."""
    sounds = [piece.film() for piece in show.filmed]
    onsets = [onset_times(y) for y in sounds]
    rates = [frame_rate(y, film) for y, film in zip(sounds, show.films, strict=True)]
    movements = [motion(film) for film in show.films]
    table = np.array([[av_align(o, m, f) for m, f in zip(movements, rates, strict=True)] for o in onsets])
    own = np.eye(len(table), dtype=bool)
    yield Row("AV-Align", "", table[own], table[~own].mean())
    rng = np.random.default_rng(0)
    shuffled = [
        np.mean([av_align(o, motion(rng.permutation(film)), f) for _ in range(SHUFFLES)])
        for o, film, f in zip(onsets, show.films, rates, strict=True)
    ]
    yield Row("AV-Align, the same films shuffled in time", "", np.array(shuffled))


SECTIONS: dict[str, Callable[[Show], Iterator[Row]]] = {
    "recognition": recognition_rows,
    "films": film_rows,
    "stability": stability_rows,
    "alignment": alignment_rows,
}


def save_sheets(show: Show, sheet: Path | None, films: Path | None) -> None:
    """Save what is there to be looked at."""
    if sheet is not None:
        path = sheet.with_stem(f"{sheet.stem}-{show.painter.who}")
        picture_sheet(show.moments[:: show.seeds], [piece.name for piece in show.pieces], path)
        print(path)
    if films is not None:
        strips = [
            Strip(piece.name, piece.film(), {"": film})
            for piece, film in zip(show.filmed, show.films, strict=True)
        ]
        path = films / f"films-{show.painter.who}.png"
        film_sheet(strips, path)
        print(path)


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--sounds", type=Path, required=True, help="folder of pieces of 8 s or more")
    flags.add_argument(
        "--only", nargs="*", choices=list(SECTIONS), default=list(SECTIONS), help="rows; none: sheets alone"
    )
    flags.add_argument("--who", nargs="+", choices=WHO, default=list(WHO), help="whose pictures")
    flags.add_argument("--teacher-only", dest="who", action="store_const", const=["teacher"])
    flags.add_argument("--pieces", type=int, metavar="N", help="so many, evenly chosen (default: all)")
    flags.add_argument(
        "--offset", type=float, default=1.0, metavar="SECONDS", help="part of each to pass over (default: 1)"
    )
    flags.add_argument("--model", default=str(MODEL), help="a model (default: models/cymatics)")
    flags.add_argument("--seeds", type=int, default=3, help="pictures of each piece (default: 3)")
    flags.add_argument("--steps", type=int, help="diffusion steps (default: the model's)")
    flags.add_argument("--window", type=float, help="seconds of sound in a frame (default: the model's)")
    flags.add_argument("--strength", type=float, help="of the model's films (default: audio2video's)")
    flags.add_argument("--film-flags", default="", help='more flags of audio2video: "--seed-mode fixed"')
    flags.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    flags.add_argument("--sheet", type=Path, metavar="FILE.png", help="save a picture of every piece")
    flags.add_argument("--films", type=Path, metavar="FOLDER", help="save frames of the films")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Measure every row and print the table."""
    options = parser().parse_args(argv)
    pieces = read_pieces(options.sounds, options.offset)
    pieces = choose(pieces, options.pieces or len(pieces))
    film_flags = shlex.split(options.film_flags)
    if options.strength is not None:
        film_flags += ["--strength", str(options.strength)]
    print(f"{'':<48} {'goal':>8} {'mean':>7} {'95% interval':>16} {'chance':>7}")
    for who in options.who:
        print(who)
        painter = Painter(who, options.model, options.steps, options.window, tuple(film_flags))
        show = Show(painter, pieces, options.seeds, options.jobs)
        for name in options.only:
            for row in SECTIONS[name](show):
                print(row, flush=True)
        save_sheets(show, options.sheet, options.films)


if __name__ == "__main__":
    main()
