"""Plots that let people look at a sound, its embedding and its picture side by side."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from sound_diffusion.constants import N_ROWS, SAMPLE_RATE
from sound_diffusion.film.path import SampleBuffer
from sound_diffusion.sound.features import extract_at
from sound_diffusion.sound.spectra import MEL_REACH, N_MELS
from sound_diffusion.typing import DoubleArray, FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

WAVE_COLOUR = "#30508c"
STRIP_COLOUR = "#647cab"
SCHEDULE_COLOUR = "#c2571a"
BEAT_COLOUR = "#9a9a9a"
ROW_INCHES = {"wave": 1.3, "descriptor": 0.42, "schedule": 0.95}
OVERVIEW_COLUMNS = 1200
OVERVIEW_SAMPLES = 1 << 20  # held in memory at once, about 24 seconds
CONTACT_SHEET_FRAMES = 12
LONGEST_TITLE = 160  # letters, about as wide as the plot


def _figure(inches: tuple[float, float], row_space: float | None = None) -> Figure:
    # It speaks when it builds its cache, once on every machine.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    spacing = None if row_space is None else 0.0
    return Figure(figsize=inches, layout=ConstrainedLayoutEngine(h_pad=row_space, hspace=spacing))


def _save(figure: Figure, file: IO[bytes]) -> None:
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})


def plot_picture(
    picture: Image.Image, samples: FloatArray | None, embedding: FloatArray, title: str, file: IO[bytes]
) -> None:
    """Plot waveform, embedding and picture side by side, as a PNG.

    Parameters
    ----------
    picture : PIL.Image.Image
    samples : np.ndarray [shape=(n,), dtype=float32] or None
        The sound at 44,100 Hz. None where there is none: words alone, or an embedding from a file.
    embedding : np.ndarray [shape=(77, D), dtype=float32]
        What the model was fed.
    title : str
    file : binary file
        Where the PNG goes.
    """
    figure = _figure((13, 4.2))
    wave, heat, image = figure.subplots(1, 3, width_ratios=[1, 1.25, 1])
    # A name may be very long, and hold bytes that are no text; a prompt may hold dollars.
    title = textwrap.shorten(title, LONGEST_TITLE).encode(errors="backslashreplace").decode()
    figure.suptitle(title, fontsize=11, parse_math=False)
    if samples is not None:
        low, high = _extremes(samples, _column_edges(len(samples))[:-1])
        duration = len(samples) / SAMPLE_RATE
        wave.fill_between(np.linspace(0, duration, len(low)), low, high, color=WAVE_COLOUR, linewidth=0.4)
        wave.set(title="waveform", xlabel="seconds", ylabel="sample", xlim=(0, duration))
    else:
        wave.text(0.5, 0.5, "no sound", ha="center", va="center")
        wave.set_axis_off()
    drawn = heat.imshow(embedding, aspect="auto", interpolation="nearest", cmap="magma")
    heat.set(title=f"embedding {embedding.shape}", xlabel="column", ylabel="row (time goes down)")
    figure.colorbar(drawn, ax=heat)
    image.imshow(picture)
    image.set(title=f"picture {picture.width} x {picture.height}")
    image.set_axis_off()
    _save(figure, file)


@dataclass(frozen=True)
class SoundOverview:
    """A sound in as many columns as a plot is wide.

    Attributes
    ----------
    duration : float
        Seconds.
    low, high : np.ndarray [shape=(m,), dtype=float32]
        Lowest and highest sample of each stretch.
    levels : np.ndarray [shape=(m, 128), dtype=float32]
        Mel spectrum in the middle of each stretch, in [0, 1].
    """

    duration: float
    low: FloatArray
    high: FloatArray
    levels: FloatArray


def sound_overview(blocks: Iterator[FloatArray], n_samples: int) -> SoundOverview:
    """Summarise a stream of samples for plotting.

    Parameters
    ----------
    blocks : iterator of np.ndarray [shape=(n,), dtype=float32]
        The sound at 44,100 Hz, as from :func:`sound_diffusion.stream_audio`.
    n_samples : int
        Its length.

    Returns
    -------
    overview : SoundOverview
    """
    edges = _column_edges(n_samples)
    # As many columns at a time as a feature has moments, fewer where they are long.
    at_once = max(1, min(N_ROWS, OVERVIEW_SAMPLES * (len(edges) - 1) // n_samples))
    buffer = SampleBuffer(blocks)
    low, high, levels = [], [], []
    for start in range(0, len(edges) - 1, at_once):
        stretch = edges[start : start + at_once + 1]
        first = max(int(stretch[0]) - MEL_REACH[0], 0)
        samples = buffer.read(first, int(stretch[-1]) + MEL_REACH[1])
        inner = samples[stretch[0] - first : stretch[-1] - first]
        lowest, highest = _extremes(inner, stretch[:-1] - stretch[0])
        low.append(lowest)
        high.append(highest)
        middles = (stretch[:-1] + stretch[1:]) // 2 - first
        levels.append(extract_at(samples, middles, "melspectrogram", N_MELS)[: len(middles)])
    duration = n_samples / SAMPLE_RATE
    return SoundOverview(duration, np.concatenate(low), np.concatenate(high), np.concatenate(levels))


def _column_edges(n_samples: int) -> IntArray:
    """Divide samples into as many stretches as a plot has columns, or fewer that hold one sample each."""
    return np.unique(np.linspace(0, n_samples, OVERVIEW_COLUMNS + 1).astype(np.int64))


def _extremes(samples: FloatArray, starts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Find the lowest and the highest sample of each stretch."""
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def contact_sheet(frames: Sequence[tuple[Path, Fraction]], sound: SoundOverview, file: IO[bytes]) -> None:
    """Plot evenly spaced frames over the waveform and the spectrogram, as a PNG.

    Parameters
    ----------
    frames : sequence of (Path, Fraction)
        All frames of a film, and the seconds at which the sound that each shows ends.
    sound : SoundOverview
    file : binary file
        Where the PNG goes.
    """
    from PIL import Image

    figure = _figure((16, 6.4))
    columns = min(CONTACT_SHEET_FRAMES, len(frames))
    middles = ((np.arange(columns) + 0.5) * len(frames) / columns).astype(int)
    grid = figure.add_gridspec(3, columns, height_ratios=[16 / max(columns, 6), 1, 1.6])
    for column, index in enumerate(middles):
        axes = figure.add_subplot(grid[0, column])
        with Image.open(frames[index][0]) as frame:
            axes.imshow(frame.convert("RGB"))
        axes.set_title(f"{float(frames[index][1]):.2f} s", fontsize=8)
        axes.set_axis_off()
    wave, spectrum = figure.add_subplot(grid[1, :]), figure.add_subplot(grid[2, :])
    _draw_wave(wave, sound)
    wave.set(ylabel="sample", xticks=[])
    spectrum.imshow(
        sound.levels.T,
        aspect="auto",
        origin="lower",
        cmap="magma",
        extent=(0, sound.duration, 0, 1),
        vmin=0,
        vmax=1,
    )
    spectrum.set(xlabel="seconds", ylabel="mel frequency", yticks=[])
    for axes in (wave, spectrum):
        axes.set_xlim(0, sound.duration)
        for index in middles:
            axes.axvline(float(frames[index][1]), color="#888888", linewidth=0.6, linestyle=":")
    _save(figure, file)


def plot_schedules(
    sound: SoundOverview,
    fps: Fraction,
    descriptors: Mapping[str, DoubleArray],
    beats: DoubleArray,
    schedules: Mapping[str, tuple[str, DoubleArray]],
    file: IO[bytes],
) -> None:
    """Plot a sound, its descriptors and beats, and the schedules of a film on one axis of time, as a PNG.

    Parameters
    ----------
    sound : SoundOverview
    fps : Fraction
        Frames a second.
    descriptors : mapping from str to np.ndarray [shape=(n,), dtype=float64]
        In [0, 1], one number a frame.
    beats : np.ndarray [shape=(k,), dtype=float64]
        Seconds.
    schedules : mapping from str to (str, np.ndarray [shape=(n,), dtype=float64])
        Text and numbers of each.
    file : binary file
        Where the PNG goes.
    """
    heights = [
        ROW_INCHES["wave"],
        *[ROW_INCHES["descriptor"]] * len(descriptors),
        *[ROW_INCHES["schedule"]] * len(schedules),
    ]
    figure = _figure((14, sum(heights) + 0.9), row_space=0.025)
    rows = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    wave, strips, curves = rows[0], rows[1 : 1 + len(descriptors)], rows[1 + len(descriptors) :]
    _draw_wave(wave, sound)
    wave.set_ylabel("sample", rotation=0, ha="right", va="center", fontsize=9)
    wave.tick_params(axis="y", labelsize=7)
    for axes, (name, values) in zip(strips, descriptors.items(), strict=True):
        axes.stairs(values, _frame_edges(values, fps), fill=True, color=STRIP_COLOUR, linewidth=0)
        axes.set(ylim=(0, 1.05), yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes, (name, (text, values)) in zip(curves, schedules.items(), strict=True):
        axes.stairs(values, _frame_edges(values, fps), baseline=None, color=SCHEDULE_COLOUR, linewidth=1.3)
        axes.margins(y=0.18)
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
        axes.set_axisbelow(True)  # or the grid would cut the curve
        axes.tick_params(axis="y", labelsize=7)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, fontweight="bold")
        shown = " ".join(text[:400].split())
        axes.set_title(
            shown if len(shown) <= 130 else f"{shown[:127]}...",
            loc="left", fontsize=7.5, pad=2, family="monospace", color="#555555", parse_math=False,
        )  # fmt: skip
    for axes in rows:
        axes.set_xlim(0, sound.duration)
        axes.spines[["top", "right"]].set_visible(False)
        for beat in beats:
            axes.axvline(beat, color=BEAT_COLOUR, linewidth=0.5, linestyle=(0, (2, 2)), zorder=0)
    figure.align_ylabels(rows)
    rows[-1].set_xlabel("seconds" if not len(beats) else "seconds; dotted: beats")
    frames = wave.secondary_xaxis("top", functions=(lambda x: x * float(fps), lambda x: x / float(fps)))
    frames.set_xlabel(f"frames, {float(fps):g} a second", fontsize=8)
    frames.tick_params(labelsize=8)
    _save(figure, file)


def _frame_edges(values: DoubleArray, fps: Fraction) -> DoubleArray:
    return np.arange(len(values) + 1) / float(fps)


def _draw_wave(axes: Axes, sound: SoundOverview) -> None:
    seconds = np.linspace(0, sound.duration, len(sound.low))
    axes.fill_between(seconds, sound.low, sound.high, color=WAVE_COLOUR, linewidth=0.4, step="mid")
