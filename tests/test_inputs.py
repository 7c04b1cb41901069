"""Sounds that are named, listed or in a folder, and some of them bad."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from sound_diffusion.errors import (
    AudioError,
    EmbeddingError,
    FailedInputsError,
    ModelError,
    OutputError,
    PaintingError,
    ParameterError,
    SoundDiffusionError,
    VideoError,
)
from sound_diffusion.inputs import each_input, find_sounds
from sound_diffusion.sound.audio import load_audio


@pytest.fixture
def sounds(tmp_path):
    for name in ("b.wav", "a.FLAC", "c.m4a", "notes.txt", "cover.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    return tmp_path


def test_named_folder_and_list_are_gathered_in_order(sounds, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_bytes("\ufeffx y.wav\r\n\r\n  /abs/é.wav \n".encode())
    found = find_sounds([Path("first.wav")], sounds, listed)
    assert found == [
        Path("first.wav"),
        *(sounds / name for name in ("a.FLAC", "b.wav", "c.m4a")),
        Path("x y.wav"),
        Path("/abs/é.wav"),
    ]


def test_what_is_left_out_of_a_folder_is_counted(sounds, caplog):
    for name in ("._b.wav", "._song.mp3", "more.txt", "README"):
        (sounds / name).touch()
    found = find_sounds([], sounds)
    assert [path.name for path in found] == ["a.FLAC", "b.wav", "c.m4a"]
    assert len(caplog.messages) == 1
    assert "6 of 9 files left out" in caplog.messages[0]
    for kind in ("2 .txt", "1 .png", "1 no suffix", "2 shadow of a Mac"):
        assert kind in caplog.messages[0]


def test_a_folder_of_sounds_alone_needs_no_word(tmp_path, caplog):
    (tmp_path / "a.wav").touch()
    assert find_sounds([], tmp_path) == [tmp_path / "a.wav"]
    assert not caplog.messages


FORMATS = {
    "wav": "wav", "bwf": "wav", "w64": "w64", "rf64": "wav", "aiff": "aiff", "aifc": "aiff", "caf": "caf",
    "au": "au", "snd": "au", "flac": "flac", "ogg": "ogg", "oga": "ogg", "opus": "opus", "ogv": "ogv",
    "mp3": "mp3", "mp2": "mp2", "mpa": "mp2", "m4a": "ipod", "m4b": "ipod", "m4r": "ipod", "mp4": "mp4",
    "m4v": "mp4", "mov": "mov", "qt": "mov", "3gp": "3gp", "3g2": "3g2", "aac": "adts", "adts": "adts",
    "ac3": "ac3", "eac3": "eac3", "dts": "dts", "mka": "matroska", "mkv": "matroska", "webm": "webm",
    "weba": "webm", "wma": "asf", "asf": "asf", "wmv": "asf", "avi": "avi", "flv": "flv", "ts": "mpegts",
    "mts": "mpegts", "m2ts": "mpegts", "mpg": "mpeg", "mpeg": "mpeg", "vob": "vob", "nut": "nut",
    "tta": "tta", "wv": "wv", "voc": "voc", "mxf": "mxf_opatom", "oma": "oma",
}  # fmt: skip
CODECS = {  # where the format's own choice is none
    "3g2": ["-c:a", "aac"],
    "3gp": ["-c:a", "aac"],
    "dts": ["-c:a", "dca", "-strict", "-2"],
    "flv": ["-c:a", "libmp3lame"],
    "mxf": ["-c:a", "pcm_s16le", "-ar", "48000"],
    "oma": ["-c:a", "pcm_s16be"],
    "opus": ["-ar", "48000"],
}


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_whatever_is_read_is_listed(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=440:d=0.5:r=44100"]
    made = subprocess.run([*command, *CODECS.get(suffix, []), "-f", FORMATS[suffix], path], check=False)
    if made.returncode:
        pytest.skip("cannot be made here")
    assert find_sounds([], tmp_path) == [path]
    assert len(load_audio(path)) > 0.4 * 44_100


def test_inputs_that_are_not_there(sounds, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9.wav")
    for arguments, pattern in (
        (([],), "no sound was given"),
        (([], None, tmp_path / "empty.txt"), "no sound was given"),
        (([], tmp_path / "no"), "--input_folder .*no: no such folder; check the path"),
        (([], sounds / "b.wav"), "b.wav: a file .expected a folder"),
        (([], tmp_path / "empty"), "no sound in it"),
        (([], None, tmp_path / "no.txt"), "--from-file .*no such file; check the path"),
        (([], None, tmp_path), "--from-file .*a folder .expected a file"),
        (([], None, tmp_path / "latin.txt"), "--from-file .*cannot be read"),
    ):
        with pytest.raises(ParameterError, match=pattern):
            find_sounds(*arguments)


def collect(results):
    """Return what an iterator gives and the error that ends it, if any."""
    collected = []
    try:
        for each in results:
            collected.append(each)
    except SoundDiffusionError as error:
        return collected, error
    return collected, None


def test_one_bad_input_does_not_stop_the_others():
    def work(number):
        if number % 2:
            raise AudioError(f"{number}: bad")
        yield number

    results, error = collect(each_input([0, 1, 2, 3, 4], work))
    assert results == [0, 2, 4]
    assert isinstance(error, FailedInputsError)
    assert str(error) == "1: bad; 3: bad"


@pytest.mark.parametrize("kind", [AudioError, EmbeddingError, PaintingError, VideoError])
def test_errors_of_one_input(kind):
    def work(number):
        if number == 0:
            raise kind("bad")
        yield number

    results, error = collect(each_input([0, 1], work))
    assert results == [1]
    assert isinstance(error, FailedInputsError)


@pytest.mark.parametrize("kind", [ModelError, OutputError, ParameterError])
def test_errors_that_would_meet_every_input_stop_at_once(kind):
    asked = []

    def work(number):
        asked.append(number)
        raise kind("bad")
        yield

    with pytest.raises(kind):
        list(each_input([0, 1], work))
    assert asked == [0]
