"""Key frames of a film that is interpolated, and how its frames are spaced between them.

A place is a real number of frames along the way that the film goes: 3.5 is half-way between frames 3 and 4
of a film of equal times.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.typing import DoubleArray

SPACINGS = ("time", "even", "music")
NEAREST_PLACES = 1 / 32  # frames: what changes within less is a jump, and cannot be split


@dataclass(frozen=True)
class Between:
    """Where a frame lies: between which keys, by their numbers, and how far from the first, in [0, 1)."""

    before: int
    after: int
    share: float


@dataclass(frozen=True)
class Keys:
    """The key frames of a film.

    Attributes
    ----------
    n_frames : int
        Of the film, at least 1.
    every : int
        Frames from key to key.
    closed : bool
        Whether the first key follows on the last, as in a loop.
    """

    n_frames: int
    every: int
    closed: bool = False

    def __post_init__(self) -> None:
        longest = self.n_frames - 1 if self.closed else self.n_frames
        if not 1 <= self.every <= max(longest, 1):
            raise ParameterError(
                f"--interpolate {self.every} of a film of {self.n_frames} frames", f"1 to {max(longest, 1)}"
            )

    @property
    def frames(self) -> list[int]:
        """The frame of every key: each N-th, and the last of a film that does not close."""
        frames = list(range(0, self.n_frames, self.every))
        if not self.closed and frames[-1] != self.n_frames - 1:
            frames.append(self.n_frames - 1)
        return frames

    @property
    def ends(self) -> list[int]:
        """The frames as places, with that of the first key after the last where they close."""
        return [*self.frames, self.n_frames] if self.closed else self.frames

    def locate(self, place: float) -> Between:
        """Say between which keys a place lies, in [0, n_frames - 1], or [0, n_frames) where they close."""
        ends = self.ends
        before = min(bisect_right(ends, place) - 1, len(ends) - 1)
        if before == len(ends) - 1:
            return Between(before % len(self.frames), before % len(self.frames), 0.0)
        share = (place - ends[before]) / (ends[before + 1] - ends[before])
        return Between(before, (before + 1) % len(self.frames), share)


def equal_times(keys: Keys) -> DoubleArray:
    """Return the place of every frame, shape (n_frames,): its own."""
    return np.arange(keys.n_frames, dtype=np.float64)


def at_the_pace(keys: Keys, pace: DoubleArray) -> DoubleArray:
    """Go from key to key at the pace of the music.

    Parameters
    ----------
    keys : Keys
    pace : np.ndarray [shape=(n_frames,), dtype=float64]
        At least 0, such as the strength of onsets. The step to a frame is its share of what is passed from
        key to key; where nothing is, times are equal.

    Returns
    -------
    places : np.ndarray [shape=(n_frames,), dtype=float64]
        Ascending; a key is at its own frame.
    """
    places = equal_times(keys)
    ends = keys.ends
    for start, stop in itertools.pairwise(ends):
        passed = np.cumsum(np.take(pace, range(start + 1, stop + 1), mode="wrap"))
        if passed[-1] > 0:
            places[start + 1 : stop] = start + passed[:-1] / passed[-1] * (stop - start)
    return places


def split_until_even(
    keys: Keys, distance: Callable[[float, float], float], n_frames: int
) -> tuple[DoubleArray, DoubleArray]:
    """Measure how far a film goes between its keys, splitting gaps where neighbours differ most.

    Parameters
    ----------
    keys : Keys
    distance : callable
        ``distance(one, other)``: how much the pictures at two places differ.
    n_frames : int
        In how many steps the way is going to be gone: a gap is split until it is not longer than these.

    Returns
    -------
    places : np.ndarray [shape=(m,), dtype=float64]
        Ascending.
    passed : np.ndarray [shape=(m,), dtype=float64]
        How far it is from the first to each of them; never less than to the one before.
    """
    ends = [float(end) for end in keys.ends]
    gaps = [distance(one, other) for one, other in itertools.pairwise(ends)]
    longest = sum(gaps) / max(n_frames, 1)
    places, steps = [ends[0]], [0.0]
    for start, stop, gap in zip(ends[:-1], ends[1:], gaps, strict=True):
        for place, step in _split(start, stop, gap, distance, longest):
            places.append(place)
            steps.append(step)
    return np.array(places), np.cumsum(steps)


def _split(
    start: float, stop: float, gap: float, distance: Callable[[float, float], float], longest: float
) -> Iterator[tuple[float, float]]:
    """Yield the places after `start` up to `stop`, and how far each is from the one before."""
    if gap <= longest or stop - start <= NEAREST_PLACES:
        yield stop, gap
        return
    middle = (start + stop) / 2
    yield from _split(start, middle, distance(start, middle), distance, longest)
    yield from _split(middle, stop, distance(middle, stop), distance, longest)


def equal_steps(keys: Keys, places: DoubleArray, passed: DoubleArray) -> DoubleArray:
    """Space the frames of a film so that each goes as far as the others.

    Parameters
    ----------
    keys : Keys
    places, passed : np.ndarray [shape=(m,), dtype=float64]
        From :func:`split_until_even`.

    Returns
    -------
    places : np.ndarray [shape=(n_frames,), dtype=float64]
        Ascending, from the first key on; where the film stands still, equal times.
    """
    if passed[-1] <= 0:
        return equal_times(keys)
    steps = keys.n_frames if keys.closed else max(keys.n_frames - 1, 1)
    wanted = np.arange(keys.n_frames) * (passed[-1] / steps)
    # What stands still has no place of its own: an ever so small slope keeps the places in order.
    slope = passed + places * (passed[-1] * 1e-9)
    spaced: DoubleArray = np.interp(wanted, slope, places)
    return np.minimum(spaced, math.nextafter(keys.n_frames, 0) if keys.closed else keys.n_frames - 1)
