"""Pairs of sound and picture, made once and kept in shards that both networks read."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sound_diffusion.constants import N_ROWS as ROWS
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.model.picture_language import Descriptors, as_numbers, describe, listen
from sound_diffusion.sound.embeddings import scale
from sound_diffusion.sound.features import extract, extract_at
from training import corpus
from training.renderer import render
from training.sounds import log_uniform

WIDTH = 768
SHARD = 128  # pairs or sounds
READERS = 8  # shards that are read at once
SOUNDS = "sounds"  # folder of the shards without pictures
SCALING = {"fft": "log", "waveform": "none", "melspectrogram": "none", "mfcc": "none", "cqt": "none"}
PAINTED = {"fft": 0.79, "melspectrogram": 0.08, "waveform": 0.06, "mfcc": 0.04, "cqt": 0.03}
HEARD = {"fft": 0.4, "melspectrogram": 0.15, "waveform": 0.25, "mfcc": 0.12, "cqt": 0.08}
PICTURE_SECONDS = (0.02, 6.0)
FILM_WINDOW = (0.02, 2.0)  # seconds
COLUMNS = {
    "embedding": "embeddings",
    "told": "told",
    "targets": "targets",
    "picture": "pictures",
}  # of a shard


@dataclass(frozen=True)
class Sound:
    """One sound as the model sees it, and its descriptors as numbers.

    Attributes
    ----------
    embedding : np.ndarray [shape=(77, 768), dtype=float16]
        Scaled.
    told : np.ndarray [shape=(71,), dtype=float32]
        The descriptors as the model reads them from the embedding.
    targets : np.ndarray [shape=(71,), dtype=float32]
        The descriptors of the sound.
    """

    embedding: np.ndarray
    told: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Pair(Sound):
    """A sound and its picture.

    Attributes
    ----------
    picture : np.ndarray [shape=(256, 256, 3), dtype=uint8]
    """

    picture: np.ndarray


def picture_features(y: np.ndarray, feature: str) -> tuple[np.ndarray, np.ndarray]:
    """Compute the feature of a whole sound, and the magnitudes of the span that it shows."""
    if feature == "waveform":
        return extract(y, feature, WIDTH), extract_at(y, waveform_rows(0) + WIDTH // 2, "fft", WIDTH)
    magnitude = extract(y, "fft", WIDTH)
    return (magnitude if feature == "fft" else extract(y, feature, WIDTH)), magnitude


def film_features(y: np.ndarray, feature: str, end: float, window: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the feature of a film's frame whose window (seconds) ends at `end`, and its magnitudes."""
    start = SAMPLE_RATE * (end - window)
    if feature == "waveform":
        rows = waveform_rows(max(round(start), 0))
        return extract_at(y, rows, feature, WIDTH), extract_at(y, rows + WIDTH // 2, "fft", WIDTH)
    moments = np.round(start + np.arange(ROWS) * SAMPLE_RATE * window / ROWS).astype(int)
    magnitude = extract_at(y, moments, "fft", WIDTH)
    return (magnitude if feature == "fft" else extract_at(y, moments, feature, WIDTH)), magnitude


def waveform_rows(start: int) -> np.ndarray:
    """Positions where the 77 rows of raw samples begin."""
    return start + WIDTH * np.arange(ROWS)


def draw(rng: np.random.Generator, shares: Mapping[str, float]) -> tuple[np.ndarray, Descriptors]:
    """Make a sound: its embedding, and what a picture says of it. One half are frames of films."""
    feature = str(rng.choice(list(shares), p=list(shares.values())))
    if rng.random() < 0.5:
        y = corpus.draw(rng, log_uniform(rng, *PICTURE_SECONDS))
        matrix, magnitude = picture_features(y, feature)
    else:
        seconds, window = log_uniform(rng, 0.3, 4), log_uniform(rng, *FILM_WINDOW)
        y = corpus.draw(rng, seconds)
        end = rng.uniform(0.02, seconds + 0.3 * window)
        matrix, magnitude = film_features(y, feature, end, window)
    return scale(matrix, SCALING[feature]).astype(np.float16), describe(magnitude)


def make_pair(seed: int) -> Pair:
    """Make the pair of a seed."""
    rng = np.random.default_rng(seed)
    embedding, descriptors = draw(rng, PAINTED)
    return Pair(
        embedding,
        listen(embedding.astype(np.float32)),
        as_numbers(descriptors),
        render(descriptors, int(rng.integers(2**31))),
    )


def hear(rng: np.random.Generator, shares: Mapping[str, float]) -> Sound:
    """Make a sound without its picture; its feature is drawn by `shares`."""
    embedding, descriptors = draw(rng, shares)
    return Sound(embedding, listen(embedding.astype(np.float32)), as_numbers(descriptors))


def make_sound(seed: int) -> Sound:
    """Make the sound of a seed, another one than that of its pair."""
    return hear(np.random.default_rng([1, seed]), HEARD)


def write_shard(path: Path, make: Callable[[int], Sound]) -> Path:
    """Make and write the shard that `path` names, unless it is there; it appears only when it is whole."""
    if not path.exists():
        index = int(path.stem.removeprefix("shard_"))
        made = [vars(make(seed)) for seed in range(index * SHARD, (index + 1) * SHARD)]
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.savez(file, **{COLUMNS[name]: np.stack([one[name] for one in made]) for name in made[0]})
        beside.rename(path)
    return path


def write_shards(
    folder: Path, make: Callable[[int], Sound], count: int, workers: int | None = None
) -> Iterator[Path]:
    """Make the shards that are missing among the first `count`, in parallel processes.

    Parameters
    ----------
    folder : Path
        Where they lie.
    make : callable
        :func:`make_pair` or :func:`make_sound`.
    count : int
        Shards of 256.
    workers : int, optional
        Processes; by default one a core.

    Yields
    ------
    Path
        A shard, in order, as soon as it is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    paths = [folder / f"shard_{index:04d}.npz" for index in range(count)]
    with context.Pool(workers or os.cpu_count()) as pool:
        yield from pool.imap(partial(write_shard, make=make), paths)


def shards(folder: Path) -> list[Path]:
    """List the shards that are whole."""
    return sorted(folder.glob("shard_*.npz"))


def load(paths: list[Path], name: str) -> np.ndarray:
    """Read one array (`embeddings`, `pictures` or `targets`) of several shards, joined."""

    def read(path: Path) -> np.ndarray:
        with np.load(path) as shard:
            part: np.ndarray = shard[name]
        return part

    if not paths:
        return np.empty(0)
    first = read(paths[0])
    joined = np.empty((len(paths), *first.shape), first.dtype)

    def place(index: int) -> None:  # gigabytes: there is no room for the parts and the whole
        joined[index] = read(paths[index])

    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(place, range(len(paths))))
    return joined.reshape(-1, *joined.shape[2:])
