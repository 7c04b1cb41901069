"""Sounds of the benchmark: made here, apart from the training's generator, with known properties."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfilt

SAMPLE_RATE = 44_100


def times(seconds: float) -> np.ndarray:
    """Times of the samples, in seconds."""
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def level(y: np.ndarray, decibels: float) -> np.ndarray:
    """Bring the RMS level of a sound to `decibels` relative to full scale, as float32."""
    return (y / np.sqrt(np.mean(y**2)) * 10 ** (decibels / 20)).astype(np.float32)


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    """A sine."""
    return np.sin(2 * np.pi * frequency * times(seconds))


def rich(frequency: float, count: int, slope: float = 1.0, seconds: float = 1.0) -> np.ndarray:
    """A tone of `count` harmonics whose amplitudes fall as n ** -slope."""
    return sum(
        n**-slope * tone(n * frequency, seconds) for n in range(1, count + 1) if n * frequency < 18_000
    )


def hiss(seconds: float = 1.0, seed: int = 7) -> np.ndarray:
    """White noise."""
    return np.random.default_rng([2024, seed]).standard_normal(round(seconds * SAMPLE_RATE))


def band(low: float, high: float, seconds: float = 1.0, seed: int = 7) -> np.ndarray:
    """Noise between two frequencies."""
    edges = butter(4, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(edges, hiss(seconds, seed))


def pluck(frequency: float, seconds: float = 1.0, decay: float = 0.3, count: int = 12) -> np.ndarray:
    """A struck or plucked note."""
    t = times(seconds)
    return sum(np.exp(-t * n**0.6 / decay) * tone(n * frequency, seconds) / n for n in range(1, count + 1))


def chime(frequency: float, seconds: float = 1.5) -> np.ndarray:
    """An inharmonic bar."""
    t, ratios = times(seconds), (1, 2.756, 5.404)
    return sum(np.exp(-t * (2 + r)) * np.sin(2 * np.pi * r * frequency * t) for r in ratios)


def drum(seconds: float = 0.5) -> np.ndarray:
    """A bass drum."""
    t = times(seconds)
    return np.sin(2 * np.pi * (50 * t + 3 * (1 - np.exp(-t * 40)))) * np.exp(-t * 9)


def snare(seconds: float = 0.4) -> np.ndarray:
    """A snare drum."""
    t = times(seconds)
    return 0.6 * np.sin(2 * np.pi * 190 * t) * np.exp(-t * 18) + 0.5 * hiss(seconds) * np.exp(-t * 14)


def pulses(y: np.ndarray, rate: float, sharpness: float = 8.0) -> np.ndarray:
    """Repeat an attack `rate` times a second over a steady sound."""
    t = np.arange(len(y)) / SAMPLE_RATE
    return y * np.exp(-((t * rate) % 1) * sharpness)


def centroid(y: np.ndarray) -> float:
    """Magnitude-weighted mean frequency of the whole sound, in hertz."""
    magnitude, frequency = spectrum(y)
    return float((magnitude * frequency).sum() / magnitude.sum())


def flatness(y: np.ndarray) -> float:
    """Spectral flatness in decibels: geometric over arithmetic mean of the power, averaged over frames."""
    magnitude, _ = spectrum(y)
    power = np.maximum(magnitude**2, 1e-10)
    return float(np.mean(10 * (np.log10(power).mean(1) - np.log10(power.mean(1)))))


def spectrum(y: np.ndarray, size: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes of Hann-windowed frames [shape=(frames, 1025)] and their frequencies in hertz."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(y, (0, size)), size)[:: size // 2]
    frames = frames[: max(1, len(y) // (size // 2) - 1)]
    return np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)), np.fft.rfftfreq(size, 1 / SAMPLE_RATE)


def twenty() -> dict[str, np.ndarray]:
    """Twenty sounds for recognition, as a musician might name them."""
    glide = np.sin(2 * np.pi * 200 * (8.0 ** times(1.0)) / np.log(8.0))
    swell = np.sin(np.pi * times(3.0) / 3)
    sounds = {
        "sub bass": (tone(55), -10),
        "flute": (rich(880, 3, 2.0), -14),
        "cello": (rich(98, 24, 0.9), -12),
        "violin": (rich(587, 16, 0.8), -16),
        "organ": (rich(262, 8, 0.3), -10),
        "whistle": (tone(2600), -20),
        "minor chord": (rich(220, 6) + rich(261.6, 6) + rich(329.6, 6), -14),
        "chime": (chime(1046), -22),
        "low bell": (chime(180), -16),
        "guitar": (pluck(196), -18),
        "piano high": (pluck(1760, 1, 0.2, 5), -24),
        "bass drum": (drum(), -12),
        "snare": (snare(), -18),
        "hi-hat": (band(6000, 14_000, 0.3) * np.exp(-times(0.3) * 20), -28),
        "wind": (band(200, 600, 2.0), -22),
        "rain": (hiss(), -26),
        "surf": (band(80, 2500, 3.0) * swell, -14),
        "helicopter": (pulses(band(60, 900), 12, 4), -16),
        "siren": (glide, -12),
        "techno": (pulses(rich(110, 30, 0.7), 4), -15),
    }
    return {name: level(y, decibels) for name, (y, decibels) in sounds.items()}
