"""Sounds of the benchmark, with known properties; none is drawn by the generator of the training's sounds."""

from __future__ import annotations

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from training.synthesis import band, chime, drum, hiss, level, pluck, pulses, snare, times, tone


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
        "flute": (tone(880, 3, 2.0), -14),
        "cello": (tone(98, 24, 0.9), -12),
        "violin": (tone(587, 16, 0.8), -16),
        "organ": (tone(262, 8, 0.3), -10),
        "whistle": (tone(2600), -20),
        "minor chord": (tone(220, 6) + tone(261.6, 6) + tone(329.6, 6), -14),
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
        "techno": (pulses(tone(110, 30, 0.7), 4), -15),
    }
    return {name: level(y, decibels) for name, (y, decibels) in sounds.items()}
