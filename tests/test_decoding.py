"""Decoding: cut anywhere, trouble in other streams, decoders that stand still, gaps in time."""

import os
import stat
import time

import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sound_diffusion.errors import AudioError
from sound_diffusion.sound import decoding
from sound_diffusion.sound.audio import load_audio, stream_audio
from tests.ffmpeg import ffmpeg

RATE = 44_100
SECONDS = 1.5
# Formats that say how long they are, or where they end.
MARKED = {
    "wav": [],
    "aiff": [],
    "w64": [],
    "caf": [],
    "au": [],
    "flac": ["-c:a", "flac"],
    # Pages that are short beside the sound: of one that is cut nothing can be used.
    "ogg": ["-c:a", "libvorbis", "-page_duration", "100000"],
    "opus": ["-c:a", "libopus", "-page_duration", "100000"],
    "mp3": ["-c:a", "libmp3lame"],
    "m4a": ["-c:a", "aac", "-movflags", "faststart"],
    "mp4": ["-c:a", "alac", "-movflags", "faststart"],
    "mka": ["-c:a", "aac"],
    "webm": ["-c:a", "libopus"],
    "tta": ["-c:a", "tta"],
    "wv": ["-c:a", "wavpack"],
    "wma": ["-c:a", "wmav2"],
    "avi": ["-c:a", "libmp3lame"],
}
UNMARKED = {
    "mp2": ["-c:a", "mp2"],
    "aac": ["-c:a", "aac"],
    "ac3": ["-c:a", "ac3"],
    "ts": ["-c:a", "aac"],
    "amr": ["-c:a", "libopencore_amrnb", "-ar", "8000"],
}
VIDEO = ["-f", "lavfi", "-i", f"testsrc=s=64x64:r=25:d={SECONDS}"]
SOUND = ["-f", "lavfi", "-i", f"anoisesrc=d={SECONDS}:a=0.3:r={RATE}:seed=1"]
FAST = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Noise in every format: the bytes, and the samples of the whole."""
    folder = tmp_path_factory.mktemp("sounds")
    files = {}
    for suffix, options in (MARKED | UNMARKED).items():
        path = folder / f"a.{suffix}"
        ffmpeg(*SOUND, "-ac", 1, *options, path)
        files[suffix] = path.read_bytes(), load_audio(path)
    return files


def cut(sounds, folder, suffix, part):
    content, whole = sounds[suffix]
    path = folder / f"cut.{suffix}"
    path.write_bytes(content[: max(int(len(content) * part), 1)])
    try:
        return load_audio(path), whole
    except AudioError:
        return np.zeros(0, np.float32), whole


# --- Cut


@FAST
@given(suffix=st.sampled_from(sorted(MARKED)), part=st.floats(0.01, 0.999))
def test_cut_anywhere_is_used_as_far_as_it_goes_and_named(sounds, tmp_path, caplog, suffix, part):
    caplog.clear()
    y, whole = cut(sounds, tmp_path, suffix, part)
    assert len(y) <= len(whole) + 0.03 * RATE
    if part > 0.7:
        assert len(y) > 0.1 * len(whole)
    if 0 < len(y) < len(whole) - 0.1 * RATE:
        assert len(caplog.messages) == 1
    if suffix in ("wav", "aiff", "w64", "caf", "au", "flac", "mp4", "tta"):
        np.testing.assert_array_equal(y, whole[: len(y)])


@FAST
@given(suffix=st.sampled_from(sorted(UNMARKED)), part=st.floats(0.3, 0.999))
def test_cut_without_a_stated_length_is_used_as_far_as_it_goes(sounds, tmp_path, suffix, part):
    y, whole = cut(sounds, tmp_path, suffix, part)
    assert abs(len(y) - part * len(whole)) < 0.2 * RATE


@pytest.mark.parametrize("suffix", ["flac", "mp3", "m4a", "mka", "webm", "wv"])
def test_the_seconds_that_are_missing_are_counted(sounds, tmp_path, caplog, suffix):
    y, whole = cut(sounds, tmp_path, suffix, 0.6)
    stated = float(caplog.messages[0].split(" s of ")[0].split()[-1])
    assert abs(stated - (len(whole) - len(y)) / RATE) < 0.03


@pytest.mark.parametrize("suffix", sorted(MARKED | UNMARKED))
def test_whole_sounds_are_read_without_a_word(tmp_path, caplog, sounds, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(sounds[suffix][0])
    assert abs(len(load_audio(path)) / RATE - SECONDS) < 0.1
    assert not caplog.messages


def test_the_warning_can_be_left_out(sounds, tmp_path, caplog):
    path = tmp_path / "cut.flac"
    path.write_bytes(sounds["flac"][0][:-9000])
    assert sum(map(len, stream_audio(path, warn=False)))
    assert not caplog.messages


def test_an_index_that_is_missing_leaves_no_sound(tmp_path):
    ffmpeg(*SOUND, "-c:a", "aac", tmp_path / "a.m4a")
    path = tmp_path / "cut.m4a"
    path.write_bytes((tmp_path / "a.m4a").read_bytes()[:-2000])
    with pytest.raises(AudioError, match=r"index is missing.*get a whole copy"):
        load_audio(path)


def test_a_flac_of_unknown_length(sounds, tmp_path, caplog):
    content, whole = sounds["flac"]
    streamed = bytearray(content)
    streamed[21] &= 0xF0
    streamed[22:26] = bytes(4)
    path = tmp_path / "streamed.flac"
    path.write_bytes(streamed)
    np.testing.assert_array_equal(load_audio(path), whole)
    assert not caplog.messages


def test_an_mp3_is_read_to_its_end_whatever_its_header_says(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=1:a=0.001", "-f", "lavfi", "-i", "anoisesrc=d=1:a=0.9",
           "-filter_complex", "concat=v=0:a=1:n=2", "-q:a", 4, tmp_path / "a.mp3")  # fmt: skip
    content = (tmp_path / "a.mp3").read_bytes()
    at = content.find(b"Xing") + 8
    for frames in (0, 1, 20, 2**31):
        path = tmp_path / "b.mp3"
        path.write_bytes(content[:at] + frames.to_bytes(4, "big") + content[at + 4 :])
        assert abs(len(load_audio(path)) / RATE - 2) < 0.1
    ffmpeg("-i", tmp_path / "a.mp3", "-write_xing", 0, "-c", "copy", tmp_path / "c.mp3")
    assert abs(len(load_audio(tmp_path / "c.mp3")) / RATE - 2) < 0.1


# --- The sound alone


@pytest.mark.parametrize(
    ("suffix", "codecs"),
    [
        ("mp4", ["-c:v", "libx264", "-c:a", "aac"]),
        ("mov", ["-c:v", "mjpeg", "-c:a", "pcm_s16le"]),
        ("mkv", ["-c:v", "libx264", "-c:a", "flac"]),
        ("webm", ["-c:v", "libvpx", "-c:a", "libopus"]),
        ("avi", ["-c:v", "mpeg4", "-c:a", "libmp3lame"]),
        ("ts", ["-c:v", "mpeg2video", "-c:a", "aac"]),
        ("flv", ["-c:v", "flv", "-c:a", "libmp3lame"]),
        ("asf", ["-c:v", "msmpeg4", "-c:a", "wmav2"]),
    ],
)
@pytest.mark.parametrize("amount", [2, 50])
def test_a_broken_picture_is_none_of_the_sounds_trouble(tmp_path, caplog, suffix, codecs, amount):
    good, broken = tmp_path / f"good.{suffix}", tmp_path / f"broken.{suffix}"
    ffmpeg(*VIDEO, *SOUND, "-g", 12, *codecs, good)
    ffmpeg("-i", good, "-map", "0", "-c", "copy", "-bsf:v", f"noise=amount={amount}", broken)
    np.testing.assert_array_equal(load_audio(broken), load_audio(good))
    assert not caplog.messages


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_of_several_sounds_the_first_is_judged(tmp_path, caplog, suffix):
    good, broken = tmp_path / f"good.{suffix}", tmp_path / f"broken.{suffix}"
    other = ["-f", "lavfi", "-i", "sine=440:d=3"]
    ffmpeg(*SOUND, *other, "-map", 0, "-map", 1, "-c:a", "aac", good)
    ffmpeg("-i", good, "-map", 0, "-c", "copy", "-bsf:a:1", "noise=amount=2", broken)
    np.testing.assert_array_equal(load_audio(broken), load_audio(good))
    assert abs(len(load_audio(broken)) / RATE - SECONDS) < 0.1
    assert not caplog.messages


def test_a_cover_that_is_broken_or_huge(tmp_path, caplog):
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=200x200:d=0.04", "-frames:v", 1, tmp_path / "cover.png")
    for suffix, options in (("m4a", ["-c:a", "aac"]), ("mp3", ["-c:a", "libmp3lame"]), ("flac", [])):
        path = tmp_path / f"a.{suffix}"
        ffmpeg(*SOUND, "-i", tmp_path / "cover.png", "-map", 0, "-map", 1, "-c:v", "copy", *options,
               "-disposition:v", "attached_pic", path)  # fmt: skip
        expected = load_audio(path)
        content = path.read_bytes()
        at = content.find(b"\x89PNG")
        path.write_bytes(content[: at + 8] + bytes(52) + content[at + 60 :])
        np.testing.assert_array_equal(load_audio(path), expected)
    assert not caplog.messages


def test_damage_in_the_sound_itself_is_named(tmp_path, caplog):
    ffmpeg(*SOUND, "-c:a", "aac", tmp_path / "a.mka")
    ffmpeg("-i", tmp_path / "a.mka", "-c", "copy", "-bsf:a", "noise=amount=100", tmp_path / "b.mka")
    assert abs(len(load_audio(tmp_path / "b.mka")) / RATE - SECONDS) < 0.3
    assert "cannot be decoded" in caplog.messages[0]


# --- Time


def test_a_gap_is_silence_and_overlaps_lose_nothing(tmp_path):
    path = tmp_path / "a.mkv"
    gap = "aselect='not(between(t,0.5,1.0))'"
    ffmpeg("-f", "lavfi", "-i", "sine=1000:d=1.5:r=44100", "-af", gap, "-c:a", "pcm_s16le", path)
    y = load_audio(path)
    assert abs(len(y) / RATE - 1.5) < 0.05
    assert not y[int(0.6 * RATE) : int(0.9 * RATE)].any()
    back = "asetpts='if(gt(T,0.7),PTS-0.4/TB,PTS)'"
    ffmpeg("-f", "lavfi", "-i", "sine=1000:d=1.5:r=44100", "-af", back, "-c:a", "pcm_s16le", path)
    assert len(load_audio(path)) / RATE > 1.45


# --- Decoders that do not do what they should


def fake_ffmpeg(folder, monkeypatch, script):
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(path))


@pytest.mark.skipif(os.name != "posix", reason="the decoder is a shell script")
def test_a_decoder_that_stands_still_is_ended(tmp_path, monkeypatch, sounds, caplog):
    path = tmp_path / "a.flac"
    path.write_bytes(sounds["flac"][0])
    real = imageio_ffmpeg.get_ffmpeg_exe()
    monkeypatch.setattr(decoding, "PATIENCE", 0.5)
    began = time.monotonic()
    fake_ffmpeg(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(AudioError, match=r"stood still for 0\.5 s"):
        load_audio(path)
    fake_ffmpeg(tmp_path, monkeypatch, f'"{real}" "$@"\nexec sleep 60')
    monkeypatch.setattr(decoding, "PATIENCE", 3.0)
    np.testing.assert_array_equal(load_audio(path), sounds["flac"][1])
    assert "stood still" in caplog.messages[0]
    assert time.monotonic() - began < 30


def test_a_playlist_is_no_sound(tmp_path, sounds):
    (tmp_path / "a.wav").write_bytes(sounds["wav"][0])
    for name, text in (
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n"),
        ("a.txt", "ffconcat version 1.0\nfile http://localhost:9/a.wav\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioError):
            load_audio(tmp_path / name)


def test_a_sound_that_is_left_early_leaves_no_process(sounds, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(sounds["wav"][0].replace(b"data", b"data", 1))
    for _ in range(3):
        blocks = stream_audio(path)
        next(blocks)
        blocks.close()
