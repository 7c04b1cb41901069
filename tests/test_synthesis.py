"""Made sounds: building blocks with known answers, and the example sounds, which they make again."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from examples import make_examples
from sound_diffusion.constants import SAMPLE_RATE
from training import synthesis

EXAMPLES = Path(make_examples.__file__).parent


def spectrum(y: np.ndarray) -> np.ndarray:
    """Amplitude of every whole frequency in hertz, of one second."""
    return np.abs(np.fft.rfft(y)) / (len(y) / 2)


def test_a_tone_has_the_harmonics_that_it_is_said_to_have():
    amplitudes = spectrum(synthesis.tone(4000, count=6, slope=1.0))
    expected = np.zeros(SAMPLE_RATE // 2 + 1)
    expected[[4000, 8000, 12_000, 16_000]] = 1 / np.arange(1, 5)  # 20 kHz is left out
    np.testing.assert_allclose(amplitudes, expected, atol=1e-9)


@pytest.mark.parametrize("decibels", [-40.0, -12.0, 0.0])
def test_level_is_the_root_mean_square(decibels):
    y = synthesis.level(synthesis.pluck(220), decibels)
    assert y.dtype == np.float32
    assert 10 * np.log10(np.mean(y.astype(np.float64) ** 2)) == pytest.approx(decibels, abs=1e-5)


def test_what_rings_falls_to_one_over_e_in_its_decay():
    y = synthesis.ringing(1000, decay=0.1, seconds=0.3, phase=np.pi / 2)
    assert len(y) == round(0.3 * SAMPLE_RATE)
    assert y[0] == 1
    assert y[SAMPLE_RATE // 10] == pytest.approx(np.exp(-1))


def test_a_thump_ends_on_its_frequency_cycles_ahead():
    y = synthesis.thump(50, cycles=3.25, fall=0.01, decay=1e9, seconds=1.0)
    steady = np.cos(2 * np.pi * 50 * synthesis.times(1.0))  # a quarter of a cycle ahead of the sine
    np.testing.assert_allclose(y[SAMPLE_RATE // 2 :], steady[SAMPLE_RATE // 2 :], atol=1e-6)


def test_noise_is_the_same_for_a_seed_and_a_band_lets_nothing_else_through():
    np.testing.assert_array_equal(synthesis.hiss(0.1, seed=3), synthesis.hiss(0.1, seed=3))
    assert (synthesis.hiss(0.1, seed=3) != synthesis.hiss(0.1, seed=4)).any()
    power = spectrum(synthesis.band(1000, 2000)) ** 2
    assert power[900:2200].sum() > 0.95 * power.sum()
    assert power[4000:].sum() < 1e-3 * power.sum()


def test_pulses_strike_at_their_rate():
    y = synthesis.pulses(np.ones(SAMPLE_RATE), rate=5)
    strikes = np.flatnonzero(np.diff(y) > 0.5) + 1
    np.testing.assert_allclose(strikes, SAMPLE_RATE * np.arange(1, 5) / 5, atol=1)


@pytest.mark.parametrize("name", sorted(make_examples.SOUNDS))
def test_the_example_sounds_are_made_again(name):
    there, rate = soundfile.read(EXAMPLES / f"{name}.wav", dtype="int16")
    made = make_examples.finish(make_examples.SOUNDS[name]())
    assert rate == SAMPLE_RATE
    # Another build of NumPy may round the last bit of a sine elsewhere.
    np.testing.assert_allclose(made.astype(int), there, atol=1)
