"""Decoding: a part of a sound file becomes blocks of samples, by the ffmpeg that imageio-ffmpeg brings.

The decoder is read until it ends; the length that a header states serves to suspect that a file was cut. What
counts is the sound's own stream: trouble of pictures, subtitles or other streams is none of the sound's.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from sound_diffusion.errors import AudioError
from sound_diffusion.sound.containers import Part
from sound_diffusion.typing import FloatArray

BLOCK_FRAMES = 1 << 18  # about six seconds at 44,100 Hz
PATIENCE = 20.0  # seconds without a block after which a decoder is taken for stuck
# Delays and paddings of codecs make a stated length wrong by this many samples, less than a frame of FLAC.
LENGTH_TOLERANCE = 3000
AU_HEADER = struct.Struct(">4s5I")  # magic, data offset, data size, encoding, sampling rate, channels
# Time stamps fill what is missing in a track, and before its beginning, up to ten minutes at a time; they
# never take sound away. Variables of the expression: 0 is where the sound so far ends, 1 how far the stamp is
# ahead of that, 2 the correction of stamps that jump, 3 the new stamp.
CONTAINER_CLOCK = (
    r"asetpts=0*st(1\,PTS+ld(2)-ld(0))"
    r"+0*if(between(ld(1)\,SR/10\,600*SR)\,st(3\,ld(0)+ld(1))\,"
    r"st(3\,ld(0))+if(gt(abs(ld(1))\,SR/10)\,st(2\,ld(2)-ld(1))))"
    r"+0*st(0\,ld(3)+S)+ld(3),aresample=async=1:first_pts=0"
)
# ffmpeg's messages begin with who speaks: the chosen stream and its decoder, or the reader of the file.
COMPLAINT = re.compile(
    r"^\[aist#\S+ @ \S+\] .*(?P<decoder>\[(?:error|fatal)\]|corrupt decoded frame)"
    r"|^\[in#\S+ @ \S+\] \[(?:error|warning)\] (?P<reader>File ended prematurely|Error during demuxing"
    r"|CRC mismatch|(?:Packet corrupt \(stream =|stream) (?P<stream>\d+), (?:dts|offset .*: partial file))",
    re.MULTILINE,
)


class Decoder:
    """ffmpeg at work on a part of a file; a context manager that ends it.

    Parameters
    ----------
    path : Path
    part : Part
        The bytes to decode.
    filters : str
        Of ffmpeg, applied to the decoded sound.

    Attributes
    ----------
    rate : int
        Samples a second.
    channels : int
    n_frames : int
        How many samples of every channel have been read.

    Raises
    ------
    AudioError
        If there is no sound in it that can be decoded.
    """

    def __init__(self, path: Path, part: Part, filters: str = "") -> None:
        self._path, self._part, self._filters = path, part, filters
        self._stack = contextlib.ExitStack()
        self.rate = self.channels = self.n_frames = self._stream = 0
        self._ended = self._stuck = False

    def __enter__(self) -> Self:
        if self._part.start >= self._part.stop:
            raise AudioError(f"{self._path}: no samples in it", "at least one sample")
        with contextlib.ExitStack() as stack:
            self._stack = stack
            while not self._start():
                n_streams = len(re.findall(r"^\[info\]   Stream #0:\S+: Audio: ", self._log(), re.MULTILINE))
                self._stream += 1  # a file whose first sound has nothing in it may have a second
                if self._stream >= n_streams:
                    raise self._refusal()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> bool:
        """Start ffmpeg and read the header of what it writes; return whether there is one."""
        import imageio_ffmpeg

        part = self._part
        source = f"file:{self._path}"
        if not part.head and (part.start, part.stop) != (0, self._path.stat().st_size):
            source = f"subfile,,start,{part.start},end,{part.stop},,:{source}"
        filters = ",".join([CONTAINER_CLOCK, *filter(None, [self._filters])])
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-nostats"]
        command += ["-v", "level+info", "-protocol_whitelist", "file,pipe,subfile"]
        command += ["-threads", "1", "-max_error_rate", "1"]
        command += ["-f", part.format, "-i", "pipe:0"] if part.head else ["-i", source]
        command += ["-map", f"0:a:{self._stream}", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-af", filters]
        self._messages = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = subprocess.Popen(
            [*command, "-c:a", "pcm_f32be", "-f", "au", "pipe:1"],
            stdin=subprocess.PIPE if part.head else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._messages,
        )
        self._stack.callback(self._process.wait)
        if part.head:
            feeder = threading.Thread(target=self._feed)
            feeder.start()
            self._stack.callback(feeder.join)
        assert self._process.stdout is not None
        self._stack.callback(self._process.stdout.close)
        self._stack.callback(self._process.kill)
        header = self._read(AU_HEADER.size)
        if len(header) < AU_HEADER.size:
            self._process.wait()
            return False
        _, data_offset, _, _, self.rate, self.channels = AU_HEADER.unpack(header)
        self._read(data_offset - AU_HEADER.size)
        # The header alone is no sound.
        self._first = self._read(BLOCK_FRAMES * 4 * self.channels)
        return len(self._first) >= 4 * self.channels

    def _feed(self) -> None:
        """Write the head and the bytes of the part to ffmpeg."""
        assert self._process.stdin is not None
        with (
            contextlib.suppress(OSError, ValueError),
            self._process.stdin as stdin,
            self._path.open("rb") as file,
        ):
            stdin.write(self._part.head)
            file.seek(self._part.start)
            left = self._part.stop - self._part.start
            while left > 0 and (data := file.read(min(left, shutil.COPY_BUFSIZE))):  # type: ignore[attr-defined]
                stdin.write(data)
                left -= len(data)

    def _read(self, n: int) -> bytes:
        """Read `n` bytes of what ffmpeg writes, fewer at its end or when it stands still."""
        assert self._process.stdout is not None
        timer = threading.Timer(PATIENCE, self._give_up)
        timer.start()
        try:
            return self._process.stdout.read(n)
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._stuck = True
        self._process.kill()

    def blocks(self) -> Iterator[FloatArray]:
        """Decode up to the end.

        Yields
        ------
        block : np.ndarray [shape=(n, channels), dtype=float32]
        """
        frame_bytes = 4 * self.channels
        data = self._first
        while data:
            whole = data[: len(data) // frame_bytes * frame_bytes]
            block = np.frombuffer(whole, dtype=">f4").reshape(-1, self.channels).astype(np.float32)
            self.n_frames += len(block)
            yield block
            data = self._read(BLOCK_FRAMES * frame_bytes)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self._ended = True

    def problems(self) -> list[str]:
        """Say what is wrong with the sound that was read so far; at the end, also how much is missing."""
        log, part = self._log(), self._part
        found = [part.problem] if part.problem else []
        chosen = re.search(r"^\[info\]   Stream #0:(\d+) -> #0:0", log, re.MULTILINE)
        mine = (None, chosen and chosen[1])
        complaints = [match for match in COMPLAINT.finditer(log) if match["stream"] in mine]
        n_undecoded = sum(complaint["decoder"] is not None for complaint in complaints)
        if self._stream:
            found.append(f"sound stream {self._stream} has nothing in it, the next one is used")
        if self._stuck:
            found.append(f"the decoder stood still for {PATIENCE:g} s")
        elif self._ended and self._process.poll() and not complaints:
            found.append(f"the decoder ended with status {self._process.poll()}")
        missing = self._missing_seconds(log, cut=bool(complaints)) if self._ended else 0.0
        if missing:
            found.append(f"{missing:.3f} s of {missing + self.n_frames / self.rate:.3f} s are missing")
        if n_undecoded:
            found.append(f"{n_undecoded} packet{'s' * (n_undecoded > 1)} cannot be decoded")
        elif complaints and not (missing or part.head):  # what follows a head has no end of its own
            found.append("it is cut or damaged")
        return found

    def _missing_seconds(self, log: str, *, cut: bool) -> float:
        """How much longer the sound is by its header than it is."""
        part = self._part
        if part.missing:
            return self.n_frames / self.rate * part.missing / max(part.stop - part.start, 1)
        stated = re.search(r"^\[info\]   Duration: (\d+):(\d\d):(\d\d\.\d+)", log, re.MULTILINE)
        streams = re.findall(r"^\[info\]   Stream #0:.*", log.partition("Stream mapping:")[0], re.MULTILINE)
        alone = sum("(attached pic)" not in stream for stream in streams) == 1
        # Of several streams the longest decides, which need not be the sound.
        if part.head or stated is None or "Estimating duration" in log or not (alone or cut):
            return 0.0
        hours, minutes, seconds = map(float, stated.groups())
        missing = 3600 * hours + 60 * minutes + seconds - self.n_frames / self.rate
        return missing if missing * self.rate > LENGTH_TOLERANCE else 0.0

    def _log(self) -> str:
        """Return ffmpeg's messages: the first and the last of them, where there are very many."""
        size = self._messages.seek(0, os.SEEK_END)
        self._messages.seek(0)
        head = self._messages.read(1 << 20)
        self._messages.seek(max(size - (1 << 20), len(head)))
        return (head + self._messages.read()).decode(errors="replace")

    def _refusal(self) -> AudioError:
        """Say in our words what ffmpeg's messages mean."""
        path, log = self._path, self._log()
        if self._stuck:
            what = f"the decoder stood still for {PATIENCE:g} s"
            return AudioError(f"{path}: {what}", "a sound that can be decoded")
        if "matches no streams" in log:
            return AudioError(f"{path}: no sound track in it", "a file with sound")
        if "moov atom not found" in log:
            return AudioError(
                f"{path}: truncated or damaged (its index is missing)", remedy="get a whole copy of the file"
            )
        if "Error opening input" in log:
            return AudioError(f"{path}: not a sound that ffmpeg can read", "wav, flac, mp3, m4a, ...")
        status = f" (ffmpeg ended with status {self._process.returncode})" if self._process.returncode else ""
        return AudioError(f"{path}: no samples in it that can be decoded{status}", "at least one sample")
