"""Features of a sound at 77 moments: what the rows of an embedding are made of.

A feature is evaluated at *moments*, sample positions in a sound that is zero outside its samples.
A picture spreads the moments over the whole sound (:func:`extract`); a frame of a film sets them
to its own stretch of time (:func:`extract_at`). Everything else is the same for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from sound_diffusion.constants import LARGEST_SAMPLE, N_ROWS, SAMPLE_RATE, SD1_WIDTH
from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.typing import FloatArray, IntArray

__all__ = [
    "FEATURES",
    "Feature",
    "extract",
    "extract_at",
    "get_feature",
    "hann",
    "mel_filters",
    "picture_moments",
]

MEL_N_FFT = 2048  # samples, librosa's default
N_MELS = 128
N_MFCC = 20
# A full-scale sine reads about 38 dB in librosa's Slaney-normalised mel power, white noise about 30 dB.
MEL_TOP_DB = 40.0
DYNAMIC_RANGE_DB = 80.0
# Below this deviation (dB) a coefficient is constant but for rounding and stays near zero.
MFCC_SMALLEST_DEVIATION = 0.1

CQT_N_BINS = 84  # seven octaves from C1, librosa's default
CQT_BINS_PER_OCTAVE = 12
CQT_FMIN = 32.70319566257483  # Hz, C1
CQT_MARGIN = SAMPLE_RATE // 2  # samples: longer than half of the lowest filter


@dataclass(frozen=True)
class Feature:
    """A way to describe a sound at given moments.

    Attributes
    ----------
    name : str
        The value of ``--feature`` that selects it.
    description : str
        One line for the help text.
    evaluate : callable
        ``evaluate(y, moments, width) -> np.ndarray [shape=(len(moments), width), dtype=float32]``.
    before, after : callable
        ``before(width)`` and ``after(width)``: how many samples ahead of the first moment and behind
        the last one the values depend on.
    windowed : bool
        Whether a film spreads the moments over its window. If not, the feature reads the samples that
        follow the frame's own time.
    """

    name: str
    description: str
    evaluate: Callable[[FloatArray, IntArray, int], FloatArray]
    before: Callable[[int], int]
    after: Callable[[int], int]
    windowed: bool = True


def extract(y: npt.ArrayLike, feature: str = "fft", width: int = SD1_WIDTH) -> FloatArray:
    """Describe a whole sound by 77 rows.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), real floating]
        Mono samples at 44,100 Hz, in [-1, 1].
    feature : str
        A key of :data:`FEATURES`.
    width : int
        Columns D: the width of the model's cross-attention.

    Returns
    -------
    matrix : np.ndarray [shape=(77, width), dtype=float32]
        Row j is the sound at moment j (see :func:`picture_moments`). Rows past the last moment are zero.
        ``waveform`` in [-1, 1]; ``fft`` a magnitude, from 0 to width/2 (a full-scale sine reads about
        width/2); ``melspectrogram`` and ``cqt`` in [0, 1]; ``mfcc`` with mean 0 and variance 1 by
        coefficient.

    Raises
    ------
    AudioError
        If the samples are not finite or far outside [-1, 1].
    ParameterError
        If `feature` is unknown, `width` is below 2, or `y` is not a one-dimensional floating array.
    """
    y = check_samples(y)
    return _evaluate(get_feature(feature), y, picture_moments(len(y), feature), width)


def extract_at(
    y: npt.ArrayLike, moments: npt.ArrayLike, feature: str = "fft", width: int = SD1_WIDTH
) -> FloatArray:
    """Describe a sound at given moments.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), real floating]
        Mono samples at 44,100 Hz, in [-1, 1]; zero is assumed outside.
    moments : array_like of int [shape=(m,)], 1 <= m <= 77
        Sample positions, in ascending order; they may lie outside the sound.
    feature : str
        A key of :data:`FEATURES`.
    width : int
        Columns D.

    Returns
    -------
    matrix : np.ndarray [shape=(77, width), dtype=float32]
        As :func:`extract`.

    Raises
    ------
    AudioError, ParameterError
        As :func:`extract`.
    """
    positions = np.asarray(moments)
    if positions.ndim != 1 or not 1 <= len(positions) <= N_ROWS or positions.dtype.kind not in "iu":
        raise ParameterError(
            f"moments of shape {positions.shape} and dtype {positions.dtype}", f"1 to {N_ROWS} whole numbers"
        )
    return _evaluate(get_feature(feature), check_samples(y), positions.astype(np.int64), width)


def picture_moments(length: int, feature: str = "fft") -> IntArray:
    """Moments of a picture that shows a whole sound.

    Parameters
    ----------
    length : int
        Samples of the sound.
    feature : str
        ``fft`` has a whole hop of ``length // 77 + 1`` samples, as ``librosa.stft`` with that hop; the
        others spread 77 moments evenly over the sound.

    Returns
    -------
    moments : np.ndarray [shape=(m,), dtype=int64]
        m is 77, or fewer for an ``fft`` of a sound that is too short to give 77 columns.
    """
    if feature == "fft":
        hop = length // N_ROWS + 1
        return np.arange(min(N_ROWS, 1 + length // hop), dtype=np.int64) * hop
    return np.arange(N_ROWS, dtype=np.int64) * length // N_ROWS


def get_feature(name: str) -> Feature:
    """Look a feature up.

    Parameters
    ----------
    name : str
        A key of :data:`FEATURES`.

    Returns
    -------
    feature : Feature

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    try:
        return FEATURES[name]
    except KeyError:
        raise ParameterError(f"unknown feature {name!r}", f"one of {', '.join(FEATURES)}") from None


def check_samples(y: npt.ArrayLike) -> FloatArray:
    """Return `y` as contiguous float32 samples, or say why it cannot be a sound."""
    samples = np.asarray(y)
    if samples.ndim != 1:
        raise ParameterError(
            f"samples of shape {samples.shape}", "one dimension", "mix channels down with librosa.to_mono"
        )
    if not np.issubdtype(samples.dtype, np.floating):
        raise ParameterError(f"samples of dtype {samples.dtype}", "floating point in [-1, 1]")
    # min and max carry a NaN along, so that one pass over the samples finds all that is wrong.
    low, high = (float(samples.min()), float(samples.max())) if samples.size else (0.0, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise AudioError("the sound holds NaN or infinite samples", "finite samples in [-1, 1]")
    largest = max(-low, high)
    if largest > LARGEST_SAMPLE:
        raise AudioError(f"the sound holds a sample of size {largest:.3g}", "samples in [-1, 1]")
    return np.ascontiguousarray(samples, dtype=np.float32)


def _evaluate(feature: Feature, y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    if width < 2:
        raise ParameterError(f"width {width}", "at least 2 columns")
    matrix = np.zeros((N_ROWS, width), dtype=np.float32)
    matrix[: len(moments)] = feature.evaluate(y, moments, width)
    return matrix


def _segments(y: FloatArray, starts: IntArray, length: int) -> FloatArray:
    """Cut `length` samples from each start, zero outside the sound: shape (len(starts), length)."""
    if starts.min() >= 0 and starts.max() + length <= len(y):
        return np.lib.stride_tricks.sliding_window_view(y, length)[starts]
    segments = np.zeros((len(starts), length), dtype=np.float32)
    for segment, start in zip(segments, starts.tolist(), strict=True):
        inside = y[max(start, 0) : max(start + length, 0)]
        ahead = max(-start, 0)
        segment[ahead : ahead + len(inside)] = inside
    return segments


@cache
def hann(length: int) -> FloatArray:
    """Periodic Hann window, as ``scipy.signal.get_window("hann", length)``, whose import takes long."""
    window: FloatArray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    return window


def _magnitudes(y: FloatArray, moments: IntArray, n_fft: int) -> FloatArray:
    """Columns of ``librosa.stft``, transposed, centred on the moments: (len(moments), n_fft // 2 + 1)."""
    import scipy.fft

    frames = _segments(y, moments - n_fft // 2, n_fft) * hann(n_fft)
    spectrum: FloatArray = np.abs(scipy.fft.rfft(frames, axis=1, overwrite_x=True))
    return spectrum


@cache
def _interpolation(n_in: int, n_out: int) -> FloatArray:
    """Linear interpolation of `n_in` values to `n_out`, ends on ends: shape (n_in, n_out)."""
    positions = np.linspace(0, n_in - 1, n_out)
    return np.stack([np.interp(positions, np.arange(n_in), row) for row in np.eye(n_in)]).astype(np.float32)


def _stretch_levels(levels: FloatArray, width: int) -> FloatArray:
    """Interpolate values in [0, 1] along the rows; rounding leads out of the range by 1e-7 and is cut off."""
    stretched: FloatArray = np.clip(levels @ _interpolation(levels.shape[1], width), 0, 1)
    return stretched


def _evaluate_waveform(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    samples = _segments(y, moments[:1], N_ROWS * width)
    return samples.reshape(N_ROWS, width)[: len(moments)]


def _evaluate_fft(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    return _magnitudes(y, moments, 2 * (width - 1))


@cache
def mel_filters() -> FloatArray:
    """Librosa's mel filters for spectra of 2,048 samples: shape (1025, 128), Slaney-normalised."""
    from librosa.filters import mel

    filters: FloatArray = mel(sr=SAMPLE_RATE, n_fft=MEL_N_FFT, n_mels=N_MELS)
    return np.ascontiguousarray(filters.T)


def _mel_decibels(y: FloatArray, moments: IntArray) -> FloatArray:
    """Mel spectrum in dB above the floor of the dynamic range, in [0, 80]: (len(moments), n_mels)."""
    power = _magnitudes(y, moments, MEL_N_FFT) ** 2 @ mel_filters()
    decibels = 10 * np.log10(np.maximum(power, np.float32(1e-10))) - (MEL_TOP_DB - DYNAMIC_RANGE_DB)
    clipped: FloatArray = np.clip(decibels, 0, DYNAMIC_RANGE_DB, dtype=np.float32)
    return clipped


def _evaluate_melspectrogram(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    return _stretch_levels(_mel_decibels(y, moments) / np.float32(DYNAMIC_RANGE_DB), width)


def _evaluate_mfcc(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    import scipy.fft

    cepstrum = scipy.fft.dct(_mel_decibels(y, moments), axis=1, norm="ortho")[:, :N_MFCC]
    deviation = np.maximum(cepstrum.std(axis=0), np.float32(MFCC_SMALLEST_DEVIATION))
    standardised: FloatArray = (cepstrum - cepstrum.mean(axis=0)) / deviation
    return standardised @ _interpolation(N_MFCC, width)


@cache
def _cqt_filters() -> tuple[FloatArray, ...]:
    """One wavelet a bin as real and imaginary columns: of unit L1 norm; of odd length, to have a centre."""
    from librosa.filters import wavelet

    frequencies = CQT_FMIN * 2.0 ** (np.arange(CQT_N_BINS) / CQT_BINS_PER_OCTAVE)
    bank, lengths = wavelet(freqs=frequencies, sr=SAMPLE_RATE, pad_fft=False, norm=1)
    centre = bank.shape[1] // 2
    reaches = [int(length) // 2 + 1 for length in lengths]
    return tuple(
        np.stack([part[max(centre - reach, 0) : centre + reach + 1] for part in (row.real, row.imag)], axis=1)
        for row, reach in zip(bank.astype(np.complex64), reaches, strict=True)
    )


def _evaluate_cqt(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    magnitudes = np.empty((len(moments), CQT_N_BINS), dtype=np.float32)
    for bin_, filter_ in enumerate(_cqt_filters()):
        segments = _segments(y, moments - len(filter_) // 2, len(filter_))
        magnitudes[:, bin_] = np.hypot(*(segments @ filter_).T)
    # A full-scale sine reads one half through a filter of unit L1 norm.
    decibels = 20 * np.log10(np.maximum(2 * magnitudes, np.float32(1e-10)))
    levels = np.clip(1 + decibels / DYNAMIC_RANGE_DB, 0, 1).astype(np.float32)
    return _stretch_levels(levels, width)


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "waveform",
            "the raw samples, row by row",
            _evaluate_waveform,
            before=lambda width: 0,
            after=lambda width: N_ROWS * width,
            windowed=False,
        ),
        Feature(
            "fft",
            "magnitude of the short-time Fourier transform",
            _evaluate_fft,
            before=lambda width: width - 1,
            after=lambda width: width - 1,
        ),
        Feature(
            "melspectrogram",
            "mel spectrum in decibels, in [0, 1]",
            _evaluate_melspectrogram,
            before=lambda width: MEL_N_FFT // 2,
            after=lambda width: MEL_N_FFT // 2,
        ),
        Feature(
            "mfcc",
            "mel-frequency cepstral coefficients, each standardised",
            _evaluate_mfcc,
            before=lambda width: MEL_N_FFT // 2,
            after=lambda width: MEL_N_FFT // 2,
        ),
        Feature(
            "cqt",
            "constant-Q transform in decibels, in [0, 1]",
            _evaluate_cqt,
            before=lambda width: CQT_MARGIN,
            after=lambda width: CQT_MARGIN,
        ),
    )
}
