"""Synthesised sounds for training: tones, chords, noise, percussion, rhythms and mixtures.

Every sound is drawn from a `numpy.random.Generator`, so that a seed gives the same sound again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from sound_diffusion.constants import SAMPLE_RATE
from training.synthesis import HIGHEST, phase_of, ringing

LEVELS = (-50.0, 0.0)  # decibels of RMS relative to full scale
PITCHES = (55.0, 4500.0)  # hertz

Voice = Callable[[np.random.Generator, int], np.ndarray]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform.

    Parameters
    ----------
    rng : np.random.Generator
        Source of chance.
    low, high : float
        Limits, both above zero.

    Returns
    -------
    float
        A number in [low, high).
    """
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def frequency_curve(rng: np.random.Generator, length: int) -> np.ndarray:
    """Draw a steady, gliding or trembling fundamental, in hertz [shape=(length,)]."""
    start = log_uniform(rng, *PITCHES)
    kind = rng.random()
    t = np.linspace(0, 1, length)
    if kind < 0.7:
        return np.full(length, start)
    if kind < 0.88:
        return start * (log_uniform(rng, *PITCHES) / start) ** t
    seconds = length / SAMPLE_RATE
    return start * (1 + rng.uniform(0.005, 0.06) * np.sin(2 * np.pi * rng.uniform(3, 8) * seconds * t))


def sine(rng: np.random.Generator, length: int) -> np.ndarray:
    """One pure tone."""
    return np.sin(phase_of(frequency_curve(rng, length)) + rng.uniform(0, 2 * np.pi))


def partials(
    rng: np.random.Generator, length: int, fundamental: np.ndarray, ratios: np.ndarray, amplitudes: np.ndarray
) -> np.ndarray:
    """Add partials of given ratios and amplitudes to one tone, leaving out those above the highest."""
    phase = phase_of(fundamental)
    y = np.zeros(length)
    top = float(fundamental.max())
    for ratio, amplitude in zip(ratios, amplitudes, strict=True):
        if ratio * top < HIGHEST and amplitude > 1e-3:
            y += amplitude * np.sin(ratio * phase + rng.uniform(0, 2 * np.pi))
    return y


def harmonic(rng: np.random.Generator, length: int) -> np.ndarray:
    """A tone of whole-number partials: string, reed, organ or vowel."""
    count = int(rng.integers(2, 28))
    n = np.arange(1, count + 1, dtype=float)
    amplitudes = n ** -rng.uniform(0.2, 2.2)
    if rng.random() < 0.25:
        amplitudes[1::2] *= 0.05
    fundamental = frequency_curve(rng, length)
    if rng.random() < 0.35:  # a formant, as in a voice
        formant, width = log_uniform(rng, 300, 5000), rng.uniform(0.15, 0.6)
        amplitudes *= 0.1 + np.exp(-((np.log(n * fundamental[0] / formant) / width) ** 2))
    return partials(rng, length, fundamental, n, amplitudes)


def bell(rng: np.random.Generator, length: int) -> np.ndarray:
    """Inharmonic partials that die away, the higher the sooner: bell, plate, glass."""
    count = int(rng.integers(3, 12))
    ratios = np.sort(np.concatenate([[1.0], rng.uniform(1.2, 9.0, count - 1)]))
    fundamental = log_uniform(rng, 90, 3000)
    decay = log_uniform(rng, 0.05, 3.0)
    y = np.zeros(length)
    for ratio in ratios[ratios * fundamental < HIGHEST]:
        y += rng.uniform(0.2, 1) * ringing(ratio * fundamental, decay / ratio**0.7, length / SAMPLE_RATE)
    return y


def modulated(rng: np.random.Generator, length: int) -> np.ndarray:
    """Frequency modulation: brass-like, metallic or rough."""
    carrier = frequency_curve(rng, length)
    ratio = float(rng.choice([0.5, 1, 1, 2, 3, 1.41, 2.76]))
    index = rng.uniform(0.2, 5) * np.linspace(1, rng.uniform(0.1, 1), length)
    phase = phase_of(carrier)
    return np.sin(phase + index * np.sin(ratio * phase))


def chord(rng: np.random.Generator, length: int) -> np.ndarray:
    """Two to five tones together."""
    root = log_uniform(rng, 70, 1200)
    steps = rng.choice([0, 3, 4, 5, 7, 9, 10, 12, 16, 19], int(rng.integers(2, 6)), replace=False)
    n = np.arange(1, int(rng.integers(2, 10)), dtype=float)
    slope = rng.uniform(0.7, 2)
    y = np.zeros(length)
    for step in steps:
        y += partials(rng, length, np.full(length, root * 2 ** (step / 12)), n, n**-slope)
    return y


def noise(rng: np.random.Generator, length: int) -> np.ndarray:
    """Noise of any colour, whole or a band of it."""
    size = max(2048, length)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    f = np.fft.rfftfreq(size, 1 / SAMPLE_RATE) + 20
    spectrum *= f ** -rng.choice([0, 0, 0.5, 1.0, rng.uniform(-0.5, 1.5)])
    if rng.random() < 0.65:
        centre, octaves = log_uniform(rng, 80, 14_000), rng.uniform(0.15, 2.5)
        spectrum *= 1 / (1 + (np.log2(f / centre) / octaves) ** 4) ** rng.uniform(1, 2)
    return np.fft.irfft(spectrum, size)[:length]


def click(rng: np.random.Generator, length: int) -> np.ndarray:
    """A train of damped clicks, from single knocks to a buzz."""
    y = np.zeros(length)
    step = int(SAMPLE_RATE / log_uniform(rng, 2, 120))
    y[int(rng.integers(0, max(1, min(step, length)))) :: step] = 1
    frequency, decay = log_uniform(rng, 150, 8000), log_uniform(rng, 0.001, 0.02)
    radius = np.exp(-1 / (decay * SAMPLE_RATE))
    angle = 2 * np.pi * frequency / SAMPLE_RATE
    return lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], y)


def kick(rng: np.random.Generator, length: int) -> np.ndarray:
    """A falling thump with a little noise: drum skins."""
    t = np.arange(length) / SAMPLE_RATE
    low = log_uniform(rng, 45, 250)
    curve = low * (1 + rng.uniform(0, 5) * np.exp(-t / log_uniform(rng, 0.005, 0.06)))
    thump = np.sin(phase_of(curve)) * np.exp(-t / log_uniform(rng, 0.04, 0.5))
    rattle = noise(rng, length) * np.exp(-t / log_uniform(rng, 0.01, 0.3))
    return thump + rng.uniform(0, 0.7) * rattle / (np.abs(rattle).max() + 1e-9)


def hat(rng: np.random.Generator, length: int) -> np.ndarray:
    """A burst of noise that dies away: cymbals, shakers, consonants."""
    t = np.arange(length) / SAMPLE_RATE
    return noise(rng, length) * np.exp(-t / log_uniform(rng, 0.01, 0.8))


VOICES: tuple[tuple[Voice, float], ...] = (
    (sine, 0.15), (harmonic, 0.26), (bell, 0.1), (modulated, 0.08), (chord, 0.1),
    (noise, 0.15), (click, 0.04), (kick, 0.06), (hat, 0.06),
)  # fmt: skip


def envelope(rng: np.random.Generator, length: int) -> np.ndarray:
    """Draw an envelope: steady, swelling, decaying, a note, tremolo or a rhythm [shape=(length,)]."""
    t = np.linspace(0, 1, length)
    seconds = length / SAMPLE_RATE
    kind = rng.random()
    if kind < 0.38:
        return np.ones(length)
    if kind < 0.52:
        return np.exp(-t * rng.uniform(1, 9))
    if kind < 0.6:
        return np.exp(-(1 - t) * rng.uniform(1, 7))
    if kind < 0.74:  # a note that begins and ends inside
        begin, end = np.sort(rng.uniform(-0.1, 1.1, 2))
        edge = max(rng.uniform(0.002, 0.1), 0.002 / seconds)
        return np.clip((t - begin) / edge, 0, 1) * np.clip((end + edge - t) / edge, 0, 1)
    if kind < 0.84:
        cycles = rng.uniform(1.5, max(2.0, min(12.0, 9 * seconds)))
        return 1 - rng.uniform(0.3, 1) * (0.5 + 0.5 * np.cos(2 * np.pi * (cycles * t + rng.random())))
    beats = rng.integers(2, 9)  # a rhythm
    place = (t * beats + rng.random()) % 1
    accents = rng.uniform(0.2, 1, beats + 1)[np.minimum((t * beats + rng.random()).astype(int), beats)]
    return accents * np.exp(-place * rng.uniform(2, 12)) * np.clip(place * 60, 0, 1)


def draw_voice(rng: np.random.Generator, length: int) -> np.ndarray:
    """Draw one voice with its envelope, its RMS brought to one [shape=(length,)]."""
    weights = np.array([weight for _, weight in VOICES])
    voice = VOICES[int(rng.choice(len(VOICES), p=weights / weights.sum()))][0]
    y = voice(rng, length) * envelope(rng, length)
    return y / (np.sqrt(np.mean(y**2)) + 1e-9)


def draw_sound(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Draw a whole sound: one voice, a mixture, or a sequence.

    Parameters
    ----------
    rng : np.random.Generator
        Source of chance.
    seconds : float
        Its length.

    Returns
    -------
    np.ndarray [shape=(round(44100 * seconds),), dtype=float32]
        Samples in [-1, 1], with an RMS level drawn from -50 to 0 dB (as far as the peaks allow).
    """
    length = max(64, round(SAMPLE_RATE * seconds))
    kind = rng.random()
    if kind < 0.02:
        return np.zeros(length, np.float32)
    y = draw_voice(rng, length)
    if kind > 0.55:  # a mixture; often a tone in noise
        other = draw_voice(rng, length) if kind < 0.8 else noise(rng, length)
        y = y + other / (np.sqrt(np.mean(other**2)) + 1e-9) * 10 ** (rng.uniform(-45, 15) / 20)
    if kind > 0.92:  # then something else
        cut = int(length * rng.uniform(0.2, 0.8))
        y[cut:] = draw_voice(rng, length - cut) * 10 ** (rng.uniform(-20, 10) / 20)
    y *= 10 ** (rng.uniform(*LEVELS) / 20) / (np.sqrt(np.mean(y**2)) + 1e-9)
    return (y / max(1.0, np.abs(y).max())).astype(np.float32)
