"""What a sound file's own framing says: where its sound begins and ends, and what is wrong with that.

ffmpeg decodes; here stands what it does not see or does not forgive. Sizes in headers are often wrong: 0
after a crash, all ones after streaming, stale, off by a few bytes. A chain of Ogg streams may change codec,
rate and channels from link to link. Tags and junk may surround a file. Nothing is copied but headers, so that
a file of any length takes little memory.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from sound_diffusion.sound.ogg import find_links

# Sizes of 32 bits from here on are written by programs that stream and do not know the length.
UNKNOWN_SIZE = 0x7FFFF000
# Bytes before a sound that are searched for its beginning, and at the end of a file for chunks.
LARGEST_JUNK = 1 << 16
# What stands behind the end of a container is junk, or sound that the header does not know of yet: the latter
# if it is more than this part of the whole.
LEAST_SHARE = 8
BEGINNING = re.compile(
    rb"RIFF....(?:WAVE|AVI )|(?:RIFX|RF64|BW64)....WAVE|FORM....AIF[FC]|riff\x2e\x91\xcf\x11|caff\0\x01"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\.snd\0\0..|OggS\0\x02|fLaC\0\0\0\x22"
    rb"|\x1aE\xdf\xa3.{0,60}(?:webm|matroska)|\0\0\0[\x08-\xff]ftyp",
    re.DOTALL,
)
ASF_MAGIC = b"\x30\x26\xb2\x75"
ASF_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
TRAILING_CHUNK = re.compile(
    rb"LIST|id3 |ID3 |bext|cue |smpl|inst|fact|JUNK|junk|PAD |FLLR|PEAK|iXML|_PMX|afsp|acid|cart|DISP|umid"
    rb"|aXML|COMT|NAME|AUTH|ANNO|\(c\) |MARK|INST|APPL|MIDI|CHAN|info|free|strg"
)


@dataclass(frozen=True)
class Part:
    """A stretch of a file that is decoded by itself.

    Attributes
    ----------
    start, stop : int
        Its bytes.
    head : bytes
        What stands in the place of the file's own header, before the bytes. Empty: the bytes have their own.
    format : str
        ffmpeg's name for what begins with `head`.
    missing : int
        How many more bytes the header states than are there.
    problem : str
        What is wrong, in words. Empty: nothing.
    """

    start: int
    stop: int
    head: bytes = b""
    format: str = ""
    missing: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Layout:
    """How the chunks of a family of containers are framed.

    Attributes
    ----------
    header : struct.Struct
        Of a chunk: its name and its size.
    chunks : int
        Where the first chunk stands.
    format : str
        ffmpeg's name for the family.
    alignment : int
        Chunks begin at multiples of this many bytes.
    size_of_header : int
        Bytes of the header that its own size counts.
    prefix : int
        Bytes at the start of the chunk of samples that are none.
    """

    header: struct.Struct
    chunks: int
    format: str
    alignment: int = 2
    size_of_header: int = 0
    prefix: int = 0


RIFF = Layout(struct.Struct("<4sI"), 12, "wav")
LAYOUTS = {
    b"RIFF": RIFF,
    b"RF64": RIFF,
    b"BW64": RIFF,
    b"RIFX": Layout(struct.Struct(">4sI"), 12, "wav"),
    b"riff": Layout(struct.Struct("<16sQ"), 40, "wav", alignment=8, size_of_header=24),
    b"FORM": Layout(struct.Struct(">4sI"), 12, "aiff", prefix=8),
    b"caff": Layout(struct.Struct(">4sQ"), 8, "caf", alignment=1, prefix=4),
}


@dataclass(frozen=True)
class Chunk:
    """A chunk of a container: its name and where its contents begin, and their size as stated."""

    name: bytes
    start: int
    size: int


def find_parts(path: Path) -> list[Part]:
    """Find what has to be decoded in a file, one part after the other.

    Parameters
    ----------
    path : Path
        A file with at least one byte in it.

    Returns
    -------
    parts : list of Part
        One for each link of an Ogg chain; else a single one, the whole file where nothing is wrong with it.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start, stop = _skip_id3(data), _before_tags(data)
        beginning = BEGINNING.search(data, start, min(start + LARGEST_JUNK, stop))
        if beginning is None:
            return [Part(0, stop)]
        start = beginning.start()
        magic = data[start : start + 4]
        if magic == b"OggS":
            links, problem = find_links(data, start, stop)
            parts = [Part(first, after) for first, after in pairwise([*links, stop])]
            return [*parts[:-1], replace(parts[-1], problem=problem)]
        if magic == b".snd":
            return [_au_part(data, start, stop)]
        if magic == ASF_MAGIC or data[start + 8 : start + 12] == b"AVI ":
            return [_part_of_stated_size(data, start, stop)]
        if magic in LAYOUTS:
            return [_chunked_part(data, start, stop, LAYOUTS[magic])]
        return [Part(start, stop)]


def _skip_id3(data: mmap.mmap) -> int:
    """Where the sound begins behind ID3v2 tags, whose size is in four bytes of seven bits."""
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = data[at + 6 : at + 10]
        at += 10 + sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
    return at if at < len(data) else 0


def _before_tags(data: mmap.mmap) -> int:
    """Where the sound ends before ID3v1 and APEv2 tags."""
    stop = len(data)
    if stop > 128 and data[stop - 128 : stop - 125] == b"TAG":
        stop -= 128
    if stop > 32 and data[stop - 32 : stop - 24] == b"APETAGEX":
        size, flags = struct.unpack_from("<I4xI", data, stop - 20)
        size += 32 * (flags >> 31)
        stop -= size if size < stop else 32
    return stop


def _chunked_part(data: mmap.mmap, start: int, stop: int, layout: Layout) -> Part:
    """Find the samples of a container of chunks, where its sizes are right and where they are not."""
    chunks = list(_chunks(data, start + layout.chunks, stop, layout))
    samples = next((chunk for chunk in chunks if chunk.name in (b"data", b"SSND")), None)
    form = next((chunk for chunk in chunks if chunk.name in (b"fmt ", b"COMM", b"desc")), None)
    if samples is None or form is None or form.start + form.size > stop:
        return Part(start, stop)
    if layout.format == "caf" and data[form.start + 8 : form.start + 12] != b"lpcm":
        return Part(start, stop)  # its packets need a table that may stand behind them
    stated, outer = _stated_sizes(data, start, samples, chunks, layout)
    first = samples.start + layout.prefix
    end, behind = _end_of_samples(data, samples.start, stated, start + outer, stop, layout)
    if end <= first:
        return Part(stop, stop)
    padded = all(
        after.start - layout.header.size == chunk.start + chunk.size + -chunk.size % layout.alignment
        for chunk, after in pairwise(chunks[: chunks.index(samples) + 1])
    )
    if end == samples.start + stated and form.start < samples.start and padded:
        problem = f"{behind} bytes behind its stated end are not used" if behind else ""
        return Part(start, stop - behind, problem=problem)
    head = _head(data[start : start + 12], data[form.start : form.start + form.size], layout)
    missing = samples.start + stated - end
    unknown = stated >= (UNKNOWN_SIZE if stated < 1 << 32 else 1 << 62)
    problem = "" if missing >= 0 else f"its header states {stated} of {end - samples.start} bytes of sound"
    return Part(first, end, head, layout.format, 0 if unknown else max(missing, 0), problem)


def _chunks(data: mmap.mmap, at: int, stop: int, layout: Layout) -> Iterator[Chunk]:
    """Walk from chunk to chunk, as far as they fit."""
    while at + layout.header.size <= stop:
        name, size = layout.header.unpack_from(data, at)
        size = max(size - layout.size_of_header, 0)
        yield Chunk(name[:4], at + layout.header.size, size)
        at += layout.header.size + size
        padding = -size % layout.alignment
        if data[at : min(at + padding, stop)].strip(b"\0") == b"":  # not every program pads
            at += padding


def _stated_sizes(
    data: mmap.mmap, start: int, samples: Chunk, chunks: list[Chunk], layout: Layout
) -> tuple[int, int]:
    """Sizes of the samples and of the whole, as the header states them; RF64 has a place for large ones."""
    sizes = next((chunk for chunk in chunks if chunk.name == b"ds64"), None)
    if sizes is not None and samples.size == 0xFFFFFFFF and sizes.size >= 16:
        whole, stated = struct.unpack_from("<2Q", data, sizes.start)
        return stated, whole + 8
    if layout.format == "caf":  # whose whole has no size
        return samples.size, 0
    if layout.size_of_header:
        return samples.size, layout.header.unpack_from(data, start)[1]
    return samples.size, layout.header.unpack_from(data, start)[1] + 8


def _end_of_samples(
    data: mmap.mmap, start: int, stated: int, outer: int, stop: int, layout: Layout
) -> tuple[int, int]:
    """Where samples end, and how many bytes of junk stand behind the container.

    They end as stated if chunks or nothing follow up to the end of the file, or of the container; else before
    the last chunks of the file; else with it.
    """
    behind = stop - outer
    for limit in (stop, outer) if 0 < behind <= (outer - start) // LEAST_SHARE else (stop,):
        for end in range(start + stated, start + stated + layout.alignment):
            if end == limit or (end < limit and _are_chunks(data, end, limit, layout)):
                return start + stated, stop - limit
    for chunk in TRAILING_CHUNK.finditer(data, max(start, stop - LARGEST_JUNK), stop):
        if _are_chunks(data, chunk.start(), stop, layout):
            return chunk.start(), 0
    return stop, 0


def _are_chunks(data: mmap.mmap, at: int, stop: int, layout: Layout) -> bool:
    """Whether chunks with names in letters stand from `at` up to the end of the file."""
    end = at
    for chunk in _chunks(data, at, stop, layout):
        end = chunk.start + chunk.size
        if not re.fullmatch(rb"[ -~]{4}", chunk.name) or end > stop:
            return False
    return at < end and stop - end < layout.header.size


def _head(magic: bytes, form: bytes, layout: Layout) -> bytes:
    """Return a header of the same form for samples that go on to the end."""
    if layout.format == "caf":
        chunk = struct.Struct(">4sQ")
        samples = chunk.pack(b"data", (1 << 64) - 1) + bytes(4)
        return magic[:8] + chunk.pack(b"desc", len(form)) + form + samples
    chunk = struct.Struct(">4sI" if magic[:4] in (b"RIFX", b"FORM") else "<4sI")
    if layout.format == "aiff":
        largest = 0x7FFFFFF0  # that ffmpeg takes
        form = form[:2] + struct.pack(">I", largest) + form[6:]  # the number of frames
        samples = chunk.pack(b"SSND", largest) + bytes(8)
        return magic + chunk.pack(b"COMM", len(form)) + form + bytes(len(form) % 2) + samples
    name = b"RIFX" if magic[:4] == b"RIFX" else b"RIFF"
    padded = form + bytes(len(form) % 2)
    samples = chunk.pack(b"data", 0xFFFFFFFF)
    return name + b"\xff\xff\xff\xffWAVE" + chunk.pack(b"fmt ", len(form)) + padded + samples


def _part_of_stated_size(data: mmap.mmap, start: int, stop: int) -> Part:
    """Take an AVI or ASF file as it is, and compare its size with what it states."""
    if data[start : start + 4] == ASF_MAGIC:
        at = data.find(ASF_PROPERTIES, start, min(start + LARGEST_JUNK, stop))
        stated = struct.unpack_from("<Q", data, at + 40)[0] if 0 <= at <= stop - 48 else 0
    else:
        stated = struct.unpack_from("<I", data, start + 4)[0] + 8
    missing = stated - (stop - start)
    return Part(start, stop, missing=missing if 0 < missing < UNKNOWN_SIZE else 0)


def _au_part(data: mmap.mmap, start: int, stop: int) -> Part:
    """Find the samples of a Sun sound, which go on to the end of the file whatever its header states."""
    header = data[start : start + 24]
    if len(header) < 24:
        return Part(start, stop)
    offset, stated = struct.unpack_from(">2I", header, 4)
    there = stop - start - offset
    if offset < 24 or there <= 0 or stated == there:
        return Part(start, stop)
    head = header[:4] + struct.pack(">2I", 24, 0xFFFFFFFF) + header[12:24]
    missing = 0 if stated >= UNKNOWN_SIZE else max(stated - there, 0)
    problem = f"its header states {stated} of {there} bytes of sound" if stated < there else ""
    return Part(start + offset, stop, head, "au", missing, problem)
