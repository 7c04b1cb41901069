"""Plots: the extremes of a sound survive the drawing, and the file is a picture."""

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageColor

from sound_diffusion import plots
from sound_diffusion.plots import plot_picture, plot_schedules, sound_overview


def overview(y, block=10_007):
    return sound_overview(iter([y[start : start + block] for start in range(0, len(y), block)]), len(y))


def test_overview_keeps_every_extreme():
    y = np.zeros(120_000, dtype=np.float32)
    y[12_345], y[77_777] = 0.9, -0.8
    sound = overview(y)
    assert len(sound.low) == len(sound.high) == len(sound.levels) == 1200
    assert sound.high[123] == np.float32(0.9)
    assert sound.low[777] == np.float32(-0.8)
    assert np.count_nonzero(sound.high) == np.count_nonzero(sound.low) == 1
    assert sound.duration == 120_000 / 44_100


@pytest.mark.parametrize("n", [1, 3, 1199, 1200, 1201, 44_100])
def test_overview_of_few_samples(n):
    y = np.random.default_rng(0).uniform(-1, 1, n).astype(np.float32)
    sound = overview(y)
    assert len(sound.low) == len(sound.high) == len(sound.levels) == min(n, 1200)
    assert sound.low.min() == y.min()
    assert sound.high.max() == y.max()


def test_overview_shows_when_a_tone_begins():
    y = np.sin(2 * np.pi * 3000 * np.arange(88_200) / 44_100).astype(np.float32)
    y[:44_100] = 0
    sound = overview(y)
    assert not sound.levels[:580].any()
    assert sound.levels[620:].max(axis=1).min() > 0.8


def test_plot_of_a_picture_computes_no_spectrum(monkeypatch):
    monkeypatch.setattr(plots, "extract_at", None)
    file = io.BytesIO()
    plot_picture(Image.new("RGB", (8, 8)), np.ones(5000, np.float32), np.eye(77, 32), "sound", file)
    assert file.getvalue()


def test_title_is_text_and_no_formula():
    file = io.BytesIO()
    plot_picture(Image.new("RGB", (8, 8)), None, np.eye(77, 32), r"from $5 to $10^$, \frac$", file)
    assert file.getvalue()


@pytest.mark.parametrize("n", [None, 1, 44_100])
def test_plot_is_a_png_and_the_same_every_time(n):
    picture = Image.new("RGB", (64, 32), "orange")
    samples = None if n is None else np.linspace(-1, 1, n, dtype=np.float32)
    files = []
    for _ in range(2):
        files.append(io.BytesIO())
        plot_picture(picture, samples, np.eye(77, 32, dtype=np.float32), "a $title$ of 100 %", files[-1])
    assert files[0].getvalue() == files[1].getvalue()
    with Image.open(files[0]) as plot:
        assert plot.format == "PNG"
        assert plot.width > 1000
        assert len(plot.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.parametrize("n_frames", [1, 50])
@pytest.mark.parametrize("texts", [{}, {"strength": "0.4 $t$", "zoom": "1 +\n" * 400}])
def test_schedules_are_drawn_and_the_same_every_time(n_frames, texts, rng):
    fps = Fraction(24000, 1001)
    sound = overview(rng.uniform(-1, 1, max(1, int(n_frames / fps * 44_100))).astype(np.float32))
    descriptors = {name: rng.random(n_frames) for name in ("onset", "low")}
    schedules = {name: (text, rng.random(n_frames)) for name, text in texts.items()}
    files = []
    for _ in range(2):
        files.append(io.BytesIO())
        plot_schedules(sound, fps, descriptors, np.array([0.01, 0.5]), schedules, files[-1])
    assert files[0].getvalue() == files[1].getvalue()
    with Image.open(files[0]) as plot:
        assert plot.format == "PNG"
        assert plot.height > 200 + 40 * len(descriptors) + 90 * len(schedules)


def test_neither_grid_nor_beats_are_drawn_over_what_is_plotted(monkeypatch):
    def pixels_of(colour, beats):
        file, steps = io.BytesIO(), np.arange(50) % 2.0
        plot_schedules(sound, Fraction(10), {"low": steps}, np.array(beats), {"zoom": ("1", steps)}, file)
        plot = np.asarray(Image.open(file).convert("RGB")).astype(int)
        return int((np.abs(plot - ImageColor.getrgb(colour)).max(axis=2) < 40).sum())

    sound = overview(np.ones(5 * 44_100, dtype=np.float32))
    colours = (plots.SCHEDULE_COLOUR, plots.STRIP_COLOUR)
    drawn = [pixels_of(colour, [0.15, 1.35, 3.25]) for colour in colours]
    monkeypatch.setattr("matplotlib.axes.Axes.grid", lambda *_, **__: None)
    assert drawn == pytest.approx([pixels_of(colour, []) for colour in colours], rel=0.02)
    assert min(drawn) > 1000
