"""From dry parts to a mastered mix: room, colour, saturation, compression, limiting, level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d
from scipy.signal import butter, oaconvolve, sosfilt

from sound_diffusion.constants import SAMPLE_RATE

SILENCE = 1e-6  # RMS
BLOCK = 64  # samples between two values of the compressor's gain


@dataclass(frozen=True)
class Master:
    """Settings of a mix.

    Attributes
    ----------
    peak : float
        Decibels of the highest peak.
    gain : float
        Decibels into the limiter: by so much peaks are taken down.
    room : float
        Level of the reverberation in decibels.
    seconds : float
        Time that it takes to fall by 60 dB.
    slope : float
        Decibels an octave of the mean spectrum (power by hertz) that the equaliser aims at, above 100 Hz;
        above 4 kHz it falls by another 3.
    match : float
        Share of the way to it, 0 to 1.
    bass : float
        Decibels of a shelf below 150 Hz.
    drive : float
        Decibels into the saturation.
    ratio : float
        Of the compressor above its threshold.
    top : float
        Hertz of the steep low-pass at the end, as in lossy files and old recordings.
    noise : float
        Decibels of the hiss.
    """

    peak: float = -1.0
    gain: float = 3.0
    room: float = -18.0
    seconds: float = 1.2
    slope: float = -6.0
    match: float = 0.6
    bass: float = 0.0
    drive: float = 0.0
    ratio: float = 2.0
    top: float = 18_000.0
    noise: float = -90.0


def impulse_response(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the response of a room: a few early echoes, then noise that falls, the high end sooner."""
    t = np.arange(round(1.1 * seconds * SAMPLE_RATE)) / SAMPLE_RATE
    y = np.zeros_like(t)
    edges = (100, 600, 2500, 7000, 15_000)
    for number, (low, high) in enumerate(pairwise(edges)):
        band = butter(1, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
        fall = seconds * (1.1, 1.0, 0.7, 0.4)[number]
        y += sosfilt(band, rng.standard_normal(len(t))) * 10 ** (-3 * t / fall)
    y *= np.minimum(t / 0.02, 1)
    for echo in rng.uniform(0.004, 0.06, 6):
        place = round(echo * SAMPLE_RATE)
        if place < len(y):
            y[place] += rng.choice([-1, 1]) * 8 * (1 - echo / 0.08)
    return y / np.sqrt((y**2).sum())


def reverberate(y: np.ndarray, master: Master, rng: np.random.Generator) -> np.ndarray:
    """Add a room."""
    if master.room < -45:
        return y
    wet = oaconvolve(y, impulse_response(master.seconds, rng))[: len(y)]
    return y + 10 ** (master.room / 20) * wet


def matching(power: np.ndarray, frequency: np.ndarray, master: Master) -> np.ndarray:
    """Decibels by which an equaliser brings a spectrum nearer to the slope of a master.

    Parameters
    ----------
    power, frequency : np.ndarray [shape=(n,)]
        Of the whole piece; hertz.

    Returns
    -------
    np.ndarray [shape=(n,)]
        At most 12 dB up or down, and smooth: one value every two thirds of an octave.
    """
    edges = np.geomspace(40, 16_000, 14)
    band = np.digitize(frequency, edges)
    sums = np.bincount(band, power, 15)[1:14] / np.maximum(np.bincount(band, minlength=15)[1:14], 1)
    centres = np.sqrt(edges[:-1] * edges[1:])
    octaves = np.log2(centres / 100)
    aim = master.slope * np.maximum(octaves, 0) - 3 * np.maximum(np.log2(centres / 4000), 0)
    level = 10 * np.log10(sums / sums.max() + 1e-9)
    weights = 10 ** (np.maximum(aim, -60) / 30)  # the strong bands stay where they are
    error = aim - level
    error -= (weights * error).sum() / weights.sum()
    gain = np.clip(master.match * error, -12, 12)
    return np.interp(np.log(np.maximum(frequency, 1)), np.log(centres), gain)


def equalise(y: np.ndarray, master: Master) -> np.ndarray:
    """Bring the spectrum nearer to the master's, lift or cut the bass, take away what is above `top`."""
    size = len(y) + SAMPLE_RATE // 4
    spectrum, frequency = np.fft.rfft(y, n=size), np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = matching(np.abs(spectrum) ** 2, frequency, master) + master.bass / (1 + (frequency / 150) ** 2)
    gain -= 40 / (1 + (np.maximum(frequency, 0.5) / 22) ** 4)  # rumble
    spectrum *= 10 ** (gain / 20) / (1 + (frequency / master.top) ** 24)
    return np.fft.irfft(spectrum, size)[: len(y)]


def rms(y: np.ndarray) -> float:
    """RMS of the louder half of a sound, so that silent stretches do not count."""
    size = SAMPLE_RATE // 4
    blocks = y[: len(y) // size * size].reshape(-1, size) if len(y) >= size else y[None]
    power = np.sort((blocks**2).mean(1))
    return float(np.sqrt(power[len(power) // 2 :].mean()))


def compress(y: np.ndarray, ratio: float, threshold: float) -> np.ndarray:
    """Turn down what is louder than a threshold in decibels, by the RMS of the last tenth of a second."""
    blocks = np.pad(y**2, (0, -len(y) % BLOCK)).reshape(-1, BLOCK).mean(1)
    level = 10 * np.log10(uniform_filter1d(blocks, 2 * round(0.05 * SAMPLE_RATE / BLOCK) + 1) + 1e-12)
    gain = -np.maximum(level - threshold, 0) * (1 - 1 / ratio)
    places = (np.arange(len(blocks)) + 0.5) * BLOCK
    return y * 10 ** (np.interp(np.arange(len(y)), places, gain) / 20)


def limit(y: np.ndarray, ceiling: float = 0.97) -> np.ndarray:
    """Turn down around every sample above the ceiling; the gain begins to fall 3 ms ahead."""
    size = 2 * round(0.003 * SAMPLE_RATE) + 1
    gain = np.minimum(1, ceiling / (np.abs(y) + 1e-9))
    slow = uniform_filter1d(minimum_filter1d(gain, size), size)
    return np.clip(y * slow, -ceiling, ceiling)


def saturate(y: np.ndarray, drive: float) -> np.ndarray:
    """Bend peaks as tape and valves do; `drive` in decibels above a peak level of full scale."""
    if drive <= 0:
        return y
    gain = 10 ** (drive / 20) / (np.quantile(np.abs(y), 0.999) + 1e-9)
    return np.tanh(gain * y + 0.05) - np.tanh(0.05)


def finish(y: np.ndarray, master: Master, rng: np.random.Generator) -> np.ndarray:
    """Master a dry mix.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Any level.
    master : Master
    rng : np.random.Generator
        Draws the room and the hiss.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        In [-0.97, 0.97]; silence stays silence.
    """
    if rms(y) < SILENCE:
        return np.zeros(len(y), np.float32)
    y = equalise(reverberate(y, master, rng), master)
    y = compress(y / rms(y) * 0.1, master.ratio, -24)
    y = saturate(y, master.drive)
    y = limit(y * 10 ** (master.gain / 20) / np.abs(y).max()) * 10 ** (master.peak / 20)
    y = y + 10 ** (master.noise / 20) * rng.standard_normal(len(y))
    return np.clip(y, -0.97, 0.97).astype(np.float32)
