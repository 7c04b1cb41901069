"""Harmony as the embedded model's pictures show it: peaks of a spectrum, pitch classes, chords, the key."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.typing import DoubleArray

PITCH_CLASSES = 12
PROMINENCE = 0.3  # nepers above the neighbourhood: a lower peak is no tone, one of 1 clearly is
A4 = 440.0  # hertz
PEAKS = (40.0, 5000.0)  # hertz: where pitch classes are looked for
AUDIBLE = 0.01  # of the strongest peak: weaker ones are side lobes of the window
FIFTHS = np.array([7 * pitch_class % PITCH_CLASSES for pitch_class in range(PITCH_CLASSES)])
N_MODES = 4  # of a figure, whose shares the pitch classes choose


def spectral_peaks(spectrum: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Find the peaks of a spectrum by parabolas through its logarithm.

    Parameters
    ----------
    spectrum : np.ndarray [shape=(width,)]
        Magnitudes.

    Returns
    -------
    frequency, magnitude, prominence : np.ndarray [shape=(n,)]
        In hertz; as given; and in nepers above the neighbourhood.
    """
    x = np.log(spectrum + 1e-4)
    around = gaussian_filter1d(x, 8.0)[1:-1]
    left, centre, right = x[:-2], x[1:-1], x[2:]
    part = np.clip((left - right) / 2 / (left - 2 * centre + right - 1e-9), -0.5, 0.5)
    frequency = (np.arange(1, len(x) - 1) + part) * SAMPLE_RATE / (2 * (len(x) - 1))
    peak = (centre > left) & (centre >= right) & (frequency > PEAKS[0]) & (frequency < PEAKS[1])
    peak &= centre > centre.max() + np.log(AUDIBLE)
    return frequency[peak], np.exp(centre[peak]), (centre - around)[peak]


def harmony_of(spectrum: DoubleArray) -> DoubleArray:
    """Tell which pitch classes sound.

    Parameters
    ----------
    spectrum : np.ndarray [shape=(width,)]
        Magnitudes.

    Returns
    -------
    np.ndarray [shape=(12,)]
        Share of each pitch class, C first; all equal where there are no peaks.
    """
    frequency, magnitude, _ = spectral_peaks(spectrum)
    if not len(frequency):
        return np.full(PITCH_CLASSES, 1 / PITCH_CLASSES)
    place = 12 * np.log2(frequency / A4) + 9
    apart = np.abs((place - np.arange(PITCH_CLASSES)[:, None] + 6) % 12 - 6)
    shares = np.clip(1 - apart, 0, 1) @ magnitude**0.6
    normalised: DoubleArray = shares / shares.sum()
    return normalised


def chord_of(spectrum: DoubleArray) -> float:
    """Tell whether more sounds than one tone with its overtones, or noise: 0 to 1.

    A peak whose frequency is a multiple of a lower and hardly weaker one's counts as its overtone.

    Parameters
    ----------
    spectrum : np.ndarray [shape=(width,)]
        Magnitudes.
    """
    frequency, magnitude, prominence = spectral_peaks(spectrum)
    if not len(frequency):
        return 0.0
    spacing = SAMPLE_RATE / (2 * (len(spectrum) - 1))
    weight = magnitude**0.4
    clear = weight * np.clip((prominence - PROMINENCE) / (1 - PROMINENCE), 0, 1)
    tonal = np.clip((clear.sum() / weight.sum() - 0.22) / 0.1, 0, 1)
    # Peaks nearer than the window's main lobe are the ripple of one band of noise.
    highest = maximum_filter1d(spectrum, 7)[np.round(frequency / spacing).astype(int)]
    apart = magnitude >= 0.98 * highest
    frequency, magnitude, clear = frequency[apart], magnitude[apart], clear[apart]
    ratio = frequency[:, None] / frequency
    multiple = np.maximum(np.round(ratio), 2)
    # A frequency is read to an eighth of a column or so, and its error grows with the multiple.
    near = np.abs(ratio - multiple) < np.minimum(0.03 * multiple + spacing / 8 / frequency, 0.25)
    tones = clear[~(near & (magnitude[:, None] < 1.3 * magnitude)).any(1)]
    others = 1 - tones.max(initial=0) / (tones.sum() + 1e-9)
    return float(np.clip(others / 0.05, 0, 1) * tonal * (len(tones) > 0))


def mode_weights(harmony: DoubleArray) -> DoubleArray:
    """Say how strongly each of four modes sounds with these pitch classes [shape=(4,)].

    Every pitch class moves two of the modes, neighbours on the circle of fifths nearly the same ones.
    """
    place = FIFTHS[:, None] / PITCH_CLASSES * N_MODES
    apart = np.abs((place - np.arange(N_MODES) + 2) % N_MODES - 2)
    weights = harmony**1.6 @ np.clip(1 - apart, 0, 1)
    normalised: DoubleArray = weights / (weights.sum() + 1e-9)
    return normalised


def key_place(harmony: DoubleArray) -> float:
    """Angle of the centre of the pitch classes on the circle of fifths, in radians."""
    shares = harmony**1.6
    return float(np.angle(shares @ np.exp(2j * np.pi * FIFTHS / PITCH_CLASSES)))
