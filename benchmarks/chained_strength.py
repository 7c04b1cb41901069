"""Measure how much consecutive frames of a film differ, by strength.

    python -m benchmarks.chained_strength [--sound examples/windchimes.wav] [--strengths 0.2 0.4 0.7]

Makes the film of a sound with each strength and prints the mean absolute difference between consecutive
frames, out of 255, beside that of frames painted independently (txt2img with ascending seeds).
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.made import make_film


def mean_change(frames: Path) -> float:
    """Mean absolute difference between consecutive pictures of a folder, 0 to 255."""
    pixels = []
    for path in sorted(frames.glob("[0-9]*.png")):
        with Image.open(path) as picture:
            pixels.append(np.asarray(picture, dtype=np.float32))
    return float(np.abs(np.diff(np.stack(pixels), axis=0)).mean())


def main() -> int:
    """Print a row for every strength."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sound", default="examples/windchimes.wav")
    parser.add_argument("--strengths", nargs="+", default=["0.2", "0.4", "0.7"])
    parser.add_argument("--fps", default="12")
    parser.add_argument("--duration", default="2")
    parser.add_argument("--model", default="auto")
    args = parser.parse_args()
    films = {f"strength {strength}": ["--strength", strength] for strength in args.strengths}
    films["independent"] = ["--mode", "txt2img", "--seed-mode", "increment"]
    print(f"{'film':>14} {'mean change of 255':>19}")
    for name, flags in films.items():
        with tempfile.TemporaryDirectory() as folder:
            argv = [
                "--path",
                args.sound,
                "--fps",
                args.fps,
                "--duration",
                args.duration,
                "--model",
                args.model,
            ]
            make_film([*argv, "--outdir", folder, "--quiet", "--no-audio", *flags])
            print(
                f"{name:>14} {mean_change(Path(folder) / Path(args.sound).stem / 'frames'):19.2f}", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
