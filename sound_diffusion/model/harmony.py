"""Harmony as the embedded model's pictures show it: peaks of a spectrum, pitch classes, chords, the key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.typing import DoubleArray

PITCH_CLASSES = 12
PROMINENCE = 0.3  # nepers above the neighbourhood: a lower peak is no tone, one of 1 clearly is
DOUBTFUL = (-0.5, 1.0)  # nepers above the neighbourhood: what a peak counts for in harmony, nothing to all
A4 = 440.0  # hertz
PEAKS = (40.0, 5000.0)  # hertz: where pitch classes are looked for
EXACT = (300.0, 4000.0)  # hertz: where a peak is read exactly enough to tell the tuning
TUNED = (0.1, 0.2)  # agreement of the peaks: below it there is no tuning, above it is believed
AUDIBLE = 0.01  # of the strongest peak: weaker ones are side lobes of the window
FIFTHS = np.array([7 * pitch_class % PITCH_CLASSES for pitch_class in range(PITCH_CLASSES)])
N_MODES = 4  # of a figure, whose shares the pitch classes choose


@dataclass(frozen=True)
class Peaks:
    """Peaks of several spectra, all in one list.

    Attributes
    ----------
    row : np.ndarray [shape=(n,), dtype=int]
        The spectrum that each belongs to.
    frequency : np.ndarray [shape=(n,)]
        In hertz.
    magnitude : np.ndarray [shape=(n,)]
        As given.
    prominence : np.ndarray [shape=(n,)]
        In nepers above the neighbourhood.
    """

    row: npt.NDArray[np.intp]
    frequency: DoubleArray
    magnitude: DoubleArray
    prominence: DoubleArray


def spectral_peaks(spectra: DoubleArray, smoothing: float = 0.0) -> Peaks:
    """Find the peaks of spectra by parabolas through their logarithms.

    Parameters
    ----------
    spectra : np.ndarray [shape=(rows, width)]
        Magnitudes.
    smoothing : float
        Rows over which they are smoothed first.

    Returns
    -------
    Peaks
    """
    spacing = SAMPLE_RATE / (2 * (spectra.shape[1] - 1))
    x = spectra[:, : int(PEAKS[1] / spacing) + 33]  # and the neighbourhood of the highest
    if smoothing:
        x = gaussian_filter1d(x, smoothing, axis=0, mode="nearest")
    x = np.log(x + 1e-4)
    around = gaussian_filter1d(x, 8.0, axis=1)[:, 1:-1]
    left, centre, right = x[:, :-2], x[:, 1:-1], x[:, 2:]
    part = np.clip((left - right) / 2 / (left - 2 * centre + right - 1e-9), -0.5, 0.5)
    frequency = (np.arange(1, x.shape[1] - 1) + part) * spacing
    peak = (centre > left) & (centre >= right) & (frequency > PEAKS[0]) & (frequency < PEAKS[1])
    peak &= centre > centre.max(1, keepdims=True) + np.log(AUDIBLE)
    return Peaks(np.nonzero(peak)[0], frequency[peak], np.exp(centre[peak]), (centre - around)[peak])


def tuning_of(peaks: Peaks) -> float:
    """Tell by how much a sound is tuned higher than A4 = 440 Hz, in semitones, -0.5 to 0.5.

    The mean direction of all peaks round the semitone, the higher ones counting more as they are read more
    exactly. 0 where the peaks do not agree on one.
    """
    exact = (peaks.frequency > EXACT[0]) & (peaks.frequency < EXACT[1])
    frequency, prominence = peaks.frequency[exact], np.clip(peaks.prominence[exact], 0, 2)
    weight = peaks.magnitude[exact] ** 0.6 * prominence * np.sqrt(frequency)
    if not weight.any():
        return 0.0
    mean = weight @ np.exp(2j * np.pi * 12 * np.log2(frequency / A4)) / weight.sum()
    return float(np.angle(mean) / (2 * np.pi) * np.interp(np.abs(mean), TUNED, (0, 1)))


def harmony_of(spectra: DoubleArray, weights: DoubleArray) -> DoubleArray:
    """Tell which pitch classes sound.

    Peaks are looked for in every moment and not in the mean spectrum, since the mean of moments says less of
    a chord than the chords of moments; a sound that is played a little higher as a whole keeps its pitch
    classes (:func:`tuning_of`).

    Parameters
    ----------
    spectra : np.ndarray [shape=(rows, width)]
        Magnitudes, one row a moment.
    weights : np.ndarray [shape=(rows,)]
        What each moment counts for.

    Returns
    -------
    np.ndarray [shape=(12,)]
        Share of each pitch class, C first; all equal where there are no peaks.
    """
    peaks = spectral_peaks(spectra, smoothing=1.0)
    weight = weights[peaks.row] * peaks.magnitude**0.6 * np.interp(peaks.prominence, DOUBTFUL, (0, 1))
    place = 12 * np.log2(peaks.frequency / A4) + 9 - tuning_of(peaks)
    apart = np.abs((place - np.arange(PITCH_CLASSES)[:, None] + 6) % 12 - 6)
    shares = np.clip(1 - apart, 0, 1) @ weight
    if not shares.any():
        return np.full(PITCH_CLASSES, 1 / PITCH_CLASSES)
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
    peaks = spectral_peaks(spectrum[None])
    frequency, magnitude, prominence = peaks.frequency, peaks.magnitude, peaks.prominence
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
