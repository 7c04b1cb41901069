"""Who paints: the model as the scripts run it, and the renderer that taught it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile

from benchmarks.correspondence import Student, teacher
from benchmarks.made import make_film
from sound_diffusion.constants import SAMPLE_RATE, SD1_WIDTH
from sound_diffusion.film.path import features_at
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.model.defaults import read_defaults
from sound_diffusion.model.find import find_model
from sound_diffusion.options import FilmOptions
from sound_diffusion.sound.features import extract
from sound_diffusion.starting_pictures import load_picture

BATCH = 20
Item = TypeVar("Item")
Result = TypeVar("Result")


@functools.cache
def student(model: str, steps: int | None) -> Student:
    """Load a model, once in every process."""
    return Student(Path(model), steps, None, BATCH)


@dataclass(frozen=True)
class Painter:
    """Paints sounds.

    Attributes
    ----------
    who : {"model", "teacher"}
    model : str
        The model, or the one whose film window the teacher takes.
    steps : int or None
        Diffusion steps. None: what the model declares.
    window : float or None
        Seconds of sound in a frame. None: what the model declares.
    flags : tuple of str
        Further flags of audio2video, for the model's films.
    """

    who: str
    model: str
    steps: int | None = None
    window: float | None = None
    flags: tuple[str, ...] = ()

    def pictures(self, sounds: Sequence[np.ndarray], seeds: Sequence[int]) -> list[np.ndarray]:
        """Paint a picture of each whole sound with its seed, as audio2img does with --feature fft."""
        magnitudes = [extract(y, "fft") for y in sounds]
        paint = teacher if self.who == "teacher" else student(self.model, self.steps)
        return paint(magnitudes, list(seeds))

    def film(self, y: np.ndarray) -> np.ndarray:
        """Paint the film of a sound [shape=(frames, height, width, 3), dtype=uint8]."""
        return self._teacher_film(y) if self.who == "teacher" else self._model_film(y)

    def _teacher_film(self, y: np.ndarray) -> np.ndarray:
        """Render every frame by itself, all with one seed."""
        options, window = FilmOptions(), self.window or read_defaults(find_model(self.model).path).window
        timeline = Timeline(
            n_samples=len(y), fps=options.fps, window=None if window is None else Fraction(str(window))
        )
        matrices = [matrix for _, matrix in features_at(iter([y]), timeline, timeline.feature, SD1_WIDTH)]
        return np.array(teacher(matrices, [options.seed] * len(matrices)))

    def _model_film(self, y: np.ndarray) -> np.ndarray:
        """Run audio2video and read its frames."""
        wanted = {"--window": self.window, "--ddim_steps": self.steps}
        flags = [str(x) for pair in wanted.items() if pair[1] is not None for x in pair]
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / "sound.wav"
            soundfile.write(sound, y, SAMPLE_RATE, subtype="FLOAT")
            words = ["--path", str(sound), "--outdir", folder, "--model", self.model, "--quiet"]
            make_film([*words, *flags, *self.flags])
            return np.array([load_picture(frame) for frame in sorted(Path(folder).glob("*/frames/*.png"))])


def spread(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> list[Result]:
    """Do the same with every item, in `jobs` processes."""
    if jobs == 1:
        return [work(item) for item in items]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(work, items))


def _paint_chunk(chunk: tuple[Painter, list[np.ndarray], list[int]]) -> list[np.ndarray]:
    painter, sounds, seeds = chunk
    return painter.pictures(sounds, seeds)


def paint_all(
    painter: Painter, sounds: Sequence[np.ndarray], seeds: Sequence[int], jobs: int
) -> list[np.ndarray]:
    """Paint every sound with every seed: all pictures of the first sound, then all of the second."""
    every = [(y, seed) for y in sounds for seed in seeds]
    chunks = [every[start : start + BATCH] for start in range(0, len(every), BATCH)]
    work = [(painter, [y for y, _ in chunk], [seed for _, seed in chunk]) for chunk in chunks]
    return [picture for pictures in spread(_paint_chunk, work, jobs) for picture in pictures]
