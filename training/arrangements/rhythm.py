"""Time: the grid of a piece, its swing and rubato; and the patterns of drums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.arrangements.score import Note

# Drum (General MIDI key): its pattern over a bar of sixteenths; X loud, x normal, o soft, ? now and then.
# `@` in front of a pattern: in triplets.
BEATS: dict[str, dict[int, str]] = {
    "none": {},
    "sparse": {
        36: "X.......?.......", 42: "....o.......o..?", 37: "............?...",
        51: "x...............",
    },
    "rock": {
        36: "X.....?.x.x...?.", 38: "....X.......X..?", 42: "x.o.x.o.x.o.x.o.",
        49: "................",
    },
    "punk": {
        36: "X...x.x.X...x.x.", 38: "..X...X...X...X.", 51: "x.x.x.x.x.x.x.x.",
    },
    "half": {
        36: "X..?..?...x..?..", 38: "........X......?", 42: "x.oox.o?x.oox.oo",
        46: "..............?.",
    },
    "house": {
        36: "X...X...X...X...", 39: "....X.......X...", 46: "..x...x...x...x.",
        42: "o.?oo.?oo.?oo.?o",
    },
    "trance": {
        36: "X...X...X...X...", 38: "....x.......x..?", 42: "oox.oox.oox.oox.",
        46: "..X...X...X...X.",
    },
    "break": {
        36: "X.x....?..x..?..", 38: "....X..o.o..X..o", 42: "x.x.x.x.x.x.x.x.",
        51: "?...?...?...?...",
    },
    "funk": {
        36: "X..x..?...x..?..", 38: "....X..o.o.oX..o", 42: "xoxoxoxoxoxoxoxo",
        46: "..............x.",
    },
    "latin": {
        36: "X..xX..xX..xX..x", 37: "x..x..x...x..x..", 42: "xoxxxoxxxoxxxoxx",
        64: "..x...xx..x...xx", 60: "....?.......?...",
    },
    "shaker": {
        70: "Xoxoxoxoxoxoxoxo", 36: "X.......x.......", 54: "....x.......x...",
        37: "......?.......?.",
    },
    "hands": {
        61: "X..x..x.X..x.?..", 60: "..o..o.x..o.x.oo", 64: "x...x......x....",
        70: "o.o.o.o.o.o.o.o.", 45: "X.......?.......",
    },
    "march": {
        36: "X.......X.......", 38: "x..oX..ox.ooX.oo", 49: "?...............",
    },
    "orchestra": {
        36: "X.............?.", 41: "X.....?.......??", 45: "........?...?.x.",
        49: "?...............", 38: "............????",
    },
    "jazz": {
        51: "@X..x.xX..x.x", 42: "@...x.....x..", 36: "@?..?..?..?..",
        38: "@.....?..?..?",
    },
    "brushes": {
        38: "@xooxooxooxoo", 51: "@x..x..x..x..", 36: "@o.....o.....",
    },
}  # fmt: skip
FORCE = {"X": 1.0, "x": 0.8, "o": 0.45, "?": 0.7}
FILL = (38, 48, 45, 41)


@dataclass(frozen=True)
class Grid:
    """Bars, beats and steps, and when they are.

    Attributes
    ----------
    beats, steps : int
        Beats a bar, steps a beat.
    times : np.ndarray [shape=(number of steps + 1,)]
        Seconds of every step.
    """

    beats: int
    steps: int
    times: np.ndarray

    @property
    def bar(self) -> int:
        """Steps a bar."""
        return self.beats * self.steps

    @property
    def bars(self) -> int:
        """Whole bars."""
        return (len(self.times) - 1) // self.bar

    def at(self, position: float) -> float:
        """Return the time in seconds of a position in steps."""
        return float(np.interp(position, np.arange(len(self.times)), self.times))


def make_grid(
    rng: np.random.Generator,
    seconds: float,
    tempo: float,
    meter: tuple[int, int],
    swing: float = 0.0,
    rubato: float = 0.0,
) -> Grid:
    """Lay out the steps of a piece that lasts some seconds."""
    beats, steps = meter
    step = 60 / tempo / min(steps, 4) if steps != 2 else 30 / tempo
    count = int(np.ceil(seconds / step)) + beats * steps
    lengths = np.full(count, step)
    if rubato:
        knots = rng.standard_normal(count // (2 * steps) + 3)
        lengths *= np.exp(rubato * np.interp(np.arange(count) / (2 * steps), np.arange(len(knots)), knots))
    times = np.concatenate([[0.0], np.cumsum(lengths)])
    if swing and steps == 4:  # every second eighth is late, and the sixteenths around it make room
        eighth = 2 * step
        shift = np.array([0, 0.5, 1, 0.5]) if rng.random() < 0.6 else np.array([0, 0.5, 0, 0.5])
        times += np.resize(shift, len(times)) * swing * eighth
    return Grid(beats, steps, times)


def drum_bar(
    rng: np.random.Generator, grid: Grid, first: int, beat: dict[int, str], density: float, force: float
) -> list[Note]:
    """Play one bar of a drum pattern."""
    notes = []
    for key, text in beat.items():
        pattern = text.removeprefix("@")
        per_beat = 3 if pattern is not text else max(grid.steps, 4)
        for index in range(grid.beats * per_beat):
            mark = pattern[index % len(pattern)]
            if mark == "." or (mark in "?o" and rng.random() > density):
                continue
            position = first + index * grid.steps / per_beat
            velocity = np.clip(force * FORCE[mark] * rng.normal(1, 0.07), 0.05, 1)
            late = max(0.0, grid.at(position) + rng.normal(0, 0.004))
            notes.append(Note(late, 0.2, key, float(velocity)))
    return notes


def drum_fill(rng: np.random.Generator, grid: Grid, end: int, force: float) -> list[Note]:
    """Roll over the toms in the last beats before a position."""
    length = int(rng.integers(1, 3)) * grid.steps
    return [
        Note(grid.at(end - length + i), 0.2, FILL[i * len(FILL) // length], force * rng.uniform(0.6, 1))
        for i in range(length)
        if rng.random() < 0.8
    ]
