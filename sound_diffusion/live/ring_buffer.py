"""The newest sound, in memory that does not grow."""

from __future__ import annotations

import threading

import numpy as np

from sound_diffusion.typing import FloatArray


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
