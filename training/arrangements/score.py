"""Notes and parts, written as a Standard MIDI File and played by fluidsynth with a General MIDI soundfont."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sound_diffusion.constants import SAMPLE_RATE

DRUM_CHANNEL = 9
MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
DIVISION = 480  # ticks a quarter note; at MIDI's default tempo, half a second, 960 ticks are one second
TICKS_A_SECOND = 2 * DIVISION
# Debian's fluid-soundfont-gm (MIT licence); SOUNDFONT names another file.
SOUNDFONT = Path(os.environ.get("SOUNDFONT", "/usr/share/sounds/sf2/FluidR3_GM.sf2"))

# No reverberation, no chorus; of the soundfont only the samples that are played are read.
OPTIONS = f"-ni -q -R 0 -C 0 -g 0.6 -o synth.dynamic-sample-loading=1 -T wav -O s16 -r {SAMPLE_RATE}".split()


class Note(NamedTuple):
    """One note: start and duration in seconds, MIDI pitch (60 is middle C), velocity from 0 to 1."""

    start: float
    duration: float
    pitch: float
    velocity: float


@dataclass(frozen=True)
class Part:
    """What one instrument plays.

    Attributes
    ----------
    instrument : int or str
        A General MIDI program (0 to 127), ``kit 0`` to ``kit 127`` for a General MIDI drum kit, or the
        name of an instrument of :mod:`training.arrangements.electronics`.
    notes : list of Note
    level : float
        Decibels relative to the other parts.
    """

    instrument: int | str
    notes: list[Note]
    level: float = 0.0

    @property
    def sampled(self) -> bool:
        """Whether the soundfont plays it."""
        return isinstance(self.instrument, int) or self.instrument.startswith("kit ")

    @property
    def percussive(self) -> bool:
        """Whether its pitches name drums."""
        return isinstance(self.instrument, str) and self.instrument.startswith(("kit", "drums"))


def missing_tools() -> str | None:
    """Say what is missing to play a soundfont, or return None."""
    if shutil.which("fluidsynth") is None:
        return "fluidsynth is not installed (Debian: apt-get install fluidsynth)"
    if not SOUNDFONT.exists():
        return f"{SOUNDFONT}: no such soundfont (Debian: apt-get install fluid-soundfont-gm)"
    return None


def variable_length(value: int) -> bytes:
    """Write a number as MIDI does: seven bits a byte, the highest first, all but the last marked."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | value & 0x7F)
    return bytes(reversed(groups))


def part_events(part: Part, channel: int) -> list[tuple[int, int, bytes]]:
    """List the events of a part as (tick, order at this tick, message)."""
    program = part.instrument if isinstance(part.instrument, int) else int(part.instrument.split()[1])
    volume = int(np.clip(round(90 * 10 ** (part.level / 40)), 0, 127))  # CC 7 is quadratic in amplitude
    events = [(0, 0, bytes([0xC0 | channel, program])), (0, 0, bytes([0xB0 | channel, 7, volume]))]
    for start, duration, pitch, velocity in part.notes:
        key, force = int(np.clip(round(pitch), 0, 127)), int(np.clip(round(127 * velocity), 1, 127))
        begin = max(0, round(start * TICKS_A_SECOND))
        end = max(begin + 1, round((start + duration) * TICKS_A_SECOND))
        events.append((begin, 2, bytes([0x90 | channel, key, force])))
        events.append((end, 1, bytes([0x80 | channel, key, 0])))
    return events


def midi_file(parts: Sequence[Part]) -> bytes:
    """Write parts as a Standard MIDI File of one track.

    Parameters
    ----------
    parts : sequence of Part
        At most 15 with pitches; those with drums share channel 10.
    """
    channels = iter(MELODIC_CHANNELS)
    events = [
        event
        for part in parts
        for event in part_events(part, DRUM_CHANNEL if part.percussive else next(channels))
    ]
    track, now = bytearray(), 0
    for tick, _, message in sorted(events):
        track += variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + b"\x00\x00\x00\x01" + DIVISION.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + bytes(track)


def play(parts: Sequence[Part], length: int) -> np.ndarray:
    """Play parts with the soundfont, dry.

    Parameters
    ----------
    parts : sequence of Part
        All of them `sampled`.
    length : int
        Samples.

    Returns
    -------
    np.ndarray [shape=(length,), dtype=float64]
        Mono, without reverberation; the level is that of fluidsynth's gain of 0.6.

    Raises
    ------
    RuntimeError
        If fluidsynth or the soundfont is missing, or fails.
    """
    if reason := missing_tools():
        raise RuntimeError(reason)
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "piece.mid"), Path(folder, "piece.wav")
        midi.write_bytes(midi_file(parts))
        command = ["fluidsynth", *OPTIONS, "-F", str(wav), str(SOUNDFONT), str(midi)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not wav.exists():
            raise RuntimeError(f"fluidsynth failed ({done.returncode}): {done.stderr.strip()}")
        y = soundfile.read(wav, dtype="float64", always_2d=True)[0].mean(1)[:length]
    return np.pad(y, (0, length - len(y)))
