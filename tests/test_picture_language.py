"""What the embedded model's pictures say of a sound: signals with known answers."""

import numpy as np
import pytest

from sound_diffusion.model.harmony import spectral_peaks, tuning_of
from sound_diffusion.model.picture_language import (
    COVERED,
    GROUPS,
    MOMENT_AREAS,
    as_numbers,
    describe,
    frequencies,
    listen,
    noisiness_of,
)
from sound_diffusion.sound.embeddings import scale
from sound_diffusion.sound.features import extract, extract_at

C, C_SHARP, D, E, G = 0, 1, 2, 4, 7


def magnitudes(
    *frequencies: float, seconds: float = 1.0, level: float = 0.3, noise: float = 0.0
) -> np.ndarray:
    t = np.arange(round(44_100 * seconds)) / 44_100
    y = sum(np.sin(2 * np.pi * f * t) for f in frequencies)
    y = y + noise * np.random.default_rng(0).standard_normal(len(t))
    return extract((level * y / np.abs(y).max()).astype(np.float32), "fft")


def test_silence_is_dark_and_finite():
    d = describe(np.zeros((77, 768), np.float32))
    assert d.light == 0
    assert d.chord == 0
    numbers = as_numbers(d)
    assert numbers.shape == (sum(GROUPS),)
    assert np.isfinite(numbers).all()


def test_light_follows_the_level():
    lights = [describe(magnitudes(440, level=level)).light for level in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)]
    assert (np.diff(lights) > 0.02).all()


def test_the_areas_of_the_moments_make_a_whole_and_grow_towards_now():
    assert MOMENT_AREAS.sum() == pytest.approx(1)
    assert (np.diff(MOMENT_AREAS) > 0).all()


@pytest.mark.parametrize(
    ("frequency", "pitch_class"), [(523.25, C), (554.37, C_SHARP), (1174.66, D), (1318.5, E)]
)
def test_a_tone_has_its_pitch_class(frequency, pitch_class):
    harmony = describe(magnitudes(frequency)).harmony
    assert harmony.sum() == pytest.approx(1)
    assert harmony.argmax() == pitch_class


def test_a_chord_has_its_pitch_classes():
    harmony = describe(magnitudes(523.25, 659.26, 783.99)).harmony
    assert set(harmony.argsort()[-3:]) == {C, E, G}


def test_one_tone_and_its_overtones_are_no_chord():
    assert describe(magnitudes(*(220 * n for n in range(1, 12)))).chord == pytest.approx(0, abs=1e-6)
    assert describe(magnitudes(523.25, 659.26, 783.99)).chord == 1


def test_noise_is_no_chord_and_noisy():
    noise, tone = describe(magnitudes(440, noise=50)), describe(magnitudes(440))
    assert noise.chord < 0.2
    assert noise.noisiness > 0.9
    assert tone.noisiness < 0.2


def test_a_chord_covers_most_of_the_noise_beside_it():
    heard = describe(magnitudes(523.25, 659.26, 783.99, noise=0.1))
    assert heard.chord > 0.9
    flatness = noisiness_of(magnitudes(523.25, 659.26, 783.99, noise=0.1) ** 2, np.ones(77))
    assert flatness > 0.3
    assert heard.noisiness == pytest.approx(flatness * (1 - COVERED * heard.chord), rel=0.1)
    louder = [describe(magnitudes(523.25, 659.26, 783.99, noise=n)).noisiness for n in (0.1, 0.3, 1.0, 10.0)]
    assert (np.diff(louder) > 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1, 3.0, 10.0])
def test_a_tone_in_noise_is_no_chord(noise):
    overtones = (440 * n for n in range(1, 7))
    assert describe(magnitudes(*overtones, noise=noise)).chord < 0.15


def test_pitch_and_colour_rise_with_the_frequency():
    described = [describe(magnitudes(f)) for f in (80, 160, 320, 640, 1280, 2560)]
    assert (np.diff([d.pitch for d in described]) > 0.02).all()
    assert (np.diff([d.colour.mean() for d in described]) > 0.02).all()


def test_bands():
    noise = (np.random.default_rng(i).standard_normal((77, 768)) for i in range(3))
    for index, (low, high) in enumerate(((60, 200), (400, 2000), (4000, 12_000))):
        heard = (frequencies(768) >= low) & (frequencies(768) < high)
        assert describe(np.abs(next(noise)) * heard).bands.argmax() == index


@pytest.mark.parametrize("frequency", [100, 800, 6000])
def test_a_tone_alone_draws_lines_wherever_it_is(frequency):
    bands = describe(magnitudes(frequency)).bands
    assert bands[1] > 0.7
    assert (bands <= 1).all()


def test_an_attack_is_found_where_it_is_and_lights_up():
    y = 0.001 * np.random.default_rng(0).standard_normal(44_100)
    rows = np.round(22_050 + np.arange(77) * 20_000 / 77).astype(int)
    quiet = describe(extract_at(y.astype(np.float32), rows, "fft"))
    y[rows[70] :] += 0.1 * np.random.default_rng(1).standard_normal(len(y) - rows[70])
    struck = describe(extract_at(y.astype(np.float32), rows, "fft"))
    assert abs(int(struck.attacks.argmax()) - 70) <= 3
    assert struck.light > quiet.light + 0.3


def test_mastering_hardly_matters():
    """Of one decibel less and ten milliseconds more little changes."""
    rng = np.random.default_rng(3)
    t = np.arange(44_100) / 44_100
    y = sum(np.sin(2 * np.pi * f * t) for f in (440.0, 554.4, 659.3)) + 0.02 * rng.standard_normal(len(t))
    y = (0.1 * y).astype(np.float32)
    one, other = (as_numbers(describe(extract(part, "fft"))) for part in (y, 0.89 * y[441:]))
    assert np.abs(one - other).max() < 0.1


def test_peaks_lie_between_the_columns():
    peaks = spectral_peaks(magnitudes(1000.0)[20:50].astype(float))
    loudest = peaks.magnitude.argmax()
    assert peaks.frequency[loudest] == pytest.approx(1000, abs=2)
    assert peaks.prominence[loudest] > 1
    assert set(peaks.row) == set(range(30))


@pytest.mark.parametrize("cents", [-40, -20, 20, 40])
def test_a_sound_in_another_tuning_keeps_its_harmony(cents):
    chord = (440.0, 554.37, 659.26, 880.0, 1108.73)
    there = describe(magnitudes(*chord))
    tuned = describe(magnitudes(*(f * 2 ** (cents / 1200) for f in chord)))
    np.testing.assert_allclose(tuned.harmony, there.harmony, atol=0.05)
    peaks = spectral_peaks(magnitudes(*(f * 2 ** (cents / 1200) for f in chord)).astype(float))
    assert tuning_of(peaks) == pytest.approx(cents / 100, abs=0.05)


def test_noise_has_no_tuning():
    noise = magnitudes(440, noise=50).astype(float)
    assert tuning_of(spectral_peaks(noise)) == pytest.approx(0, abs=0.2)
    assert tuning_of(spectral_peaks(np.zeros((77, 768)))) == 0


@pytest.mark.parametrize("width", [768, 1024])
def test_what_the_model_is_given_says_the_same(width):
    y = np.sin(2 * np.pi * 440 * np.arange(60_000) / 44_100).astype(np.float32) * 0.3
    matrix = extract(y, "fft", width)
    np.testing.assert_allclose(listen(scale(matrix, "log")), as_numbers(describe(matrix)), atol=1e-4)
    heard = listen(extract(np.tile(y, 3), "waveform", width))
    assert heard[0] == pytest.approx(as_numbers(describe(matrix))[0], abs=0.05)
    assert heard[8:20].argmax() == 9  # A
