"""Measure how well films follow their sound: each control alone, and each preset.

    python -m benchmarks.control --sounds FOLDER [--pieces 2] [--seconds 5] [--only zoom pulse]

A control is correlated with what it should move, frame by frame: zoom with the divergence of the optical
flow, angle with its curl, translations with its mean, strength with the change of the picture. Gain moves the
light, which is what the embedded model says level with; contrast rises with the light of a plate until that
is full and then falls, so that it is shown without a goal. Gain goes by the clock here, as scale does, since
light and colour follow loudness by themselves.

Scale and noise lead away from what is painted without them, whichever way that is, so that they are
correlated with the distance of every frame from the same one of a film of constant --strength 0.4 alone
("plain"). Contrast does not tell what guidance does: it rises with it, and falls again where the picture as
a whole is bright. Change from frame to frame does not tell what noise does: it is the music's own first of
all. Noise follows loudness, as the camera does: what it has made stays for some frames, so that single frames
of noise, at onsets, are told apart less well.

For every preset the same is done with all that it schedules, and onset strength with the change of the
picture. A row has Pearson's correlation and Spearman's rank correlation, each the mean over the pieces, then
AV-Align of the film and of the plain one, and the time that a frame takes,
everything but loading the libraries included. With --outdir the films stay, are looked at again without being
painted, and then have no time.

--text-weight takes a model that reads: `--model FOLDER --flags "--textprompt 'a forest'" --only text_weight`.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

import sound_diffusion as sd
from benchmarks import film_measures, measures
from benchmarks.flow import AffineFlow, affine_flow
from benchmarks.made import make_film, one_model
from benchmarks.pieces import Piece, choose, read_pieces
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.formulas.schedules import Schedule
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.options import FilmOptions
from sound_diffusion.presets import preset_names
from sound_diffusion.starting_pictures import load_picture

CAMERA = ("--strength", "0.4")  # of films that are about motion
CONTROLS = {
    "strength": ("--strength", "0.1 + 0.7*onset"),
    "scale": ("--scale", "2 - cos(pi*seconds)", *CAMERA),
    "gain": ("--gain", "0.65 - 0.35*cos(pi*seconds)"),
    "noise": ("--noise", "loudness", *CAMERA),
    "zoom": ("--zoom", "1 + 0.08*loudness", *CAMERA),
    "angle": ("--angle", "8*(loudness - 0.5)", *CAMERA),
    "translation_x": ("--translation_x", "8*(loudness - 0.5)", *CAMERA),
    "translation_y": ("--translation_y", "8*(loudness - 0.5)", *CAMERA),
    "text_weight": ("--text-weight", "smooth(loudness, 0.2)", "--strength", "0.8"),
}
PLAIN = ("--strength", "0.4")
GOAL, GOAL_OF_ONSETS = 0.7, 0.5


@dataclass
class Film:
    """A film and its sound.

    Attributes
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
    frames : np.ndarray [shape=(n, h, w, 3), dtype=uint8]
    seconds : float
        That a frame took.
    plain : Film or None
        Of the same sound and strength, without the control that is measured.
    """

    y: np.ndarray
    frames: np.ndarray
    seconds: float = field(default=np.nan)
    plain: Film | None = None

    @cached_property
    def fps(self) -> float:
        """Frames a second."""
        return film_measures.frame_rate(self.y, self.frames)

    @cached_property
    def flows(self) -> list[AffineFlow]:
        """Motion of every frame but the first."""
        pictures = [Image.fromarray(frame) for frame in self.frames]
        return [affine_flow(one, other) for one, other in itertools.pairwise(pictures)]

    @cached_property
    def change(self) -> np.ndarray:
        """Change of every frame but the first [shape=(n - 1,)]."""
        return film_measures.change(self.frames)

    @cached_property
    def light(self) -> np.ndarray:
        """Light of every frame but the first, 0 to 1 [shape=(n - 1,)]."""
        return film_measures.light(self.frames[1:])

    @cached_property
    def contrast(self) -> np.ndarray:
        """Deviation of the grey values of every frame but the first, 0 to 0.5 [shape=(n - 1,)]."""
        return self.frames[1:].mean(3).std((1, 2)) / 255

    @cached_property
    def saturation(self) -> np.ndarray:
        """Mean difference of the largest and the smallest of R, G and B, 0 to 1 [shape=(n - 1,)]."""
        return np.ptp(self.frames[1:], axis=3).mean((1, 2)) / 255

    @cached_property
    def distance(self) -> np.ndarray:
        """Mean absolute difference of every frame but the first from `plain`, 0 to 1 [shape=(n - 1,)]."""
        assert self.plain is not None
        pairs = zip(self.frames[1:].astype(np.int16), self.plain.frames[1:], strict=True)
        return np.array([np.abs(one - other).mean() for one, other in pairs]) / 255

    @cached_property
    def alignment(self) -> float:
        """AV-Align."""
        movement = film_measures.motion(self.frames)
        return film_measures.av_align(film_measures.onset_times(self.y), movement, self.fps)


# What a control moves, of every frame but the first; the goal is for what is named first.
MOVED: dict[str, dict[str, Callable[[Film], np.ndarray]]] = {
    "strength": {"change": lambda film: film.change},
    "guidance": {
        "distance from plain": lambda film: film.distance,
        "saturation": lambda film: film.saturation,
    },
    "gain": {"light": lambda film: film.light, "contrast": lambda film: film.contrast},
    "noise": {"distance from plain": lambda film: film.distance, "change": lambda film: film.change},
    "zoom": {"divergence": lambda film: np.array([flow.divergence for flow in film.flows])},
    "angle": {"curl": lambda film: np.array([flow.curl for flow in film.flows])},
    "translation_x": {"motion to the right": lambda film: np.array([flow.mean[0] for flow in film.flows])},
    "translation_y": {"motion down": lambda film: np.array([flow.mean[1] for flow in film.flows])},
    "text_weight": {"nearness to the text": lambda film: nearness(film.frames)},
}


def nearness(frames: np.ndarray) -> np.ndarray:
    """How near every frame but the first comes to the last one of a film that ends with its text alone."""
    return -np.abs(frames[1:].astype(np.float32) - frames[-1]).mean((1, 2, 3))


@dataclass(frozen=True)
class Studio:
    """Makes films of pieces, in a folder."""

    folder: Path
    seconds: float
    flags: tuple[str, ...]

    def film(self, piece: Piece, name: str, words: tuple[str, ...]) -> Film:
        """Make the film of the beginning of a piece; `name` is for its folder."""
        y = piece.cut(self.seconds)
        sound = self.folder / f"{piece.name}.wav"
        if not sound.exists():  # its header has the time of writing, and another file is another film
            soundfile.write(sound, y, SAMPLE_RATE, subtype="FLOAT")
        frames = self.folder / name / piece.name / "frames"
        is_new, began = not frames.exists(), time.monotonic()
        make_film(["--path", str(sound), "--outdir", str(self.folder / name), *self.flags, *words])
        took = time.monotonic() - began
        pictures = np.array([load_picture(frame) for frame in sorted(frames.glob("*.png"))])
        return Film(y, pictures, took / len(pictures) if is_new else np.nan)


def schedules(words: tuple[str, ...]) -> dict[str, Schedule]:
    """Return all that a command line lets change over a film."""
    options = audio2video_options(words)
    return {name: value for name in MOVED if isinstance(value := getattr(options, name), Schedule)}


def audio2video_options(words: tuple[str, ...]) -> FilmOptions:
    """Read the words of a command line, without checking that anything is there."""
    from sound_diffusion.cli import Parser

    return Parser(FilmOptions).read(FilmOptions.expand(["--path", "sound.wav", *words]))


def correlations(values: np.ndarray, response: np.ndarray) -> tuple[float, float]:
    """Pearson's and Spearman's correlation of n frames with what happened to all but the first."""
    return float(np.corrcoef(values[1:], response)[0, 1]), measures.spearman(values[1:], response)


def rows_of(films: list[Film], words: tuple[str, ...]) -> dict[str, tuple[float, list[tuple[float, float]]]]:
    """Correlate every schedule with what it moves: the goal, and a figure for each film."""
    rows: dict[str, tuple[float, list[tuple[float, float]]]] = {}
    fps = audio2video_options(words).fps
    for name, schedule in schedules(words).items():
        for number, (moved, response) in enumerate(MOVED[name].items()):
            figures = rows.setdefault(f"{name} - {moved}", (np.nan if number else GOAL, []))[1]
            for film in films:
                variables = Variables(len(film.frames), fps, sd.describe(film.y, fps), seed=42)
                figures.append(correlations(schedule.evaluate(variables), response(film)))
    return rows


def onset_row(films: list[Film]) -> list[tuple[float, float]]:
    """Correlate the onset strength of the sound with the change of the picture."""
    return [
        correlations(film_measures.onsets(film.y, len(film.frames), film.fps), film.change) for film in films
    ]


def table(studio: Studio, pieces: list[Piece], names: list[str]) -> None:
    """Make the films and print a row for each relation."""
    plain = [studio.film(piece, "plain", PLAIN) for piece in pieces]
    print(
        f"{'film':<14} {'relation':<34} {'goal':>5} {'Pearson':>8} {'Spearman':>8} "
        f"{'AV-Align':>8} {'plain':>6} {'s/frame':>8}"
    )
    for name in ["plain", *names]:
        words = PLAIN if name == "plain" else CONTROLS.get(name, ("--preset", name))
        films = plain if name == "plain" else [studio.film(piece, name, words) for piece in pieces]
        for film, other in zip(films, plain, strict=True):
            film.plain = other
        rows = rows_of(films, words)
        if name not in CONTROLS:
            goal = GOAL_OF_ONSETS if name == "pulse" else np.nan
            rows["onset strength - change"] = (goal, onset_row(films))
        aligned, before = (np.mean([film.alignment for film in each]) for each in (films, plain))
        took = np.mean([film.seconds for film in films])
        for relation, (goal, values) in rows.items():
            pearson, spearman = np.mean(values, axis=0)
            wanted = "" if np.isnan(goal) else f"{goal:.2f}"
            figures = f"{pearson:8.2f} {spearman:8.2f} {aligned:8.2f} {before:6.2f} {took:8.2f}"
            print(f"{name:<14} {relation:<34} {wanted:>5} {figures}", flush=True)


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--sounds", type=Path, required=True, help="folder of pieces of 8 s or more")
    flags.add_argument("--pieces", type=int, default=2, help="so many of them, evenly chosen (default: 2)")
    flags.add_argument("--seconds", type=float, default=5.0, help="of each piece (default: 5)")
    choices = [*CONTROLS, *preset_names()]
    flags.add_argument("--only", nargs="+", choices=choices, help="films (default: all but text_weight)")
    flags.add_argument("--flags", default="", help='more flags of audio2video: "--ddim_steps 8"')
    flags.add_argument("--model", default="auto", help="a model (default: auto)")
    flags.add_argument("--outdir", type=Path, metavar="FOLDER", help="where the films stay")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Make the films and print the table."""
    options = parser().parse_args(argv)
    pieces = choose(read_pieces(options.sounds), options.pieces)
    names = options.only or [*(name for name in CONTROLS if name != "text_weight"), *preset_names()]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.outdir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        flags = ("--model", options.model, *shlex.split(options.flags))
        with one_model():
            table(Studio(folder, options.seconds, flags), pieces, names)


if __name__ == "__main__":
    main()
