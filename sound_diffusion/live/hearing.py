"""Hearing: blocks of sound at the rate of a browser become one stream at 44,100 Hz, with a clock."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.typing import FloatArray

KEPT_SECONDS = 62  # the longest window, and what a feature reads beside it
MOMENTS = 512  # blocks whose arrival is remembered
FULL_SCALE = 2.0**23  # of 24 bits: what FLAC keeps, so that a take is heard again as it was


class RingBuffer:
    """The last samples of a stream, known by their number in it. Any thread may write, any may read.

    Parameters
    ----------
    capacity : int
        Samples that are kept.
    """

    def __init__(self, capacity: int) -> None:
        self._samples: FloatArray = np.zeros(capacity, dtype=np.float32)
        self._written = 0
        self._changed = threading.Condition()

    @property
    def n_written(self) -> int:
        """Samples that there have been: the number that the next one has."""
        return self._written

    def write(self, samples: FloatArray) -> None:
        """Take in samples [shape=(n,), dtype=float32]; the oldest make way for them."""
        with self._changed:
            kept = samples[-len(self._samples) :]
            first = self._written + len(samples) - len(kept)
            self._samples[np.arange(first, first + len(kept)) % len(self._samples)] = kept
            self._written += len(samples)
            self._changed.notify_all()

    def read(self, first: int, stop: int) -> FloatArray:
        """Return a copy of samples `first` .. `stop` - 1; zero outside of what the stream has had.

        Parameters
        ----------
        first, stop : int
            At most as many as are kept. What has made way already is zero as well.

        Returns
        -------
        samples : np.ndarray [shape=(stop - first,), dtype=float32]
        """
        size = len(self._samples)
        with self._changed:
            there = range(max(first, 0, self._written - size), min(stop, self._written))
            samples = np.zeros(max(stop - first, 0), dtype=np.float32)
            if there:
                samples[there.start - first : there.stop - first] = self._samples[
                    np.arange(there.start, there.stop) % size
                ]
        return samples

    def wait(self, n_samples: int, seconds: float) -> bool:
        """Wait until there have been so many samples, for `seconds` at the most; say whether there have."""
        with self._changed:
            return self._changed.wait_for(lambda: self._written >= n_samples, seconds)


@dataclass(frozen=True)
class Moment:
    """When a sample was heard.

    Attributes
    ----------
    n_samples : int
        Samples of the take up to here.
    clock : float
        Of the page, seconds.
    arrival : float
        ``time.monotonic()`` of this machine when it came.
    """

    n_samples: int
    clock: float
    arrival: float


class Take:
    """One stretch of sound, from its first sample on.

    Parameters
    ----------
    rate : int
        Samples a second of the blocks that come.

    Attributes
    ----------
    sound : RingBuffer
        The newest of it at 44,100 Hz, rounded to 24 bits.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.sound = RingBuffer(KEPT_SECONDS * SAMPLE_RATE)
        self._n_blocks_samples = 0
        self._moments: deque[Moment] = deque(maxlen=MOMENTS)
        self._resampler = None
        if rate != SAMPLE_RATE:
            import soxr

            self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def hear(self, clock: float, samples: FloatArray) -> FloatArray:
        """Take in a block.

        Parameters
        ----------
        clock : float
            Of its first sample, seconds. Blocks may be missing: what follows is joined on, and its clock
            counts from there.
        samples : np.ndarray [shape=(n,), dtype=float32]

        Returns
        -------
        heard : np.ndarray [shape=(m,), dtype=float32]
            What has come out of the resampler, at 44,100 Hz.
        """
        before = self._n_blocks_samples
        self._n_blocks_samples += len(samples)
        resampled = samples if self._resampler is None else self._resampler.resample_chunk(samples)
        rounded = np.clip(np.rint(resampled * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1) / FULL_SCALE
        heard: FloatArray = rounded.astype(np.float32)
        n_samples = self.sound.n_written + len(heard)
        moment = Moment(n_samples, clock + n_samples / SAMPLE_RATE - before / self.rate, time.monotonic())
        self._moments.append(moment)
        self.sound.write(heard)
        return heard

    def moment(self, n_samples: int) -> Moment:
        """Say when the last of the first `n_samples` was heard; ``arrival`` is that of its block."""
        block = next((each for each in tuple(self._moments) if each.n_samples >= n_samples), None)
        if block is None:
            return Moment(n_samples, float("nan"), time.monotonic())
        return Moment(n_samples, block.clock - (block.n_samples - n_samples) / SAMPLE_RATE, block.arrival)
