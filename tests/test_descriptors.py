"""Descriptors: known signals have the numbers that were known in advance, and none before they sound."""

import tracemalloc
from fractions import Fraction

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.sound.beats import SILENT_HOPS, track_beats
from sound_diffusion.sound.description import DescriptorStream, describe, describe_stream
from sound_diffusion.sound.descriptors import DESCRIPTORS
from sound_diffusion.sound.hops import FLOOR_DB, HARMONIC_HOPS, HOP, N_FFT, HopAnalysis
from sound_diffusion.sound.pitch import HIGHEST_PITCH, LOWEST_PITCH, yin

FPS = Fraction(12)
NAMES = list(DESCRIPTORS)


def tone(frequency, seconds=2.0, amplitude=0.5):
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def clicks(seconds, times):
    y = np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)
    y[np.round(np.array(times) * SAMPLE_RATE).astype(int)] = 1.0
    return y


@pytest.fixture(scope="module")
def music():
    """Two seconds of everything: chords that change, noise, clicks, and a rest."""
    rng = np.random.default_rng(5)
    y = tone(220) + 0.6 * tone(277.2) + np.where(np.arange(88_200) > 40_000, tone(660), 0)
    y += 0.02 * rng.standard_normal(len(y)) + clicks(2, [0.3, 0.8, 1.3])
    y[60_000:70_000] = 0
    return (0.5 * y).astype(np.float32)


@pytest.fixture(scope="module")
def hops(music):
    """The hops of the music, by name."""
    return dict(zip(DESCRIPTORS, HopAnalysis().push(music, last=True).T, strict=True))


@pytest.fixture(scope="module")
def spectrum(music):
    """librosa's magnitudes of the same hops."""
    padded = np.pad(music, (N_FFT - HOP, 0))
    return np.abs(librosa.stft(padded, n_fft=N_FFT, hop_length=HOP, center=False))


class TestEqualToLibrosa:
    def test_loudness(self, music, hops):
        padded = np.pad(music, (N_FFT - HOP, 0))
        expected = librosa.feature.rms(y=padded, frame_length=N_FFT, hop_length=HOP, center=False)[0]
        np.testing.assert_allclose(hops["loudness"], expected, rtol=1e-4, atol=1e-7)

    def test_onset(self, spectrum, hops):
        mel = librosa.feature.melspectrogram(S=spectrum**2, sr=SAMPLE_RATE)
        decibels = librosa.power_to_db(mel, amin=10 ** (FLOOR_DB / 10), top_db=None)
        expected = librosa.onset.onset_strength(S=decibels, sr=SAMPLE_RATE, center=False)
        np.testing.assert_allclose(hops["onset"][1:], expected[1:], atol=1e-3)
        assert hops["onset"][0] > 5  # the beginning of a sound is an onset, which librosa cannot know

    def test_centroid(self, spectrum, hops):
        expected = librosa.feature.spectral_centroid(S=spectrum, sr=SAMPLE_RATE)[0]
        np.testing.assert_allclose(hops["centroid"], expected, rtol=1e-3, atol=1e-3)

    def test_flatness(self, spectrum, hops):
        expected = librosa.feature.spectral_flatness(S=spectrum)[0]
        sounds = spectrum.any(axis=0)
        sounds[:3] = False  # windows that begin before the sound, below
        np.testing.assert_allclose(hops["flatness"][sounds], expected[sounds], rtol=1e-3, atol=1e-7)
        sounds = spectrum.any(axis=0)
        assert not sounds.all()
        assert not hops["flatness"][~sounds].any()

    def test_pitch(self, music):
        windows = librosa.util.frame(music, frame_length=N_FFT, hop_length=HOP).T
        expected = librosa.yin(
            music,
            fmin=LOWEST_PITCH,
            fmax=HIGHEST_PITCH,
            sr=SAMPLE_RATE,
            frame_length=N_FFT,
            hop_length=HOP,
            center=False,
        )
        sounds = windows.any(axis=1)
        np.testing.assert_allclose(yin(windows)[0][sounds], expected[sounds], rtol=2e-3)

    def test_percussive_and_harmonic(self, spectrum, hops):
        # librosa's median over time looks to both sides: shifted by half its length it looks back.
        later = np.pad(spectrum, ((0, 0), (HARMONIC_HOPS - 1, 0)))
        delayed = np.stack(
            [np.median(later[:, k : k + HARMONIC_HOPS], axis=1) for k in range(spectrum.shape[1])], axis=1
        )
        across = np.stack(
            [
                np.median(rows, axis=0)
                for rows in _neighbourhoods(np.pad(spectrum, ((15, 15), (0, 0)), "symmetric"))
            ]
        )
        for name, mask in (
            ("percussive", librosa.util.softmask(across, delayed, power=2)),
            ("harmonic", librosa.util.softmask(delayed, across, power=2)),
        ):
            part = (spectrum * mask) ** 2
            window = librosa.filters.get_window("hann", N_FFT)
            expected = np.sqrt(2 * part.sum(axis=0) / (N_FFT * np.sum(window**2)))
            np.testing.assert_allclose(hops[name], expected, rtol=1e-3, atol=1e-6)

    @pytest.mark.parametrize(("period", "seconds"), [(0.45, 2.5), (0.71, 2.5), (0.5, 12)])
    def test_beats(self, music, period, seconds):
        y = clicks(seconds, np.arange(0.2, seconds, period)) + 0.01 * np.resize(
            music, round(seconds * SAMPLE_RATE)
        )
        envelope = describe(y, 12).onset_envelope
        bpm = librosa.feature.tempo(onset_envelope=envelope, sr=SAMPLE_RATE, hop_length=HOP)
        tracked = librosa.beat.beat_track(
            onset_envelope=np.pad(envelope, (SILENT_HOPS, 0)),
            bpm=bpm,
            sr=SAMPLE_RATE,
            hop_length=HOP,
            units="time",
            trim=False,
        )[1] - SILENT_HOPS * (HOP / SAMPLE_RATE)
        beats = track_beats(envelope)
        inside = tracked[(tracked >= beats[0] - 0.01) & (tracked <= beats[-1] + 0.01)]
        np.testing.assert_allclose(beats, inside, atol=1e-9)
        assert len(beats) >= seconds / period - 2


def _neighbourhoods(padded):
    return (padded[k : k + 31] for k in range(len(padded) - 30))


class TestKnownInAdvance:
    @pytest.mark.parametrize(("frequency", "band"), [(80, "low"), (600, "mid"), (5000, "high")])
    def test_a_tone_is_in_its_band(self, frequency, band):
        hops = dict(zip(DESCRIPTORS, HopAnalysis().push(tone(frequency), last=True)[10:-10].T, strict=True))
        for name in ("low", "mid", "high"):
            expected = 0.5 / np.sqrt(2) if name == band else 0
            np.testing.assert_allclose(hops[name], expected, atol=0.01)
        np.testing.assert_allclose(hops["loudness"], 0.5 / np.sqrt(2), atol=0.01)
        np.testing.assert_allclose(hops["centroid"], frequency, rtol=0.02)

    def test_a_tone_is_harmonic_and_a_click_percussive(self):
        steady = HopAnalysis().push(tone(440), last=True)[HARMONIC_HOPS:-4]
        assert (steady[:, NAMES.index("harmonic")] > 0.33).all()
        assert (steady[:, NAMES.index("percussive")] < 0.01).all()
        click = HopAnalysis().push(clicks(1, [0.5]), last=True)
        assert click[:, NAMES.index("percussive")].max() > 0.01
        assert click[:, NAMES.index("harmonic")].max() == 0

    def test_noise_is_flat_and_a_tone_is_not(self, rng):
        noise = (0.1 * rng.standard_normal(SAMPLE_RATE)).astype(np.float32)
        flatness = NAMES.index("flatness")
        assert (HopAnalysis().push(noise, last=True)[5:, flatness] > 0.4).all()
        assert (HopAnalysis().push(tone(440), last=True)[5:-5, flatness] < 1e-4).all()

    def test_pitch_is_held_where_there_is_none(self, rng):
        noise = (0.05 * rng.standard_normal(SAMPLE_RATE)).astype(np.float32)
        y = np.concatenate([tone(220, 1), noise, np.zeros(SAMPLE_RATE, np.float32), tone(440, 1)])
        pitch = describe(y, 12).raw[:, NAMES.index("pitch")]
        np.testing.assert_allclose(pitch[2:35], librosa.hz_to_midi(220), atol=0.2)
        np.testing.assert_allclose(pitch[38:47], librosa.hz_to_midi(440), atol=0.2)

    def test_a_tone_that_swells_is_louder_at_its_end(self):
        swell = tone(440) * np.linspace(0, 1, 2 * SAMPLE_RATE, dtype=np.float32)
        loudness = describe(swell, 12)["loudness"]
        np.testing.assert_allclose(loudness, np.linspace(0, 1, len(loudness)), atol=0.06)

    @pytest.mark.parametrize("fps", ["12", "25", "24000/1001", "60"])
    def test_clicks_are_onsets_of_the_very_frame(self, fps):
        times = np.array([0.31, 0.77, 1.23, 1.69])
        described = describe(clicks(2, times), fps)
        strongest = np.argsort(described["onset"])[-len(times) :]
        expected = np.floor(times * float(Fraction(fps)))
        late = np.sort(strongest) - expected  # what falls into a frame's last hop is analysed with the next
        assert ((late >= 0) & (late <= np.ceil(float(Fraction(fps)) * HOP / SAMPLE_RATE))).all()

    def test_a_sound_that_begins_at_once_is_no_noise_at_its_beginning(self):
        flatness = HopAnalysis().push(np.roll(tone(440), 25)[25:], last=True)[:, NAMES.index("flatness")]
        assert flatness[:6].max() < 1e-4
        short = HopAnalysis().push(tone(440)[: 2 * HOP], last=True)[:, NAMES.index("flatness")]
        assert not short.any()

    def test_a_steady_tone_moves_nothing_but_at_its_beginning(self):
        described = describe(tone(440, 4), 12)
        for name, values in described.items():
            assert np.ptp(values[4:-1]) < 0.05, name

    def test_silence_is_zero(self):
        described = describe(np.zeros(SAMPLE_RATE, dtype=np.float32), 12)
        assert not any(values.any() for values in described.values())
        assert len(described.beats) == 0

    def test_rare_events_are_not_lost(self):
        described = describe(clicks(30, [12.01]), 12)
        assert described["onset"].argmax() == int(12.01 * 12)
        assert described["onset"].max() == 1

    @pytest.mark.parametrize("rest", [0.0, 4.0])
    def test_beats_of_a_click_track(self, rest):
        times = rest + np.arange(0.4, 10, 0.6)
        beats = describe(clicks(2 * rest + 10, times), 12).beats
        np.testing.assert_allclose(beats, times, atol=0.03)

    @pytest.mark.parametrize("y", [tone(440, 4), clicks(4, [2]), np.zeros(SAMPLE_RATE, np.float32)])
    def test_no_beats(self, y):
        assert len(describe(y, 12).beats) == 0


@pytest.mark.parametrize("name", list(DESCRIPTORS))
def test_nothing_moves_before_the_sound_does(name, music):
    changed = music.copy()
    changed[50_000:] = 0.3 * np.random.default_rng(9).standard_normal(len(music) - 50_000)
    column = list(DESCRIPTORS).index(name)
    one, other = (describe(y, 12).raw[:, column] for y in (music, changed))
    before = int(50_000 / SAMPLE_RATE * 12)  # frames that end before the change
    np.testing.assert_array_equal(one[:before], other[:before])


@settings(deadline=None, max_examples=15)
@given(
    n_samples=st.integers(1, 60_000),
    rate=st.fractions(min_value=Fraction(1, 2), max_value=300, max_denominator=1001),
    size=st.integers(1, 20_000),
)
def test_one_row_a_frame_whatever_the_blocks(n_samples, rate, size):
    y = (0.1 * np.random.default_rng(n_samples).standard_normal(n_samples)).astype(np.float32)
    described = describe_stream((y[at : at + size] for at in range(0, n_samples, size)), rate)
    assert len(described.raw) == len(Timeline(n_samples=n_samples, fps=rate))
    np.testing.assert_array_equal(described.raw, describe(y, rate).raw)
    for values in described.values():
        assert ((values >= 0) & (values <= 1)).all()


def test_live_rows_are_those_of_the_film(music):
    stream = DescriptorStream(FPS)
    blocks = (music[at : at + 1000] for at in range(0, len(music), 1000))
    rows = np.concatenate([stream.push(block, last=True) for block in blocks])
    film = describe(music, 12).raw
    np.testing.assert_allclose(rows, film[: len(rows)], rtol=1e-3, atol=1e-3)
    assert len(rows) == len(film)


def test_memory_grows_by_some_numbers_a_frame():
    def peak(seconds):
        block = np.zeros(SAMPLE_RATE, dtype=np.float32)
        tracemalloc.start()
        described = describe_stream((block for _ in range(seconds)), Fraction(4))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top / 1e6, len(described.raw)

    peak(2)
    (short, _), (long, n_frames) = peak(4), peak(16)
    assert long - short < 1 + n_frames * 40 * 8 / 1e6  # megabytes


def test_python_users_get_a_mapping(music):
    described = describe(music, fps=12)
    assert list(described) == list(DESCRIPTORS)
    assert described["onset"].shape == (24,)
    assert "beats" not in described
    with pytest.raises(KeyError):
        described["boom"]


@pytest.mark.parametrize("fps", [0, -1, "twelve", float("nan"), 2000, "1/0"])
def test_rates_that_cannot_be(fps):
    with pytest.raises(ParameterError, match="frames a second"):
        describe(np.zeros(100, dtype=np.float32), fps)


def test_sounds_that_cannot_be():
    with pytest.raises(AudioError, match="without samples"):
        describe(np.zeros(0, dtype=np.float32))
    with pytest.raises(AudioError):
        describe(np.full(10, np.nan, dtype=np.float32))
