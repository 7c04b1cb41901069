"""Sheets of pictures and films, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.film_measures import HOP, onset_strength
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.sound.features import extract
from sound_diffusion.sound.spectra import N_MELS

WAVE = "#30508c"
ONSETS = "#c04020"


@dataclass(frozen=True)
class Strip:
    """A film on a sheet.

    Attributes
    ----------
    title : str
    y : np.ndarray [shape=(n,)]
        Its sound.
    films : mapping of str to np.ndarray [shape=(frames, h, w, 3)]
        Films of this sound, shown one below the other, each with its name.
    """

    title: str
    y: np.ndarray
    films: Mapping[str, np.ndarray]


def save(figure: Figure, path: Path) -> None:
    """Write a figure and the folder that it goes into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def picture_sheet(pictures: Sequence[np.ndarray], titles: Sequence[str], path: Path) -> None:
    """Save pictures side by side, each under its title."""
    columns = min(8, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2 * columns, 2.2 * rows), layout="constrained")
    for index, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(picture)
        axes.set_title(title[:26], fontsize=7)
        axes.set_axis_off()
    save(figure, path)


def draw_sound(axes: Axes, y: np.ndarray) -> None:
    """Draw a waveform, and its onset strength over it."""
    bounds = np.linspace(0, len(y), 1201).astype(int)
    low, high = (pick.reduceat(y, bounds[:-1]) for pick in (np.minimum, np.maximum))
    axes.fill_between(bounds[:-1] / SAMPLE_RATE, low, high, color=WAVE, linewidth=0, step="post")
    strength = onset_strength(y)
    above = axes.twinx()
    above.plot(np.arange(len(strength)) * HOP / SAMPLE_RATE, strength, color=ONSETS, linewidth=0.8)
    for drawn in (axes, above):
        drawn.set(xlim=(0, len(y) / SAMPLE_RATE), yticks=[])


def draw_spectrogram(axes: Axes, y: np.ndarray) -> None:
    """Draw a mel spectrogram of 77 columns."""
    levels = extract(y, "melspectrogram", N_MELS).T
    axes.imshow(levels, aspect="auto", origin="lower", cmap="magma", extent=(0, len(y) / SAMPLE_RATE, 0, 1))
    axes.set(xlabel="seconds", ylabel="mel frequency", yticks=[])


def pair_sheet(y: np.ndarray, pictures: Mapping[str, np.ndarray], path: Path) -> None:
    """Save a sound, as waveform with onset strength and as spectrogram, and pictures of it beside."""
    figure = Figure(figsize=(4 * (1 + len(pictures)), 4), layout="constrained")
    grid = figure.add_gridspec(2, 1 + len(pictures))
    draw_sound(figure.add_subplot(grid[0, 0]), y)
    draw_spectrogram(figure.add_subplot(grid[1, 0]), y)
    for column, (name, picture) in enumerate(pictures.items(), start=1):
        axes = figure.add_subplot(grid[:, column])
        axes.imshow(picture)
        axes.set_title(name)
        axes.set_axis_off()
    save(figure, path)


def film_sheet(strips: Sequence[Strip], path: Path, every: int = 4) -> None:
    """Save every `every`-th frame of films, with waveform (blue) and onset strength (red) above each."""
    heights = [height for strip in strips for height in (0.5, *[1] * len(strip.films))]
    shown = max(len(film[::every]) for strip in strips for film in strip.films.values())
    figure = Figure(figsize=(shown, 1.05 * sum(heights)), layout="constrained")
    grid = iter(figure.add_gridspec(len(heights), 1, height_ratios=heights))
    for strip in strips:
        axes = figure.add_subplot(next(grid))
        draw_sound(axes, strip.y)
        axes.set_title(strip.title, fontsize=8, loc="left", pad=2)
        axes.set_xticks([])
        for name, film in strip.films.items():
            below = figure.add_subplot(next(grid))
            below.imshow(np.hstack(list(film[every - 1 :: every])), aspect="auto")
            below.text(0.003, 0.95, name, color="white", va="top", transform=below.transAxes)
            below.set_axis_off()
    save(figure, path)
