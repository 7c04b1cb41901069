"""Keys, scales, chords and the ways from chord to chord."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
}
PROGRESSIONS = {  # degrees of the scale, from 0
    "major": (
        (0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (0, 3, 0, 4), (5, 3, 0, 4), (0, 4, 5, 2, 3, 0, 3, 4),
        (1, 4, 0, 5), (0, 1, 3, 4), (0, 2, 3, 4), (0, 5, 1, 4),
    ),
    "minor": (
        (0, 5, 2, 6), (0, 6, 5, 6), (0, 3, 4, 0), (0, 5, 3, 4), (0, 3, 6, 2), (0, 6, 5, 4), (0, 0, 5, 6),
        (0, 4, 5, 2, 3, 0, 3, 4), (0, 2, 6, 3),
    ),
    "modal": ((0, 6, 0, 6), (0, 0, 1, 0), (0, 3, 0, 3), (0, 6, 3, 0), (0, 1, 0, 6), (0, 0, 0, 0)),
    "blues": ((0, 0, 0, 0, 3, 3, 0, 0, 4, 3, 0, 4), (0, 3, 0, 0, 3, 3, 0, 0, 4, 3, 0, 4)),
}  # fmt: skip


class Chord(NamedTuple):
    """A chord: its root and all of its tones as pitch classes (0 is C)."""

    root: int
    tones: tuple[int, ...]


class Key(NamedTuple):
    """A tonic (pitch class), the name of its scale, and the pitch classes of that scale."""

    tonic: int
    name: str
    scale: tuple[int, ...]

    @property
    def family(self) -> str:
        """Which progressions fit."""
        if self.name in ("major", "minor"):
            return self.name
        return "minor" if self.name == "harmonic minor" else "modal"


def key_of(tonic: int, name: str) -> Key:
    """Build a key."""
    return Key(tonic, name, tuple((tonic + step) % 12 for step in SCALES[name]))


def chord_on(key: Key, degree: int, size: int) -> Chord:
    """Stack thirds of the scale on one of its degrees; two tones are root and fifth."""
    steps = (0, 4) if size == 2 else range(0, 2 * size, 2)
    tones = tuple(key.scale[(degree + step) % 7] for step in steps)
    return Chord(tones[0], tones)


def draw_chords(rng: np.random.Generator, key: Key, bars: int, colour: float, slow: float) -> list[Chord]:
    """Draw the chords of a section, one a bar.

    Parameters
    ----------
    rng : np.random.Generator
        Source of chance.
    key : Key
        Where they come from.
    bars : int
        Their number.
    colour : float
        How often sevenths, ninths and borrowed chords are heard, 0 to 1.
    slow : float
        Probability that a chord stays for two bars.
    """
    family = "blues" if key.name == "mixolydian" and rng.random() < 0.5 else key.family
    degrees = PROGRESSIONS[family][int(rng.integers(len(PROGRESSIONS[family])))]
    stay = 2 if rng.random() < slow else 1
    chords = []
    for bar in range(bars):
        degree = degrees[bar // stay % len(degrees)]
        size = 3 + int(rng.random() < colour) + int(rng.random() < colour / 3)
        chord = chord_on(key, degree, size)
        if key.name == "minor" and degree == 4 and rng.random() < 0.6:  # the leading note
            chord = Chord(chord.root, tuple((t + 1) % 12 if t == key.scale[6] else t for t in chord.tones))
        if family == "blues":
            chord = Chord(chord.root, tuple((chord.root + step) % 12 for step in (0, 4, 7, 10)))
        if rng.random() < 0.15 * colour:  # borrowed from anywhere
            shift = int(rng.choice([1, 3, 6, 8, 10]))
            chord = Chord((chord.root + shift) % 12, tuple((t + shift) % 12 for t in chord.tones))
        chords.append(chord)
    return chords


def nearest(pitch_class: int, pitch: float) -> int:
    """Return the MIDI pitch of a pitch class that is nearest to a pitch."""
    return pitch_class + 12 * round((pitch - pitch_class) / 12)


def voiced(chord: Chord, centre: float, width: int = 0) -> list[int]:
    """Spread a chord around a pitch, each tone in its nearest octave; `width` opens it by octaves."""
    pitches = sorted({nearest(tone, centre) for tone in chord.tones})
    return [pitch + 12 * (i % 2) * width for i, pitch in enumerate(pitches)]
