"""Sounds: a file of any kind becomes mono float32 samples at 44,100 Hz, whole or as a stream of blocks."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from sound_diffusion.constants import LARGEST_SAMPLE, SAMPLE_RATE
from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    import soundfile

__all__ = ["CONTAINER_CLOCK", "check_sound_file", "hash_file", "load_audio", "stream_audio"]

# (channels, sampling rate in Hz, blocks of shape (n, channels))
Decoded = tuple[int, int, Iterator[FloatArray]]

BLOCK_FRAMES = 1 << 18  # about six seconds at 44,100 Hz
# Sizes that programs write into a header when they stream and do not know the length yet.
UNKNOWN_SIZE = 0x7FFFF000
SEEK_LEAD = 1.0  # seconds
# Of ffmpeg: a track that begins later than its file, or has gaps, is filled up with silence.
CONTAINER_CLOCK = "aresample=async=1:first_pts=0"
AU_HEADER = struct.Struct(">4s5I")  # magic, data offset, data size, encoding, sampling rate, channels


def load_audio(path: str | Path, *, offset: float = 0.0, duration: float | None = None) -> FloatArray:
    """Read a sound.

    What libsndfile reads (wav, flac, ogg, mp3, aiff, ...) gives the same samples as
    ``librosa.load(path, sr=44100)``; the rest (m4a, aac, wma, the sound track of mp4, mkv, webm) is
    decoded by ffmpeg.

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
        If the file is missing, empty, truncated, no sound, holds NaN or infinite samples, or ends before
        `offset`.
    ParameterError
        If `offset` is negative or `duration` not positive.
    """
    return np.concatenate(list(stream_audio(path, offset=offset, duration=duration)))


def stream_audio(
    path: str | Path, *, offset: float = 0.0, duration: float | None = None
) -> Iterator[FloatArray]:
    """Read a sound in blocks, in memory that does not grow with its length.

    Parameters
    ----------
    path, offset, duration
        As for :func:`load_audio`.

    Yields
    ------
    block : np.ndarray [shape=(n,), dtype=float32]
        Together, the blocks are the samples that :func:`load_audio` returns.

    Raises
    ------
    AudioError, ParameterError
        As :func:`load_audio`.
    """
    path = Path(path)
    if not (math.isfinite(offset) and offset >= 0):
        raise ParameterError(f"offset {offset} s", "0 or more seconds")
    if duration is not None and not (math.isfinite(duration) and duration > 0):
        raise ParameterError(f"duration {duration} s", "more than 0 seconds")
    check_sound_file(path)
    with contextlib.ExitStack() as stack:
        _, rate, blocks = _open(path, offset, duration, stack)
        yield from _resample(_mono(path, blocks, offset), rate)


def check_sound_file(path: Path) -> None:
    """Raise AudioError unless `path` is a file with something in it that can be opened for reading."""
    try:
        if path.is_dir():
            raise AudioError(f"{path}: a folder", "a sound file", "use --input_folder for a folder of sounds")
        if not path.exists():
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


def _open(path: Path, offset: float, duration: float | None, stack: contextlib.ExitStack) -> Decoded:
    import soundfile

    try:
        with _silent_libraries():
            # On POSIX a name is bytes, and need not be text.
            name = os.fsencode(path) if os.name == "posix" else path
            sound = stack.enter_context(soundfile.SoundFile(name))
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a name that ends in .raw
        return _open_ffmpeg(path, offset, duration, stack)
    return sound.channels, sound.samplerate, _read_soundfile(path, sound, offset, duration)


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep what C libraries print (mpg123 does on damaged files) away from the user's terminal."""
    if sys.stderr is not None:  # as it is under pythonw
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _truncated(path: Path, detail: str) -> AudioError:
    return AudioError(f"{path}: truncated or damaged ({detail})", remedy="get a whole copy of the file")


def _read_soundfile(
    path: Path, sound: soundfile.SoundFile, offset: float, duration: float | None
) -> Iterator[FloatArray]:
    import soundfile

    _check_header(path, sound)
    start = int(offset * sound.samplerate)
    if sound.frames and start >= sound.frames:
        seconds = sound.frames / sound.samplerate
        raise AudioError(f"{path}: offset {offset} s is past the end", f"less than {seconds:.3f} s")
    wanted = sound.frames - start
    if duration is not None:
        wanted = min(wanted, int(duration * sound.samplerate))
    try:
        if start:  # at the beginning even a seek to 0 changes the rounding of what mpg123 decodes
            with _silent_libraries():
                sound.seek(start)
        while wanted > 0:
            with _silent_libraries():
                block = sound.read(min(wanted, BLOCK_FRAMES), dtype="float32", always_2d=True)
            if not len(block) and not _states_length(path, sound):
                return
            if not len(block):
                raise _truncated(path, f"{wanted} of {sound.frames} frames are missing")
            wanted -= len(block)
            yield block
    except soundfile.LibsndfileError as error:
        raise _truncated(path, error.error_string) from error


def _check_header(path: Path, sound: soundfile.SoundFile) -> None:
    """Find files that end before their header says, which libsndfile reads without a word."""
    sizes = re.search(r"^\s*(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if sizes and int(sizes[2]) < int(sizes[1]) < UNKNOWN_SIZE:
        raise _truncated(path, f"{sizes[2]} of {sizes[1]} bytes are there")
    if sound.format == "OGG":
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - (1 << 17), 0))  # a page is at most 65,307 bytes
            tail = file.read()
        page = tail[max(tail.rfind(b"OggS"), 0) :]
        sizes_of_segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
        whole = len(page) >= 27 + len(sizes_of_segments) + sum(sizes_of_segments)
        if not (page.startswith(b"OggS") and sizes_of_segments and whole and page[5] & 4):
            raise _truncated(path, "its last page is missing")


def _states_length(path: Path, sound: soundfile.SoundFile) -> bool:
    """Whether the number of frames is known. For an MP3 without a Xing, Info or VBRI header it is a guess."""
    if sound.format != "MP3":
        return True
    with path.open("rb") as file:
        head = file.read(10)
        if head.startswith(b"ID3"):  # the tag's size is in four bytes of seven bits
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)))
        else:
            file.seek(0)
        return re.search(rb"Xing|Info|VBRI", file.read(256)) is not None


def _open_ffmpeg(path: Path, offset: float, duration: float | None, stack: contextlib.ExitStack) -> Decoded:
    import imageio_ffmpeg

    # A seek can miss by a codec's frame: it goes ahead of the place, and the filter cuts to the sample.
    lead = min(offset, SEEK_LEAD)
    cut = f"{CONTAINER_CLOCK},atrim=start={lead:.6f}" + (
        f":duration={duration:.6f}" if duration is not None else ""
    )
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error"]
    command += ["-ss", f"{offset - lead:.6f}"] if offset > lead else []
    command += ["-i", f"file:{path}", "-map", "0:a:0", "-af", cut, "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    messages = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  (the stack closes it)
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages))
    stack.callback(process.kill)
    assert process.stdout is not None
    header = process.stdout.read(AU_HEADER.size)
    if len(header) < AU_HEADER.size:
        process.wait()
        raise _ffmpeg_error(path, messages)
    _, data_offset, _, _, rate, channels = AU_HEADER.unpack(header)
    process.stdout.read(data_offset - AU_HEADER.size)
    return channels, rate, _read_ffmpeg(path, process, messages, channels)


def _read_ffmpeg(
    path: Path, process: subprocess.Popen[bytes], messages: IO[bytes], channels: int
) -> Iterator[FloatArray]:
    assert process.stdout is not None
    frame_bytes = 4 * channels
    while data := process.stdout.read(BLOCK_FRAMES * frame_bytes):
        whole = data[: len(data) // frame_bytes * frame_bytes]
        yield np.frombuffer(whole, dtype=">f4").reshape(-1, channels).astype(np.float32)
    if process.wait() != 0 or messages.seek(0, os.SEEK_END):
        raise _ffmpeg_error(path, messages)


def _ffmpeg_error(path: Path, messages: IO[bytes]) -> AudioError:
    """Say in our words what ffmpeg's messages mean."""
    messages.seek(0)
    lines = [
        re.sub(r"^(\[[^]]*\]\s*)+", "", line)
        for line in messages.read().decode(errors="replace").splitlines()
    ]
    text = "\n".join(lines)
    if "matches no streams" in text:
        return AudioError(f"{path}: no sound track in it", "a file with sound")
    if "moov atom not found" in text:
        return _truncated(path, "its index is missing")
    if "Error opening input" in text:
        return AudioError(
            f"{path}: not a sound that libsndfile or ffmpeg can read", "wav, flac, mp3, m4a, ..."
        )
    return _truncated(path, lines[0] if lines else "ffmpeg gave no sound")


def _mono(path: Path, blocks: Iterator[FloatArray], offset: float) -> Iterator[FloatArray]:
    empty = True
    for block in blocks:
        with np.errstate(over="ignore", invalid="ignore"):
            mono: FloatArray = block.mean(axis=1)
        if not np.isfinite(mono).all():
            raise AudioError(f"{path}: NaN or infinite samples", "finite samples", "repair or re-export it")
        largest = float(np.abs(mono).max(initial=0))
        if largest > LARGEST_SAMPLE:
            raise AudioError(f"{path}: a sample of size {largest:.3g}", "samples in [-1, 1]")
        empty = empty and not len(mono)
        yield mono
    if empty:
        where = f" from {offset} s on" if offset else ""
        raise AudioError(f"{path}: no samples in it{where}", "at least one sample")


def _resample(blocks: Iterator[FloatArray], rate: int) -> Iterator[FloatArray]:
    """Resample a stream to 44,100 Hz; the length is that of ``librosa.resample``: ceil(n * ratio)."""
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    import soxr

    stream: Any = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    n_in = n_out = 0
    for block in blocks:
        n_in += len(block)
        resampled = stream.resample_chunk(block)
        n_out += len(resampled)
        if len(resampled):
            yield resampled
    rest: FloatArray = stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
    missing = max(-(-n_in * SAMPLE_RATE // rate) - n_out, 0)
    yield np.pad(rest[:missing], (0, max(missing - len(rest), 0)))
