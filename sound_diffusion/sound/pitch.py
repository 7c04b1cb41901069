"""The fundamental frequency of short stretches of sound, by YIN as in librosa."""

from __future__ import annotations

import math

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.typing import DoubleArray, FloatArray

LOWEST_PITCH = 65.40639132514966  # Hz, C2
HIGHEST_PITCH = 2093.004522404789  # Hz, C7
SHORTEST_PERIOD = math.floor(SAMPLE_RATE / HIGHEST_PITCH)  # samples
LONGEST_PERIOD = math.ceil(SAMPLE_RATE / LOWEST_PITCH)
TROUGH_THRESHOLD = 0.1  # librosa's


def yin(frames: FloatArray) -> tuple[DoubleArray, DoubleArray]:
    """Estimate the fundamental frequency of frames.

    ``librosa.yin`` gives the same frequencies; it does not say how sure they are.

    Parameters
    ----------
    frames : np.ndarray [shape=(m, 2048), dtype=float32]
        Samples at 44,100 Hz.

    Returns
    -------
    frequencies : np.ndarray [shape=(m,), dtype=float64]
        Hz, from C2 to C7.
    aperiodicities : np.ndarray [shape=(m,), dtype=float64]
        Share of the power that does not repeat with the period: 0 a tone, about 1 noise; 1 for silence.

    References
    ----------
    De Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", 2002.
    """
    differences = _normalised_differences(frames.astype(np.float64))
    before, here, after = differences[:, :-2], differences[:, 1:-1], differences[:, 2:]
    troughs = np.zeros(differences.shape, dtype=bool)
    troughs[:, 1:-1] = (here < before) & (here <= after)
    troughs[:, 0] = differences[:, 0] < differences[:, 1]
    troughs[:, -1] = differences[:, -1] < differences[:, -2]
    deep = troughs & (differences < TROUGH_THRESHOLD)
    periods = np.where(deep.any(axis=1), deep.argmax(axis=1), differences.argmin(axis=1))
    slope, curvature = (after - before) / 2, before + after - 2 * here
    shifts = np.zeros_like(differences)
    inside = np.abs(slope) < np.abs(curvature)
    np.divide(-slope, curvature, out=shifts[:, 1:-1], where=inside)
    rows = np.arange(len(frames))
    frequencies = SAMPLE_RATE / (SHORTEST_PERIOD + periods + shifts[rows, periods])
    silent = ~frames.any(axis=1)
    return frequencies, np.where(silent, 1.0, differences[rows, periods])


def _normalised_differences(frames: DoubleArray) -> DoubleArray:
    """Cumulative mean normalised difference (equation 8) of every period, shortest first."""
    import scipy.fft

    size = scipy.fft.next_fast_len(2 * frames.shape[1] - 1, real=True)
    spectrum = scipy.fft.rfft(frames, size, axis=1)
    correlation = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)
    energy = np.cumsum(frames**2, axis=1)
    periods = np.arange(1, LONGEST_PERIOD + 1)
    differences = 2 * (correlation[:, :1] - correlation[:, periods]) - energy[:, periods - 1]
    means = np.cumsum(differences, axis=1) / periods
    normalised: DoubleArray = differences / (means + np.finfo(np.float64).tiny)
    return normalised[:, SHORTEST_PERIOD - 1 :]
