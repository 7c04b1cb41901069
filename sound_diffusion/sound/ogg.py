"""Ogg: where the links of a chain begin, and whether pages are missing."""

from __future__ import annotations

import mmap
import re

OGG_CODEC = re.compile(rb"\x01vorbis|OpusHead|Speex   |\x7fFLAC|fLaC|\x80theora|fishead|PCM     |CELT    ")


def find_links(data: mmap.mmap, start: int, stop: int) -> tuple[list[int], str]:
    """Divide an Ogg file into the links of its chain; each begins with the headers of its streams.

    Parameters
    ----------
    data : mmap
        The file.
    start, stop : int
        Where the first page begins, and where the last one should have ended.

    Returns
    -------
    links : list of int
        Where they begin; the first is `start`.
    problem : str
        What is wrong with the pages, in words. Empty: nothing.
    """
    starts, in_headers, flags, whole = [start], True, 0, False
    numbers: dict[bytes, int] = {}
    gaps = 0
    at = data.find(b"OggS", start, stop)
    while at >= 0:
        header = data[at : at + 27]
        sizes = data[at + 27 : at + 27 + header[26]] if len(header) == 27 else b""
        contents = at + 27 + len(sizes)
        end = contents + sum(sizes)
        whole = len(header) == 27 and len(sizes) == header[26] and end <= stop
        if whole:
            flags, serial, number = header[5], header[14:18], int.from_bytes(header[18:22], "little")
            begins = bool(flags & 2) and OGG_CODEC.match(data, contents, end) is not None
            if begins and not in_headers:
                starts.append(at)
            gaps += not begins and number > numbers.get(serial, number) + 1
            numbers[serial] = number
            in_headers = begins
        at = data.find(b"OggS", end if whole else at + 4, stop)
    problems = [f"pages are missing in {gaps} place{'s' * (gaps > 1)}"] * (gaps > 0)
    if not whole:
        problems.append("it ends within a page")
    elif not flags & 4:
        problems.append("its last page does not say that it is the last")
    return starts, ", ".join(problems)
