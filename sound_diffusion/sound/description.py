"""Describes a sound by a few numbers for every frame of a film, which its schedules follow.

A sound is analysed in hops of 512 samples, each by the 2,048 samples that end with it, so that no number
moves before the sound does; a frame takes the hops that end within it. Where librosa defines a descriptor, a
hop has the value that librosa gives it with ``center=False``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.sound.beats import track_beats
from sound_diffusion.sound.descriptors import DESCRIPTORS, levels, over_hops
from sound_diffusion.sound.features import check_samples
from sound_diffusion.sound.hops import HOP, HopAnalysis
from sound_diffusion.typing import DoubleArray, FloatArray

LIVE_SECONDS = 30
FASTEST_RATE = 1000  # frames a second
BLOCK = 1 << 16  # samples
ONSET = list(DESCRIPTORS).index("onset")


class Descriptors(dict[str, DoubleArray]):
    """The descriptors of a sound, from name to one number a frame in [0, 1].

    Parameters
    ----------
    fps : Fraction
        Frames a second.
    raw : np.ndarray [shape=(n, 11), dtype=float64]
        One row a frame, in the units of :data:`DESCRIPTORS`, in their order.
    onset_envelope : np.ndarray [shape=(m,), dtype=float64]
        Onset strength of every hop.
    """

    def __init__(self, fps: Fraction, raw: DoubleArray, onset_envelope: DoubleArray) -> None:
        super().__init__(zip(DESCRIPTORS, levels(raw).T, strict=True))
        self.fps = fps
        self.raw = raw
        self.onset_envelope = onset_envelope

    @cached_property
    def beats(self) -> DoubleArray:
        """Seconds of the beats, ascending, shape (k,); none where the sound has no pulse.

        The beat tracker looks ahead: use it for structure, and onsets for accents.
        """
        return track_beats(self.onset_envelope)


def describe(y: npt.ArrayLike, fps: float | str | Fraction = 12) -> Descriptors:
    """Describe a sound by a few numbers for every frame of a film.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), real floating]
        Mono samples at 44,100 Hz, in [-1, 1].
    fps : float, str or Fraction
        Frames a second: above 0, at most 1000.

    Returns
    -------
    descriptors : Descriptors
        A mapping from the names of :data:`DESCRIPTORS` to arrays of shape (ceil(n / 44100 * fps),), in
        [0, 1] by the 1st and 99th percentile over the sound. Frame i hears what lies before (i + 1) / fps.

    Raises
    ------
    AudioError
        If the samples are not finite or far outside [-1, 1], or if there are none.
    ParameterError
        If `y` is not a one-dimensional floating array, or `fps` is out of range.

    Examples
    --------
    >>> import numpy as np, sound_diffusion as sd
    >>> click = np.zeros(44100, dtype=np.float32)
    >>> click[22050] = 1
    >>> int(sd.describe(click, fps=12)["onset"].argmax())
    6
    """
    samples = check_samples(y)
    if not len(samples):
        raise AudioError("a sound without samples", "at least one sample")
    return describe_stream((samples[at : at + BLOCK] for at in range(0, len(samples), BLOCK)), _rate(fps))


def describe_whole(y: npt.ArrayLike) -> dict[str, float]:
    """Describe a whole sound by one number for each descriptor.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), real floating]
        As for :func:`describe`.

    Returns
    -------
    levels : dict from str to float
        In [0, 1] between fixed limits, about the range of music, so that sounds can be compared: the mean
        over twelfths of a second.

    Raises
    ------
    AudioError, ParameterError
        As :func:`describe`.
    """
    means = describe(y).raw.mean(axis=0)
    low, high = np.array([descriptor.music for descriptor in DESCRIPTORS.values()]).T
    return dict(zip(DESCRIPTORS, np.clip((means - low) / (high - low), 0, 1).tolist(), strict=True))


def describe_stream(blocks: Iterator[FloatArray], fps: Fraction) -> Descriptors:
    """Describe a stream of samples; the memory grows by some numbers a frame.

    Parameters
    ----------
    blocks : iterator of np.ndarray [shape=(n,), dtype=float32]
        The sound at 44,100 Hz, as from :func:`sound_diffusion.stream_audio`.
    fps : Fraction
        Frames a second.

    Returns
    -------
    descriptors : Descriptors
    """
    stream = DescriptorStream(fps)
    rows, strengths = [], []
    for block in blocks:
        rows.append(stream.push(block))
        strengths.append(stream.new_hops[:, ONSET])
    rows.append(stream.finish())
    strengths.append(stream.new_hops[:, ONSET])
    return Descriptors(fps, np.concatenate(rows), np.concatenate(strengths))


class DescriptorStream:
    """Describes frame after frame as the sound comes in; zero is assumed before it.

    Parameters
    ----------
    fps : Fraction
        Frames a second.

    Attributes
    ----------
    new_hops : np.ndarray [shape=(m, 11), dtype=float64]
        The hops that the last call has measured.
    """

    def __init__(self, fps: Fraction) -> None:
        self.fps = fps
        self.new_hops: DoubleArray = np.empty((0, len(DESCRIPTORS)))
        self._analysis = HopAnalysis()
        self._waiting = self.new_hops
        self._n_hops = self._n_samples = self._n_frames = 0
        self._row: DoubleArray = np.zeros(len(DESCRIPTORS))

    def push(self, samples: FloatArray, *, last: bool = False) -> DoubleArray:
        """Take in samples, and describe the frames that are complete.

        Parameters
        ----------
        samples : np.ndarray [shape=(n,), dtype=float32]
            Mono, at 44,100 Hz.
        last : bool
            Whether nothing follows, so that no batch of hops is waited for.

        Returns
        -------
        rows : np.ndarray [shape=(m, 11), dtype=float64]
            In the units and the order of :data:`DESCRIPTORS`. A frame in which no hop ends repeats the one
            before.
        """
        self.new_hops = self._analysis.push(samples, last=last)
        self._waiting = np.concatenate([self._waiting, self.new_hops])
        self._n_hops += len(self.new_hops)
        self._n_samples += len(samples)
        rows = [np.empty((0, len(DESCRIPTORS)))]
        while (end := self._end_of_frame()) <= self._n_samples and end // HOP <= self._n_hops:
            in_frame = end // HOP - (self._n_hops - len(self._waiting))
            if in_frame:
                self._row = over_hops(self._waiting[:in_frame])
                self._waiting = self._waiting[in_frame:]
            rows.append(self._row[None])
            self._n_frames += 1
        return np.concatenate(rows)

    def finish(self) -> DoubleArray:
        """Describe the frames that are left, the last of which silence may have to fill."""
        n_frames = math.ceil(Fraction(self._n_samples, SAMPLE_RATE) * self.fps)
        missing = math.ceil(n_frames / self.fps * SAMPLE_RATE) - self._n_samples
        return self.push(np.zeros(missing, dtype=np.float32), last=True)

    def _end_of_frame(self) -> int:
        """Samples before the end of the frame that comes next."""
        return math.floor((self._n_frames + 1) / self.fps * SAMPLE_RATE)


def _rate(fps: float | str | Fraction) -> Fraction:
    try:
        rate = Fraction(str(fps))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= FASTEST_RATE:
        raise ParameterError(f"{fps} frames a second", f"a number above 0, at most {FASTEST_RATE}")
    return rate
