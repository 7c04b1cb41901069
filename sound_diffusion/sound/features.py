"""Features of a sound at 77 moments: what the rows of an embedding are made of.

A feature is evaluated at *moments*, sample positions in a sound that is zero outside its samples.
A picture spreads the moments over the whole sound (:func:`extract`); a frame of a film sets them
to its own stretch of time (:func:`extract_at`). Everything else is the same for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sound_diffusion.constants import LARGEST_SAMPLE, N_ROWS, SD1_WIDTH
from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.sound import spectra
from sound_diffusion.typing import FloatArray, IntArray


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
    reach : callable
        ``reach(width)``: how many samples ahead of the first moment, and how many behind the last one the
        values depend on.
    windowed : bool
        Whether a film spreads the moments over its window. If not, the feature reads the samples that
        follow the frame's own time.
    """

    name: str
    description: str
    evaluate: Callable[[FloatArray, IntArray, int], FloatArray]
    reach: Callable[[int], tuple[int, int]]
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


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "waveform",
            "the raw samples, row by row",
            spectra.evaluate_waveform,
            lambda width: (0, N_ROWS * width),
            windowed=False,
        ),
        Feature(
            "fft",
            "magnitude of the short-time Fourier transform",
            spectra.evaluate_fft,
            lambda width: (width - 1, width - 1),
        ),
        Feature(
            "melspectrogram",
            "mel spectrum in decibels, in [0, 1]",
            spectra.evaluate_melspectrogram,
            lambda width: spectra.MEL_REACH,
        ),
        Feature(
            "mfcc",
            "mel-frequency cepstral coefficients, each standardised",
            spectra.evaluate_mfcc,
            lambda width: spectra.MEL_REACH,
        ),
        Feature(
            "cqt",
            "constant-Q transform in decibels, in [0, 1]",
            spectra.evaluate_cqt,
            lambda width: spectra.CQT_REACH,
        ),
    )
}
