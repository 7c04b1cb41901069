"""Measure what a user waits for: help, an error, the first picture, each further one.

    python -m benchmarks.startup

Times are the best of several runs, each in a process of its own; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "audio2img.py"
LIBRARIES = (
    "numpy",
    "scipy.signal",
    "soundfile",
    "librosa",
    "PIL.Image",
    "torch",
    "transformers",
    "diffusers",
)
GOALS = {"--help": 0.3, "a bad path": 0.5}  # seconds


def best(repeats: int, *words: str) -> float:
    """Return the seconds that the fastest of several runs of Python with these words took."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], capture_output=True, check=False, cwd=ROOT)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def time_pictures(model: str, count: int) -> tuple[float, float]:
    """Return the seconds to the first picture of a new process, and from there to each further one."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--prompt", str(ROOT / "examples" / "bell.wav"), "--model", model, "--outdir", folder]
        words += ["--n_iter", str(count), "--skip_grid", "--quiet"]
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, str(SCRIPT), *words], stdout=subprocess.PIPE, cwd=ROOT
        ) as child:
            assert child.stdout is not None
            moments = [time.perf_counter() - start for _ in child.stdout]
    if child.returncode or len(moments) != count:
        raise SystemExit(f"audio2img.py ended with status {child.returncode}")
    return moments[0], (moments[-1] - moments[0]) / (count - 1)


def show(what: str, seconds: float) -> None:
    """Print a line of the table."""
    print(f"| {what:<22} | {seconds:7.2f} | {GOALS.get(what, ''):>4} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="auto", help="model of the pictures (default: auto)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each command (default: 5)")
    parser.add_argument("--pictures", type=int, default=4, help="pictures to paint, at least 2 (default: 4)")
    args = parser.parse_args()
    print(f"| {'what':<22} | seconds | goal |\n| {'-' * 22} | ------: | ---: |")
    show("--help", best(args.repeats, str(SCRIPT), "--help"))
    show("a bad path", best(args.repeats, str(SCRIPT), "--prompt", "missing.wav", "--model", args.model))
    python = best(args.repeats, "-c", "pass")
    show("Python alone", python)
    for library in LIBRARIES:
        show(f"import {library}", best(args.repeats, "-c", f"import {library}") - python)
    first, further = time_pictures(args.model, max(args.pictures, 2))
    show("first picture, cold", first)
    show("each further picture", further)


if __name__ == "__main__":
    main()
