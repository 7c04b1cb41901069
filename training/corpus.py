"""Make a corpus of music and voices, and draw training sounds from it.

    python -m training.corpus --count 640 --out training/work/corpus

Pieces are mono, 44,100 Hz, 16 bit, one .npy file each. The same command continues where it stopped.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt

from sound_diffusion.constants import SAMPLE_RATE
from training.arrangements import render_piece
from training.fields import draw_field
from training.sounds import draw_sound, log_uniform
from training.voices import render_voice

FOLDER = Path(__file__).parent / "work" / "corpus"
SECONDS = 30.0  # of a piece
VOICES = 8  # every so many pieces there is one of speech or song
SHARES = {"music": 0.55, "sound": 0.3, "voice": 0.07, "field": 0.08}


@dataclass(frozen=True)
class Corpus:
    """Pieces on disk.

    Attributes
    ----------
    music, voices : tuple of Path
        Files of samples [shape=(n,), dtype=int16].
    """

    music: tuple[Path, ...]
    voices: tuple[Path, ...]


@cache
def open_corpus(folder: Path) -> Corpus:
    """Find the pieces of a corpus.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    corpus = Corpus(tuple(sorted(folder.glob("music_*.npy"))), tuple(sorted(folder.glob("voice_*.npy"))))
    if not corpus.music or not corpus.voices:
        raise FileNotFoundError(f"{folder}: no corpus; run: python -m training.corpus --out {folder}")
    return corpus


def draw_window(rng: np.random.Generator, pieces: tuple[Path, ...], seconds: float) -> np.ndarray:
    """Cut a window out of a piece; now and then it begins before the piece or ends after it [shape=(n,)]."""
    piece = np.load(pieces[int(rng.integers(len(pieces)))], mmap_mode="r")
    length = max(64, round(SAMPLE_RATE * seconds))
    hang = length // 2 if rng.random() < 0.06 else 0
    start = int(rng.integers(-hang, max(1, len(piece) - length + hang + 1)))
    y = np.zeros(length, np.float32)
    begin, end = max(start, 0), min(start + length, len(piece))
    y[begin - start : end - start] = piece[begin:end].astype(np.float32) / 32_768
    return y


def cut_above(y: np.ndarray, frequency: float) -> np.ndarray:
    """Leave nothing above a frequency in hertz, as lossy files do."""
    spectrum = np.fft.rfft(y)
    spectrum[np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE) > frequency] = 0
    return np.fft.irfft(spectrum, len(y))


def varied(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Vary a window: gain, band limits, polarity, a silent beginning or end."""
    if rng.random() < 0.5:
        y = y * 10 ** (rng.uniform(-10, 4) / 20)
    kind = rng.random()
    if kind < 0.08:  # old recordings, telephones
        low, high = log_uniform(rng, 60, 400), log_uniform(rng, 2500, 10_000)
        y = sosfilt(butter(2, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos"), y)
    elif kind < 0.6:
        y = cut_above(y, max(4000, 20_500 - rng.exponential(4500)))
    if rng.random() < 0.04:
        cut = int(rng.uniform(0.1, 0.9) * len(y))
        y = y.copy()
        y[slice(cut, None) if rng.random() < 0.4 else slice(cut)] = 0
    return (rng.choice([-1, 1]) * y / max(1.0, np.abs(y).max())).astype(np.float32)


def draw(rng: np.random.Generator, seconds: float | None = None, folder: Path | None = None) -> np.ndarray:
    """Draw a training sound: music, a single sound, a voice or a field of noise, by :data:`SHARES`.

    Parameters
    ----------
    rng : np.random.Generator
        Source of chance; the same state, length and corpus give the same sound.
    seconds : float, optional
        Its length; by default drawn from 0.75 to 10 s.
    folder : Path, optional
        The corpus; by default :data:`FOLDER`.

    Returns
    -------
    np.ndarray [shape=(round(44100 * seconds),), dtype=float32]
        Mono, in [-1, 1].

    Raises
    ------
    FileNotFoundError
        If there is no corpus.
    """
    if seconds is None:
        seconds = log_uniform(rng, 0.75, 10)
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    if kind == "sound":
        return draw_sound(rng, seconds)
    if kind == "field":
        return draw_field(rng, seconds)
    corpus = open_corpus(folder or FOLDER)
    return varied(rng, draw_window(rng, corpus.music if kind == "music" else corpus.voices, seconds))


def write_piece(index: int, folder: Path, seconds: float) -> Path:
    """Make and write the piece of an index, unless it is there; it appears only when it is whole."""
    voice = index % VOICES == VOICES - 1
    path = folder / f"{'voice' if voice else 'music'}_{index:05d}.npy"
    if not path.exists():
        y = (render_voice if voice else render_piece)(index, seconds)
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.save(file, np.round(y * 32_767).astype(np.int16))
        beside.rename(path)
    return path


def main(argv: list[str] | None = None) -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=640, help="pieces (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of a piece (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    write = partial(write_piece, folder=options.out, seconds=options.seconds)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for path in pool.imap(write, range(options.count)):
            print(path, flush=True)


if __name__ == "__main__":
    main()
