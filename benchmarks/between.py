"""Measure what lies between the frames: spacing, loops, cadence, walks.

    python -m benchmarks.between [--sound examples/song.ogg] [--offset 4] [--duration 3] [--fps 12]
        [--only spacing loops cadence walks] [--films FOLDER] [--model auto] [--flags FLAGS]

A visible step is the mean absolute difference between consecutive frames, of 255. Each film is made by
audio2video; those that are in --films already are not made again, and cadence is timed with new ones: by the
clock, for a machine that does nothing else, and by the time of the processors, for any.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import sound_diffusion as sd
from benchmarks import measures
from benchmarks.made import make_film, one_model

TXT2IMG = ("--mode", "txt2img")
STEADY = "examples/sine_100hz.wav"


class Cost(NamedTuple):
    """Seconds of a frame: by the clock, of all threads, of the one that paints or of the rest (the greater).

    On two processors that nobody else uses, the clock shows about the third plus what encoding takes.
    """

    clock: float
    all_threads: float
    slower: float

    @classmethod
    def median(cls, costs: Sequence[Cost]) -> Cost:
        """Return the median of each."""
        return cls(*np.median(costs, axis=0).tolist())


class Films:
    """Films of one sound, by the flags that they are made with."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self._args, self._folder = args, folder

    def of(self, sound: str) -> Films:
        """Return the same for another sound, from its beginning on."""
        return Films(argparse.Namespace(**vars(self._args) | {"sound": sound, "offset": 0.0}), self._folder)

    def gradient(self) -> str:
        """Save a picture that no model has painted, and return its path."""
        y, x = np.mgrid[:256, :256]
        path = self._folder / "gradient.png"
        Image.fromarray(np.stack([x, y, (x + y) % 256], axis=-1).astype(np.uint8)).save(path)
        return str(path)

    def make(self, name: str, *flags: str, again: bool = False) -> tuple[np.ndarray, float]:
        """Return the frames of a film [shape=(n, height, width, 3), dtype=uint8] and how long it took."""
        args = self._args
        words = ["--path", args.sound, "--offset", str(args.offset), "--duration", str(args.duration)]
        words += ["--fps", str(args.fps), "--model", args.model, "--outdir", str(self._folder / name)]
        words += ["--quiet", "--no-audio", "--allow-flashing", *shlex.split(args.flags), *flags]
        if again:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        began = time.perf_counter()
        make_film(words)
        took = time.perf_counter() - began
        pictures = []
        for path in self._frames(name):
            with Image.open(path) as picture:
                pictures.append(np.asarray(picture))
        return np.stack(pictures), took

    def cost(self, name: str, *flags: str) -> Cost:
        """Return what a frame takes, of those by which a film is longer than its first second."""
        spent, lengths = [], []
        for more in ((), ("--duration", "1")):
            began = time.process_time(), time.thread_time()
            film, took = self.make(f"{name}{' short' * bool(more)}", *flags, *more, again=True)
            spent.append((took, time.process_time() - began[0], time.thread_time() - began[1]))
            lengths.append(len(film))
        clock, whole, painting = (np.subtract(*spent) / np.subtract(*lengths)).tolist()
        return Cost(clock, whole, max(painting, whole - painting))

    def _frames(self, name: str) -> list[Path]:
        return sorted((self._folder / name / Path(self._args.sound).stem / "frames").glob("[0-9]*.png"))


def steps_of(film: np.ndarray, *, closed: bool = False) -> np.ndarray:
    """Visible steps of a film, of 255; with that from the last frame to the first where it closes."""
    after = np.roll(film, -1, axis=0)
    steps = np.array([np.abs(b.astype(int) - a).mean() for a, b in zip(film, after, strict=True)])
    return steps if closed else steps[:-1]


def onsets_of(args: argparse.Namespace) -> np.ndarray:
    """Onset strength at every frame, in [0, 1], as schedules have it."""
    y = sd.load_audio(args.sound, offset=args.offset, duration=args.duration)
    return sd.describe(y, fps=args.fps)["onset"]


def measure_spacing(films: Films, args: argparse.Namespace) -> None:
    """How even steps are, and how they follow onsets."""
    every, onsets = args.fps, onsets_of(args)
    print(f"{'spacing':<8} {'largest step / median':>22} {'steps and onsets, Spearman':>27} {'seconds':>8}")
    for spacing in ("time", "even", "music"):
        film, took = films.make(spacing, *TXT2IMG, "--interpolate", str(every), "--spacing", spacing)
        steps = steps_of(film)
        rank = measures.spearman(onsets[1 : len(film)], steps)
        print(f"{spacing:<8} {steps.max() / np.median(steps):22.2f} {rank:27.2f} {took:8.0f}", flush=True)


def measure_loops(films: Films, args: argparse.Namespace) -> None:
    """How the step from the last frame to the first compares with the others."""
    print(f"{'film':<28} {'last to first / median':>23} {'largest / median':>17}")
    every = str(args.fps // 2)
    kinds = {
        "txt2img, circle": (*TXT2IMG, "--seed-mode", "circle", "--loop"),
        "txt2img, keys, circle": (*TXT2IMG, "--interpolate", every, "--seed-mode", "circle", "--loop"),
        "img2img": ("--loop",),
        "img2img, strength 0.4": ("--loop", "--strength", "0.4"),
        "the same, from a picture": ("--loop", "--strength", "0.4", "--init-img", films.gradient()),
        "img2img, not a loop": (),
    }
    for name, flags in kinds.items():
        film, _ = films.make(f"loop {name}", *flags)
        *steps, home = steps_of(film, closed=True)
        median = np.median(steps)
        print(f"{name:<28} {home / median:23.2f} {max(steps) / median:17.2f}", flush=True)


def measure_cadence(films: Films, args: argparse.Namespace) -> None:
    """What a frame costs, and how far those that are decoded lie from painted ones."""
    kinds = {
        (mode, cadence): (*flags, "--cadence", str(cadence))
        for mode, flags in {"txt2img": TXT2IMG, "img2img": ()}.items()
        for cadence in (1, 2, 3, 5)
    }
    costs: dict[tuple[str, int], list[Cost]] = {kind: [] for kind in kinds}
    films.make("warm", "--duration", "0.1")
    for _ in range(args.repeats):  # in turn, as other programs come and go
        for (mode, cadence), flags in kinds.items():
            costs[mode, cadence].append(films.cost(f"{mode} {cadence}", *flags))
    print(
        f"{'':<12} {'ms by the clock':>16} {'all threads':>12} {'the slower':>11} {'times as fast':>15} "
        f"{'error':>6} {'step':>5}"
    )
    for mode, cadence in kinds:
        [film, each] = [films.make(f"{mode} {number}", *kinds[mode, number])[0] for number in (cadence, 1)]
        between = [index for index in range(len(film) - 1) if index % cadence]
        error = np.abs(film[between].astype(int) - each[between]).mean() if between else 0.0
        [cost, once] = [Cost.median(costs[mode, number]) for number in (cadence, 1)]
        times = " ".join(f"{before / now:.2f}" for before, now in zip(once, cost, strict=True))
        print(
            f"{f'{mode}, {cadence}':<12} {1000 * cost.clock:16.1f} {1000 * cost.all_threads:12.1f} "
            f"{1000 * cost.slower:11.1f} {times:>15} {error:6.1f} {steps_of(film).mean():5.1f}",
            flush=True,
        )


def steady(films: Films, name: str, *flags: str) -> np.ndarray:
    """Make a film of a tone that never changes, so that all that moves is the noise; it is a loop."""
    return films.of(STEADY).make(name, *TXT2IMG, "--loop", "--seed-mode", *flags)[0]


def measure_walks(films: Films, args: argparse.Namespace) -> None:
    """How large the steps are that noise alone makes."""
    print(f"{'noise of a steady tone':<28} {'mean step':>10} {'largest / median':>17}")
    kinds = {
        "walk, 1 seed a second": ("walk",),
        "walk, 4 seeds a second": ("walk", "--walk-rate", "4"),
        "circle": ("circle",),
        "increment": ("increment",),
    }
    for name, flags in kinds.items():
        steps = steps_of(steady(films, name, *flags), closed=True)
        print(f"{name:<28} {steps.mean():10.1f} {steps.max() / np.median(steps):17.2f}", flush=True)


def describe_flags(parser: argparse.ArgumentParser, duration: float = 3.0) -> None:
    """Add the flags that say of what films are made."""
    parser.add_argument("--sound", default="examples/song.ogg")
    parser.add_argument("--offset", type=float, default=4.0)
    parser.add_argument("--duration", type=float, default=duration)
    parser.add_argument("--fps", type=int, default=12)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--flags", default="", help='more flags of audio2video: "--ddim_steps 4"')
    parser.add_argument("--films", type=Path, help="keep the films here")


def main() -> int:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    describe_flags(parser)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--repeats", type=int, default=3, help="of what is timed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, one_model():
        films = Films(args, args.films or Path(temporary))
        for part in args.only:
            MEASURES[part](films, args)
            print()
    return 0


MEASURES = {
    "spacing": measure_spacing,
    "loops": measure_loops,
    "cadence": measure_cadence,
    "walks": measure_walks,
}

if __name__ == "__main__":
    sys.exit(main())
