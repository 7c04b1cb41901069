"""Measure what lies between the frames: spacing, loops, cadence, walks, bends.

    python -m benchmarks.between [--sound examples/song.ogg] [--offset 4] [--duration 3] [--fps 12]
        [--only spacing loops cadence walks bends] [--films FOLDER] [--sheets FOLDER] [--model auto]

A visible step is the mean absolute difference between consecutive frames, of 255. Each film is made by
audio2video; those that are in --films already are not made again, and cadence is timed with new ones, by
the time of the processors, since a clock tells more of what else a machine does.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import audio2video
import sound_diffusion as sd
from benchmarks import measures
from sound_diffusion import job
from sound_diffusion.bending import Bending, parse_bend
from sound_diffusion.painting import paint_batch
from sound_diffusion.settings import settings_for

PARTS = ("spacing", "loops", "cadence", "walks", "bends")
TXT2IMG = ("--mode", "txt2img")
BENDS = {  # from what changes nothing to about the largest amount after which there is a picture
    "add": (0, 0.25, 0.5, 1, 1.5),
    "multiply": (1, 0.75, 0.5, 1.25, 1.5),
    "rotate": (0, np.pi / 4, np.pi / 2, np.pi, 3 * np.pi / 2),
    "noise": (0, 0.25, 0.5, 0.75, 1),
    "flip": (0, 0.25, 0.5, 0.75, 1),
    "threshold": (0, 0.25, 0.5, 1, 1.5),
}


class Cost(NamedTuple):
    """Processor seconds of a frame: of all threads, and of the one that paints or the one that saves.

    On two processors that nobody else uses, a frame takes as long as the slower of these threads.
    """

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

    def make(self, name: str, *flags: str, again: bool = False) -> tuple[np.ndarray, float]:
        """Return the frames of a film [shape=(n, height, width, 3), dtype=uint8] and how long it took."""
        args = self._args
        words = ["--path", args.sound, "--offset", str(args.offset), "--duration", str(args.duration)]
        words += ["--fps", str(args.fps), "--model", args.model, "--outdir", str(self._folder / name)]
        words += ["--quiet", "--no-audio", "--allow-flashing", *flags]
        if again:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        began = time.perf_counter()
        with redirect_stdout(sys.stderr):
            code = audio2video.main(words)
        if code:
            raise SystemExit(code)
        took = time.perf_counter() - began
        pictures = []
        for path in self._frames(name):
            with Image.open(path) as picture:
                pictures.append(np.asarray(picture))
        return np.stack(pictures), took

    def cost(self, name: str, *flags: str) -> Cost:
        """Return the processor time of a frame: of those by which a film is longer than its first second."""
        spent, lengths = [], []
        for more in ((), ("--duration", "1")):
            began = time.process_time(), time.thread_time()
            film, _took = self.make(f"{name}{' short' * bool(more)}", *flags, *more, again=True)
            spent.append((time.process_time() - began[0], time.thread_time() - began[1]))
            lengths.append(len(film))
        whole, painting = (np.subtract(*spent) / np.subtract(*lengths)).tolist()
        return Cost(whole, max(painting, whole - painting))

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
        f"{'':<12} {'ms, all threads':>16} {'the slower':>11} {'times as fast':>14} {'error':>6} {'step':>5}"
    )
    for mode, cadence in kinds:
        [film, each] = [films.make(f"{mode} {number}", *kinds[mode, number])[0] for number in (cadence, 1)]
        between = [index for index in range(len(film) - 1) if index % cadence]
        error = np.abs(film[between].astype(int) - each[between]).mean() if between else 0.0
        [cost, once] = [Cost.median(costs[mode, number]) for number in (cadence, 1)]
        times = f"{once.all_threads / cost.all_threads:.2f} {once.slower / cost.slower:.2f}"
        print(
            f"{f'{mode}, {cadence}':<12} {1000 * cost.all_threads:16.0f} {1000 * cost.slower:11.0f} "
            f"{times:>14} {error:6.1f} {steps_of(film).mean():4.1f}",
            flush=True,
        )


def measure_walks(films: Films, args: argparse.Namespace) -> None:
    """How large the steps are that noise alone makes: the sound is silenced."""
    print(f"{'noise':<28} {'mean step':>10} {'largest / median':>17}")
    kinds = {
        "walk, 1 seed a second": ("--seed-mode", "walk"),
        "walk, 4 onset": ("--seed-mode", "walk", "--walk-rate", "4*onset"),
        "circle": ("--seed-mode", "circle"),
        "increment": ("--seed-mode", "increment"),
    }
    for name, flags in kinds.items():
        film, _ = films.make(f"walk {name}", *TXT2IMG, *flags, "--gain", "0")
        steps = steps_of(film)
        print(f"{name:<28} {steps.mean():10.1f} {steps.max() / np.median(steps):17.2f}", flush=True)


def draw_bends(args: argparse.Namespace, path: Path) -> None:
    """One picture with every operator, by amount: a row for each operator."""
    model = sd.load_model(args.model)
    y = sd.load_audio(args.sound, offset=args.offset, duration=args.duration)
    embedding = sd.embed(y, feature="fft", model=model)
    settings = settings_for(model.defaults)
    figure = Figure(figsize=(7.2, 9), layout="constrained")
    grid = figure.subplots(len(BENDS), 5)
    print(f"{'operator':<10} {'mean change of 255, by amount'}")
    for row, (name, amounts) in zip(grid, BENDS.items(), strict=True):
        pictures: list[np.ndarray] = []
        for axes, amount in zip(row, amounts, strict=True):
            bending = Bending(
                [parse_bend(f"{name}@{args.step}: 0")],
                np.array([[amount]]),
                [args.seed],
                settings.steps,
                model.defaults.mirrored_noise,
            )
            [picture] = paint_batch(model, [embedding], [args.seed], settings, bending=bending)
            pictures.append(np.asarray(picture).astype(int))
            axes.imshow(picture)
            axes.set_title(f"{name} {amount:.3g}", fontsize=7, pad=2)
            axes.set_axis_off()
        changes = [float(np.abs(picture - pictures[0]).mean()) for picture in pictures]
        pairs = zip(amounts, changes, strict=True)
        shown = "  ".join(f"{amount:.3g}: {change:.1f}" for amount, change in pairs)
        print(f"{name:<10} {shown}", flush=True)
    figure.savefig(path, dpi=100, pil_kwargs={"quality": 80})


def draw_strips(path: Path, films: dict[str, np.ndarray], count: int = 12) -> None:
    """Frames of some films, one above the other."""
    figure = Figure(figsize=(9, 0.9 * len(films)), layout="constrained")
    for axes, (name, film) in zip(np.atleast_1d(figure.subplots(len(films), 1)), films.items(), strict=True):
        shown = film[np.linspace(0, len(film) - 1, count).round().astype(int)]
        axes.imshow(np.hstack(list(shown)))
        axes.set_title(name, fontsize=7, loc="left", pad=2)
        axes.set_axis_off()
    figure.savefig(path, dpi=100, pil_kwargs={"quality": 80})


def main() -> int:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sound", default="examples/song.ogg")
    parser.add_argument("--offset", type=float, default=4.0)
    parser.add_argument("--duration", type=float, default=3.0)
    parser.add_argument("--fps", type=int, default=12)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--films", type=Path, help="keep the films here")
    parser.add_argument("--sheets", type=Path, help="draw sheets here")
    parser.add_argument("--step", default="30%", help="after which step it is bent")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--repeats", type=int, default=3, help="of what is timed")
    args = parser.parse_args()
    measure = {
        "spacing": measure_spacing,
        "loops": measure_loops,
        "cadence": measure_cadence,
        "walks": measure_walks,
    }
    loaded_once = mock.patch.object(job, "load_model", functools.cache(job.load_model))
    with tempfile.TemporaryDirectory() as temporary, loaded_once:
        films = Films(args, args.films or Path(temporary))
        for part in args.only:
            if part == "bends":
                sheet = (args.sheets or Path(temporary)) / "between_bends.jpg"
                draw_bends(args, sheet)
            else:
                measure[part](films, args)
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
