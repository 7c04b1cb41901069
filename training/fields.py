"""Fields of noise: rain, wind, sea, fire, crowds, machines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

from sound_diffusion.constants import SAMPLE_RATE
from training.sounds import log_uniform


def band(y: np.ndarray, low: float, high: float, order: int = 1) -> np.ndarray:
    """Keep what lies between two frequencies in hertz."""
    return sosfilt(butter(order, [low, min(high, 20_000)], "bandpass", fs=SAMPLE_RATE, output="sos"), y)


def wandering(rng: np.random.Generator, length: int, rate: float) -> np.ndarray:
    """A smooth random course in [0, 1] that turns about `rate` times a second [shape=(length,)]."""
    count = max(4, int(length / SAMPLE_RATE * rate) + 4)
    knots = gaussian_filter1d(rng.standard_normal(count), 0.8)
    course = np.interp(np.linspace(0, count - 1, length), np.arange(count), knots)
    return 1 / (1 + np.exp(-2.5 * course))


def wind(rng: np.random.Generator, length: int) -> np.ndarray:
    """Noise whose whistle wanders up and down, in gusts."""
    white, rate = rng.standard_normal(length), rng.uniform(0.3, 1.5)
    centres = np.geomspace(log_uniform(rng, 100, 250), log_uniform(rng, 600, 2500), 5)
    place = wandering(rng, length, rate) * (len(centres) - 1)
    y = np.zeros(length)
    for index, centre in enumerate(centres):
        weight = np.maximum(0, 1 - np.abs(place - index))
        y += weight * band(white, centre / 1.25, centre * 1.25)
    return (y + 0.3 * band(white, 40, 300)) * (0.1 + wandering(rng, length, rate))


def drops(rng: np.random.Generator, length: int) -> np.ndarray:
    """Rain: many short rings of random pitch over a hiss; sparse, it is dripping or fire."""
    rate = log_uniform(rng, 8, 3000)
    y = rng.uniform(0, 0.08) * band(rng.standard_normal(length), 1000, 12_000)
    for _ in range(6):  # sizes of drops
        strokes = np.zeros(length)
        count = rng.poisson(rate / 6 * length / SAMPLE_RATE)
        np.add.at(strokes, rng.integers(0, length, count), rng.exponential(1, count))
        t = np.arange(round(0.03 * SAMPLE_RATE)) / SAMPLE_RATE
        ring = np.sin(2 * np.pi * log_uniform(rng, 500, 9000) * t)
        ring *= np.exp(-t / log_uniform(rng, 0.0005, 0.008))
        y += oaconvolve(strokes, ring)[:length]
    return y


def sea(rng: np.random.Generator, length: int) -> np.ndarray:
    """Waves: noise that swells, brightens as it breaks, and runs out."""
    t = np.arange(length) / SAMPLE_RATE
    phase = (t / rng.uniform(2.5, 8) + 0.2 * wandering(rng, length, 0.3) + rng.random()) % 1
    swell = np.where(phase < 0.6, (phase / 0.6) ** 2, np.exp(-(phase - 0.6) * 6))
    white = rng.standard_normal(length)
    return band(white, 80, 700) * (0.3 + swell) + 1.5 * band(white, 900, 9000) * swell**2


def crowd(rng: np.random.Generator, length: int) -> np.ndarray:
    """Many voices at once: buzzes of wandering pitch through formants that come and go."""
    y = np.zeros(length)
    for _ in range(int(rng.integers(4, 10))):
        pitch = log_uniform(rng, 90, 260) * (0.8 + 0.5 * wandering(rng, length, 3))
        buzz = np.cumsum(pitch) / SAMPLE_RATE % 1 - 0.5 + 0.1 * rng.standard_normal(length)
        syllables = wandering(rng, length, rng.uniform(4, 9)) ** 3
        for formant in (log_uniform(rng, 350, 900), log_uniform(rng, 1000, 2600)):
            y += band(buzz * syllables, formant / 1.15, formant * 1.15)
    clapping = np.zeros(length)
    clapping[rng.integers(0, length, rng.poisson(rng.choice([0, 60]) * length / SAMPLE_RATE))] = 1
    return y + band(lfilter([1], [1, -0.99], clapping * rng.standard_normal(length)), 700, 6000)


def engine(rng: np.random.Generator, length: int) -> np.ndarray:
    """A motor: pulses of wandering rate through resonances, and the air around it."""
    rate = log_uniform(rng, 12, 120) * (0.7 + 0.6 * wandering(rng, length, 0.5))
    pulses = (np.cumsum(rate) / SAMPLE_RATE % 1) ** 8 + 0.1 * rng.standard_normal(length)
    y = band(pulses, 40, 4000)
    for _ in range(3):
        centre = log_uniform(rng, 80, 3000)
        y += band(pulses, centre / 1.2, centre * 1.2)
    return y


FIELDS: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (wind, drops, sea, crowd, engine)


def draw_field(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Draw a field of noise, or two of them.

    Returns
    -------
    np.ndarray [shape=(round(44100 * seconds),), dtype=float32]
        Samples in [-1, 1], with an RMS level drawn from -40 to -10 dB (as far as the peaks allow).
    """
    length = max(64, round(SAMPLE_RATE * seconds))
    y = np.zeros(length)
    for _ in range(1 + int(rng.random() < 0.3)):
        field = FIELDS[int(rng.integers(len(FIELDS)))](rng, length)
        y += field / (np.sqrt(np.mean(field**2)) + 1e-9) * log_uniform(rng, 0.2, 1)
    y *= 10 ** (rng.uniform(-40, -10) / 20) / (np.sqrt(np.mean(y**2)) + 1e-9)
    return (y / max(1.0, np.abs(y).max())).astype(np.float32)
