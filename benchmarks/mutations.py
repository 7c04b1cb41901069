"""Read damaged sounds, and compare with what the bundled ffmpeg decodes of them.

    python -m benchmarks.mutations [--count 2000] [--seed 0]

Takes a second of music in ten formats and cuts, flips, splices or inserts bytes at random places. Prints for
each format how many of these files are read, read with a warning, or refused; of how many ffmpeg decodes half
a second or more, and how many of these are read; and how many came out more than a tenth of a second shorter
than what ffmpeg decodes, or than the sound before it was damaged, without a word. Ends with status 1 after an
exception that is none of ours, a file that took more than five seconds, memory that grew, or fewer than nine
tenths read.
"""

import argparse
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import AudioError
from sound_diffusion.sound.audio import load_audio

FORMATS = {
    "wav": [],
    "aiff": [],
    "flac": [],
    "ogg": ["-c:a", "libvorbis", "-page_duration", "100000"],
    "opus": ["-ar", "48000", "-page_duration", "100000"],
    "mp3": ["-q:a", "4"],
    "m4a": ["-c:a", "aac", "-movflags", "faststart"],
    "aac": ["-c:a", "aac"],
    "webm": ["-c:a", "libopus", "-ar", "48000"],
    "wma": ["-c:a", "wmav2"],
}
SECONDS = 1.0
PATIENCE = 5.0  # seconds for a file
WORTH_READING = 0.5  # seconds of sound
NOTICEABLE = 0.1  # seconds
COLUMNS = ("files", "read", "warned", "refused", "ffmpeg", "of these", "share", "silent loss")


def ffmpeg(*words: str | Path, check: bool = True) -> bytes:
    """Run ffmpeg and return what it writes to stdout."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "quiet", "-y", *map(str, words)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=check).stdout


def make_sounds(folder: Path) -> dict[str, bytes]:
    """Return a chord with a beat in every format."""
    chord = "sine=220:d={0}[a];sine=331:d={0}[b];anoisesrc=d={0}:a=0.1:seed=1[c];[a][b][c]amix=3,tremolo=6"
    contents = {}
    for suffix, options in FORMATS.items():
        path = folder / f"sound.{suffix}"
        ffmpeg("-filter_complex", chord.format(SECONDS), "-ac", "2", *options, path)
        contents[suffix] = path.read_bytes()
    return contents


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, splice or insert bytes."""
    data = bytearray(content)
    kind = rng.integers(4)
    first, second = sorted(int(place) for place in rng.integers(0, len(data), 2))
    if kind == 0:
        return bytes(data[: max(second, 1)])
    if kind == 1:
        for _ in range(int(rng.integers(1, 20))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        length = int(rng.integers(1, len(data) // 4))
        data[first : first + length] = data[second : second + length]
    else:
        data[first:first] = rng.bytes(int(rng.integers(1, 2000)))
    return bytes(data)


def seconds_by_ffmpeg(path: Path) -> float:
    """How much ffmpeg makes of a file."""
    words = [
        "-i",
        f"file:{path}",
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        str(SAMPLE_RATE),
        "-f",
        "s16le",
        "pipe:1",
    ]
    return len(ffmpeg(*words, check=False)) / 2 / SAMPLE_RATE


def read(path: Path, words: list[str]) -> tuple[float | None, float]:
    """Return seconds of sound, None for refused, and seconds that it took; what is said goes to `words`."""
    words.clear()
    began = time.monotonic()
    try:
        seconds = len(load_audio(path)) / SAMPLE_RATE
    except AudioError:
        seconds = None
    return seconds, time.monotonic() - began


def main() -> int:
    """Print a row for every format."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    words: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: words.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("sound_diffusion").addHandler(listener)
    rng = np.random.default_rng(args.seed)
    counts = {suffix: Counter[str]() for suffix in FORMATS}
    slowest, memory = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        contents = make_sounds(Path(folder))
        lengths = {suffix: seconds_by_ffmpeg(Path(folder) / f"sound.{suffix}") for suffix in FORMATS}
        for index in range(args.count):
            suffix = list(FORMATS)[index % len(FORMATS)]
            path = Path(folder) / f"mutated.{suffix}"
            path.write_bytes(mutate(contents[suffix], rng))
            decodable = seconds_by_ffmpeg(path)
            seconds, took = read(path, words)
            slowest = max(slowest, took)
            kind = "refused" if seconds is None else "warned" if words else "read"
            counts[suffix].update(["files", kind])
            if decodable >= WORTH_READING:
                counts[suffix].update(["ffmpeg"] + ["of these"] * (seconds is not None))
            if kind == "read" and seconds < max(decodable, lengths[suffix]) - NOTICEABLE:
                counts[suffix]["silent loss"] += 1
            if index == args.count // 10:
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    share = report(counts)
    print(f"slowest {slowest:.2f} s; memory grew by {grown:.1f} MB after the first tenth")
    return int(share < 0.9 or slowest > PATIENCE or grown > 50)


def report(counts: dict[str, Counter[str]]) -> float:
    """Print the table, and return the share that is read of what ffmpeg decodes."""
    print(f"{'':6}" + "".join(f"{column:>12}" for column in COLUMNS))
    total = sum(counts.values(), Counter[str]())
    for name, row in [*counts.items(), ("all", total)]:
        share = f"{row['of these'] / max(row['ffmpeg'], 1):.1%}"
        cells = [share if column == "share" else str(row[column]) for column in COLUMNS]
        print(f"{name:6}" + "".join(f"{cell:>12}" for cell in cells))
    return total["of these"] / max(total["ffmpeg"], 1)


if __name__ == "__main__":
    sys.exit(main())
