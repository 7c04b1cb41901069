"""Schedules: a number for every frame of a film, written as a number, a formula or keyframes.

The notation is Deforum's, ``0:(0.65), 30:(0.8)``: keys that are numbers are joined by straight lines, and a
key that is a formula holds from its frame to the next key.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sound_diffusion.errors import ParameterError, shorten
from sound_diffusion.formulas.expressions import Evaluation, Expression, check_variable, parse_expression
from sound_diffusion.formulas.positions import Position, check_ascending, parse_position
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.typing import DoubleArray

LONGEST_SCHEDULE = 250_000  # characters: keyframes for every frame of twenty minutes
LARGEST_SCHEDULE = 500  # operators, functions, names and numbers of all formulas together
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
PUNCTUATION = re.compile(r"[(),:]")


@dataclass(frozen=True)
class Limits:
    """The numbers that a schedule may have.

    Attributes
    ----------
    low, high : float
        The smallest and the largest.
    above : bool
        Whether `low` itself is too low.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __str__(self) -> str:
        if math.isinf(self.low) and math.isinf(self.high):
            return "a finite number"
        if math.isinf(self.high):
            return f"a number {'above' if self.above else 'of at least'} {self.low:g}"
        return f"a number in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"

    def contain(self, values: DoubleArray) -> np.ndarray[tuple[int], np.dtype[np.bool]]:
        """Say of every value whether it is finite and allowed."""
        above = values > self.low if self.above else values >= self.low
        return np.isfinite(values) & above & (values <= self.high)


ANY_NUMBER = Limits()


@dataclass(frozen=True)
class Schedule:
    """A number for every frame of a film.

    Attributes
    ----------
    flag : str
        What error messages call it, such as ``--strength``.
    text : str
        As it was written.
    keys : tuple of (Position, float or Expression)
        At least one.
    limits : Limits
    """

    flag: str
    text: str
    keys: tuple[tuple[Position, float | Expression], ...]
    limits: Limits

    def __str__(self) -> str:
        return self.text

    @property
    def constant(self) -> float | None:
        """The number that it is at every frame, where it was written as one."""
        value = self.keys[0][1]
        return value if len(self.keys) == 1 and not isinstance(value, Expression) else None

    @property
    def names(self) -> frozenset[str]:
        """The variables that it uses; ``beats`` among them where a key is in beats."""
        formulas = [value.names for _, value in self.keys if isinstance(value, Expression)]
        keys = [frozenset({"beats"}) for position, _ in self.keys if position.unit == "b"]
        return frozenset().union(*formulas, *keys)

    @property
    def functions(self) -> frozenset[str]:
        """The functions that it calls."""
        formulas = [value.functions for _, value in self.keys if isinstance(value, Expression)]
        return frozenset().union(*formulas)

    def check_names(self, known: Collection[str]) -> None:
        """Raise ParameterError unless all variables are known; the sound need not be read for this."""
        try:
            for name in sorted(self.names):
                check_variable(name, known)
        except ParameterError as error:
            raise _named(error, self.flag, self.text) from None

    def evaluate(self, variables: Variables) -> DoubleArray:
        """Work out the number of every frame.

        Parameters
        ----------
        variables : Variables

        Returns
        -------
        values : np.ndarray [shape=(n_frames,), dtype=float64]
            Finite and within the limits.

        Raises
        ------
        ParameterError
            If a name is unknown, keys are not in order, or a number is not finite or not allowed; with the
            flag, the frame and the value.
        """
        values, problem = self.newest(variables, variables.n_frames)
        if problem is not None:
            raise problem
        return values

    def newest(self, variables: Variables, n_frames: int) -> tuple[DoubleArray, ParameterError | None]:
        """Work out the numbers of the last frames alone, as live, where the others have been seen.

        Parameters
        ----------
        variables : Variables
        n_frames : int
            At least 1. Where there are fewer, the first one stands for those before.

        Returns
        -------
        values : np.ndarray [shape=(n_frames,), dtype=float64]
            They may be infinite, NaN, or out of the limits: then there is a problem.
        problem : ParameterError or None
            What :meth:`evaluate` would raise, for these frames.

        Raises
        ------
        ParameterError
            As :meth:`evaluate`, if it cannot be worked out.
        """
        evaluation = Evaluation(variables, variables.n_frames, variables.frame_seconds)
        try:
            values = self._values(variables, evaluation)
        except ParameterError as error:
            raise _named(error, self.flag, self.text) from None
        first = max(variables.n_frames - n_frames, 0)
        newest = np.concatenate([np.full(max(n_frames - variables.n_frames, 0), values[0]), values[first:]])
        wrong = first + np.flatnonzero(~self.limits.contain(values[first:]))
        if not len(wrong):
            return newest, None
        index = int(wrong[0])
        reason = " (division by zero)" if evaluation.divided_by_zero[index] else ""
        found = f"{values[index]:g} at frame {variables.first_frame + index}{reason}"
        return newest, _named(ParameterError(found, str(self.limits)), self.flag, self.text)

    def _values(self, variables: Variables, evaluation: Evaluation) -> DoubleArray:
        frames = [position.frame(variables) for position, _ in self.keys]
        check_ascending([position for position, _ in self.keys], frames)
        # The first frame that each key reaches, counted from the first one that there is.
        n_frames, first = variables.n_frames, variables.first_frame
        starts = [min(max(math.ceil(frame) - first, 0), n_frames) for frame in frames]
        curves = {
            number: value.evaluate(evaluation)
            for number, (_, value) in enumerate(self.keys)
            if isinstance(value, Expression)
        }
        heights = [
            curves[number][min(starts[number], n_frames - 1)] if number in curves else value
            for number, (_, value) in enumerate(self.keys)
        ]
        values = np.interp(variables.frames, frames, np.array(heights, dtype=np.float64))
        for number, (start, stop) in enumerate(itertools.pairwise([*starts, n_frames])):
            if number in curves:
                values[start:stop] = curves[number][start:stop]
        return values


Scheduled: TypeAlias = float | Schedule
"""What a user may set to a number, or to one that changes over a film."""


def plain_number(value: Scheduled | None) -> float | None:
    """Return a number that does not change, and None in the place of a schedule."""
    return None if isinstance(value, Schedule) else value


def parse_schedule(text: str, flag: str, limits: Limits = Limits()) -> Schedule:
    """Read a number, a formula, or keyframes.

    Parameters
    ----------
    text : str
        ``0.4``, ``0.2 + 0.5*onset``, or ``0:(0.65), 2.5s:(0.8), 8b:(onset)``.
    flag : str
        What error messages call it.
    limits : Limits, optional
        The numbers that it may have.

    Returns
    -------
    schedule : Schedule

    Raises
    ------
    ParameterError
        If it is none of these.
    """
    try:
        if len(text) > LONGEST_SCHEDULE:
            raise ParameterError(f"{len(text)} characters", f"at most {LONGEST_SCHEDULE}", "use --series")
        keys = tuple(_parse_keys(text))
    except ParameterError as error:
        raise _named(error, flag, text) from None
    return Schedule(flag, text, keys, limits)


def _parse_keys(text: str) -> Iterator[tuple[Position, float | Expression]]:
    size = 0
    if re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text):
        raise ParameterError("a comma in a number", f"a point, {text.strip().replace(',', '.')}")
    for entry in _split(text):
        no_keys = len(entry) == 1 and entry[0] == text.strip()
        if len(entry) != 2 and not no_keys:
            raise ParameterError(f"{shorten(':'.join(entry))!r}", "keyframes such as 0:(0.65), 30:(0.8)")
        value = _parse_value(entry[-1])
        size += value.size if isinstance(value, Expression) else 0
        if size > LARGEST_SCHEDULE:
            raise ParameterError(
                f"formulas of more than {LARGEST_SCHEDULE} parts", "fewer", "use numbers or --series"
            )
        yield parse_position("0" if no_keys else entry[0]), value


def _split(text: str) -> Iterator[list[str]]:
    """Split at the commas and colons that no parentheses enclose: entries of key and value."""
    entry: list[str] = []
    depth = start = 0
    for match in PUNCTUATION.finditer(text):
        mark = match[0]
        depth += (mark == "(") - (mark == ")")
        if depth < 0:
            raise ParameterError(f"a ) at character {match.start() + 1} that closes nothing", "( before it")
        if depth == 0 and mark in ",:":
            entry.append(text[start : match.start()].strip())
            start = match.end()
            if mark == ",":
                yield entry
                entry = []
    if depth:
        raise ParameterError(f"{depth} ( are not closed", "a ) for every (")
    last = text[start:].strip()
    if last or entry or not start:  # a comma at the end is none too many
        yield [*entry, last]


def _parse_value(text: str) -> float | Expression:
    bare = text.strip()
    while len(bare) <= 100 and bare.startswith("(") and bare.endswith(")"):
        bare = bare[1:-1].strip()
    if not text.strip("() \t\r\n"):
        raise ParameterError("a value is missing", "a number or a formula")
    return float(bare) if NUMBER.fullmatch(bare) else parse_expression(text)


def _named(error: ParameterError, flag: str, text: str) -> ParameterError:
    """Say of which schedule an error speaks."""
    return ParameterError(f"{flag} {shorten(text)!r}: {error.found}", error.expected, error.remedy)
