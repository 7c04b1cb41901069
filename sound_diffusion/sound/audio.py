"""Sounds: a file of any kind becomes mono float32 samples at 44,100 Hz, whole or as a stream of blocks."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import math
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sound_diffusion.constants import LARGEST_SAMPLE, SAMPLE_RATE
from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.sound.containers import find_parts
from sound_diffusion.sound.decoding import Decoder
from sound_diffusion.typing import FloatArray

logger = logging.getLogger(__name__)

# Of ffmpeg, for a film: not every encoder takes more than two channels.
STEREO = "aformat=channel_layouts=mono|stereo"
ADDRESS = re.compile(r"(https?|ftp):/+(.+)", re.IGNORECASE | re.DOTALL)  # a Path has one / of the two


def load_audio(path: str | Path, *, offset: float = 0.0, duration: float | None = None) -> FloatArray:
    """Read a sound.

    Whatever ffmpeg decodes is read, up to where the decoder ends. Formats without loss (wav, flac, aiff, ...)
    give the same samples as ``librosa.load(path, sr=44100)``. What is cut or damaged is used as far as it
    goes, with a warning that says what is missing.

    Parameters
    ----------
    path : str or Path
        The file.
    offset : float
        Seconds to skip.
    duration : float, optional
        Seconds to read at the most. If None, up to the end.

    Returns
    -------
    y : np.ndarray [shape=(n,), dtype=float32]
        The mean of the channels at 44,100 Hz; files keep their samples in [-1, 1]. n is at least 1.

    Raises
    ------
    AudioError
        If the file is missing, empty, has no sound in it, holds NaN or infinite samples, or ends before
        `offset`.
    ParameterError
        If `offset` is negative or `duration` not positive.
    """
    return np.concatenate(list(stream_audio(path, offset=offset, duration=duration)))


def stream_audio(
    path: str | Path, *, offset: float = 0.0, duration: float | None = None, warn: bool = True
) -> Iterator[FloatArray]:
    """Read a sound in blocks, in memory that does not grow with its length.

    Parameters
    ----------
    path, offset, duration
        As for :func:`load_audio`.
    warn : bool
        Whether a warning says what is wrong with the sound. False for who reads it a second time.

    Yields
    ------
    block : np.ndarray [shape=(n,), dtype=float32]
        Together, the blocks are the samples that :func:`load_audio` returns.

    Raises
    ------
    AudioError, ParameterError
        As :func:`load_audio`.
    """
    for rate, blocks in _decode(Path(path), _Stretch(offset, duration), warn=warn):
        yield from _resample((_mean_of_channels(Path(path), block) for block in blocks), rate)


@contextlib.contextmanager
def open_stereo(
    path: Path, *, offset: float = 0.0, duration: float | None = None
) -> Iterator[tuple[int, int, Iterator[FloatArray]]]:
    """Open the same stretch of a sound as :func:`stream_audio` does, for who listens to it.

    Parameters
    ----------
    path, offset, duration
        As for :func:`load_audio`. What is wrong with the sound is not said again.

    Yields
    ------
    rate : int
        Samples a second, those of the file.
    channels : int
        1 or 2.
    blocks : iterator of np.ndarray [shape=(n, channels), dtype=float32]

    Raises
    ------
    AudioError, ParameterError
        As :func:`load_audio`.
    """
    with contextlib.closing(_decode(path, _Stretch(offset, duration), warn=False, filters=STEREO)) as parts:
        rate, first = next(parts)
        block = next(first)
        channels = block.shape[1]

        def blocks() -> Iterator[FloatArray]:
            yield block
            yield from first
            for other_rate, others in parts:  # the links of a chain need not be alike
                yield from _resample((_with_channels(each, channels) for each in others), other_rate, rate)

        yield rate, channels, blocks()


def check_sound_file(path: Path) -> None:
    """Raise AudioError unless `path` is a file with something in it that can be opened for reading."""
    try:
        if path.is_dir():
            raise AudioError(f"{path}: a folder", "a sound file", "use --input_folder for a folder of sounds")
        if not path.exists():
            if address := ADDRESS.fullmatch(path.as_posix()):
                found = f"{address[1]}://{address[2]}: addresses are not read"
                raise AudioError(found, "a file", "download it first and give its path")
            raise AudioError(f"{path}: no such file", remedy="check the path")
        if not path.is_file():
            raise AudioError(f"{path}: a device or a pipe", "a sound file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if empty:
        raise AudioError(f"{path}: empty file", "a sound")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Stretch:
    """What is wanted of a sound and has not been read yet, in seconds.

    Attributes
    ----------
    offset : float
        To be skipped.
    duration : float or None
        To be read after that. None: up to the end.
    seconds : float
        How much sound there was so far.
    """

    offset: float
    duration: float | None
    seconds: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise ParameterError(f"offset {self.offset} s", "0 or more seconds")
        if self.duration is not None and not (math.isfinite(self.duration) and self.duration > 0):
            raise ParameterError(f"duration {self.duration} s", "more than 0 seconds")

    def cut(self, blocks: Iterator[FloatArray], rate: int) -> Iterator[FloatArray]:
        """Pass on what is wanted of the blocks, and stop reading when there is enough."""
        skip = int(self.offset * rate)
        left = None if self.duration is None else int(self.duration * rate)
        while left != 0 and (block := next(blocks, None)) is not None:
            self.seconds += len(block) / rate
            wanted = block[skip:][:left]
            skip -= min(skip, len(block))
            left = None if left is None else left - len(wanted)
            if len(wanted):
                yield wanted
        self.offset = skip / rate
        self.duration = None if left is None else left / rate


def _decode(
    path: Path, stretch: _Stretch, *, warn: bool, filters: str = ""
) -> Generator[tuple[int, Iterator[FloatArray]]]:
    """Yield sampling rate and blocks of each part of a file that has something of the stretch in it."""
    check_sound_file(path)
    offset, empty = stretch.offset, True
    refusals: list[AudioError] = []
    problems: list[str] = []
    for part in find_parts(path):
        with contextlib.ExitStack() as stack:
            try:
                decoder = stack.enter_context(Decoder(path, part, filters))
            except AudioError as error:
                refusals.append(error)
                continue
            blocks = stretch.cut(decoder.blocks(), decoder.rate)
            first = next(blocks, None)
            if first is not None:
                empty = False
                yield decoder.rate, itertools.chain([first], blocks)
            problems += decoder.problems()
        if stretch.duration == 0:
            break
    if empty and stretch.seconds and offset:
        raise AudioError(f"{path}: offset {offset} s is past the end", f"less than {stretch.seconds:.3f} s")
    if empty:
        raise refusals[0] if refusals else AudioError(f"{path}: no samples in it", "at least one sample")
    problems += [error.found.removeprefix(f"{path}: ") + " in a part of it" for error in refusals]
    if problems and warn:
        logger.warning("%s: %s; what is there is used", path, ", ".join(dict.fromkeys(problems)))


def _mean_of_channels(path: Path, block: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        mono: FloatArray = block.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: NaN or infinite samples", "finite samples", "repair or re-export it")
    largest = float(np.abs(mono).max(initial=0))
    if largest > LARGEST_SAMPLE:
        raise AudioError(f"{path}: a sample of size {largest:.3g}", "samples in [-1, 1]")
    return mono


def _with_channels(block: FloatArray, channels: int) -> FloatArray:
    """Bring a block of one or two channels to one or two."""
    if block.shape[1] > channels:
        return np.asarray(block.mean(axis=1, keepdims=True), dtype=np.float32)
    return np.repeat(block, channels // block.shape[1], axis=1)


def _resample(blocks: Iterator[FloatArray], rate: int, target: int = SAMPLE_RATE) -> Iterator[FloatArray]:
    """Resample a stream; the length is that of ``librosa.resample``: ceil(n * ratio)."""
    first = next(blocks, None)
    if first is None:
        return
    blocks = itertools.chain([first], blocks)
    if rate == target:
        yield from blocks
        return
    import soxr

    channels = 1 if first.ndim == 1 else first.shape[1]
    stream: Any = soxr.ResampleStream(rate, target, channels, dtype="float32", quality="HQ")
    n_in = n_out = 0
    for block in blocks:
        n_in += len(block)
        resampled = stream.resample_chunk(block)
        n_out += len(resampled)
        if len(resampled):
            yield resampled
    rest: FloatArray = stream.resample_chunk(first[:0], last=True)
    missing = max(-(-n_in * target // rate) - n_out, 0)
    padding = [(0, max(missing - len(rest), 0))] + [(0, 0)] * (first.ndim - 1)
    yield np.pad(rest[:missing], padding)
