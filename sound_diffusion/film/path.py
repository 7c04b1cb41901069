"""What every frame of a film is painted from: a feature of its own, or the way between those of two keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film.timeline import Frame, Timeline
from sound_diffusion.sound.features import extract_at, get_feature
from sound_diffusion.typing import FloatArray

BLOCK = 1 << 16  # samples


@dataclass(frozen=True)
class Heard:
    """What a frame is painted from.

    Attributes
    ----------
    before : np.ndarray [shape=(77, D), dtype=float32]
        A feature, unscaled.
    after : np.ndarray [shape=(77, D), dtype=float32] or None
        That of the next key, where the frame lies between two.
    share : float
        How much of the way from the one to the other is done, in [0, 1).
    """

    before: FloatArray
    after: FloatArray | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Listener:
    """Hears the sound of a film, frame by frame, in memory that does not grow with it.

    Attributes
    ----------
    open_blocks : callable
        Returns an iterator of the samples at 44,100 Hz.
    timeline : Timeline
    width : int
        Columns D of a feature.
    """

    open_blocks: Callable[[], Iterator[FloatArray]]
    timeline: Timeline
    width: int

    def hear(self, frames: Sequence[Frame], places: Sequence[float]) -> Iterator[tuple[Frame, Heard]]:
        """Yield frames with what they are painted from.

        Parameters
        ----------
        frames : sequence of Frame
            Ascending.
        places : sequence of float
            Where each of them is along the way of an interpolated film, ascending; not looked at otherwise.
        """
        if self.timeline.keys is None:
            for frame, matrix in self._features(frames):
                share = self.timeline.approach(frame.index)
                yield frame, Heard(matrix, self._first_feature, share) if share else Heard(matrix)
            return
        for frame, place in zip(frames, places, strict=True):
            yield frame, self.between_keys(place)

    @cached_property
    def _first_feature(self) -> FloatArray:
        [(_, matrix)] = self._features([self.timeline[0]])
        return matrix

    def between_keys(self, place: float) -> Heard:
        """Say what is heard at a place on the way of an interpolated film.

        To go back from key to key takes reading the sound anew; to go on does not.
        """
        keys = self.timeline.keys
        assert keys is not None
        between = keys.locate(place)
        before = self._key_features.at(between.before)
        if between.share == 0:
            return Heard(before)
        closes = between.after < between.before
        after = self._first_key if closes else self._key_features.at(between.after)
        return Heard(before, after, between.share)

    @cached_property
    def _key_features(self) -> KeyFeatures:
        return KeyFeatures(self._from_key)

    @cached_property
    def _first_key(self) -> FloatArray:
        return next(self._from_key(0))

    def _from_key(self, number: int) -> Iterator[FloatArray]:
        """Yield the features of the keys, from one of them on."""
        assert self.timeline.keys is not None
        frames = [self.timeline.key(position) for position in self.timeline.keys.frames[number:]]
        for _, matrix in self._features(frames):
            yield matrix

    def _features(self, frames: Sequence[Frame]) -> Iterator[tuple[Frame, FloatArray]]:
        feature = self.timeline.feature
        if not self.timeline.loop:
            return features_at(self.open_blocks(), frames, feature, self.width)
        before, after = get_feature(feature).reach(self.width)
        longest = max((frame.window for frame in frames), default=0)
        lead = math.ceil(longest * SAMPLE_RATE) + before + 1
        sound = Ring(self.open_blocks, self.timeline.period).unroll(lead, after + 1)
        return features_at(sound, frames, feature, self.width, lead)


class KeyFeatures:
    """The features of the keys of a film, of which the last two are held.

    Parameters
    ----------
    open_from : callable
        Takes the number of a key, and returns an iterator of the features from it on.
    """

    def __init__(self, open_from: Callable[[int], Iterator[FloatArray]]) -> None:
        self._open_from = open_from
        self._held: dict[int, FloatArray] = {}
        self._upcoming: Iterator[tuple[int, FloatArray]] = iter(())

    def at(self, number: int) -> FloatArray:
        """Return the feature of a key."""
        newest = max(self._held, default=-2)
        if number not in self._held and number != newest + 1:
            self._held.clear()
            self._upcoming = enumerate(self._open_from(number), number)
        if number not in self._held:
            self._held = {key: self._held[key] for key in list(self._held)[-1:]}
            self._held.update([next(self._upcoming)])
        return self._held[number]


@dataclass(frozen=True)
class Ring:
    """A sound whose end is followed by its beginning.

    Attributes
    ----------
    open_blocks : callable
        Returns an iterator of its samples, np.ndarray [shape=(n,), dtype=float32] each.
    period : int
        Samples after which it begins again; what the sound lacks of them is silence.
    """

    open_blocks: Callable[[], Iterator[FloatArray]]
    period: int

    def unroll(self, before: int, after: int) -> Iterator[FloatArray]:
        """Yield what comes before its beginning, once all of it, and what follows.

        Parameters
        ----------
        before, after : int
            Samples, in any number.
        """
        head, tail = self._ends(min(after, self.period), min(before, self.period))
        yield from _repeated(tail, before, at_the_end=True)
        left = self.period
        for block in self.open_blocks():
            yield block[:left]
            left -= len(block[:left])
        while left:
            silence = np.zeros(min(left, BLOCK), dtype=np.float32)
            yield silence
            left -= len(silence)
        yield from _repeated(head, after, at_the_end=False)

    def _ends(self, first: int, last: int) -> tuple[FloatArray, FloatArray]:
        """Return the first and the last samples of a period."""
        head = tail = np.zeros(0, dtype=np.float32)
        length = 0
        for block in self.open_blocks():
            head = np.concatenate([head, block[: first - len(head)]])
            tail = np.concatenate([tail, block])[-max(last, 1) :]
            length += len(block)
        silence = np.zeros(max(self.period - length, 0), dtype=np.float32)
        head = np.concatenate([head, silence])[:first]
        return head, np.concatenate([tail, silence])[len(tail) + len(silence) - last :]


def _repeated(samples: FloatArray, count: int, *, at_the_end: bool) -> Iterator[FloatArray]:
    """Yield `count` samples of a sound that repeats, its last or its first ones."""
    if not count:
        return
    whole, rest = divmod(count, len(samples))
    part = samples[len(samples) - rest :] if at_the_end else samples[:rest]
    yield from [part, *[samples] * whole] if at_the_end else [*[samples] * whole, part]


class SampleBuffer:
    """Random access to a stream of samples, as long as nobody looks back further than the last look.

    Parameters
    ----------
    blocks : iterator of np.ndarray [shape=(n,), dtype=float32]
        The sound, from its first sample on.
    """

    def __init__(self, blocks: Iterator[FloatArray]) -> None:
        self._blocks = blocks
        self._samples: FloatArray = np.zeros(0, dtype=np.float32)
        self._first = 0

    def read(self, first: int, stop: int) -> FloatArray:
        """Return samples first .. stop - 1, fewer at the end of the sound.

        `first` must not be less than in the call before.
        """
        assert first >= self._first, "the stream has gone past these samples"
        while self._first + len(self._samples) < stop:
            block = next(self._blocks, None)
            if block is None:
                break
            keep = self._samples[first - self._first :]
            # A jump ahead of all that was read leaves nothing to keep, and the stream to catch up with it.
            self._first = min(first, self._first + len(self._samples))
            self._samples = np.concatenate([keep, block])
        return self._samples[first - self._first : stop - self._first]


def features_at(
    blocks: Iterator[FloatArray], frames: Iterable[Frame], feature: str, width: int, lead: int = 0
) -> Iterator[tuple[Frame, FloatArray]]:
    """Evaluate a feature at frame after frame, in memory that does not grow with the sound.

    Parameters
    ----------
    blocks : iterator of np.ndarray [shape=(n,), dtype=float32]
        The sound, from its first sample on, as from :func:`sound_diffusion.stream_audio`.
    frames : iterable of Frame
        Ascending: some of a :class:`Timeline`, or all.
    feature : str
    width : int
        Columns D: the width of the model's cross-attention.
    lead : int
        Samples of `blocks` that come before the beginning of the film.

    Yields
    ------
    frame : Frame
    matrix : np.ndarray [shape=(77, width), dtype=float32]
        The feature at the frame's moments, unscaled.
    """
    before, after = get_feature(feature).reach(width)
    buffer = SampleBuffer(blocks)
    for frame in frames:
        moments = frame.moments + lead
        first = max(int(moments[0]) - before, 0)
        samples = buffer.read(first, int(moments[-1]) + after + 1)
        yield frame, extract_at(samples, moments - first, feature, width)
