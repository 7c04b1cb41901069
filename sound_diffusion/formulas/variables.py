"""What expressions can speak of: time, beats, descriptors of the sound, and series that a user brings."""

from __future__ import annotations

import csv
import itertools
import keyword
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from sound_diffusion.errors import ParameterError, reason_of
from sound_diffusion.formulas.functions import FUNCTIONS
from sound_diffusion.typing import DoubleArray

# Their order is the one in which messages list them. "s" is the seed, as in Deforum.
TIME_VARIABLES = ("t", "max_f", "seconds", "beats", "s", "pi")


def no_beats() -> DoubleArray:
    """Stand for the beats of a sound that has none."""
    return np.empty(0)


@dataclass(frozen=True)
class Variables(Mapping[str, DoubleArray]):
    """The variables of a film, one number a frame each.

    Attributes
    ----------
    n_frames : int
    fps : Fraction
        Frames a second.
    descriptors : mapping from str to np.ndarray [shape=(n_frames,), dtype=float64]
        In [0, 1], as from :func:`sound_diffusion.describe`.
    find_beats : callable
        Returns the seconds of the beats, ascending; called when they are asked for, since it takes long.
    series : Series or None
        What the user brings.
    seed : int
    first_frame : int
        Live, the frames that are forgotten; `n_frames` counts those that are not.
    """

    n_frames: int
    fps: Fraction
    descriptors: Mapping[str, DoubleArray] = field(default_factory=dict)
    find_beats: Callable[[], DoubleArray] = no_beats
    series: Series | None = None
    seed: int = 0
    first_frame: int = 0

    def __getitem__(self, name: str) -> DoubleArray:
        if name in self.descriptors:
            return self.descriptors[name]
        if self.series is not None and name in self.series.columns:
            return np.interp(self._seconds, self.series.seconds, self.series.columns[name])
        if name == "beats":
            return self._beats_at(self._seconds)
        return {
            "t": self.frames,
            "max_f": np.asarray(self.first_frame + self.n_frames, dtype=np.float64),
            "seconds": self._seconds,
            "s": np.asarray(self.seed, dtype=np.float64),
            "pi": np.asarray(np.pi),
        }[name]

    def __iter__(self) -> Iterator[str]:
        yield from (*TIME_VARIABLES, *self.descriptors)
        yield from () if self.series is None else self.series.columns

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(iter(self))  # beats are there without being looked for

    @cached_property
    def frames(self) -> DoubleArray:
        """Number of every frame, shape (n_frames,)."""
        return np.arange(self.first_frame, self.first_frame + self.n_frames, dtype=np.float64)

    @property
    def frame_seconds(self) -> float:
        """Duration of a frame."""
        return float(1 / self.fps)

    def frame_of_beat(self, number: float) -> float:
        """Return the frame, a real number, of a beat; 0 is the first."""
        beats = self._beats
        whole = min(max(int(number), 0), len(beats) - 2)
        seconds = beats[whole] + (number - whole) * (beats[whole + 1] - beats[whole])
        return float(seconds) * float(self.fps)

    @cached_property
    def _seconds(self) -> DoubleArray:
        return self.frames / float(self.fps)

    @cached_property
    def _beats(self) -> DoubleArray:
        beats = self.find_beats()
        if len(beats) < 2:
            raise ParameterError("the sound has no beats", remedy="use frames, seconds or onset")
        return beats

    def _beats_at(self, seconds: DoubleArray) -> DoubleArray:
        """Beats since the first; before it and after the last they go on at the pace of the nearest."""
        beats = self._beats
        numbers = np.interp(seconds, beats, np.arange(len(beats)))
        early, late = np.minimum(seconds - beats[0], 0), np.maximum(seconds - beats[-1], 0)
        passed: DoubleArray = numbers + early / (beats[1] - beats[0]) + late / (beats[-1] - beats[-2])
        return passed


@dataclass(frozen=True)
class Series:
    """Numbers over time, from a file of the user's.

    Attributes
    ----------
    seconds : np.ndarray [shape=(m,), dtype=float64]
        Ascending.
    columns : mapping from str to np.ndarray [shape=(m,), dtype=float64]
    """

    seconds: DoubleArray
    columns: Mapping[str, DoubleArray]


def read_series(path: Path, taken: frozenset[str]) -> Series:
    """Read a CSV file whose first column is ``seconds`` and whose further columns are variables.

    Parameters
    ----------
    path : Path
    taken : frozenset of str
        Names that its columns cannot have.

    Returns
    -------
    series : Series

    Raises
    ------
    ParameterError
        If it cannot be read, has gaps, text or times that do not go on, or a name that cannot be a variable.
    """
    names, *rows = _read_rows(path)
    names = [name.strip() for name in names]
    if names[0] != "seconds" or len(names) < 2:
        is_other = len(names) == 1 and any(mark in names[0] for mark in ";\t")
        remedy = "part the columns by commas" if is_other else ""
        expected = "seconds, then a name for each variable"
        raise _series_error(path, 1, f"columns {', '.join(names)[:60]}", expected, remedy)
    for name in names[1:]:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise _series_error(path, 1, f"a column {name[:40]!r}", "letters, digits and underscores")
        if name in taken or name in FUNCTIONS or name in TIME_VARIABLES or names.count(name) > 1:
            raise _series_error(path, 1, f"a column {name[:40]!r}", "a name that is not taken")
    if not rows:
        raise _series_error(path, 1, "no numbers", "a row for every moment")
    table = np.array([_numbers(path, line, row, names) for line, row in enumerate(rows, 2)])
    for line, (before, after) in enumerate(itertools.pairwise(table[:, 0]), 3):
        if after <= before:
            raise _series_error(path, line, f"{after:g} seconds after {before:g}", "times that go on")
    return Series(table[:, 0], dict(zip(names[1:], table[:, 1:].T, strict=True)))


def _read_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        reason = reason_of(error)
        raise ParameterError(f"--series {path}: cannot be read ({reason})", "a CSV file in UTF-8") from None
    while rows and not rows[-1]:
        rows.pop()
    if not rows or not rows[0]:
        raise ParameterError(f"--series {path}: nothing in it", "a CSV file")
    return rows


def _numbers(path: Path, line: int, row: list[str], names: list[str]) -> list[float]:
    if len(row) != len(names):
        raise _series_error(path, line, f"{len(row)} values", f"{len(names)}: {', '.join(names)[:60]}")
    numbers = []
    for name, text in zip(names, row, strict=True):
        try:
            numbers.append(float(text))
        except ValueError:
            found = f"{text[:40]!r} in column {name[:40]}" if text.strip() else f"a gap in column {name[:40]}"
            raise _series_error(path, line, found, "a number") from None
        if not math.isfinite(numbers[-1]):
            raise _series_error(path, line, f"{text[:40]} in column {name[:40]}", "a finite number")
    return numbers


def _series_error(path: Path, line: int, found: str, expected: str, remedy: str = "") -> ParameterError:
    return ParameterError(f"--series {path}, line {line}: {found}", expected, remedy)
