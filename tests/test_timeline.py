"""Every frame of a film takes its columns from the right samples, at any rate and length."""

import itertools
import tracemalloc
from fractions import Fraction

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_diffusion.constants import N_ROWS, SAMPLE_RATE
from sound_diffusion.errors import ParameterError
from sound_diffusion.film.path import SampleBuffer, features_at
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.options.declaration import fraction
from sound_diffusion.sound.features import FEATURES, extract_at

RATES = ["12", "25", "29.97", "30", "24000/1001"]


def blocks_of(y, size):
    """Cut a signal into blocks, as a stream does."""
    return (y[start : start + size] for start in range(0, len(y), size))


def independent_columns(y, index, fps, window, width=768):
    """Compute frame `index` of DESIGN's definition with numpy's FFT, one column at a time, in float64."""
    n_fft = 2 * (width - 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    columns = []
    for j in range(N_ROWS):
        centre = round(SAMPLE_RATE * (Fraction(index + 1) / fps - window + j * window / N_ROWS))
        segment = np.zeros(n_fft)
        for k in range(n_fft):
            position = centre - n_fft // 2 + k
            if 0 <= position < len(y):
                segment[k] = y[position]
        columns.append(np.abs(np.fft.rfft(segment * hann)))
    return np.array(columns)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("window", [None, Fraction(1, 2)])
def test_columns_equal_an_independent_computation(rate, window, rng):
    y = (0.1 * rng.standard_normal(SAMPLE_RATE + 321)).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=fraction(rate), window=window)
    frames = list(features_at(blocks_of(y, 10_007), timeline, timeline.feature, 768))
    assert len(frames) == len(timeline)
    for index in (0, len(frames) // 2, len(frames) - 1):
        expected = independent_columns(y, index, timeline.fps, window or 1 / timeline.fps)
        np.testing.assert_allclose(frames[index][1], expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_default_window_uses_every_column_of_one_stft_once():
    fps = Fraction(SAMPLE_RATE, N_ROWS * 4)  # a hop of exactly 4 samples
    y = np.random.default_rng(1).standard_normal(SAMPLE_RATE // 10).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=fps)
    columns = np.concatenate([matrix for _, matrix in features_at(iter([y]), timeline, timeline.feature, 33)])
    expected = np.abs(librosa.stft(y, n_fft=64, hop_length=4, pad_mode="constant")).T
    n = min(len(expected), len(columns))
    np.testing.assert_allclose(columns[:n], expected[:n], atol=1e-4)


@given(
    n_samples=st.integers(1, 50_000_000),
    numerator=st.integers(1, 60_000),
    denominator=st.integers(1, 1001),
)
def test_number_of_frames_is_the_ceiling_of_duration_times_rate(n_samples, numerator, denominator):
    fps = Fraction(numerator, denominator)
    if fps > 1000:
        return
    timeline = Timeline(n_samples=n_samples, fps=fps)
    covered = len(timeline) / fps - Fraction(n_samples, SAMPLE_RATE)
    assert 0 <= covered < 1 / fps


@pytest.mark.parametrize("rate", RATES)
def test_no_drift_after_ten_hours(rate):
    fps = fraction(rate)
    timeline = Timeline(n_samples=36_000 * SAMPLE_RATE, fps=fps)
    last = timeline[len(timeline) - 1]
    exact = [SAMPLE_RATE * (last.end - last.window + j * last.window / N_ROWS) for j in range(N_ROWS)]
    errors = [abs(moment - value) for moment, value in zip(last.moments.tolist(), exact, strict=True)]
    assert max(errors) <= Fraction(1, 2)  # of a sample, where half a column is 16 samples or more


def test_moments_round_ties_to_even_as_python_does():
    timeline = Timeline(n_samples=SAMPLE_RATE, fps=Fraction(8))  # a frame starts at every 5512.5 samples
    firsts = [int(timeline[index].moments[0]) for index in range(8)]
    assert firsts == [round(5512.5 * index) for index in range(8)]


@pytest.mark.parametrize("click", [0.25, 0.5, 0.731, 1.4])
@pytest.mark.parametrize(("window", "width"), [(None, 33), (Fraction(3, 5), 401)])
def test_a_click_has_its_energy_in_the_right_rows(click, window, width):
    y = np.zeros(int(1.7 * SAMPLE_RATE), dtype=np.float32)
    y[int(click * SAMPLE_RATE)] = 1.0
    timeline = Timeline(n_samples=len(y), fps=Fraction(12), window=window)
    for frame, matrix in features_at(blocks_of(y, 4096), timeline, timeline.feature, width):
        energy = matrix.sum(axis=1)
        times = frame.moments / SAMPLE_RATE
        near = np.abs(times - click) <= (width - 1) / SAMPLE_RATE
        assert (energy[~near] == 0).all()
        if frame.end - frame.window < click < times[-1]:
            assert abs(times[energy.argmax()] - click) <= float(frame.window) / N_ROWS


@pytest.mark.parametrize("feature", list(FEATURES))
def test_a_stream_gives_what_the_whole_sound_gives(feature, rng):
    y = (0.1 * rng.standard_normal(SAMPLE_RATE // 2)).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=Fraction(7), window=Fraction(1, 3), feature=feature)
    for frame, matrix in features_at(blocks_of(y, 1000), timeline, timeline.feature, 40):
        np.testing.assert_array_equal(matrix, extract_at(y, frame.moments, feature, 40))


def test_waveform_takes_the_samples_from_the_frames_own_time(rng):
    y = rng.uniform(-1, 1, SAMPLE_RATE).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=Fraction(10), window=Fraction(2), feature="waveform")
    frame, matrix = list(features_at(iter([y]), timeline, timeline.feature, 16))[3]
    assert frame.index == 3
    np.testing.assert_array_equal(matrix.ravel(), y[13_230 : 13_230 + N_ROWS * 16])


def test_starting_later_gives_the_same_frames(rng):
    y = (0.1 * rng.standard_normal(2 * SAMPLE_RATE)).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=Fraction(12), window=Fraction(1, 2))
    whole = list(features_at(blocks_of(y, 999), timeline, timeline.feature, 40))
    later = list(features_at(blocks_of(y, 999), list(timeline)[17:], timeline.feature, 40))
    assert [frame for frame, _ in later] == [frame for frame, _ in whole[17:]]
    for (_, one), (_, other) in zip(later, whole[17:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_seed_modes():
    def seeds(mode):
        timeline = Timeline(n_samples=SAMPLE_RATE, fps=Fraction(5), seed=7, seed_mode=mode)
        return [timeline[index].seed for index in range(5)]

    assert seeds("increment") == [7, 8, 9, 10, 11]
    assert seeds("fixed") == [7] * 5
    assert len(set(seeds("random"))) == 5
    assert seeds("random") == seeds("random")


def test_a_preview_shows_every_nth_frame_of_the_film():
    film = Timeline(n_samples=10 * SAMPLE_RATE, fps=Fraction(12), seed_mode="increment")
    preview = Timeline(n_samples=10 * SAMPLE_RATE, fps=Fraction(12), seed_mode="increment", stride=5)
    assert len(preview) == 24
    assert preview.shown_fps == Fraction(12, 5)
    for index in range(len(preview)):
        np.testing.assert_array_equal(preview[index].moments, film[5 * index].moments)
        assert preview[index].seed == film[5 * index].seed


@settings(deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=20), st.integers(1, 700), st.integers(1, 900))
def test_buffer_reads_any_ascending_stretches(sizes, step, length):
    y = np.arange(sum(sizes), dtype=np.float32)
    edges = np.cumsum([0, *sizes])
    buffer = SampleBuffer(y[a:b] for a, b in itertools.pairwise(edges))
    for first in range(0, len(y) + 2 * step, step):
        np.testing.assert_array_equal(buffer.read(first, first + length), y[first : first + length])


def test_memory_does_not_grow_with_the_sound():
    def peak(seconds):
        block = np.zeros(SAMPLE_RATE, dtype=np.float32)
        timeline = Timeline(n_samples=seconds * SAMPLE_RATE, fps=Fraction(2))
        tracemalloc.start()
        for _ in features_at((block for _ in range(seconds)), timeline, timeline.feature, 33):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(5)  # fills the caches
    assert peak(300) < 1.5 * peak(30)


@pytest.mark.parametrize("text", ["", "twelve", "1/0", "nan", "inf", "1e999x"])
def test_rates_that_are_none(text):
    with pytest.raises(ParameterError):
        fraction(text)


def test_rates_are_exact():
    assert fraction("29.97") == Fraction(2997, 100)
    assert fraction("24000/1001") == Fraction(24000, 1001)
    assert fraction("0.5") == Fraction(1, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"fps": Fraction(0)},
        {"fps": Fraction(-1)},
        {"fps": Fraction(2000)},
        {"window": Fraction(0)},
        {"window": Fraction(61)},
        {"seed_mode": "clock"},
        {"stride": 0},
        {"n_samples": 0},
    ],
)
def test_timelines_that_cannot_be(options):
    with pytest.raises(ParameterError):
        Timeline(**{"n_samples": 1000, "fps": Fraction(12), **options})
