"""Styles: which instruments play what, how fast, how densely, and how it is mixed."""

from __future__ import annotations

from dataclasses import dataclass

Instruments = tuple[int | str, ...]
Range = tuple[float, float]

PIANOS = (0, 1, 2, 4, 5)
STRINGS = (48, 49, 44, 50)
CHIPS = ("pulse12", "pulse25", "pulse50")
CHIP_BASS = ("steps", "steps", "square bass")
LEADS = ("saw lead", "pulse25", "triangle lead", "whistle", "voice", 80, 81, 84, 87)
SYNTH_PADS = ("saw pad", "glass pad", "choir", 88, 89, 90, 91, 94, 95)
SYNTH_BASS = ("saw bass", "sub", "acid", "square bass", "fm bass", 38, 39, 87)
MACHINES = ("drums machine", "kit 25", "kit 24")


@dataclass(frozen=True)
class Style:
    """A kind of music.

    Attributes
    ----------
    name : str
    weight : float
        How often it is drawn, relative to the others.
    tempo : (float, float)
        Beats a minute.
    meters : tuple of (int, int)
        Beats a bar, and steps a beat (4 for sixteenths, 3 for triplets, 6 for compound beats).
    scales : tuple of str
        Keys of :data:`training.arrangements.harmony.SCALES`.
    layers : dict
        Instruments of ``bass``, ``chords``, ``pad``, ``arpeggio``, ``melody``, ``counter``, ``drums``.
    beats : tuple of str
        Keys of :data:`training.arrangements.rhythm.BEATS`.
    swing : (float, float)
        Delay of every second eighth or sixteenth, of its length.
    colour : float
        Share of chords with more than three tones.
    density : (float, float)
        Notes of the figures, 0 (a few) to 1 (all).
    rubato : float
        How far the tempo wanders.
    gap : float
        Probability that a layer of a section is silent.
    pumping : (float, float)
        Decibels by which the bass drum turns down the rest.
    bright : float
        Decibels an octave by which it is brighter than others.
    gain, room, seconds, drive : (float, float)
        Of the mastering, see :class:`training.arrangements.mastering.Master`.
    """

    name: str
    weight: float
    tempo: Range
    layers: dict[str, Instruments]
    meters: tuple[tuple[int, int], ...] = ((4, 4),)
    scales: tuple[str, ...] = ("major", "minor")
    beats: tuple[str, ...] = ("rock",)
    swing: Range = (0.0, 0.0)
    colour: float = 0.15
    density: Range = (0.2, 0.9)
    rubato: float = 0.0
    gap: float = 0.2
    pumping: Range = (0.0, 0.0)
    bright: float = 0.0
    gain: Range = (-2.0, 3.0)
    room: Range = (-26.0, -8.0)
    seconds: Range = (0.4, 2.0)
    drive: Range = (-24.0, -4.0)


STYLES = (
    Style(
        "orchestral", 1.6, (60, 150),
        {
            "bass": (43, 42, 58, 70), "chords": (48, 61, 45, 60), "pad": (48, 49, 52, 44),
            "arpeggio": (46, 45, 48),
            "melody": (73, 68, 71, 56, 60, 40, 48), "counter": (42, 60, 71, 48),
            "drums": ("kit 48", "kit 0"),
        },
        meters=((4, 4), (3, 4), (2, 6)),
        scales=("minor", "major", "harmonic minor", "dorian", "lydian"),
        beats=("orchestra", "march", "none"), rubato=0.04, room=(-14, -4),
        seconds=(1.2, 3.5),
        bright=-1, gain=(-6, 1),
    ),
    Style(
        "rock", 1.2, (85, 180),
        {
            "bass": (33, 34, 35), "chords": (29, 30, 27, 18), "pad": (16, 18, 48),
            "arpeggio": (27, 28, 25),
            "melody": (30, 29, 81, 66, 26), "counter": (29, 16, 27),
            "drums": ("kit 0", "kit 16", "kit 8"),
        },
        scales=("minor", "major", "mixolydian", "dorian", "phrygian"), beats=("rock", "punk", "half"),
        room=(-28, -14), density=(0.4, 1),
        bright=0.5, gain=(0, 8), drive=(-12, 4),
    ),
    Style(
        "electronic", 1.8, (95, 178),
        {
            "bass": SYNTH_BASS, "chords": ("super saw", "fm keys", "pluck", 81, 62), "pad": SYNTH_PADS,
            "arpeggio": ("pluck", "acid", "fm bell", "pulse25", 80), "melody": LEADS,
            "counter": ("fm bell", "choir", "triangle lead", "pluck"), "drums": MACHINES,
        },
        scales=("minor", "dorian", "phrygian", "major"), beats=("house", "break", "half", "trance"),
        pumping=(0, 14), room=(-26, -10), density=(0.4, 1),
        bright=0.5, gain=(-1, 7), drive=(-16, 0),
    ),
    Style(
        "chiptune", 1.3, (100, 200),
        {
            "bass": CHIP_BASS, "chords": CHIPS, "arpeggio": CHIPS, "melody": CHIPS, "counter": CHIPS,
            "drums": ("drums console",),
        },
        scales=("major", "minor", "harmonic minor", "mixolydian"),
        beats=("rock", "punk", "house", "latin"), room=(-60, -16), density=(0.5, 1),
    ),
    Style(
        "ambient", 1.3, (50, 90),
        {
            "bass": ("sub", 43, 32), "pad": (*SYNTH_PADS, 92, 93, 97, 99, 52),
            "chords": ("glass pad", 11, 14, 4),
            "arpeggio": ("fm bell", 11, 12, 98, 46), "melody": ("whistle", "voice", 75, 77, 73, 8, 79),
            "counter": ("choir", "fm bell", 99, 96), "drums": ("drums machine", "kit 0"),
        },
        scales=("lydian", "dorian", "minor", "major"), beats=("sparse", "none", "none"),
        colour=0.6, gap=0.4,
        density=(0.05, 0.45), rubato=0.05, room=(-10, 0), seconds=(2, 5),
        bright=-0.7, gain=(-8, 1),
    ),
    Style(
        "jazz", 1.0, (70, 220),
        {
            "bass": (32, 32, 33), "chords": (0, 4, 26, 16), "melody": (66, 65, 56, 59, 11, 71, 0, 26),
            "counter": (57, 11, 64), "pad": (48, 60), "drums": ("kit 40", "kit 32"),
        },
        meters=((4, 4), (4, 4), (3, 4), (5, 4)), scales=("dorian", "major", "mixolydian", "minor"),
        beats=("jazz", "latin", "brushes"), swing=(0.2, 0.36), colour=0.9, density=(0.4, 1),
        room=(-22, -10),
        gain=(-4, 3),
    ),
    Style(
        "folk", 1.0, (70, 160),
        {
            "bass": (32, 43, 58), "chords": (24, 25, 21, 105), "arpeggio": (24, 46, 15, 25, 107),
            "melody": (40, 72, 73, 75, 78, 110, 22, 109, 104), "counter": (22, 40, 71, 105),
            "pad": (20, 21, 49),
            "drums": ("kit 0",),
        },
        meters=((4, 4), (3, 4), (2, 6), (7, 2)), beats=("shaker", "march", "none", "hands"),
        scales=("major", "dorian", "mixolydian", "minor", "phrygian dominant"), swing=(0, 0.15),
        room=(-24, -8),
    ),
    Style(
        "piano", 0.8, (55, 150),
        {"bass": (0, 0, 1), "arpeggio": (0, 0, 2), "chords": (0, 0, 3), "melody": (0, 0, 1)},
        meters=((4, 4), (3, 4), (2, 6)), scales=("major", "minor", "lydian", "harmonic minor"),
        beats=("none",),
        colour=0.4, rubato=0.08, gap=0.3, density=(0.1, 0.9), room=(-20, -6),
        seconds=(0.8, 3),
        bright=-1, gain=(-6, 1),
    ),
    Style(
        "funk", 0.8, (85, 125),
        {
            "bass": (36, 37, 33, "saw bass"), "chords": (28, 7, 4, 16, 17),
            "melody": (61, 56, 66, 81, 62),
            "counter": (61, 11, 27), "pad": (50, 48, "saw pad"), "arpeggio": (7, 28, 12),
            "drums": ("kit 8", "kit 0"),
        },
        scales=("dorian", "mixolydian", "minor"), beats=("funk", "house", "break"), swing=(0, 0.2),
        colour=0.7,
        density=(0.5, 1), room=(-30, -14),
        bright=0.3, gain=(0, 6),
    ),
    Style(
        "world", 0.9, (70, 150),
        {
            "bass": (43, 32, "sub"), "chords": (15, 107, 104, 46, 24),
            "arpeggio": (12, 13, 108, 114, 46, 15),
            "melody": (77, 111, 75, 78, 104, 106, 79), "counter": (13, 108, 77),
            "pad": (52, 53, 49, 91),
            "drums": ("kit 0", "kit 48"),
        },
        meters=((4, 4), (7, 2), (3, 4), (5, 2)), beats=("hands", "hands", "shaker", "latin"),
        density=(0.3, 1),
        scales=("phrygian dominant", "dorian", "harmonic minor", "mixolydian"),
    ),
    Style(
        "hip hop", 0.8, (68, 100),
        {
            "bass": ("sub", "sub", 33, 38), "chords": (4, 0, 24, "fm keys", "pluck"), "pad": SYNTH_PADS,
            "arpeggio": (11, 46, "fm bell"), "melody": (73, 11, "voice", 4, "whistle", 56),
            "counter": ("choir", 48), "drums": ("kit 25", "drums machine", "kit 0"),
        },
        scales=("minor", "dorian", "phrygian"), beats=("half", "break", "funk"), swing=(0, 0.25),
        colour=0.6,
        pumping=(0, 8), room=(-28, -12),
        gain=(0, 7),
    ),
    Style(
        "dark", 0.9, (55, 130),
        {
            "bass": (43, "saw bass", "sub", 44), "pad": ("saw pad", "choir", 48, 91, 97, 101),
            "chords": (61, 44, 19),
            "arpeggio": ("acid", 45, 12), "melody": (68, 42, 70, "voice", 19),
            "counter": (14, 102, "glass pad"),
            "drums": ("kit 48", "drums machine", "kit 16"),
        },
        scales=("phrygian", "harmonic minor", "minor"), beats=("sparse", "orchestra", "half"), gap=0.35,
        density=(0.1, 0.7), room=(-14, -3), seconds=(1.5, 4.5),
        bright=-1.2, gain=(-4, 3),
    ),
)  # fmt: skip
