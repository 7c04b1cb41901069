"""What a picture says of a sound: a few descriptors over 77 moments, read from the `fft` feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sound_diffusion.constants import SAMPLE_RATE

ROWS = 77
FLOOR_DB = -60.0  # the level that is painted black
LOW_SHARE = 0.2
APART = 0.28  # the two colours are at most this far apart, of the palette's length
ENVELOPE_DB = 40.0  # range of the light from the loudest moment to the dark
COLOUR_RANGE = (90.0, 11_000.0)  # hertz: the ends of the palette
PITCH_RANGE = (55.0, 5000.0)  # hertz: fewest and most lines


@dataclass(frozen=True)
class Descriptors:
    """The meaning of a picture.

    Attributes
    ----------
    loudness : float
        RMS of the whole span, from 0 (-60 dB or less) to 1 (0 dB).
    envelope : np.ndarray [shape=(77,)]
        Light of each moment relative to the loudest one, 0 to 1.
    colour : np.ndarray [shape=(77,)]
        Spectral centroid around each moment, 0 (low, warm) to 1 (high, cold).
    second : np.ndarray [shape=(77,)]
        The low edge of the spectrum (a fifth of its magnitude lies below), on the same scale.
    pitch : float
        Centre of the lowest strong part of the spectrum, 0 (few lines) to 1 (many).
    noisiness : float
        From 0 (tone, lines) to 1 (noise, clouds).
    """

    loudness: float
    envelope: np.ndarray
    colour: np.ndarray
    second: np.ndarray
    pitch: float
    noisiness: float


def onto(value: np.ndarray | float, ends: tuple[float, float]) -> np.ndarray:
    """Map hertz onto [0, 1] logarithmically, `ends` being the two limits."""
    low, high = np.log(ends[0]), np.log(ends[1])
    return np.clip((np.log(np.maximum(value, 1e-9)) - low) / (high - low), 0, 1)


def levels(magnitude: np.ndarray) -> np.ndarray:
    """Mean power of the samples under each row's window (a full-scale sine: 0.5) [shape=(rows,)].

    Parameters
    ----------
    magnitude : np.ndarray [shape=(rows, d)]
        Magnitudes of the `fft` feature, unscaled.
    """
    size = 2 * (magnitude.shape[1] - 1)
    return (magnitude.astype(np.float64) ** 2).sum(1) * 2 / (size * 0.375 * size)


def noisiness_of(power: np.ndarray, frequency: np.ndarray, weights: np.ndarray) -> float:
    """Spectral flatness of the strongest moments on a decibel scale, from 0 to 1.

    The geometric mean over the arithmetic mean of the power, in bands of a third of an octave or so, so that
    a band of noise is noise and a tone is a tone wherever they lie.
    """
    use = (frequency > 60) & (frequency < 16_000)
    spectrum = power[:, use]
    floor = 1e-7 * spectrum.max(1, keepdims=True) + 1e-6
    spectrum = spectrum + floor
    flatness = 10 * (np.log10(spectrum).mean(1) - np.log10(spectrum.mean(1)))
    flat = float((flatness * weights).sum() / weights.sum())
    return float(np.clip((flat + 46) / 44, 0, 1))


def describe(magnitude: np.ndarray) -> Descriptors:
    """Read the descriptors from the `fft` feature of one picture.

    Parameters
    ----------
    magnitude : np.ndarray [shape=(77, d)]
        The unscaled `fft` feature of the very span that the picture shows.

    Returns
    -------
    Descriptors
        All finite, also for silence.
    """
    m = magnitude.astype(np.float64)
    frequency = np.arange(m.shape[1]) * SAMPLE_RATE / (2 * (m.shape[1] - 1))
    power, level = m**2, levels(m)
    total_db = 10 * np.log10(level.mean() + 1e-12)
    loudness = float(np.clip((total_db - FLOOR_DB) / -FLOOR_DB, 0, 1))
    row_db = 10 * np.log10(gaussian_filter1d(level, 1.2, mode="nearest") + 1e-12)
    audible = np.clip((row_db - FLOOR_DB + 6) / 6, 0, 1)
    envelope = np.clip((row_db - row_db.max() + ENVELOPE_DB) / ENVELOPE_DB, 0, 1) ** 1.5 * audible

    weights = np.sqrt(level) + 1e-9
    near = gaussian_filter1d(m, 3.0, axis=0, mode="nearest") + 1e-9 * m.max() + 1e-9
    centroid = (near * frequency).sum(1) / near.sum(1)
    cumulated = np.cumsum(near, 1)
    edge = frequency[(cumulated >= LOW_SHARE * cumulated[:, -1:]).argmax(1)]
    colour = onto(centroid, COLOUR_RANGE)
    below = gaussian_filter1d(colour - onto(edge, COLOUR_RANGE), 1.0, mode="nearest")

    low = frequency > 50
    tilted = (power[:, low] / frequency[low] ** 1.5).sum(0) + 1e-12
    pitch = np.exp((tilted * np.log(frequency[low])).sum() / tilted.sum())
    return Descriptors(
        loudness=loudness,
        envelope=envelope,
        colour=colour,
        second=np.clip(colour - APART * np.tanh(np.maximum(below, 0) / APART), 0, 1),
        pitch=float(onto(pitch, PITCH_RANGE)),
        noisiness=noisiness_of(power, frequency, weights),
    )


def targets(d: Descriptors) -> np.ndarray:
    """Write descriptors as numbers for a network to read back [shape=(48,), dtype=float32]."""
    radial = [v.reshape(-1, 7).mean(1) for v in (d.colour, d.second)]
    fine = np.interp(np.linspace(0, ROWS - 1, 23), np.arange(ROWS), gaussian_filter1d(d.envelope, 1.5))
    return np.concatenate([[d.loudness, d.pitch, d.noisiness], *radial, fine]).astype(np.float32)
