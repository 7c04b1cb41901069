"""Descriptors of a sound: a few numbers for every frame of a film, which its schedules follow.

A sound is analysed in hops of 512 samples, each by the 2,048 samples that end with it, so that no number
moves before the sound does; a frame takes the hops that end within it. Where librosa defines a descriptor, a
hop has the value that librosa gives it with ``center=False``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.sound.beats import track_beats
from sound_diffusion.sound.features import check_samples
from sound_diffusion.sound.hops import BATCH, HOP, HOP_COLUMNS, HopAnalysis
from sound_diffusion.typing import DoubleArray, FloatArray

PERCENTILES = (1, 99)  # of a film; what lies outside is clipped
LIVE_SECONDS = 30
FASTEST_RATE = 1000  # frames a second
BLOCK = 1 << 16  # samples


@dataclass(frozen=True)
class Descriptor:
    """One number over time.

    Attributes
    ----------
    name : str
    description : str
        One line, with the unit that it has before it is brought to [0, 1].
    over_hops : callable
        How the hops of a frame become one number: the mean of what lasts, the maximum of what is sudden.
    smallest_range : float
        What varies by less over a film is constant but for rounding or hiss, and is not blown up to [0, 1].
    music : (float, float)
        What stands for 0 and for 1 where there is but one number for a whole sound: about the range of 94
        excerpts of music.
    """

    name: str
    description: str
    over_hops: Callable[..., Any]
    smallest_range: float
    music: tuple[float, float]


DESCRIPTORS = {
    descriptor.name: descriptor
    for descriptor in (
        Descriptor("loudness", "root mean square of the samples", np.mean, 1e-3, (0, 0.3)),
        Descriptor("onset", "rise of the mel spectrum in dB, mean over its bands", np.max, 1.0, (0, 6)),
        Descriptor("low", "20 to 150 Hz, root mean square", np.mean, 1e-3, (0, 0.25)),
        Descriptor("mid", "150 to 2,000 Hz, root mean square", np.mean, 1e-3, (0, 0.25)),
        Descriptor("high", "2,000 to 16,000 Hz, root mean square", np.mean, 1e-3, (0, 0.07)),
        Descriptor(
            "percussive", "what is short and broad in the spectrum, root mean square", np.max, 1e-3, (0, 0.2)
        ),
        Descriptor(
            "harmonic", "what is long and narrow in the spectrum, root mean square", np.mean, 1e-3, (0, 0.25)
        ),
        Descriptor("centroid", "centre of the magnitude spectrum, Hz", np.mean, 20.0, (0, 5000)),
        Descriptor("flatness", "0 a tone, 1 white noise", np.mean, 1e-4, (0, 0.003)),
        Descriptor("flux", "distance between successive magnitude spectra", np.max, 1.0, (0, 140)),
        Descriptor("pitch", "fundamental, MIDI number; held where there is none", np.median, 0.5, (36, 84)),
    )
}


class Descriptors(Mapping[str, DoubleArray]):
    """The descriptors of a sound, as a mapping from name to one number a frame in [0, 1].

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
        self.fps = fps
        self.raw = raw
        self.onset_envelope = onset_envelope
        self._levels = dict(zip(DESCRIPTORS, levels(raw).T, strict=True))

    def __getitem__(self, name: str) -> DoubleArray:
        values: DoubleArray = self._levels[name]
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    @property
    def n_frames(self) -> int:
        """Frames of the film."""
        return len(self.raw)

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
        strengths.append(stream.new_hops[:, HOP_COLUMNS.index("onset")])
    rows.append(stream.finish())
    strengths.append(stream.new_hops[:, HOP_COLUMNS.index("onset")])
    return Descriptors(fps, np.concatenate(rows), np.concatenate(strengths))


class DescriptorStream:
    """Describes frame after frame as the sound comes in; zero is assumed before it.

    Parameters
    ----------
    fps : Fraction
        Frames a second.
    batch : int, optional
        As for :class:`~sound_diffusion.sound.hops.HopAnalysis`. Live, 1.

    Attributes
    ----------
    new_hops : np.ndarray [shape=(m, 11), dtype=float64]
        The hops that the last call has measured.
    """

    def __init__(self, fps: Fraction, batch: int = BATCH) -> None:
        self.fps = fps
        self.new_hops: DoubleArray = np.empty((0, len(HOP_COLUMNS)))
        self._analysis = HopAnalysis(batch)
        self._waiting = self.new_hops
        self._n_hops = self._n_samples = self._n_frames = 0
        self._row: DoubleArray = np.zeros(len(HOP_COLUMNS))

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
        rows = [np.empty((0, len(HOP_COLUMNS)))]
        while (end := self._end_of_frame()) <= self._n_samples and end // HOP <= self._n_hops:
            in_frame = end // HOP - (self._n_hops - len(self._waiting))
            if in_frame:
                self._row = _over_hops(self._waiting[:in_frame])
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


def _over_hops(hops: DoubleArray) -> DoubleArray:
    columns = zip(DESCRIPTORS.values(), hops.T, strict=True)
    return np.array([descriptor.over_hops(column) for descriptor, column in columns])


def levels(raw: DoubleArray, over: DoubleArray | None = None) -> DoubleArray:
    """Bring descriptors to [0, 1] by the 1st and the 99th percentile.

    Parameters
    ----------
    raw : np.ndarray [shape=(n, 11), dtype=float64]
        In the units of :data:`DESCRIPTORS`.
    over : np.ndarray [shape=(m, 11), dtype=float64], optional
        The frames that the percentiles are taken of. If None, all of `raw`.

    Returns
    -------
    levels : np.ndarray [shape=(n, 11), dtype=float64]
        What lies outside of the percentiles is clipped. A descriptor that does not vary is 0.
    """
    low, high = np.percentile(raw if over is None else over, PERCENTILES, axis=0)
    smallest = np.array([descriptor.smallest_range for descriptor in DESCRIPTORS.values()])
    clipped: DoubleArray = np.clip((raw - low) / np.maximum(high - low, smallest), 0, 1)
    return clipped


class RollingLevels:
    """Brings descriptors to [0, 1] by what was heard lately, for sounds whose end is not known.

    Parameters
    ----------
    fps : Fraction
        Frames a second.
    seconds : float
        How far it looks back.
    """

    def __init__(self, fps: Fraction, seconds: float = LIVE_SECONDS) -> None:
        self._rows: deque[DoubleArray] = deque(maxlen=max(1, round(seconds * fps)))

    def push(self, row: DoubleArray) -> DoubleArray:
        """Take in the row of the newest frame, (11,), and return it in [0, 1]."""
        self._rows.append(row)
        newest: DoubleArray = levels(row[None], np.array(self._rows))[0]
        return newest


def _rate(fps: float | str | Fraction) -> Fraction:
    try:
        rate = Fraction(str(fps))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= FASTEST_RATE:
        raise ParameterError(f"{fps} frames a second", f"a number above 0, at most {FASTEST_RATE}")
    return rate
