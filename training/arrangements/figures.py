"""What the layers of an arrangement play: bass lines, chords, pads, arpeggios, melodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.arrangements.harmony import Chord, Key, nearest, voiced
from training.arrangements.rhythm import Grid
from training.arrangements.score import Note


@dataclass(frozen=True)
class Passage:
    """A stretch of a piece, as a layer needs it.

    Attributes
    ----------
    grid : Grid
        Of the whole piece.
    key : Key
    first : int
        Step at which it begins.
    chords : sequence of Chord
        One a bar.
    force : float
        Velocity, 0 to 1.
    density : float
        How many notes the figures have, 0 to 1.
    """

    grid: Grid
    key: Key
    first: int
    chords: Sequence[Chord]
    force: float
    density: float

    def note(
        self, rng: np.random.Generator, position: float, steps: float, pitch: float, force: float = 1.0
    ) -> Note:
        """Place a note of some steps at a position in steps from the beginning, played by a human."""
        start = self.grid.at(self.first + position)
        end = self.grid.at(self.first + position + steps)
        velocity = np.clip(self.force * force * rng.normal(1, 0.08), 0.05, 1.0)
        return Note(max(0.0, start + rng.normal(0, 0.005)), max(0.03, end - start), pitch, float(velocity))


LOWEST = 28  # E1, the lowest string of a bass
# Of a phrase: position and length in steps of the grid, steps of the scale from the note before.
Step = tuple[float, float, int]
Layer = Callable[[np.random.Generator, Passage], list[Note]]


def bass(rng: np.random.Generator, passage: Passage) -> list[Note]:
    """Play the roots: held, on the beats, in eighths, off the beat, in octaves, or walking."""
    beats, steps = passage.grid.beats, passage.grid.steps
    kind = rng.choice(["held", "beats", "eighths", "octaves", "offbeat", "walking", "broken"])
    if passage.density < 0.25:
        kind = "held"
    length = rng.uniform(0.5, 1.0)
    centre = rng.uniform(33, 43)
    notes, pitch = [], centre
    for bar, chord in enumerate(passage.chords):
        start = bar * passage.grid.bar
        root = nearest(chord.root, centre)
        if kind == "held":
            notes.append(passage.note(rng, start, passage.grid.bar * 0.98, root))
            continue
        for beat in range(beats):
            place, half = start + beat * steps, steps / 2
            if kind == "walking":
                goal = root if beat == 0 else int(rng.choice(chord.tones))
                pitch = nearest(goal % 12, max(LOWEST, pitch * 0.8 + centre * 0.2 + rng.normal(0, 3)))
                notes.append(passage.note(rng, place, steps * 0.95, pitch, 1 - 0.1 * (beat % 2)))
            elif kind == "beats":
                tone = root if beat % 2 == 0 else nearest(chord.tones[min(2, len(chord.tones) - 1)], root)
                notes.append(passage.note(rng, place, steps * length, tone))
            elif kind == "offbeat":
                notes.append(passage.note(rng, place + half, half * length, root))
            elif kind == "broken":
                if beat == 0 or rng.random() < 0.3 + 0.5 * passage.density:
                    shift = half if beat and rng.random() < 0.5 else 0
                    notes.append(passage.note(rng, place + shift, steps * length, root))
            else:
                notes.append(passage.note(rng, place, half * length, root))
                other = root + 12 if kind == "octaves" else root
                notes.append(passage.note(rng, place + half, half * length, other, 0.85))
    return notes


def comp_rhythm(rng: np.random.Generator, passage: Passage) -> list[tuple[float, float]]:
    """Draw when chords are struck in a bar, as (position, length) in steps."""
    bar, steps, beats = passage.grid.bar, passage.grid.steps, passage.grid.beats
    kind = rng.random() + 0.5 * (passage.density - 0.5)
    if kind < 0.3:
        return [(0, bar * 0.97)]
    if kind < 0.45:
        return [(0, bar * 0.5), (beats // 2 * steps, bar * 0.45)]
    if kind < 0.6:
        return [(beat * steps, steps * rng.uniform(0.4, 0.95)) for beat in range(beats)]
    if kind < 0.75:
        return [(beat * steps + steps / 2, steps * 0.4) for beat in range(beats)]
    if kind < 0.9:  # syncopated
        places = [i for i in range(bar) if rng.random() < (0.55 if i % 3 == 0 else 0.12)] or [0]
        return [(place, rng.choice([0.7, 1.5, 2.5])) for place in places]
    return [(place, steps * 0.45) for place in np.arange(0, bar, steps / 2)]


def chords(rng: np.random.Generator, passage: Passage) -> list[Note]:
    """Strike chords in a rhythm that repeats every bar; strummed or not."""
    rhythm = comp_rhythm(rng, passage)
    centre, width = rng.uniform(52, 67), int(rng.random() < 0.3)
    strum = float(rng.choice([0, 0, 0.06, 0.25]))
    notes = []
    for bar, chord in enumerate(passage.chords):
        pitches = voiced(chord, centre, width)
        for index, (place, length) in enumerate(rhythm):
            for order, pitch in enumerate(pitches if index % 2 == 0 else reversed(pitches)):
                start = bar * passage.grid.bar + place + strum * order
                notes.append(passage.note(rng, start, length, pitch, 0.75 - 0.05 * (index > 0)))
    return notes


def pad(rng: np.random.Generator, passage: Passage) -> list[Note]:
    """Hold the chords; tones that two chords share are tied."""
    centre, width = rng.uniform(50, 70), int(rng.random() < 0.4)
    bar, notes = passage.grid.bar, []
    held: dict[int, int] = {}
    for index, chord in enumerate([*passage.chords, None]):
        pitches = set(voiced(chord, centre, width)) if chord else set()
        for pitch in [p for p in held if p not in pitches]:
            begin = held.pop(pitch)
            notes.append(passage.note(rng, begin * bar, (index - begin) * bar * 1.01, pitch, 0.6))
        held |= {pitch: index for pitch in pitches if pitch not in held}
    return notes


def arpeggio(rng: np.random.Generator, passage: Passage) -> list[Note]:
    """Break the chords in even notes: up, down, up and down, as Alberti did, or at random."""
    grid = passage.grid
    rate = float(rng.choice([0.5, 1, 2])) if grid.steps == 4 else 1.0
    rate = max(rate, 2.0 if passage.density < 0.3 else rate)
    kind, octaves = rng.choice(["up", "down", "both", "alberti", "random"]), int(rng.integers(1, 4))
    centre, length = rng.uniform(50, 72), rng.choice([0.5, 0.9, 2.0])
    notes = []
    for bar, chord in enumerate(passage.chords):
        low = voiced(chord, centre)
        order = [pitch + 12 * octave for octave in range(octaves) for pitch in low]
        if kind == "down":
            order = order[::-1]
        elif kind == "both":
            order = order + order[-2:0:-1]
        elif kind == "alberti":
            order = [low[0], low[-1], low[len(low) // 2], low[-1]]
        elif kind == "random":
            order = [int(pitch) for pitch in rng.permutation(order)]
        for index, place in enumerate(np.arange(0, grid.bar, rate)):
            if rng.random() < 0.25 + passage.density:
                accent = 0.85 if place % grid.steps == 0 else 0.65
                pitch = order[index % len(order)]
                notes.append(passage.note(rng, bar * grid.bar + place, rate * length, pitch, accent))
    return notes


def nearest_tones(chord: Chord, pitch: float) -> list[int]:
    """List the tones of a chord around a pitch, the nearest first."""
    return sorted((nearest(tone, pitch) for tone in chord.tones), key=lambda other: abs(other - pitch))


def motif(rng: np.random.Generator, grid: Grid, density: float) -> list[Step]:
    """Draw a phrase of two bars."""
    total, place, notes = 2 * grid.bar, 0.0, []
    values = np.array([1, 2, 3, 4, 6, 8, 12], float) * grid.steps / 4
    odds = np.array([density, 1.2, 0.4, 1.3, 0.5, 1.2 - density, 0.7 - 0.6 * density])
    direction = rng.choice([-1, 1])
    while place < total:
        length = float(rng.choice(values, p=odds / odds.sum()))
        length = max(1.0, min(length, total - place))
        leap = int(rng.choice([0, 1, 1, 1, 2, 2, 3, 4])) * direction * (1 if rng.random() < 0.7 else -1)
        if rng.random() < 0.85:
            notes.append((place, length * rng.choice([0.6, 0.95, 1.0]), leap))
        if rng.random() < 0.3:
            direction = -direction
        place += length
    return notes


def sing_motif(
    rng: np.random.Generator, passage: Passage, bar: int, phrase: list[Step], centre: float
) -> list[Note]:
    """Sing a phrase over the chords: on the beats their tones, between them the scale's."""
    scale = sorted({pitch for octave in range(11) for pitch in (12 * octave + np.array(passage.key.scale))})
    pitch, notes = centre, []
    for place, length, leap in phrase:
        at = bar + int(place // passage.grid.bar)
        if at >= len(passage.chords):
            break
        index = int(np.argmin(np.abs(np.array(scale) - pitch))) + leap
        pitch = scale[min(max(index, 0), len(scale) - 1)]
        if place % passage.grid.steps == 0 and rng.random() < 0.75:
            pitch = nearest_tones(passage.chords[at], pitch)[0]
        if abs(pitch - centre) > 9:
            pitch -= 12 * np.sign(pitch - centre)
        notes.append(passage.note(rng, bar * passage.grid.bar + place, length, float(pitch), 0.95))
    return notes


def melody(rng: np.random.Generator, passage: Passage) -> list[Note]:
    """Sing phrases of two bars in the order A A B A, or so."""
    phrases = [motif(rng, passage.grid, passage.density) for _ in range(2)]
    order = rng.choice(["0010", "0101", "0011", "0001"])
    centre = rng.uniform(62, 82)
    notes = []
    for index, bar in enumerate(range(0, len(passage.chords), 2)):
        if rng.random() < 0.9:
            notes += sing_motif(rng, passage, bar, phrases[int(order[index % 4])], centre)
    return notes


def counter(rng: np.random.Generator, passage: Passage) -> list[Note]:
    """Answer with long notes, one or two a bar, that move as little as they can."""
    pitch = centre = rng.uniform(50, 76)
    halves = int(rng.random() < 0.5) + 1
    notes = []
    for bar, chord in enumerate(passage.chords):
        for half in range(halves):
            near = nearest_tones(chord, pitch + rng.normal(0, 2))
            pitch = near[0 if rng.random() < 0.6 else min(1, len(near) - 1)]
            pitch = pitch if abs(pitch - centre) < 10 else nearest(pitch % 12, centre)
            length = passage.grid.bar / halves
            notes.append(passage.note(rng, bar * passage.grid.bar + half * length, length * 0.95, pitch, 0.7))
    return notes


LAYERS: dict[str, Layer] = {
    "bass": bass, "chords": chords, "pad": pad, "arpeggio": arpeggio, "melody": melody, "counter": counter,
}  # fmt: skip
