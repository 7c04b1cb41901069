"""Instruments made by code: oscillators of game consoles and synthesizers, voices, and drum machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal import butter, sosfilt

from sound_diffusion.constants import SAMPLE_RATE
from training.arrangements.score import Note, Part

TABLE = 4096  # samples of one cycle
TOP = 16_000.0  # hertz: oscillators have no partials above
VOWELS = {  # formants in hertz, as sung
    "a": (800, 1150, 2900, 3900), "e": (400, 1600, 2700, 3300), "i": (350, 1700, 2700, 3700),
    "o": (450, 800, 2830, 3500), "u": (325, 700, 2530, 3500),
}  # fmt: skip


@dataclass(frozen=True)
class Patch:
    """Settings of one synthesizer sound.

    Attributes
    ----------
    wave : str
        ``saw``, ``pulse`` (`duty`), ``triangle``, ``sine``, ``fm``, ``steps`` (a console's triangle of 32
        steps) or ``noise`` (a console's shift register).
    duty : float
        Share of the cycle that a pulse is high.
    voices, detune : int, float
        Oscillators side by side, and the cents between the outermost.
    attack, decay, release : float
        Seconds; the decay is the time to fall to 1/e of the way to `sustain`.
    sustain : float
        Level that is held, 0 to 1.
    cutoff : float
        Hertz of the low-pass filter when closed.
    opening : float
        Octaves that the filter opens at the beginning of a note.
    vibrato : float
        Cents.
    octave : float
        Level of a second oscillator an octave below.
    index : float
        Of frequency modulation.
    ratio : float
        Modulator to carrier.
    """

    wave: str = "saw"
    duty: float = 0.5
    voices: int = 1
    detune: float = 0.0
    attack: float = 0.003
    decay: float = 0.3
    sustain: float = 0.7
    release: float = 0.05
    cutoff: float = 16_000.0
    opening: float = 0.0
    vibrato: float = 0.0
    octave: float = 0.0
    index: float = 2.0
    ratio: float = 1.0


PATCHES = {
    "pulse12": Patch("pulse", 0.125, decay=0.25, sustain=0.5, vibrato=8),
    "pulse25": Patch("pulse", 0.25, decay=0.2, sustain=0.6, vibrato=10),
    "pulse50": Patch("pulse", 0.5, decay=0.15, sustain=0.6, vibrato=6),
    "steps": Patch("steps", sustain=1.0, release=0.005),
    "saw pad": Patch(voices=5, detune=24, attack=0.5, release=0.8, sustain=1, cutoff=900, opening=1.5),
    "saw lead": Patch(voices=3, detune=14, cutoff=2500, opening=2, vibrato=15, octave=0.3),
    "super saw": Patch(voices=6, detune=35, attack=0.01, cutoff=7000, release=0.2, sustain=0.9),
    "pluck": Patch(voices=2, detune=8, decay=0.12, sustain=0.0, release=0.1, cutoff=600, opening=4),
    "acid": Patch(decay=0.15, sustain=0.4, cutoff=350, opening=3.5, release=0.02),
    "sub": Patch("sine", attack=0.008, sustain=1, release=0.04, octave=0.2),
    "saw bass": Patch(voices=2, detune=10, decay=0.2, sustain=0.5, cutoff=300, opening=3, octave=0.5),
    "square bass": Patch("pulse", 0.5, decay=0.2, sustain=0.6, cutoff=700, opening=2, octave=0.4),
    "fm bell": Patch("fm", decay=0.8, sustain=0, release=0.8, index=3, ratio=3.5),
    "fm keys": Patch("fm", decay=0.6, sustain=0.2, release=0.2, index=1.5, ratio=1),
    "fm bass": Patch("fm", decay=0.2, sustain=0.4, index=3, ratio=0.5),
    "glass pad": Patch("fm", voices=2, detune=12, attack=0.6, release=1.2, sustain=1, index=0.8, ratio=2),
    "triangle lead": Patch("triangle", decay=0.5, sustain=0.7, vibrato=20),
    "whistle": Patch("sine", attack=0.04, sustain=0.9, release=0.1, vibrato=25),
    "choir": Patch(voices=4, detune=20, attack=0.25, release=0.4, sustain=1, vibrato=18),
    "voice": Patch(attack=0.05, release=0.1, sustain=0.9, vibrato=35),
}


@lru_cache(maxsize=512)
def cycle(wave: str, duty: float, partials: int) -> np.ndarray:
    """One cycle of a wave from its first partials [shape=(4096,)]."""
    n = np.arange(1, partials + 1)
    spectrum = np.zeros(TABLE // 2 + 1, complex)
    if wave == "saw":
        spectrum[n] = -1j / n
    elif wave == "pulse":
        spectrum[n] = np.sin(np.pi * n * duty) * np.exp(-1j * np.pi * n * duty) / n
    else:
        spectrum[n] = np.where(n % 2, 1, 0) / n**2.0
    y = np.fft.irfft(spectrum) * TABLE / 2
    return y / np.sqrt(np.mean(y**2)) if partials else y


def oscillate(patch: Patch, frequency: np.ndarray, phase: float, rng: np.random.Generator) -> np.ndarray:
    """One oscillator that follows a frequency in hertz, RMS about one [shape=(n,)]."""
    turns = phase + np.cumsum(frequency) / SAMPLE_RATE
    if patch.wave == "sine":
        return 1.41 * np.sin(2 * np.pi * turns)
    if patch.wave == "fm":
        fade = np.exp(-np.arange(len(turns)) / (SAMPLE_RATE * max(patch.decay, 0.1)))
        modulator = np.sin(2 * np.pi * patch.ratio * turns)
        return 1.41 * np.sin(2 * np.pi * turns + patch.index * (0.3 + 0.7 * fade) * modulator)
    if patch.wave == "noise":  # a value held for a while: the higher the pitch, the shorter
        held = np.floor(turns * 8).astype(int)
        return rng.choice([-1.0, 1.0], held[-1] - held[0] + 1)[held - held[0]]
    if patch.wave == "steps":
        return (np.abs(np.floor(32 * (turns % 1)) - 15.5) - 8) / 4.6
    partials = int(np.clip(TOP / frequency.max(), 1, TABLE // 2 - 1))
    return cycle(patch.wave, patch.duty, partials)[(turns * TABLE).astype(int) % TABLE]


def shape(patch: Patch, held: int, length: int) -> np.ndarray:
    """Amplitude of a note that is held for some samples [shape=(length,)]."""
    t = np.arange(length) / SAMPLE_RATE
    y = patch.sustain + (1 - patch.sustain) * np.exp(-t / patch.decay)
    y *= np.minimum(t / patch.attack, 1)
    return y * np.clip(1 - (np.arange(length) - held) / (SAMPLE_RATE * patch.release + 1), 0, 1) ** 2


def sound(patch: Patch, note: Note, rng: np.random.Generator) -> np.ndarray:
    """One note before the filter."""
    held = max(1, round(note.duration * SAMPLE_RATE))
    length = held + round(patch.release * SAMPLE_RATE)
    t = np.arange(length) / SAMPLE_RATE
    cents = patch.vibrato * np.sin(2 * np.pi * 5.5 * t + rng.uniform(0, 6)) * np.clip(4 * t - 0.6, 0, 1)
    frequency = 440 * 2 ** ((note.pitch - 69 + cents / 100) / 12)
    y = np.zeros(length)
    for offset in np.linspace(-0.5, 0.5, patch.voices) if patch.voices > 1 else [0.0]:
        y += oscillate(patch, frequency * 2 ** (offset * patch.detune / 1200), rng.random(), rng)
    y /= np.sqrt(patch.voices)
    if patch.octave:
        y += patch.octave * oscillate(patch, frequency / 2, 0, rng)
    return note.velocity * y * shape(patch, held, length)


def low_pass(y: np.ndarray, cutoff: float, order: int = 2) -> np.ndarray:
    """Filter away what is above a frequency in hertz."""
    if cutoff >= 0.45 * SAMPLE_RATE:
        return y
    return sosfilt(butter(order, cutoff, fs=SAMPLE_RATE, output="sos"), y)


def high_pass(y: np.ndarray, cutoff: float, order: int = 2) -> np.ndarray:
    """Filter away what is below a frequency in hertz."""
    return sosfilt(butter(order, cutoff, "highpass", fs=SAMPLE_RATE, output="sos"), y)


def add_at(mix: np.ndarray, y: np.ndarray, start: float) -> None:
    """Add a sound to a mix from a time in seconds on; what does not fit is dropped."""
    first = max(0, round(start * SAMPLE_RATE))
    part = y[: max(len(mix) - first, 0)]
    mix[first : first + len(part)] += part


def sing(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Filter a part with the formants of a vowel, and of another in turn."""
    vowels = rng.choice(list(VOWELS), 2)
    size = rng.uniform(0.9, 1.25)  # of the throat, and so the age and sex of the singer
    sung = []
    for vowel in vowels:
        total = np.zeros_like(y)
        for formant, loudness in zip(VOWELS[vowel], (1, 0.6, 0.25, 0.15), strict=True):
            centre = formant * size
            band = butter(1, [centre / 1.09, centre * 1.09], "bandpass", fs=SAMPLE_RATE, output="sos")
            total += loudness * sosfilt(band, y)
        sung.append(total)
    turn = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.3, 2) * np.arange(len(y)) / SAMPLE_RATE)
    return sung[0] * turn + sung[1] * (1 - turn)


def play_notes(name: str, notes: list[Note], length: int, rng: np.random.Generator) -> np.ndarray:
    """Play notes with a patch; its filter opens with every note."""
    patch = PATCHES[name]
    closed, opened = np.zeros(length), np.zeros(length)
    for note in notes:
        y = sound(patch, note, rng)
        bright = np.exp(-np.arange(len(y)) / (SAMPLE_RATE * max(patch.decay, 0.05)))
        add_at(opened, y * bright, note.start)
        add_at(closed, y * (1 - bright), note.start)
    if name in ("choir", "voice"):
        return sing(opened + closed, rng)
    cutoff = patch.cutoff * rng.uniform(0.7, 1.4)
    if not patch.opening:
        return low_pass(opened + closed, min(cutoff, 20_000))
    return low_pass(closed, cutoff) + low_pass(opened, cutoff * 2**patch.opening)


Drum = Callable[[np.random.Generator], np.ndarray]


def decay(seconds: float) -> np.ndarray:
    """An exponential that falls to 1/e in so many seconds, until it is inaudible."""
    return np.exp(-np.arange(round(7 * seconds * SAMPLE_RATE)) / (seconds * SAMPLE_RATE))


def swept(high: float, low: float, sweep: float, fall: float) -> np.ndarray:
    """A sine that falls from one pitch to another and dies away: bass drums and toms."""
    envelope = decay(fall)
    t = np.arange(len(envelope)) / SAMPLE_RATE
    return envelope * np.sin(2 * np.pi * np.cumsum(low + (high - low) * np.exp(-t / sweep)) / SAMPLE_RATE)


def burst(rng: np.random.Generator, low: float, high: float, fall: float) -> np.ndarray:
    """A burst of noise between two frequencies."""
    envelope = decay(fall)
    band = butter(2, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    y = sosfilt(band, rng.standard_normal(len(envelope)))
    return envelope * y / (y.std() + 1e-9) * 0.4


def machine(rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Draw a drum machine: a sound for every drum of General MIDI that the patterns use."""
    bright = rng.uniform(0.7, 1.3)
    low = rng.uniform(40, 60)
    kick = swept(rng.uniform(120, 400), low, rng.uniform(0.01, 0.05), rng.uniform(0.08, 0.35))
    click = burst(rng, 1500, 6000, 0.004) * rng.uniform(0, 0.6)
    kick[: len(click)] += click[: len(kick)]
    fall = rng.uniform(0.05, 0.18)
    snare, body = burst(rng, 900, 9500 * bright, fall), swept(330, 180, 0.02, 0.06)
    snare[: len(body)] += rng.uniform(0.2, 0.9) * body[: len(snare)]
    hat = burst(rng, 6000 * bright, 16_000, rng.uniform(0.015, 0.05))
    clap = burst(rng, 900, 5000 * bright, fall)
    for delay in (0.011, 0.023):
        add_at(clap, 0.8 * burst(rng, 900, 5000 * bright, 0.01), delay)
    cymbal = burst(rng, 3500 * bright, 16_000, rng.uniform(0.4, 0.9))
    drums = {36: kick, 38: snare, 39: clap, 42: 0.6 * hat, 49: 0.7 * cymbal, 51: 0.35 * cymbal}
    drums[46] = 0.6 * burst(rng, 6000 * bright, 16_000, rng.uniform(0.12, 0.3))
    drums[37] = burst(rng, 1500, 4000, 0.02)
    drums[70] = 0.4 * burst(rng, 5000, 12_000, 0.03)
    drums[56] = 0.4 * (swept(560, 560, 1, 0.12) + swept(845, 845, 1, 0.12))
    for key, pitch in ((41, 80), (45, 110), (48, 160), (60, 330), (61, 240), (64, 200)):
        drums[key] = swept(1.6 * pitch, pitch, 0.03, 0.15)
    return drums


def console(rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Draw the drums of a game console: held noise, and a triangle that falls."""
    patch = Patch("noise")
    drums = {}
    for key, pitch, fall in ((38, 1500, 0.07), (42, 5000, 0.02), (46, 5000, 0.09), (49, 2500, 0.3)):
        envelope = np.floor(15 * decay(fall * rng.uniform(0.7, 1.4))) / 15
        steady = np.full(len(envelope), pitch * rng.uniform(0.7, 1.5) / 8)
        drums[key] = 0.5 * envelope * oscillate(patch, steady, 0, rng)
    drums[36] = swept(260, 50, 0.025, 0.09)
    drums[48], drums[45], drums[41] = (swept(2.5 * p, p, 0.05, 0.1) for p in (180, 130, 90))
    return drums


def play_drums(name: str, notes: list[Note], length: int, rng: np.random.Generator) -> np.ndarray:
    """Play drums of a machine or a console; a drum that it has not sounds as its nearest one."""
    drums = (console if name == "drums console" else machine)(rng)
    y = np.zeros(length)
    for note in notes:
        key = min(drums, key=lambda key: abs(key - note.pitch))
        add_at(y, note.velocity**1.5 * drums[key], note.start)
    return y


def play(part: Part, length: int, rng: np.random.Generator) -> np.ndarray:
    """Play a part of an instrument of this module.

    Returns
    -------
    np.ndarray [shape=(length,), dtype=float64]
        Mono; the RMS while it sounds is about that of a part that the soundfont plays.
    """
    name = str(part.instrument)
    if part.percussive:
        y = play_drums(name, part.notes, length, rng)
        return y * 10 ** (part.level / 20) * 0.35
    y = play_notes(name, part.notes, length, rng)
    active = np.sort(np.abs(y))[-max(1, length // 4) :]
    return y * 10 ** (part.level / 20) * 0.06 / (np.sqrt(np.mean(active**2)) + 1e-9)
