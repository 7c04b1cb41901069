"""Sounds: the same samples as librosa, every container, every way in which a file can be bad."""

import contextlib
import struct

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_diffusion.errors import AudioError, ParameterError
from sound_diffusion.sound import audio, decoding
from sound_diffusion.sound.audio import hash_file, load_audio, stream_audio
from tests.ffmpeg import ffmpeg

RATE = 44_100
ONSET = 0.5  # seconds of silence before the tone of the encoded files
TONE = 1.0  # seconds


def decode_all(path):
    """The rate and all samples of a mono sound, at its own rate."""
    with audio.open_stereo(path) as (rate, _, blocks):
        return rate, np.concatenate(list(blocks))[:, 0]


def channels_of_noise(rng, n, channels):
    return rng.uniform(-0.9, 0.9, (n, channels)).astype(np.float32)


@pytest.fixture(scope="module")
def burst():
    """Half a second of silence, then a second of 1000 Hz."""
    t = np.arange(int(TONE * RATE)) / RATE
    return np.concatenate([np.zeros(int(ONSET * RATE)), 0.5 * np.sin(2 * np.pi * 1000 * t)]).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def encoded(burst, tmp_path_factory):
    """The burst in the formats of soundfile and ffmpeg, by suffix; the videos have a picture track."""
    folder = tmp_path_factory.mktemp("encoded")
    soundfile.write(folder / "burst.wav", burst, RATE)
    picture = ["-f", "lavfi", "-i", "color=c=red:s=64x64:r=10:d=1.5"]
    streams = {
        "flac": ["-c:a", "flac"],
        "ogg": ["-c:a", "libvorbis"],
        "mp3": ["-c:a", "libmp3lame"],
        "opus": ["-c:a", "libopus"],
        "m4a": ["-c:a", "aac"],
        "aac": ["-c:a", "aac"],
        "wma": ["-c:a", "wmav2"],
        "mka": ["-c:a", "ac3"],
        "mp4": [*picture, "-map", "0:a", "-map", "1:v", "-c:a", "aac"],
        "mov": [*picture, "-map", "0:a", "-map", "1:v", "-c:a", "pcm_s16le"],
        "mkv": [*picture, "-map", "0:a", "-map", "1:v", "-c:a", "libvorbis"],
        "webm": [*picture, "-map", "0:a", "-map", "1:v", "-c:a", "libopus", "-c:v", "libvpx"],
    }
    for suffix, options in streams.items():
        ffmpeg("-i", folder / "burst.wav", *options, folder / f"burst.{suffix}")
    return folder


ALL = ["wav", "flac", "ogg", "mp3", "opus", "m4a", "aac", "wma", "mka", "mp4", "mov", "mkv", "webm"]


# --- The samples of librosa


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 44_101])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_same_samples_as_librosa_at_any_rate(tmp_path, rng, rate, channels):
    path = tmp_path / "noise.wav"
    soundfile.write(path, channels_of_noise(rng, 20_001, channels), rate, subtype="PCM_16")
    expected, _ = librosa.load(path, sr=RATE)
    y = load_audio(path)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
def test_same_samples_as_librosa_at_any_depth(tmp_path, rng, subtype):
    path = tmp_path / "noise.wav"
    soundfile.write(path, channels_of_noise(rng, 5000, 2), 48_000, subtype=subtype)
    np.testing.assert_array_equal(load_audio(path), librosa.load(path, sr=RATE)[0])


@pytest.mark.parametrize("name", ["a.flac", "a.aiff", "a.au", "a.caf", "a.w64", "a.rf64", "A.WAV"])
@pytest.mark.parametrize("channels", [1, 2])
def test_same_samples_as_librosa_in_any_format(tmp_path, rng, name, channels):
    path = tmp_path / name
    soundfile.write(path, channels_of_noise(rng, 60_000, channels), 48_000)
    np.testing.assert_array_equal(load_audio(path), librosa.load(path, sr=RATE)[0])


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_formats_differ_from_librosa_by_rounding_alone(tmp_path, rng, name, channels):
    path = tmp_path / name
    soundfile.write(path, channels_of_noise(rng, 60_000, channels), 48_000)
    expected, _ = librosa.load(path, sr=RATE)
    np.testing.assert_allclose(load_audio(path), expected, atol=2e-5)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize(("offset", "duration"), [(0.3, None), (0.0, 0.7), (0.25, 0.1), (1.0, 9.0)])
def test_offset_and_duration_are_those_of_librosa(tmp_path, rng, suffix, offset, duration):
    path = tmp_path / f"noise.{suffix}"
    soundfile.write(path, channels_of_noise(rng, 60_000, 2), 32_000)
    expected, _ = librosa.load(path, sr=RATE, offset=offset, duration=duration)
    np.testing.assert_array_equal(load_audio(path, offset=offset, duration=duration), expected)


def test_stream_is_the_whole_sound_in_blocks(tmp_path, rng, monkeypatch):
    path = tmp_path / "noise.wav"
    soundfile.write(path, channels_of_noise(rng, 50_000, 3), 48_000, subtype="FLOAT")
    whole = load_audio(path)
    monkeypatch.setattr(decoding, "BLOCK_FRAMES", 777)
    blocks = list(stream_audio(path))
    assert len(blocks) > 50
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 3000), rate=st.integers(4000, 192_000), seed=st.integers(0, 9))
def test_resampling_is_that_of_librosa_at_any_length_and_rate(n, rate, seed):
    y = np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)
    expected = librosa.resample(y, orig_sr=rate, target_sr=RATE)
    resampled = np.concatenate(list(audio._resample(iter(np.array_split(y, 3)), rate)))
    assert len(resampled) == -(-n * RATE // rate)
    np.testing.assert_array_equal(resampled, expected[: len(resampled)])
    # Where n * 44100 / rate is whole, librosa's floating-point ceil can add one sample, a zero.
    assert not expected[len(resampled) :].any()


def test_silence_and_one_sample_are_legal(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(1000), RATE)
    assert not load_audio(tmp_path / "silence.wav").any()
    soundfile.write(tmp_path / "click.wav", np.array([0.5]), RATE)
    np.testing.assert_array_equal(load_audio(tmp_path / "click.wav"), np.float32([0.5]))


def test_hash_is_of_the_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert hash_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# --- What ffmpeg decodes


@pytest.mark.parametrize("suffix", ALL)
def test_every_format_gives_the_sound_that_was_encoded(encoded, suffix):
    y = load_audio(encoded / f"burst.{suffix}")
    assert y.dtype == np.float32
    assert y.ndim == 1
    # Some containers have no place for the encoder's delay; the clock of wma begins 92 ms after its sound.
    late = {"aac": 0.05, "mka": 0.05, "wma": 0.15}.get(suffix, 0.005)
    assert abs(len(y) / RATE - ONSET - TONE) < max(late, 0.06)
    loud = np.flatnonzero(np.abs(y) > 0.25)
    assert abs(loud[0] / RATE - ONSET) < late
    steady = y[int(0.7 * RATE) : int(1.2 * RATE)]
    peak = np.abs(np.fft.rfft(steady * np.hanning(len(steady)))).argmax() * RATE / len(steady)
    assert abs(peak - 1000) < 3
    assert abs(steady.std() - 0.5 / np.sqrt(2)) < 0.02


@pytest.fixture(scope="module")
def rumble():
    """Four seconds of noise below 3 kHz, which codecs keep and which is like itself at one shift alone."""
    low = scipy.signal.butter(4, 3000, fs=RATE, output="sos")
    return 0.5 * scipy.signal.sosfilt(low, np.random.default_rng(3).uniform(-1, 1, 4 * RATE))


@pytest.mark.parametrize(
    ("suffix", "codec", "tolerance"),  # of the place, in samples; Matroska counts time in milliseconds
    [
        ("m4a", "aac", 0),
        ("m4a", "alac", 0),
        ("mp4", "libmp3lame", 0),
        ("aac", "aac", 0),
        ("mkv", "flac", 45),
        ("mkv", "aac", 45),
        ("webm", "libvorbis", 45),
        ("webm", "libopus", 60),
    ],
)
@pytest.mark.parametrize("offset", [0.3, 2.37])
def test_offset_and_duration_through_ffmpeg(rumble, tmp_path, suffix, codec, tolerance, offset):
    soundfile.write(tmp_path / "rumble.wav", rumble, RATE)
    path = tmp_path / f"rumble.{suffix}"
    ffmpeg("-i", tmp_path / "rumble.wav", "-c:a", codec, "-b:a", "160k", path)
    whole = load_audio(path)
    part = load_audio(path, offset=offset, duration=0.4)
    assert abs(len(part) - 0.4 * RATE) <= tolerance + 1
    start = round(offset * RATE)
    correlation = scipy.signal.correlate(whole[start - 3000 : start + 9000], part[:6000], "valid", "fft")
    assert abs(int(correlation.argmax()) - 3000) <= tolerance


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus", "m4a", "aac", "mkv", "ts", "wv"])
@pytest.mark.parametrize(("offset", "duration"), [(1.3, None), (0.71, 0.4), (0.0, 3.1)])
def test_a_stretch_is_exactly_that_part_of_the_whole(rumble, tmp_path, suffix, offset, duration):
    soundfile.write(tmp_path / "rumble.wav", rumble, RATE)
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-i", tmp_path / "rumble.wav", "-ar", RATE if suffix != "opus" else 48_000, path)
    rate, whole = decode_all(path)
    stop = None if duration is None else int(offset * rate) + int(duration * rate)
    expected = librosa.resample(whole[int(offset * rate) : stop], orig_sr=rate, target_sr=RATE)
    np.testing.assert_array_equal(load_audio(path, offset=offset, duration=duration), expected)


def test_other_rates_and_channels_through_ffmpeg(encoded, tmp_path):
    path = tmp_path / "surround.m4a"
    ffmpeg("-i", encoded / "burst.wav", "-ar", 48_000, "-ac", 6, "-c:a", "aac", path)
    y = load_audio(path)
    assert abs(len(y) / RATE - ONSET - TONE) < 0.06


def test_names_that_ffmpeg_could_misread(encoded, tmp_path):
    for name in ("a:b.m4a", "-i.m4a", "per cent %d.m4a", 'quote\'s "x".m4a', "é ü 音.m4a"):
        path = tmp_path / name
        path.write_bytes((encoded / "burst.m4a").read_bytes())
        assert len(load_audio(path)) > RATE


def test_name_that_soundfile_takes_for_raw_samples(encoded, tmp_path):
    path = tmp_path / "burst.raw"
    path.write_bytes((encoded / "burst.m4a").read_bytes())
    assert len(load_audio(path)) > RATE


# --- Bad input


def check_refused(path, pattern, **options):
    with pytest.raises(AudioError, match=pattern) as caught:
        load_audio(path, **options)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    check_refused(tmp_path / "no.wav", "no such file")


def test_folder(tmp_path):
    check_refused(tmp_path, "a folder.*--input_folder")


def test_device():
    check_refused("/dev/null", "a device or a pipe")


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a", "xyz"])
def test_empty(tmp_path, suffix):
    path = tmp_path / f"empty.{suffix}"
    path.touch()
    check_refused(path, "empty file")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a", "mp4", "webm", "txt", "raw"])
@pytest.mark.parametrize(
    "content", [b"This is no sound.\n" * 40, bytes(range(256)) * 50, b"RIFF", b"\0" * 5000]
)
def test_not_audio(tmp_path, suffix, content):
    path = tmp_path / f"text.{suffix}"
    path.write_bytes(content)
    check_refused(path, "not a sound|truncated or damaged|no samples|no sound track")


def test_picture_is_not_a_sound(tmp_path):
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 64)).save(path)
    check_refused(path, "no sound track|not a sound")


def test_wav_of_unknown_length_is_not_truncated(tmp_path, burst):
    path = tmp_path / "streamed.wav"
    data = bytearray()
    data += struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16
    )
    data += struct.pack("<4sI", b"data", 0xFFFFFFFF) + (burst * 32_767).astype("<i2").tobytes()
    path.write_bytes(data)
    assert len(load_audio(path)) == len(burst)


def test_wav_with_chunks_after_the_samples(tmp_path, burst):
    path = tmp_path / "tagged.wav"
    soundfile.write(path, burst, RATE)
    with path.open("ab") as file:
        file.write(b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert len(load_audio(path)) == len(burst)


@pytest.mark.parametrize(
    "options",
    [
        ["-write_xing", "0"],
        ["-write_xing", "0", "-q:a", "2"],
        ["-write_xing", "0", "-metadata", "title=Burst"],
        ["-q:a", "2"],
        ["-metadata", "title=Burst"],
        ["-metadata", f"title={'Burst' * 5000}", "-ar", "16000"],
    ],
)
def test_whole_mp3_is_whole(encoded, tmp_path, caplog, options):
    path = tmp_path / "a.mp3"
    ffmpeg("-i", encoded / "burst.wav", "-c:a", "libmp3lame", *options, path)
    rate = 16_000 if "-ar" in options else RATE
    # Without the header that ffmpeg leaves out here, nothing says how much the encoder put around the sound.
    around = 0 if "-write_xing" not in options else 3 * 1152 / rate
    assert 0 <= len(load_audio(path)) / RATE - 1.5 <= around + 1 / RATE
    assert not caplog.messages


def test_no_sound_track(encoded, tmp_path):
    path = tmp_path / "mute.mp4"
    ffmpeg("-i", encoded / "burst.mp4", "-an", "-c", "copy", path)
    check_refused(path, "no sound track")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("subtype", "channels"), [("FLOAT", 1), ("DOUBLE", 2)])
def test_not_finite(tmp_path, value, subtype, channels):
    samples = np.zeros((3000, channels))
    samples[2000, 0] = value
    path = tmp_path / "bad.wav"
    soundfile.write(path, samples, RATE, subtype=subtype)
    check_refused(path, "NaN or infinite")


def test_samples_beyond_any_sound(tmp_path):
    path = tmp_path / "huge.wav"
    soundfile.write(path, np.full((100, 2), 3e38), RATE, subtype="FLOAT")
    check_refused(path, "NaN or infinite|sample of size")
    soundfile.write(path, np.full(100, 1e9), RATE, subtype="FLOAT")
    check_refused(path, "sample of size 1e\\+09")


def test_offset_past_the_end_of_an_mp3_that_does_not_state_its_length(encoded, tmp_path):
    path = tmp_path / "a.mp3"
    ffmpeg("-i", encoded / "burst.wav", "-c:a", "libmp3lame", "-q:a", 0, "-write_xing", 0, path)
    for offset in (1.6, 9.0):
        check_refused(path, "past the end|no samples in it from", offset=offset)


@pytest.mark.parametrize("suffix", ["wav", "ogg", "mp3", "m4a", "webm"])
def test_offset_past_the_end(encoded, suffix):
    check_refused(encoded / f"burst.{suffix}", "past the end|no samples in it from 7.5 s on", offset=7.5)


@pytest.mark.parametrize("options", [{"offset": -1}, {"offset": np.nan}, {"duration": 0}, {"duration": -2.0}])
def test_bad_stretch(sine_file, options):
    with pytest.raises(ParameterError, match=r"expected .* seconds"):
        load_audio(sine_file, **options)


def test_wav_without_samples(tmp_path):
    path = tmp_path / "none.wav"
    soundfile.write(path, np.zeros(0), RATE)
    check_refused(path, "no samples")


def test_libraries_print_nothing(encoded, tmp_path, capfd):
    data = (encoded / "burst.mp3").read_bytes()
    path = tmp_path / "damaged.mp3"
    path.write_bytes(data[:2000] + b"\xff\xfbgarbage" * 200 + data[4000:])
    with contextlib.suppress(AudioError):
        load_audio(path)
    assert capfd.readouterr() == ("", "")
