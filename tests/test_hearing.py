"""What the live page hears: sound without an end, and which of it is in a picture."""

import threading
from fractions import Fraction

import numpy as np
import pytest

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film.path import features_at
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.live.chain import Chain, frame_of, samples_needed
from sound_diffusion.live.hearing import RingBuffer, Take
from tests.live_pages import PATIENCE, tiny_options
from tests.repainting import WholeSound

# --- the ring buffer and the hearing


def test_a_ring_keeps_the_newest_samples(rng):
    ring, stream = RingBuffer(100), rng.standard_normal(1000).astype(np.float32)
    for start, stop in ((0, 30), (30, 90), (90, 91), (91, 350), (350, 1000)):
        ring.write(stream[start:stop])
        assert ring.n_written == stop
        first = max(0, stop - 100)
        assert (ring.read(first, stop) == stream[first:stop]).all()
    assert (ring.read(950, 1020) == np.append(stream[950:], np.zeros(20))).all()
    assert not ring.read(880, 900).any()  # gone
    assert not ring.read(-20, 0).any()
    assert len(ring.read(5, 5)) == 0


def test_who_waits_for_samples_is_woken():
    ring = RingBuffer(10)
    assert not ring.wait(1, 0.01)
    threading.Timer(0.05, ring.write, [np.zeros(3, dtype=np.float32)]).start()
    assert ring.wait(3, PATIENCE)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_and_its_clock(rate):
    take, t = Take(rate), np.arange(2 * rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    for at in range(0, len(tone), 480):
        take.hear(7 + at / rate, tone[at : at + 480])
    heard = take.sound.read(SAMPLE_RATE // 2, 3 * SAMPLE_RATE // 2)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * (np.arange(SAMPLE_RATE) / SAMPLE_RATE + 0.5))
    assert np.abs(heard - expected).max() < 1e-3
    assert (heard * 2**23 == np.rint(heard * 2**23)).all()  # what FLAC keeps
    assert take.moment(SAMPLE_RATE).clock == pytest.approx(8, abs=1e-6)
    assert take.sound.n_written > 1.94 * SAMPLE_RATE  # what the resampler holds back


def test_after_a_gap_the_clock_goes_on_with_the_present():
    take = Take(SAMPLE_RATE)
    take.hear(1.0, np.zeros(4410, dtype=np.float32))
    take.hear(60.0, np.zeros(4410, dtype=np.float32))
    assert take.moment(4410).clock == pytest.approx(1.1)
    assert take.moment(8820).clock == pytest.approx(60.1)
    assert take.sound.n_written == 8820


# --- the chain of pictures


def test_a_frame_hears_what_the_frame_of_a_film_hears(tiny_model_folder, tmp_path, rng):
    options = tiny_options(tiny_model_folder, tmp_path, window=Fraction(1, 4), fps=Fraction(30))
    y = (0.1 * rng.standard_normal(SAMPLE_RATE)).astype(np.float32)
    timeline = Timeline(n_samples=len(y), fps=options.fps, window=options.window, seed_mode="increment")
    chain = Chain(_Width(32), WholeSound(y), options.fps)
    for (frame, expected), _ in zip(features_at(iter([y]), timeline, "fft", 32), range(20), strict=False):
        live = frame_of(options, frame.index, 32)
        assert live == frame
        assert (chain._feature(live, options) == expected).all()
        assert samples_needed(options, frame.index, 32) <= int(frame.end * SAMPLE_RATE) + SAMPLE_RATE // 40


class _Width:
    def __init__(self, width):
        self.width = width


@pytest.mark.parametrize("feature", ["waveform", "cqt", "mfcc"])
def test_no_feature_waits_for_the_future(tiny_model_folder, tmp_path, feature):
    options = tiny_options(tiny_model_folder, tmp_path, feature=feature)
    frame = frame_of(options, 40, 32)
    assert samples_needed(options, 40, 32) <= int(frame.end * SAMPLE_RATE) + SAMPLE_RATE // 40
    assert frame.moments[0] < int(frame.end * SAMPLE_RATE)
