"""Key frames of a film that is interpolated, and how its frames are spaced between them.

A place is a real number of frames along the way that the film goes: 3.5 is half-way between frames 3 and 4
of a film of equal times.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.typing import DoubleArray

SPACINGS = ("time", "even", "music")
NEAREST_PLACES = 1 / 256  # frames: what changes within less is a jump, and is not split further
FINER = 0.7  # the longest step between the pictures that even ones are chosen from
HALVINGS = 24  # of the range in which an even step lies


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
        Frames from key to key; where they close, at most, and about as many between any two.
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
        """The frame of every key: each N-th and the last; where they close, as far apart as each other."""
        if self.closed:  # a rest of the film would be a gap shorter than the others, and gone through faster
            count = -(-self.n_frames // self.every)
            return [number * self.n_frames // count for number in range(count)]
        frames = list(range(0, self.n_frames, self.every))
        return frames if frames[-1] == self.n_frames - 1 else [*frames, self.n_frames - 1]

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
    """Return the place of every frame, shape (n_frames,): its own, but in the last gap of a loop.

    The first key of a loop hears the end of a sound and its beginning, and is like neither of its neighbours.
    So the last gap leads up to it ever more slowly, at the end with half of the speed.
    """
    places = np.arange(keys.n_frames, dtype=np.float64)
    if keys.closed:
        start, stop = keys.ends[-2:]
        share = (places[start:] - start) / (stop - start)
        places[start:] = start + (stop - start) * (share + (share**2 - share**3) / 2)
    return places


def at_the_pace(keys: Keys, pace: DoubleArray) -> DoubleArray:
    """Go from key to key at the pace of the music.

    Parameters
    ----------
    keys : Keys
    pace : np.ndarray [shape=(n_frames,), dtype=float64]
        At least 0, such as the strength of onsets. The step to a frame is its share of what is passed from
        key to key; where nothing is, it is its own.

    Returns
    -------
    places : np.ndarray [shape=(n_frames,), dtype=float64]
        Ascending; a key is at its own frame.
    """
    places = np.arange(keys.n_frames, dtype=np.float64)
    ends = keys.ends
    for start, stop in itertools.pairwise(ends):
        passed = np.cumsum(np.take(pace, range(start + 1, stop + 1), mode="wrap"))
        if passed[-1] > 0:
            places[start + 1 : stop] = start + passed[:-1] / passed[-1] * (stop - start)
    return places


def even_places(keys: Keys, distance: Callable[[float, float], float]) -> DoubleArray:
    """Space the frames of a film so that each differs from the one before as much as the others do.

    Gaps between keys are split where neighbours differ most, more finely than the film will be; of the
    pictures that are seen then, those are kept that are a step apart.

    Parameters
    ----------
    keys : Keys
    distance : callable
        ``distance(one, other)``: how much the pictures at two places differ. `other` may be n_frames where
        the keys close.

    Returns
    -------
    places : np.ndarray [shape=(n_frames,), dtype=float64]
        Ascending, from the first key on; where the film stands still, equal times.
    """
    known = split_gaps(keys, distance)
    count = keys.n_frames + keys.closed  # with the end, which is the first frame again
    apart = lru_cache(None)(lambda one, other: distance(known[one], known[other]))
    low, high = 0.0, max(apart(0, index) for index in range(len(known))) * 2
    if high == 0:
        return equal_times(keys)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if len(_chain(len(known), apart, middle)) > count else (low, middle)
    chosen = _chain(len(known), apart, high)
    places = [known[index] for index in chosen]
    while len(places) < count:  # where it stands still there are no more pictures to choose from
        widest = max(range(1, len(places)), key=lambda index: distance(places[index - 1], places[index]))
        if all(distance(one, other) == 0 for one, other in itertools.pairwise(places)):
            widest = max(range(1, len(places)), key=lambda index: places[index] - places[index - 1])
        places.insert(widest, (places[widest - 1] + places[widest]) / 2)
    return np.array(places[: keys.n_frames])


def _chain(count: int, apart: Callable[[int, int], float], step: float) -> list[int]:
    """Go from the first of `count` pictures to the last, each time to the one about a step away."""
    chain = [0]
    for index in range(1, count - 1):
        here = apart(chain[-1], index)
        if here >= step or (abs(here - step) <= abs(apart(chain[-1], index + 1) - step) and here > step / 2):
            chain.append(index)
    return [*chain, count - 1] if count > 1 else chain


def split_gaps(keys: Keys, distance: Callable[[float, float], float]) -> list[float]:
    """Split the gaps between keys until no step is longer than a part of those of a film of even steps.

    Returns
    -------
    places : list of float
        Ascending, the keys among them.
    """
    ends = [float(end) for end in keys.ends]
    gaps = [distance(one, other) for one, other in itertools.pairwise(ends)]
    longest = FINER * sum(gaps) / keys.n_frames
    places = ends[:1]
    for (start, stop), gap in zip(itertools.pairwise(ends), gaps, strict=True):
        places += _split(start, stop, gap, distance, longest)
    return places


def _split(
    start: float, stop: float, gap: float, distance: Callable[[float, float], float], longest: float
) -> Iterator[float]:
    """Yield the places after `start` up to `stop`."""
    if gap <= longest or stop - start <= NEAREST_PLACES:
        yield stop
        return
    middle = (start + stop) / 2
    yield from _split(start, middle, distance(start, middle), distance, longest)
    yield from _split(middle, stop, distance(middle, stop), distance, longest)
