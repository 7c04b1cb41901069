"""Make the sounds of this folder by synthesis.

    python -m examples.make_examples

The same bytes come out every time: random numbers have fixed seeds, and samples are rounded to 16 bit.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import lfilter

from sound_diffusion.constants import SAMPLE_RATE
from training.synthesis import band, phase_of, ringing, thump, times, tone

Signal = npt.NDArray[np.float64]

PEAK = 10 ** (-1 / 20)  # one decibel below full scale
BELL_PARTIALS = {  # frequency relative to the prime: (amplitude, seconds to fall to 1/e)
    0.5: (0.55, 2.6),  # hum
    1.0: (0.8, 1.6),  # prime
    1.2: (0.9, 1.2),  # tierce, the minor third that makes a bell a bell
    1.5: (0.25, 0.9),  # quint
    2.0: (1.0, 0.8),  # nominal
    2.514: (0.35, 0.45),
    2.662: (0.3, 0.4),
    3.011: (0.4, 0.35),
    4.166: (0.3, 0.22),
    5.433: (0.25, 0.15),
    6.796: (0.18, 0.1),
    8.215: (0.12, 0.07),
}
# Modes of a bar that is free at both ends: ratio of frequencies, amplitude, seconds to fall to 1/e.
BAR_MODES = ((1.0, 1.0, 1.0), (2.756, 0.5, 0.4), (5.404, 0.25, 0.15))


def note(midi: float) -> float:
    """Frequency of a MIDI note in Hz."""
    return float(440 * 2 ** ((midi - 69) / 12))


def noise(seed: int, seconds: float, low: float, high: float) -> Signal:
    """Noise between two frequencies in Hz, of unit standard deviation."""
    shaped = band(low, high, seconds, seed, order=2)
    return np.asarray(shaped / shaped.std())


def add_at(mix: Signal, sound: Signal, start: float) -> None:
    """Add a sound to a mix from a time in seconds on; what does not fit is dropped."""
    first = round(start * SAMPLE_RATE)
    part = sound[: max(len(mix) - first, 0)]
    mix[first : first + len(part)] += part


def faded(y: Signal) -> Signal:
    """Fade a sound in over one millisecond and out over 80."""
    rise, fall = times(0.001) / 0.001, np.cos(np.pi / 2 * times(0.08) / 0.08) ** 2
    y[: len(rise)] *= rise
    y[-len(fall) :] *= fall
    return y


def glided(steps: Signal, seconds: float) -> Signal:
    """Let a control signal glide from step to step, exponentially with a time constant."""
    pole = np.exp(-1 / (seconds * SAMPLE_RATE))
    return np.asarray(steps[0] + lfilter([1 - pole], [1, -pole], steps - steps[0]))


def bell() -> Signal:
    """A bell on G4: inharmonic partials in pairs that beat, and the clang of the clapper."""
    seconds = 3.5
    t = times(seconds)
    y = np.zeros_like(t)
    for number, (ratio, (amplitude, decay)) in enumerate(BELL_PARTIALS.items()):
        frequency, split = ratio * note(67), 0.35 + 0.2 * number  # Hz
        second = ringing(frequency + split, decay, seconds, phase=number)
        y += amplitude * (ringing(frequency, decay, seconds) + 0.6 * second)
    clang = noise(1, seconds, 2500, 9000) * np.exp(-t / 0.012)
    return faded((y + 0.5 * clang) * (1 - np.exp(-t / 0.0008)))


def bass_clarinet() -> Signal:
    """Four legato notes of a bass clarinet: odd harmonics, a slow reed attack, breath."""
    t = times(3.2)
    starts, pitches = np.array([0.0, 0.75, 1.4, 2.05]), np.array([note(m) for m in (38, 45, 41, 43)])
    steps = pitches[np.searchsorted(starts, t, side="right") - 1]
    frequency = glided(steps, 0.018)
    frequency = frequency * (1 + 0.003 * np.sin(2 * np.pi * 4.8 * t) * np.minimum(t, 1))
    phase = phase_of(frequency)
    since = t - starts[np.searchsorted(starts, t, side="right") - 1]
    articulation = glided(0.7 + 0.3 * np.minimum(since / 0.12, 1) * np.exp(-since / 2.5), 0.015)
    breath = articulation * np.minimum(t / 0.09, 1) * np.minimum((3.2 - t) / 0.25, 1)
    y = np.zeros_like(t)
    for n in range(1, 60):
        amplitude = n**-0.9 * (1.0 if n % 2 else 0.08 + 0.012 * n)
        brightness = breath ** (1 + 0.12 * n) / (1 + (n * frequency / 1900) ** 4)
        y += amplitude * brightness * np.sin(n * phase)
    return faded(y + 0.02 * breath * noise(2, 3.2, 700, 4000))


def windchimes() -> Signal:
    """Tubes of a wind chime, struck at random moments: the modes of a free bar."""
    y = np.zeros_like(times(3.6))
    random = np.random.Generator(np.random.PCG64(8))
    tubes = [note(m) for m in (84, 86, 88, 91, 93, 96)]
    strike, last = 0.03, 2.9
    while strike < last:
        frequency, force = random.choice(tubes), random.uniform(0.35, 1.0)
        t = times(3.6 - strike)
        tube = np.zeros_like(t)
        for ratio, amplitude, decay in BAR_MODES:
            level = amplitude * force ** (0.5 + 0.5 * ratio)
            tube += level * ringing(ratio * frequency, 1.1 * decay, 3.6 - strike)
        add_at(y, force * tube * (1 - np.exp(-t / 0.0006)), strike)
        strike += random.exponential(0.22)
    return faded(y)


def synth_chords() -> Signal:
    """Four chords of detuned saws through a low-pass filter that opens and closes."""
    length = 0.8
    t = times(length + 0.1)
    cutoff = 350 + 4200 * np.exp(-t / 0.22) * (1 - np.exp(-t / 0.012))  # Hz
    envelope = np.minimum(t / 0.01, 1) * np.clip((length + 0.06 - t) / 0.12, 0, 1)
    y = np.zeros_like(times(4 * length))
    chords = ((45, 57, 60, 64), (41, 57, 60, 65), (48, 55, 60, 64), (43, 55, 59, 62))
    for number, chord in enumerate(chords):
        sound = np.zeros_like(t)
        for voice, midi in enumerate(chord):
            for cents in (-7, 0, 8):
                frequency = note(midi + cents / 100)
                for n in range(1, int(9000 / frequency)):
                    filtered = 1 / np.sqrt(1 + (n * frequency / cutoff) ** 6)
                    sound += filtered / n * np.sin(2 * np.pi * n * frequency * t + voice + cents)
        add_at(y, sound * envelope, number * length)
    return faded(y)


def drums() -> Signal:
    """One bar at 100 beats a minute: bass drum, snare and hi-hat."""
    beat = 0.6  # seconds
    y = np.zeros_like(times(4 * beat))
    long = 0.5  # seconds
    t = times(long)
    kick = thump(47, 3.2, 0.03, 0.13, long) + 0.15 * noise(3, long, 1500, 6000) * np.exp(-t / 0.004)
    shell = ringing(187, 0.07, long) + 0.6 * ringing(331, 0.07, long)
    snare = 0.55 * shell + 0.4 * noise(4, long, 900, 9500) * np.exp(-t / 0.09)
    hat = noise(5, long, 7000, 16_000)
    for eighth in range(8):
        loudness, decay = (0.13, 0.1) if eighth == 7 else (0.16 - 0.06 * (eighth % 2), 0.03)
        add_at(y, loudness * hat * np.exp(-t / decay), eighth * beat / 2)
    for moment in (0, 1.5, 2, 2.75):
        add_at(y, kick, moment * beat)
    for moment in (1, 3):
        add_at(y, 0.8 * snare, moment * beat)
    return faded(y)


SOUNDS: dict[str, Callable[[], Signal]] = {
    "bell": bell,
    "bass_clarinet": bass_clarinet,
    "windchimes": windchimes,
    "synth_chords": synth_chords,
    "drums": drums,
    "sine_1hz": lambda: tone(1, seconds=2.0),
    "sine_10hz": lambda: tone(10, seconds=2.0),
    "sine_100hz": lambda: tone(100, seconds=2.0),
}


def finish(y: Signal) -> npt.NDArray[np.int16]:
    """Bring the peak of a sound to -1 dBFS and round it to 16 bit."""
    centred = y - y.mean()
    rounded: npt.NDArray[np.int16] = np.round(centred / np.abs(centred).max() * PEAK * 32_767).astype(
        np.int16
    )
    return rounded


def main() -> None:
    """Write every sound as a mono wav file at 44,100 Hz."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--outdir", type=Path, default=Path(__file__).parent, help="where the files go")
    outdir = parser.parse_args().outdir
    outdir.mkdir(parents=True, exist_ok=True)
    for name, make in SOUNDS.items():
        path = outdir / f"{name}.wav"
        soundfile.write(path, finish(make()), SAMPLE_RATE, subtype="PCM_16")
        print(path)


if __name__ == "__main__":
    main()
