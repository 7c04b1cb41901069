"""Make examples/song.ogg: a piece of half a minute that has what shows a film well.

    python -m training.song

A quiet beginning on the piano, a beat that comes in, chords that change every bar, a break with a rise,
a drop, and an end that rings out. Composed here note by note, played and mastered by training.arrangements.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from sound_diffusion.constants import SAMPLE_RATE
from training.arrangements import electronics, score
from training.arrangements.mastering import Master, finish
from training.arrangements.pieces import pumping
from training.arrangements.score import Note, Part

PATH = Path(__file__).resolve().parent.parent / "examples" / "song.ogg"
BEAT = 60 / 126  # seconds
BARS = 14
RING = 2.6  # seconds that the last chord rings
SEED = 126
QUALITY = 0.45  # of Ogg Vorbis, 0 to 1

# Every bar's bass and chord, as MIDI pitches; the last one is the end.
D_MINOR, B_FLAT, F_MAJOR, C_MAJOR = (38, 57, 62, 65), (34, 58, 62, 65), (41, 57, 60, 65), (36, 55, 60, 64)
G_MINOR, A_SEVENTH, D_NINTH = (43, 58, 62, 67), (45, 57, 61, 67), (38, 57, 64, 65)
CHORDS = (D_MINOR, B_FLAT, F_MAJOR, C_MAJOR) * 2 + (
    G_MINOR,
    A_SEVENTH,
    D_MINOR,
    B_FLAT,
    F_MAJOR,
    C_MAJOR,
    D_NINTH,
)
QUIET, BEATEN, BREAK, DROP = range(2), range(4, 8), range(8, 10), range(10, 14)
BREATH = 39.5  # beat at which all holds its breath before the drop
# The tune over four bars: (beat, beats, pitch).
TUNE = (
    (0, 1.5, 81), (1.5, 0.5, 79), (2, 1, 77), (3, 1, 76), (4, 1.5, 77), (5.5, 0.5, 74), (6, 1.8, 74),
    (8, 1, 81), (9, 1, 84), (10, 1.5, 81), (11.5, 0.5, 79), (12, 2, 79), (14, 1, 76), (15, 1, 77),
)  # fmt: skip


@dataclass(frozen=True)
class Track:
    """A part and its place between left (-1) and right (1); drums are not turned down by the bass drum."""

    part: Part
    pan: float = 0.0


def note(beat: float, beats: float, pitch: float, velocity: float) -> Note:
    """Place a note by beats."""
    return Note(beat * BEAT, beats * BEAT, pitch, velocity)


def until_breath(beat: float, beats: float) -> float:
    """Shorten a note that would sound into the silence before the drop."""
    return min(beats, BREATH - beat) if beat < BREATH else beats


def piano() -> list[Note]:
    """Break the chords in eighths, softly; louder with the beat; silent in the drop; the last chord."""
    notes = []
    for bar in [*range(8), *BREAK]:
        bass, *chord = CHORDS[bar]
        order = (bass + 12, *chord, chord[0] + 12, chord[2], chord[1], chord[0])
        force = 0.38 if bar in QUIET else 0.5 if bar in (2, 3) else 0.66 if bar in BEATEN else 0.45
        for step, pitch in enumerate((*order, order[1])[:8]):
            accent = force + (0.1 if step == 0 else 0.03 * (step % 2))
            if (beat := 4 * bar + step / 2) != BREATH:
                notes.append(note(beat, until_breath(beat, 1.4), pitch, accent))
    return notes + [note(4 * BARS, 5, pitch, 0.6) for pitch in (26, *D_NINTH, 69, 74)]


def held(bars: Iterable[int], velocity: float, shift: int = 0) -> list[Note]:
    """Hold the chords of some bars."""
    return [
        note(4 * bar, until_breath(4 * bar, 4.1), pitch + shift, velocity)
        for bar in bars
        for pitch in CHORDS[bar][1:]
    ]


def tune(first: int, velocity: float, shift: int = 0) -> list[Note]:
    """Sing the tune from a bar on."""
    return [note(4 * first + beat, beats, pitch + shift, velocity) for beat, beats, pitch in TUNE]


def bass() -> list[Note]:
    """Roots off the beat in eighths; in the drop sixteenths; held in the break and at the end."""
    notes = []
    for bar in BEATEN:
        notes += [note(4 * bar + step / 2, 0.45, CHORDS[bar][0], 0.8) for step in range(8)]
    for bar in DROP:
        steps = [step for step in range(16) if step % 4]
        notes += [
            note(4 * bar + step / 4, 0.24, CHORDS[bar][0] + 12 * (step % 8 == 6), 0.9) for step in steps
        ]
    notes += [note(4 * bar, until_breath(4 * bar, 3.9), CHORDS[bar][0], 0.5) for bar in BREAK]
    return [*notes, note(4 * BARS, 4, 26, 0.8)]


def stabs() -> list[Note]:
    """Strike the chords of the drop in the rhythm 3 3 2."""
    return [
        note(4 * bar + beat, 0.6, pitch + 12, 0.8)
        for bar in DROP
        for beat in (0, 0.75, 1.5, 2, 2.75, 3.5)
        for pitch in CHORDS[bar][1:]
    ] + [note(4 * BARS, 3, pitch + 12, 0.6) for pitch in D_NINTH[1:]]


def sparkle() -> list[Note]:
    """Break the chords in sixteenths, high up, in the second half of the beat and in the drop."""
    notes = []
    for bar in (6, 7, *DROP):
        chord = CHORDS[bar][1:]
        notes += [
            note(4 * bar + step / 4, 0.3, chord[step % 3] + 24, 0.35 + 0.2 * (step % 3 == 0))
            for step in range(16)
        ]
    return notes


def drums() -> list[Note]:
    """Bass drum on every beat, clap on two and four, open hat between; a roll through the break's end."""
    notes = [note(14 + step / 2, 0.2, 42, 0.2 + 0.07 * step) for step in range(4)]
    for bar in (*BEATEN, *DROP):
        full = bar in DROP
        notes += [note(4 * bar + beat, 0.2, 36, 1.0) for beat in range(4)]
        notes += [note(4 * bar + beat, 0.2, 39, 0.75) for beat in (1, 3)]
        notes += [note(4 * bar + beat + 0.5, 0.2, 46, 0.6 if full else 0.45) for beat in range(4)]
        notes += [note(4 * bar + step / 4, 0.1, 42, 0.4) for step in range(16) if full and step % 4 != 2]
    notes += [note(36 + step / 2, 0.1, 38, 0.3 + 0.05 * step) for step in range(4)]
    notes += [note(38 + step / 4, 0.1, 38, 0.5 + 0.06 * step) for step in range(6)]
    notes += [note(4 * bar, 1, 49, force) for bar, force in ((4, 0.6), (10, 1.0), (12, 0.6), (14, 0.9))]
    return [*notes, note(4 * BARS, 1, 36, 1.0)]


TRACKS = (
    Track(Part(0, piano(), 3), -0.2),
    Track(Part(48, held(range(2, 4), 0.35) + held(BEATEN, 0.4) + held(BREAK, 0.55, 12), -1), 0.3),
    Track(Part("glass pad", held([0, 1, *BREAK], 0.5, 12), -13), 0.5),
    Track(Part("sub", bass(), -1)),
    Track(Part("saw bass", [n for n in bass() if n.start >= 4 * DROP[0] * BEAT], -6), 0.1),
    Track(Part("triangle lead", tune(4, 0.7), -5), 0.25),
    Track(Part("saw lead", tune(10, 0.8), -2), 0.15),
    Track(Part(8, tune(10, 0.7, 12), 2), -0.4),
    Track(Part("super saw", stabs(), -1), -0.1),
    Track(Part("pluck", sparkle(), -6), -0.5),
)


def rise(length: int, rng: np.random.Generator) -> np.ndarray:
    """Noise that rises through the break up to the breath before the drop [shape=(length,)]."""
    y, start = np.zeros(length), 4 * BREAK[0]
    n = round((BREATH - start) * BEAT * SAMPLE_RATE)
    noise, course = rng.standard_normal(n), np.linspace(0, 1, n)
    low = electronics.low_pass(noise, 900)
    high = electronics.high_pass(electronics.low_pass(noise, 10_000), 2500)
    electronics.add_at(y, 0.05 * course**2 * (low * (1 - course) + high * course), start * BEAT)
    return y


def mix(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Play all tracks and add them up, dry [two of shape=(length,)]: left and right."""
    rng = np.random.default_rng(SEED)
    beat = 0.7 * electronics.play(Part("drums machine", drums()), length, rng)
    tonal = np.zeros((2, length))
    for track in TRACKS:
        part = track.part
        y = score.play([part], length) if part.sampled else electronics.play(part, length, rng)
        angle = np.pi / 4 * (1 + track.pan)
        tonal += np.outer([np.cos(angle), np.sin(angle)], y) * np.sqrt(2)
    kicks = [n.start for n in drums() if n.pitch == 36]
    tonal = (tonal + rise(length, rng)) * pumping(kicks, length, 9)
    return beat + tonal[0], beat + tonal[1]


def make_song() -> np.ndarray:
    """Make the song.

    Returns
    -------
    np.ndarray [shape=(n, 2), dtype=float32]
        Left and right at 44,100 Hz, in [-0.97, 0.97].

    Raises
    ------
    RuntimeError
        If fluidsynth or its soundfont is missing.
    """
    length = round((4 * BARS * BEAT + RING) * SAMPLE_RATE)
    master = Master(peak=-1, gain=2.5, room=-15, seconds=1.8, slope=-5.5, match=0.3, drive=-10, ratio=1.3)
    sides = [finish(y, master, np.random.default_rng([SEED, side])) for side, y in enumerate(mix(length))]
    fall = np.ones(length)
    tail = round(1.2 * SAMPLE_RATE)
    fall[-tail:] = np.cos(np.linspace(0, np.pi / 2, tail)) ** 2
    return np.stack(sides, 1) * fall[:, None].astype(np.float32)


def main(argv: list[str] | None = None) -> None:
    """Write the song as Ogg Vorbis."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=PATH, help="the file (default: %(default)s)")
    options = parser.parse_args(argv)
    song = make_song()
    settings = {"format": "OGG", "subtype": "VORBIS", "compression_level": 1 - QUALITY}
    soundfile.write(options.out, song, SAMPLE_RATE, **settings)
    print(options.out)


if __name__ == "__main__":
    main()
