"""Compose a piece: its form, and what every instrument plays in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.arrangements.figures import LAYERS, Passage
from training.arrangements.harmony import Chord, Key, draw_chords, key_of
from training.arrangements.rhythm import BEATS, Grid, drum_bar, drum_fill, make_grid
from training.arrangements.score import Note, Part
from training.arrangements.styles import STYLES, Style

# Decibels of each layer relative to the mix, before chance.
LEVELS = {"drums": 3, "bass": 0, "chords": -3, "pad": -5, "arpeggio": -4, "melody": 1, "counter": -4}
KICKS = (35, 36)
DOUBLED = 0.25  # probability that a second instrument plays along with the first
# How full a piece is from its beginning (0) to its end (1), and how often.
COURSES: tuple[tuple[Callable[[float], float], float], ...] = (
    (lambda x: 0.85, 0.3),
    (lambda x: 0.15 + 0.85 * x, 0.18),
    (lambda x: 0.3 + 0.7 * float(np.sin(np.pi * x)), 0.14),
    (lambda x: 0.6 + 0.4 * float(np.sin(9 * x)), 0.14),
    (lambda x: 0.3, 0.1),
    (lambda x: 0.1 if 0.4 < x < 0.6 else 1.0, 0.14),  # a break in the middle
)


@dataclass(frozen=True)
class Section:
    """A stretch of a piece with the same layers.

    Attributes
    ----------
    first, bars : int
        Bar at which it begins, and its length in bars.
    layers : frozenset of str
    force : float
        0 to 1.
    material : int
        Sections with the same number have the same chords and figures.
    """

    first: int
    bars: int
    layers: frozenset[str]
    force: float
    material: int


@dataclass(frozen=True)
class Piece:
    """A composed piece.

    Attributes
    ----------
    style : Style
    seconds : float
    grid : Grid
    sections : tuple of Section
    parts : tuple of Part
    """

    style: Style
    seconds: float
    grid: Grid
    sections: tuple[Section, ...]
    parts: tuple[Part, ...]

    @property
    def kicks(self) -> list[float]:
        """Seconds at which a bass drum is struck."""
        drums = [note for part in self.parts if part.percussive for note in part.notes]
        return [note.start for note in drums if note.pitch in KICKS]


def draw_style(rng: np.random.Generator) -> Style:
    """Draw a style."""
    weights = np.array([style.weight for style in STYLES])
    return STYLES[int(rng.choice(len(STYLES), p=weights / weights.sum()))]


def draw_layers(rng: np.random.Generator, style: Style, fullness: float) -> frozenset[str]:
    """Draw which layers sound: all of them at a fullness of one, one at zero."""
    names = list(style.layers)
    count = int(np.clip(round(fullness * len(names) + rng.normal(0, 0.7)), 1, len(names)))
    importance = {"drums": 1.8, "bass": 1.2, "chords": 1.0, "melody": 1.0, "pad": 0.9, "arpeggio": 0.8}
    odds = np.array([importance.get(name, 0.6) for name in names])
    return frozenset(str(name) for name in rng.choice(names, count, replace=False, p=odds / odds.sum()))


def draw_form(rng: np.random.Generator, style: Style, bars: int) -> tuple[Section, ...]:
    """Draw the sections: a course of fullness, cut into stretches of two to eight bars."""
    course = COURSES[int(rng.choice(len(COURSES), p=[share for _, share in COURSES]))][0]
    sections, first = [], 0
    while first < bars:
        length = min(int(rng.choice([2, 4, 4, 4, 8])), bars - first)
        fullness = course((first + length / 2) / bars) * rng.uniform(1 - style.gap, 1.1)
        force = float(np.clip(0.45 + 0.45 * fullness + rng.normal(0, 0.08), 0.25, 1))
        layers = draw_layers(rng, style, fullness)
        sections.append(Section(first, length, layers, force, int(rng.integers(2))))
        first += length
    return tuple(sections)


def play_drums(rng: np.random.Generator, style: Style, grid: Grid, sections: Sequence[Section]) -> list[Note]:
    """Play a pattern through the sections that have drums, with fills at their ends."""
    names = [str(name) for name in rng.choice(style.beats, 2)]
    density = rng.uniform(0.2, 0.9)
    notes: list[Note] = []
    for section in sections:
        if "drums" not in section.layers or not (beat := BEATS[names[section.material]]):
            continue
        for bar in range(section.bars):
            notes += drum_bar(rng, grid, (section.first + bar) * grid.bar, beat, density, section.force)
        if rng.random() < 0.5:
            notes.append(Note(grid.at(section.first * grid.bar), 1.0, 49, section.force))
        if rng.random() < 0.5:
            notes += drum_fill(rng, grid, (section.first + section.bars) * grid.bar, section.force)
    return notes


def play_layer(
    seed: int,
    name: str,
    style: Style,
    grid: Grid,
    key: Key,
    sections: Sequence[Section],
    chords: list[list[Chord]],
) -> list[Note]:
    """Play a layer through its sections; the same material comes back note for note."""
    notes = []
    densities = np.random.default_rng(seed).uniform(*style.density, 2)
    for section in sections:
        if name in section.layers:
            rng = np.random.default_rng([seed, section.material])
            own = [chords[section.material][bar % 8] for bar in range(section.bars)]
            density = float(densities[section.material])
            first = section.first * grid.bar
            notes += LAYERS[name](rng, Passage(grid, key, first, own, section.force, density))
    return notes


def transposed(notes: list[Note], start: float, shift: int) -> list[Note]:
    """Move the notes from a time on by some semitones."""
    return [note._replace(pitch=note.pitch + shift) if note.start >= start else note for note in notes]


def compose(rng: np.random.Generator, seconds: float, style: Style | None = None) -> Piece:
    """Compose a piece.

    Parameters
    ----------
    rng : np.random.Generator
        Source of chance.
    seconds : float
        Its length.
    style : Style, optional
        By default one is drawn.

    Returns
    -------
    Piece
    """
    style = style or draw_style(rng)
    meter = style.meters[int(rng.integers(len(style.meters)))]
    tempo, swing = rng.uniform(*style.tempo), rng.uniform(*style.swing)
    grid = make_grid(rng, seconds, tempo, meter, swing, rng.uniform(0, style.rubato))
    key = key_of(int(rng.integers(12)), str(rng.choice(style.scales)))
    sections = draw_form(rng, style, grid.bars)
    slow = rng.uniform(0, 0.7)
    chords = [draw_chords(rng, key, 8, style.colour, slow) for _ in range(2)]
    lift = int(rng.choice([0, 0, 0, 0, 0, 1, 2, 3])), grid.at(grid.bars // 2 * grid.bar)
    parts = []
    for name, instruments in style.layers.items():
        instrument = instruments[int(rng.integers(len(instruments)))]
        seed = int(rng.integers(2**31))
        level = LEVELS[name] + rng.normal(0, 3)
        if name == "drums":
            notes = play_drums(np.random.default_rng(seed), style, grid, sections)
        else:
            notes = play_layer(seed, name, style, grid, key, sections, chords)
            notes = transposed(notes, lift[1], lift[0])
        if notes:
            parts.append(Part(instrument, notes, level))
        if notes and name != "drums" and rng.random() < DOUBLED:
            parts.append(Part(instruments[int(rng.integers(len(instruments)))], notes, level - 3))
    return Piece(style, seconds, grid, sections, tuple(parts))
