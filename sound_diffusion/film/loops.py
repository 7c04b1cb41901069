"""Loops: films that end where they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sound_diffusion.typing import FloatArray

BLOCK = 1 << 16  # samples
APPROACH_SECONDS = 1.0  # in which a film goes back to its first frame


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


def approach(frame: int, n_frames: int, fps: float) -> float:
    """Say how far a frame goes back to the first one: what it hears, and the picture that it is painted over.

    Parameters
    ----------
    frame : int
    n_frames : int
        Of the loop.
    fps : float
        Frames a second.

    Returns
    -------
    share : float
        0 until the last second; then rising, and less than 1.
    """
    over = min(APPROACH_SECONDS * fps, n_frames - 1)
    return max(0.0, (frame + 1 - (n_frames - over)) / (over + 1))
