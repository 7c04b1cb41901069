"""How well the pictures of the embedded model say what they are meant to say.

    python -m benchmarks.correspondence

Every row is measured on the model's pictures and, beside it, on those of the renderer that taught it, with
the same sounds. The sounds are made here (or are real recordings: `--sounds`) and were not used in training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import sound_diffusion as sd
from benchmarks import measures, signals
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.latents import decode_latents, encode_pictures
from sound_diffusion.model.picture_language import describe
from sound_diffusion.settings import settings_for
from sound_diffusion.sound.features import extract, extract_at
from training.export import MODEL
from training.renderer import render
from training.synthesis import band, chime, drum, hiss, level, pluck, tone

FRAMES_PER_SECOND = 12
Painter = Callable[[list[np.ndarray], list[int]], list[np.ndarray]]  # magnitudes and seeds -> pictures


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    name : str
        What is measured.
    goal : str
        What it should be.
    model, teacher : float
        The figures.
    """

    name: str
    goal: str
    model: float
    teacher: float

    def __str__(self) -> str:
        share = f"{100 * self.model / self.teacher:6.1f}%" if self.teacher else "      -"
        return f"{self.name:<44} {self.goal:>9} {self.model:9.3f} {self.teacher:9.3f} {share}"


def teacher(magnitudes: list[np.ndarray], seeds: list[int]) -> list[np.ndarray]:
    """Render the pictures that the model was shown in training."""
    return [render(describe(m), seed) for m, seed in zip(magnitudes, seeds, strict=True)]


class Student:
    """The model, painting many pictures at a time."""

    def __init__(self, path: Path, steps: int | None, guidance: float | None, batch: int):
        self.model = sd.load_model(str(path))
        wanted = {"steps": steps, "guidance": guidance}
        changes = {name: value for name, value in wanted.items() if value is not None}
        self.settings = settings_for(self.model.defaults, **changes)
        self.batch = batch

    def __call__(self, magnitudes: list[np.ndarray], seeds: list[int]) -> list[np.ndarray]:
        """Paint one picture for each magnitude matrix of the `fft` feature."""
        embeddings = [sd.scale(m, self.model.scaling_for("fft")) for m in magnitudes]
        pictures: list[np.ndarray] = []
        for start in range(0, len(seeds), self.batch):
            part = slice(start, start + self.batch)
            painted = sd.paint_batch(self.model, embeddings[part], seeds[part], self.settings)
            pictures += [np.asarray(picture) for picture in painted]
        return pictures

    def psnr(self, pictures: list[np.ndarray]) -> float:
        """Median reconstruction of the autoencoder, in decibels."""
        values = []
        for picture in pictures:
            latents = encode_pictures(self.model, [Image.fromarray(picture)], self.settings, [0])
            [back] = decode_latents(self.model, latents, [0], self.settings.local_contrast)
            values.append(measures.psnr(picture, np.asarray(back)))
        return float(np.median(values))


def per_sound(
    painter: Painter, sounds: list[np.ndarray], seeds: int, measure: Callable[[np.ndarray], object]
) -> np.ndarray:
    """Measure `seeds` pictures of each sound [shape=(len(sounds), seeds, ...)]."""
    magnitudes = [extract(y, "fft") for y in sounds for _ in range(seeds)]
    pictures = painter(magnitudes, list(range(seeds)) * len(sounds))
    values = np.array([measure(picture) for picture in pictures])
    return values.reshape(len(sounds), seeds, *values.shape[1:])


def correlation(
    painter: Painter, sounds: list[np.ndarray], property_: list[float], measure: Callable, seeds: int
) -> float:
    """Spearman correlation of a property of the sounds with a measure of their pictures."""
    values = per_sound(painter, sounds, seeds, measure)
    return measures.spearman(np.repeat(property_, seeds), values.ravel())


def loudness_sounds() -> tuple[list[np.ndarray], list[float]]:
    """Five sounds at peaks from -40 to 0 dB, and their RMS levels."""
    steady = [
        tone(220), tone(110, 30), hiss(), tone(262, 6) + tone(330, 6),
        chime(500),
    ]  # fmt: skip
    sounds = [
        (y / np.abs(y).max() * 10 ** (peak / 20)).astype(np.float32)
        for y in steady
        for peak in range(-40, 1, 8)
    ]
    return sounds, [float(10 * np.log10(np.mean(y.astype(np.float64) ** 2))) for y in sounds]


def colour_sounds() -> tuple[list[np.ndarray], list[float]]:
    """Sines, rich tones and noise from 80 Hz to 8 kHz, and their centroids."""
    sounds = [tone(f) for f in np.geomspace(80, 8000, 8)]
    sounds += [tone(*shape) for shape in ((80, 10, 1.5), (110, 30), (220, 12, 0.5), (440, 20), (880, 8, 0.3))]
    sounds += [band(f / 1.3, f * 1.3) for f in np.geomspace(100, 7000, 6)] + [hiss()]
    sounds = [level(y, -15) for y in sounds]
    return sounds, [signals.centroid(y) for y in sounds]


def pitch_sounds() -> tuple[list[np.ndarray], list[float]]:
    """Sines from 60 Hz to 4 kHz, and their frequencies."""
    frequencies = [float(f) for f in np.geomspace(60, 4000, 14)]
    return [level(tone(f), -12) for f in frequencies], frequencies


def noise_sounds() -> tuple[list[np.ndarray], list[float]]:
    """Three tones in ever more noise, and the flatness of their spectra."""
    sounds = []
    for frequency in (150, 440, 1300):
        for ratio in (48, 40, 32, 24, 16, 8, 0, -12):
            clean = level(tone(frequency, 6, 1.5), 0)
            sounds.append(level(clean + level(hiss(), -ratio), -14))
    return sounds, [signals.flatness(y) for y in sounds]


def onset_error(painter: Painter, attacks: int, window: float) -> tuple[float, float]:
    """Distance in frames between a sound's attack and the jump of the light, in a film at 12 frames a second.

    The light is that of the plate's middle, which shows the last frame's duration: now is the centre. Every
    film has a quiet bed and one attack at a random moment. Its frames are painted by themselves, each with a
    seed of its own.

    Returns
    -------
    tuple of float
        Median and largest distance.
    """
    rng = np.random.default_rng(99)
    count, share = 14, 1 / (FRAMES_PER_SECOND * window)
    errors = []
    for attack in range(attacks):
        onset = rng.uniform(0.35, 0.8)
        y = level(band(200, 2000, 1.3, seed=(2024, attack)), -48)
        hit = (pluck(float(rng.uniform(120, 900)), 1.3) if attack % 2 else drum(1.3)) * 0.5
        start = round(onset * SAMPLE_RATE)
        y[start:] += hit[: len(y) - start].astype(np.float32)
        ends = (np.arange(count) + 1) / FRAMES_PER_SECOND
        moments = SAMPLE_RATE * (ends[:, None] - window + np.arange(77) * window / 77)
        magnitudes = [extract_at(y, np.round(m).astype(int), "fft") for m in moments]
        light = [measures.light_now(p, share) for p in painter(magnitudes, list(range(count)))]
        jump = int(np.argmax(np.diff(light))) + 1
        errors.append(abs(jump - int(onset * FRAMES_PER_SECOND)))
    return float(np.median(errors)), float(np.max(errors))


def recordings(folder: Path, duration: float = 5.0) -> dict[str, np.ndarray]:
    """Read every sound of a folder: its first `duration` seconds."""
    suffixes = {".wav", ".flac", ".ogg", ".mp3", ".m4a"}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    return {path.stem: sd.load_audio(path, duration=duration) for path in files}


def recognition_rows(painters: list[Painter], folder: Path | None, seeds: int) -> list[Row]:
    """Recognise twenty made sounds, and those together with real recordings."""
    made = list(signals.twenty().values())
    sounds = made + (list(recordings(folder).values()) if folder else [])
    labels = np.repeat(np.arange(len(sounds)), seeds)
    twenty = labels < len(made)
    figures = []
    for painter in painters:
        signatures = per_sound(painter, sounds, seeds, measures.signature).reshape(len(labels), -1)
        among_made = measures.recognition(signatures[twenty], labels[twenty])
        figures.append((among_made, measures.recognition(signatures, labels)))
    rows = [Row(f"recognition of {len(made)} sounds", ">= 0.90", *(f[0] for f in figures))]
    if folder:
        rows.append(Row(f"recognition, {len(sounds)} with recordings", ">= 0.90", *(f[1] for f in figures)))
    return rows


def frechet_rows(student: Painter, count: int) -> Row:
    """Compare generated with rendered pictures of mixed sounds, and two rendered sets with each other."""
    from training.dataset import picture_features
    from training.sounds import draw_sound, log_uniform

    magnitudes = []
    for seed in range(count):
        rng = np.random.default_rng([777, seed])
        magnitudes.append(picture_features(draw_sound(rng, log_uniform(rng, 0.1, 3)), "fft")[1])
    sets = [
        np.array(
            [measures.frechet_features(p) for p in painter(magnitudes, list(range(first, first + count)))]
        )
        for painter, first in ((student, 0), (teacher, 0), (teacher, 10_000))
    ]
    return Row(
        "Frechet distance to rendered (halves)",
        "small",
        measures.frechet(sets[0], sets[1]),
        measures.frechet(sets[2], sets[1]),
    )


def seconds_a_picture(student: Student) -> float:
    """Time of one picture alone, after a first one."""
    one = [extract(level(tone(300), -12), "fft")]
    batch_of_one = [0]
    student(one, batch_of_one)
    began = time.perf_counter()
    student(one, batch_of_one)
    return time.perf_counter() - began


ROWS = {
    "loudness": ("loudness - mean light (Spearman)", ">= 0.95", loudness_sounds, measures.light),
    "hue": ("centroid - hue (Spearman)", ">= 0.95", colour_sounds, measures.hue),
    "pitch": ("pitch - spatial frequency (Spearman)", ">= 0.90", pitch_sounds, measures.detail),
    "texture": ("flatness - texture (Spearman)", ">= 0.90", noise_sounds, measures.texture),
}
OTHERS = ("recognition", "film", "frechet", "psnr", "time")


def measure(student: Student, row: str, options: argparse.Namespace) -> list[Row]:
    """Measure what one word of `--only` names."""
    if row in ROWS:
        name, goal, make, of_picture = ROWS[row]
        seeds = options.seeds
        return [Row(name, goal, *(correlation(p, *make(), of_picture, seeds) for p in (student, teacher)))]
    if row == "recognition":
        return recognition_rows([student, teacher], options.sounds, options.seeds)
    if row == "film":
        window = student.model.defaults.window or 1 / FRAMES_PER_SECOND
        film = [onset_error(painter, options.attacks, window) for painter in (student, teacher)]
        return [
            Row("film: light's jump - onset, frames (median)", "<= 1", film[0][0], film[1][0]),
            Row("film: light's jump - onset, frames (largest)", "", film[0][1], film[1][1]),
        ]
    if row == "frechet":
        return [frechet_rows(student, options.pictures)]
    if row == "psnr":
        rendered = teacher([extract(y, "fft") for y in signals.twenty().values()], list(range(20)))
        return [Row("autoencoder's PSNR, dB (median)", ">= 30", student.psnr(rendered), 0.0)]
    return [Row("seconds a picture", "<= 2", seconds_a_picture(student), 0.0)]


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    every = (*ROWS, *OTHERS)
    flags.add_argument("--model", type=Path, default=MODEL, help="a model folder")
    flags.add_argument("--sounds", type=Path, help="folder of recordings to recognise, too")
    flags.add_argument("--only", nargs="+", choices=every, default=every, help="rows to measure")
    flags.add_argument("--seeds", type=int, default=5, help="pictures of each sound")
    flags.add_argument("--steps", type=int, help="diffusion steps; by default the model's")
    flags.add_argument("--guidance", type=float, help="guidance scale; by default the model's")
    flags.add_argument("--batch", type=int, default=20, help="pictures painted together")
    flags.add_argument("--attacks", type=int, default=5, help="films of the onset row")
    flags.add_argument("--pictures", type=int, default=100, help="pictures of the Frechet row")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Measure every row and print the table."""
    options = parser().parse_args(argv)
    student = Student(options.model, options.steps, options.guidance, options.batch)
    print(f"{'':<44} {'goal':>9} {'model':>9} {'teacher':>9} {'share':>7}")
    for name in options.only:
        for row in measure(student, name, options):
            print(row, flush=True)


if __name__ == "__main__":
    main()
