"""Features: equal to their definitions, computed here with librosa and numpy alone."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import AudioError, ParameterError, SoundDiffusionError
from sound_diffusion.sound.features import FEATURES, extract, extract_at, get_feature, picture_moments

ROWS = 77
LENGTHS = [1, 2, 76, 77, 78, 100, 153, 154, 1001, 5929, 65_537, 100_001]
NAMES = ["waveform", "fft", "melspectrogram", "mfcc", "cqt"]


def noise(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)


def sine(frequency, n, amplitude=1.0):
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(n) / SAMPLE_RATE)).astype(np.float32)


def relative_error(value, expected):
    return np.linalg.norm(value - expected) / max(np.linalg.norm(expected), 1e-30)


def stretched(values, width):
    """Linear interpolation along the rows, ends on ends."""
    n = values.shape[1]
    return np.stack([np.interp(np.linspace(0, n - 1, width), np.arange(n), row) for row in values])


def test_registry():
    assert list(FEATURES) == NAMES
    for name, feature in FEATURES.items():
        assert feature is get_feature(name)
        assert feature.name == name
        assert feature.description


# --- waveform


def expected_waveform(y, width):
    samples = np.zeros(ROWS * width, dtype=np.float32)
    part = y[: ROWS * width]
    samples[: len(part)] = part
    return samples.reshape(ROWS, width)


@pytest.mark.parametrize("width", [32, 768, 1024])
@pytest.mark.parametrize("n", [0, *LENGTHS, ROWS * 768, ROWS * 768 + 1])
def test_waveform_is_the_samples_row_by_row(n, width):
    np.testing.assert_array_equal(extract(noise(n), "waveform", width), expected_waveform(noise(n), width))


# --- fft


def expected_fft(y, width):
    n_fft, hop = 2 * (width - 1), len(y) // ROWS + 1
    columns = np.abs(
        librosa.stft(y, n_fft=n_fft, hop_length=hop, window="hann", center=True, pad_mode="constant")
    )
    matrix = np.zeros((ROWS, width))
    matrix[: columns.shape[1]] = columns.T[:ROWS]
    return matrix


@pytest.mark.parametrize(
    ("width", "n"), [*((width, n) for width in (32, 768) for n in LENGTHS), (1024, 100_001), (2048, 100_001)]
)
@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
def test_fft_is_librosas(width, n):
    value, expected = extract(noise(n), "fft", width), expected_fft(noise(n), width)
    assert value.shape == (ROWS, width)
    assert relative_error(value, expected) < 1e-5
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * expected.max())


def test_fft_of_ten_minutes():
    y = np.tile(noise(SAMPLE_RATE, seed=1), 600)
    assert relative_error(extract(y, "fft"), expected_fft(y, 768)) < 1e-5
    np.testing.assert_array_equal(extract(y, "waveform"), expected_waveform(y, 768))


def test_fft_of_a_sine_peaks_in_the_column_of_its_frequency():
    n_fft = 1534
    matrix = extract(sine(100 * SAMPLE_RATE / n_fft, 2 * SAMPLE_RATE), "fft")
    assert (matrix[2:75].argmax(axis=1) == 100).all()
    np.testing.assert_allclose(matrix[2:75, 100], 768 / 2, rtol=0.01)


def test_fft_of_a_short_clip_ends_in_zero_rows():
    matrix = extract(noise(50), "fft")
    assert matrix[:51].any(axis=1).all()
    assert not matrix[51:].any()


# --- the decibel features


def hop_signal(hop):
    """A signal whose 77 moments are one hop apart: a chord with a click."""
    n = ROWS * hop
    y = 0.3 * sine(220, n) + 0.2 * sine(1760, n) + 0.1 * noise(n, seed=4) * np.linspace(0, 1, n)
    y[n // 2] += 0.5
    return y.astype(np.float32)


def mel_decibels(y, hop):
    power = librosa.feature.melspectrogram(y=y, sr=SAMPLE_RATE, hop_length=hop, pad_mode="constant")[:, :ROWS]
    return np.clip(librosa.power_to_db(power, amin=1e-10, top_db=None) + 40, 0, 80).T


@pytest.mark.parametrize("width", [32, 768])
@pytest.mark.parametrize("hop", [256, 700])
def test_melspectrogram_is_librosas_in_decibels(hop, width):
    y = hop_signal(hop)
    expected = stretched(mel_decibels(y, hop) / 80, width)
    np.testing.assert_allclose(extract(y, "melspectrogram", width), expected, atol=2e-4)


@pytest.mark.parametrize("width", [32, 768])
@pytest.mark.parametrize("hop", [256, 700])
def test_mfcc_is_librosas_standardised(hop, width):
    y = hop_signal(hop)
    cepstrum = librosa.feature.mfcc(S=mel_decibels(y, hop).T, n_mfcc=20).T
    expected = stretched((cepstrum - cepstrum.mean(axis=0)) / cepstrum.std(axis=0), width)
    np.testing.assert_allclose(extract(y, "mfcc", width), expected, atol=2e-3)


def test_mfcc_columns_are_standardised():
    matrix = extract(hop_signal(512), "mfcc", 20)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(matrix.std(axis=0), 1, atol=1e-3)


def test_cqt_is_librosas_in_decibels():
    hop, n_bins = 1024, 84
    y = hop_signal(hop)
    magnitudes = np.abs(librosa.cqt(y, sr=SAMPLE_RATE, hop_length=hop, n_bins=n_bins, pad_mode="constant"))[
        :, :ROWS
    ].T
    frequencies = librosa.cqt_frequencies(n_bins, fmin=librosa.note_to_hz("C1"))
    lengths, _ = librosa.filters.wavelet_lengths(freqs=frequencies, sr=SAMPLE_RATE)
    decibels = 20 * np.log10(2 * magnitudes / np.sqrt(lengths))  # librosa scales by the root of the length
    expected = stretched(np.clip(1 + decibels / 80, 0, 1), 768)
    value = extract(y, "cqt")
    loud = expected > 0.6
    assert loud.mean() > 0.05
    # librosa resamples between octaves: it is itself an approximation of the definition.
    assert np.abs(value - expected)[loud].mean() < 0.002
    assert np.corrcoef(value.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("bin_", [12, 45, 80])
def test_cqt_of_a_sine_reads_its_level_in_its_bin(bin_):
    frequency = librosa.note_to_hz("C1") * 2 ** (bin_ / 12)
    matrix = extract(sine(frequency, 4 * SAMPLE_RATE, amplitude=0.1), "cqt", 84)
    assert (matrix[10:60].argmax(axis=1) == bin_).all()
    np.testing.assert_allclose(matrix[10:60, bin_], 1 - 20 / 80, atol=0.005)


@pytest.mark.parametrize("name", ["melspectrogram", "cqt"])
def test_decibel_features_stay_in_range(name):
    for y in (noise(30_000), 1e5 * noise(30_000), np.zeros(1000, dtype=np.float32), sine(1000, 30_000)):
        matrix = extract(y, name)
        assert matrix.min() >= 0
        assert matrix.max() <= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, 1, 50, 77, 1000, SAMPLE_RATE])
def test_silence_is_finite_and_without_contrast(name, n):
    matrix = extract(np.zeros(n, dtype=np.float32), name)
    np.testing.assert_array_equal(matrix, np.zeros((ROWS, 768)))


# --- moments


def test_picture_moments():
    np.testing.assert_array_equal(picture_moments(10_000, "fft"), np.arange(ROWS) * (10_000 // ROWS + 1))
    assert len(picture_moments(50, "fft")) == 51
    spread = picture_moments(10_000, "cqt")
    assert spread[0] == 0
    assert spread[-1] == 76 * 10_000 // ROWS


@pytest.mark.parametrize("name", NAMES)
def test_extract_is_extract_at_the_pictures_moments(name):
    y = noise(20_000)
    np.testing.assert_array_equal(extract(y, name), extract_at(y, picture_moments(len(y), name), name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [32, 768])
def test_a_feature_depends_on_no_more_than_it_says(name, width):
    feature, moments = FEATURES[name], 60_000 + 300 * np.arange(ROWS)
    y = noise(200_000)
    value = extract_at(y, moments, name, width)
    before, after = feature.reach(width)
    first, last = moments[0] - before, moments[-1] + after
    cut = np.zeros_like(y)
    cut[first : last + 1] = y[first : last + 1]
    np.testing.assert_array_equal(extract_at(cut, moments, name, width), value)


@pytest.mark.parametrize("name", NAMES)
def test_zero_is_assumed_outside_the_sound(name):
    y = noise(5000)
    moments = np.arange(ROWS) * 200 - 6000
    padded = np.pad(y, (60_000, 100_000))
    np.testing.assert_allclose(
        extract_at(y, moments, name), extract_at(padded, moments + 60_000, name), atol=1e-5
    )
    assert not extract_at(y, moments - 10**7, name).any()
    assert not extract_at(y, moments + 10**7, name).any()


def test_fewer_moments_give_zero_rows():
    matrix = extract_at(noise(5000), [100, 2000], "fft", 32)
    assert matrix[:2].any(axis=1).all()
    assert not matrix[2:].any()


# --- what cannot be described


@pytest.mark.parametrize(
    ("arguments", "error", "pattern"),
    [
        ((noise(10), "loudness"), ParameterError, "unknown feature 'loudness'.*waveform, fft"),
        ((noise(10), "fft", 1), ParameterError, "width 1"),
        ((noise(10).reshape(2, 5), "fft"), ParameterError, "shape .2, 5.*one dimension"),
        ((np.arange(10), "fft"), ParameterError, "dtype int64"),
        ((np.float32([0, np.nan]), "fft"), AudioError, "NaN or infinite"),
        ((np.float64([0, -np.inf]), "waveform"), AudioError, "NaN or infinite"),
        ((np.float64([0, 1e300]), "cqt"), AudioError, r"size 1e\+300"),
    ],
)
def test_bad_arguments(arguments, error, pattern):
    with pytest.raises(error, match=pattern):
        extract(*arguments)


@pytest.mark.parametrize("moments", [[], np.arange(78), [[0, 1]], [2, 1, "x"], [0.5, np.nan]])
def test_bad_moments(moments):
    with pytest.raises(ParameterError, match="moments"):
        extract_at(noise(1000), moments, "fft", 32)


samples = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.integers(0, 3000),
    elements=st.floats(-1, 1, width=16),
    fill=st.floats(-1, 1, width=16),
)
anything = hnp.arrays(np.float64, st.integers(0, 200), elements=st.floats(), fill=st.floats())


@settings(max_examples=50, deadline=None)
@given(
    y=st.one_of(samples, anything), name=st.sampled_from(NAMES), width=st.sampled_from([2, 3, 32, 768, 1024])
)
def test_any_samples_give_a_finite_matrix_or_an_error_of_ours(y, name, width):
    try:
        matrix = extract(y, name, width)
    except SoundDiffusionError:
        assert not (np.isfinite(y).all() and np.abs(y).max(initial=0) <= 1e6)
    else:
        assert matrix.shape == (ROWS, width)
        assert matrix.dtype == np.float32
        assert np.isfinite(matrix).all()


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(0, 5000),
    moments=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=77).map(sorted),
    name=st.sampled_from(NAMES),
)
def test_any_moments_give_a_finite_matrix(n, moments, name):
    matrix = extract_at(noise(n), moments, name, 32)
    assert matrix.shape == (ROWS, 32)
    assert np.isfinite(matrix).all()
    assert not matrix[len(moments) :].any()
