"""Measure how long a frame of a film takes on an idle machine, and beside other programs that compute.

    python -m benchmarks.busy

Each way of waiting is measured several times in turn, since much depends on the scheduler's luck; the
table gives the median and the extremes. "spinning" is OpenMP and OpenBLAS as torch and NumPy find them,
"sleeping" is with OMP_WAIT_POLICY=PASSIVE and OPENBLAS_NUM_THREADS=1, which importing sound_diffusion sets,
"one thread" is with OMP_NUM_THREADS=1 as well.
"beside two" has two programs beside the film that compute without a pause, "two films" has two films at once,
with the time in which both were made divided by their frames: a number as on an idle machine says that two
films at once take no longer than one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VARIABLES = (
    "OMP_WAIT_POLICY",
    "OMP_NUM_THREADS",
    "GOMP_SPINCOUNT",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
# What comes before the script, and the environment.
WAYS = {
    "spinning": ("import numpy, torch", {}),  # before the package can set anything
    "sleeping": ("import sound_diffusion", {}),
    "one thread": ("import sound_diffusion", {"OMP_NUM_THREADS": "1"}),
}
FILM = "import audio2video; raise SystemExit(audio2video.main())"
LOAD = "while True: pass"


def processors() -> int:
    """Count the processors that this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def load(count: int) -> Iterator[None]:
    """Keep `count` programs computing."""
    programs = [subprocess.Popen([sys.executable, "-c", LOAD]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def frame_times(way: str, count: int, n_frames: int, model: str) -> list[list[float]]:
    """Return the moments at which each of `count` films at once had each of its frames."""
    first, own = WAYS[way]
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | own
    sound = str(ROOT / "examples" / "windchimes.wav")
    with tempfile.TemporaryDirectory() as folder:
        films = []
        for index in range(count):
            words = ["--path", sound, "--model", model, "--outdir", f"{folder}/{index}", "--quiet"]
            words += ["--fps", "12", "--duration", str(n_frames / 12), "--no-audio", "--device", "cpu"]
            command = [sys.executable, "-c", f"{first}; {FILM}", *words]
            films.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
        statuses = [film.wait() for film in films]
        if any(statuses):
            raise SystemExit("audio2video.py failed")
        return [
            [path.stat().st_mtime for path in sorted(Path(folder, str(index)).glob("*/frames/*.png"))]
            for index in range(count)
        ]


def seconds_a_frame(way: str, where: str, n_frames: int, model: str) -> float:
    """Return the seconds that a frame takes, without what comes before the first."""
    with load(2 if where == "beside two" else 0):
        films = frame_times(way, 2 if where == "two films" else 1, n_frames, model)
    start, end = min(moments[0] for moments in films), max(moments[-1] for moments in films)
    return (end - start) / sum(len(moments) - 1 for moments in films)


def main() -> None:
    """Print a line for every measurement, then the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="models/cymatics", help="(default: models/cymatics)")
    parser.add_argument("--frames", type=int, default=12, help="frames of a film, at least 3 (default: 12)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each kind (default: 3)")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="(default: all)")
    args = parser.parse_args()
    places = ("idle", "beside two", "two films")
    seconds: dict[tuple[str, str], list[float]] = {}
    for repeat in range(args.repeats):
        for where in places:
            for way in args.ways:
                began = time.perf_counter()
                taken = seconds_a_frame(way, where, max(args.frames, 3), args.model)
                seconds.setdefault((way, where), []).append(taken)
                wall = time.perf_counter() - began
                print(f"{repeat}: {way}, {where}: {taken:.2f} s a frame ({wall:.0f} s in all)", flush=True)
    print("| waiting | " + " | ".join(places) + " | beside two / idle | two films / idle |")
    print("| --- |" + " ---: |" * (len(places) + 2))
    for way in args.ways:
        runs = [seconds[way, where] for where in places]
        cells = [f"{statistics.median(run):.2f} ({min(run):.2f}-{max(run):.2f})" for run in runs]
        idle, beside, both = map(statistics.median, runs)
        print(f"| {way} | {' | '.join(cells)} | {beside / idle:.1f} | {both / idle:.1f} |")


if __name__ == "__main__":
    main()
