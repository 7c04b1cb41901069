"""Building blocks of made sounds, for training, benchmarks, figures and the example sounds.

Every function returns samples at 44,100 Hz [shape=(round(44100 * seconds),), dtype=float64] of no particular
level; :func:`level` sets it. Frequencies are in hertz, times in seconds. Chance comes from a seed, as
``numpy.random.default_rng`` takes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, sosfilt

from sound_diffusion.constants import SAMPLE_RATE

HIGHEST = 18_000  # hertz: partials above are left out
NOISE_SEED = (2024, 7)


def times(seconds: float) -> np.ndarray:
    """Times of the samples."""
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def phase_of(frequency: np.ndarray) -> np.ndarray:
    """Integrate a frequency curve to a phase in radians."""
    return 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE


def level(y: np.ndarray, decibels: float = -12.0) -> np.ndarray:
    """Bring the RMS level of a sound to `decibels` relative to full scale, as float32."""
    return (y / np.sqrt(np.mean(y**2)) * 10 ** (decibels / 20)).astype(np.float32)


def tone(frequency: float, count: int = 1, slope: float = 1.0, seconds: float = 1.0) -> np.ndarray:
    """A steady tone of `count` harmonics whose amplitudes fall as n ** -slope; of one, a sine."""
    t = times(seconds)
    y = np.zeros_like(t)
    for n in range(1, count + 1):
        if n * frequency < HIGHEST:
            y += n**-slope * np.sin(2 * np.pi * (n * frequency) * t)
    return y


def ringing(frequency: float, decay: float, seconds: float = 1.0, phase: float = 0.0) -> np.ndarray:
    """A sine that dies away, to 1/e in `decay`."""
    t = times(seconds)
    return np.exp(-t / decay) * np.sin(2 * np.pi * frequency * t + phase)


def hiss(seconds: float = 1.0, seed: int | Sequence[int] = NOISE_SEED) -> np.ndarray:
    """White noise."""
    return np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))


def band(
    low: float, high: float, seconds: float = 1.0, seed: int | Sequence[int] = NOISE_SEED, order: int = 4
) -> np.ndarray:
    """Noise between two frequencies, with the edges of a Butterworth filter."""
    edges = butter(order, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(edges, hiss(seconds, seed))


def pulses(y: np.ndarray, rate: float, sharpness: float = 8.0) -> np.ndarray:
    """Let a steady sound be struck `rate` times a second."""
    t = np.arange(len(y)) / SAMPLE_RATE
    return y * np.exp(-((t * rate) % 1) * sharpness)


def pluck(frequency: float, seconds: float = 1.0, decay: float = 0.3, count: int = 12) -> np.ndarray:
    """A plucked or struck string: harmonics, the high ones gone sooner."""
    return sum(ringing(n * frequency, decay / n**0.6, seconds) / n for n in range(1, count + 1))


def chime(frequency: float, seconds: float = 1.5) -> np.ndarray:
    """A bar that is free at both ends: three inharmonic modes."""
    return sum(ringing(ratio * frequency, 1 / (2 + ratio), seconds) for ratio in (1, 2.756, 5.404))


def thump(frequency: float, cycles: float, fall: float, decay: float, seconds: float = 0.5) -> np.ndarray:
    """A drum skin: a sine that falls to its frequency within `fall`, `cycles` ahead by then, and dies."""
    t = times(seconds)
    return np.sin(2 * np.pi * (frequency * t + cycles * (1 - np.exp(-t / fall)))) * np.exp(-t / decay)


def drum(seconds: float = 0.5) -> np.ndarray:
    """A bass drum."""
    return thump(50, 3, 1 / 40, 1 / 9, seconds)


def snare(seconds: float = 0.4) -> np.ndarray:
    """A snare drum."""
    return 0.6 * ringing(190, 1 / 18, seconds) + 0.5 * hiss(seconds) * np.exp(-times(seconds) * 14)
