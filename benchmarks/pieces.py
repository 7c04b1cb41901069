"""Pieces of music to measure with: reading them, cutting moments out of them, and altering them slightly."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
import soxr

import sound_diffusion as sd
from benchmarks.correspondence import recordings
from sound_diffusion.constants import SAMPLE_RATE

MOMENT = 3.0  # seconds of a piece that a picture shows
APART = 4.0  # seconds from the beginning of one moment to that of another one
FILM = 6.0  # seconds of a piece that a film shows
CENTS = 30
Item = TypeVar("Item")


@dataclass(frozen=True)
class Piece:
    """The beginning of a piece of music.

    Attributes
    ----------
    name : str
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples at 44,100 Hz.
    offset : float
        Seconds that are passed over, at least 0.01: where the first moment and the film begin.
    """

    name: str
    y: np.ndarray
    offset: float

    def cut(self, seconds: float, later: float = 0.0) -> np.ndarray:
        """Cut out `seconds` that begin `later` than the offset [shape=(round(44100 * seconds),)]."""
        first = round((self.offset + later) * SAMPLE_RATE)
        return self.y[first : first + round(seconds * SAMPLE_RATE)]

    def moment(self) -> np.ndarray:
        """Cut out the three seconds that pictures show."""
        return self.cut(MOMENT)

    def other_moment(self) -> np.ndarray:
        """Cut out three seconds that begin when the first three have been over for one."""
        return self.cut(MOMENT, APART)

    def film(self) -> np.ndarray:
        """Cut out the six seconds that a film shows."""
        return self.cut(FILM)


def choose(items: Sequence[Item], count: int) -> list[Item]:
    """Choose `count` items, or all if they are fewer, in equal steps."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def read_pieces(folder: Path, offset: float = 1.0) -> list[Piece]:
    """Read the beginnings of pieces.

    Parameters
    ----------
    folder : Path
    offset : float
        Seconds to pass over, at least 0.01.

    Returns
    -------
    list of Piece
        In the order of their names. What is too short for two moments is left out, with a word on it.
    """
    needed = offset + APART + MOMENT
    pieces = [Piece(name, y, offset) for name, y in recordings(folder, needed).items()]
    long_enough = [piece for piece in pieces if len(piece.y) >= round(needed * SAMPLE_RATE)]
    if len(long_enough) < len(pieces):
        print(f"{len(pieces) - len(long_enough)} sounds shorter than {needed:g} s are left out")
    if len(long_enough) < 2:
        raise SystemExit(
            f"{folder}: {len(long_enough)} sounds of {needed:g} s or more, at least 2 are needed"
        )
    return long_enough


def quieter(piece: Piece) -> np.ndarray:
    """The moment, 1 dB down."""
    return piece.moment() * np.float32(10 ** (-1 / 20))


def later(piece: Piece) -> np.ndarray:
    """The moment, heard 10 ms later: it begins that much earlier in the piece."""
    return piece.cut(MOMENT, -0.01)


def higher(piece: Piece) -> np.ndarray:
    """The moment, 30 cents higher: played 1.7% faster."""
    ratio = 2 ** (CENTS / 1200)
    faster = soxr.resample(piece.cut(MOMENT * ratio + 0.01), SAMPLE_RATE * ratio, SAMPLE_RATE)
    return faster[: len(piece.moment())].astype(np.float32)


def through_mp3(piece: Piece) -> np.ndarray:
    """The moment as MP3 at 128 kbit/s has it."""
    import imageio_ffmpeg

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.wav", Path(folder) / "after.mp3"
        soundfile.write(before, piece.y, SAMPLE_RATE, subtype="FLOAT")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(before), "-b:a", "128k"]
        subprocess.run([*command, str(after)], check=True, stdin=subprocess.DEVNULL)
        return Piece(piece.name, sd.load_audio(after), piece.offset).moment()


ALTERATIONS: dict[str, Callable[[Piece], np.ndarray]] = {
    "1 dB quieter": quieter,
    "10 ms later": later,
    f"{CENTS} cents higher": higher,
    "MP3, 128 kbit/s": through_mp3,
}
