"""The command line both scripts share: flags, inputs, messages, exit statuses."""

import errno
import logging
import os
import subprocess
import warnings
from pathlib import Path

import imageio_ffmpeg
import pytest

from sound_diffusion import inputs
from sound_diffusion.cli import Parser, run
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
from sound_diffusion.options import PictureOptions
from sound_diffusion.progress import extend, progress_bar
from sound_diffusion.sound.audio import load_audio


@pytest.fixture
def parser():
    return Parser(PictureOptions, "A script.\n\n    python script.py --flag")


# --- flags


@pytest.mark.parametrize(
    "words", [["--n_samples", "3"], ["--n-samples", "3"], ["--n-samples=3"], ["--n_samples=3"]]
)
def test_dash_and_underscore_are_the_same(parser, words):
    assert parser.read(words).n_samples == 3


def test_both_ways_of_every_flag(parser):
    for flag in ("--skip-existing", "--skip_existing"):
        assert parser.read([flag]).skip_existing
    for flag in ("--init-img", "--init_img"):
        assert parser.read([flag, "a_b-c.png"]).init_image == Path("a_b-c.png")
    for flag in ("--ddim_steps", "--ddim-steps"):
        assert parser.read([flag, "7"]).steps == 7
    assert parser.read(["--ckpt", "m"]).model == parser.read(["--model", "m"]).model == "m"


def test_values_are_left_alone(parser):
    assert parser.read(["--model=a_b-c"]).model == "a_b-c"
    assert parser.read(["--prompt", "n_samples", "a-b"]).paths == (Path("n_samples"), Path("a-b"))
    assert parser.read(["--scale", "-1.5"]).guidance == -1.5


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["--feature", "loudness"], "loudness.*waveform"),
        (["--scaling", "loud"], "loud.*clip"),
        (["--seed", "1.5"], "--seed.*1.5"),
        (["--n-samples"], "expected one argument"),
        (["--n_sample", "3"], "unrecognized arguments: --n_sample"),
        (["--device", "tpu"], "tpu"),
        (["--fps=12"], r"unrecognized arguments: --fps=12 \(a flag of audio2video.py and audio2live.py\)"),
        (["--batch_size", "2"], "--batch_size 2 .a flag of audio2video.py"),
    ],
)
def test_bad_flags_are_errors_of_ours(parser, words, pattern):
    with pytest.raises(ParameterError, match=pattern) as caught:
        parser.read(words)
    assert "--help" in str(caught.value)


@pytest.mark.parametrize("words", [["--prompt", "-intro.wav"], ["--prompt", "a.wav", "-i.wav", "b.wav"]])
def test_a_name_that_begins_with_a_dash(parser, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = next(word for word in words if word.startswith("-i"))
    with pytest.raises(ParameterError, match=r"see .*--help"):
        parser.read(words)
    Path(name).touch()
    with pytest.raises(ParameterError, match=f"write ./{name} or --prompt={name}"):
        parser.read(words)
    assert parser.read([f"--prompt={name}"]).paths == (Path(name),)


def test_help_shows_defaults_and_the_description_as_written(parser):
    text = parser.format_help()
    assert "    python script.py --flag" in text
    assert "pictures in a batch, seeds ascending (default: 1)" in text
    assert "(default: None)" not in text
    assert "(default: False)" not in text


# --- inputs


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
        (([], tmp_path / "no"), "--input_folder .*no: not a folder"),
        (([], sounds / "b.wav"), "not a folder"),
        (([], tmp_path / "empty"), "no sound in it"),
        (([], None, tmp_path / "no.txt"), "--from-file .*cannot be read"),
        (([], None, tmp_path), "--from-file .*cannot be read"),
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


# --- from an error to an exit status


def run_script(work, *words):
    return run(work, PictureOptions, "A script.", list(words))


def failing(error):
    def work(args):
        yield "first"
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ParameterError("height 65", "a multiple of 8"), 2, "height 65 (expected a multiple of 8)"),
        (PaintingError("NaN"), 1, "NaN"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "xx"), 2, "xx: File name too long"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            RuntimeError("boom\nmore"),
            1,
            "RuntimeError: boom more (a defect of the program; --debug shows where)",
        ),
    ],
)
def test_errors_become_one_line_and_a_status(capsys, error, code, message):
    assert run_script(failing(error)) == code
    out, err = capsys.readouterr()
    assert out == "first\n"
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("audio2img.py: ")


def test_every_failed_input_gets_a_line(capsys):
    error = FailedInputsError([AudioError("a.wav: bad"), AudioError("b.wav: bad")])
    assert run_script(failing(error)) == 2
    assert capsys.readouterr().err == "audio2img.py: error: a.wav: bad\naudio2img.py: error: b.wav: bad\n"


def test_debug_shows_the_traceback():
    with pytest.raises(ZeroDivisionError):
        run_script(failing(ZeroDivisionError()), "--debug")
    with pytest.raises(ParameterError):
        run_script(failing(ParameterError("x")), "--debug")


def test_done(capsys):
    assert run_script(lambda args: iter(["a", "b"])) == 0
    assert capsys.readouterr() == ("a\nb\n", "")


def test_help_leaves_with_status_0(capsys):
    with pytest.raises(SystemExit) as caught:
        run_script(failing(None), "--help")
    assert caught.value.code == 0
    assert "--ddim_steps" in capsys.readouterr().out


def noisy(options):
    warnings.warn("a library speaks", FutureWarning, stacklevel=1)
    logging.getLogger("sound_diffusion.anything").warning("we speak")
    yield "done"


def test_warnings_of_libraries_are_for_debugging_and_ours_are_not(capsys):
    assert run_script(noisy) == 0
    assert capsys.readouterr().err == "audio2img.py: WARNING: we speak\n"
    assert run_script(noisy, "--quiet") == 0
    assert capsys.readouterr().err == ""
    with pytest.warns(FutureWarning, match="a library speaks"):
        run_script(noisy, "--debug")


def test_logging_is_left_as_it_was():
    logger = logging.getLogger("sound_diffusion")
    before = (logger.level, list(logger.handlers))
    run_script(noisy, "--quiet")
    run_script(failing(AudioError("x")))
    assert (logger.level, list(logger.handlers)) == before


@pytest.mark.skipif(os.name != "posix", reason="file names of bytes")
def test_path_that_is_not_text_is_printed_as_its_bytes(capfdbinary):
    assert run_script(lambda args: iter([os.fsdecode(b"caf\xe9.png")])) == 0
    assert capfdbinary.readouterr().out == b"caf\xe9.png\n"


# --- the bar


def test_bar_appears_with_the_first_work(capsys):
    with progress_bar(4, "step", quiet=False) as bar:
        assert capsys.readouterr().err == ""
        bar()
        assert "0/4" in capsys.readouterr().err
        bar().update(3)
        bar().update()
    assert "4/4" in capsys.readouterr().err
    with progress_bar(4, "step", quiet=True) as bar:
        bar().update(4)
    with progress_bar(4, "step", quiet=False):
        pass
    assert capsys.readouterr().err == ""


def test_bar_counts_what_an_earlier_run_did(capsys):
    with progress_bar(0, "frame", quiet=False) as bar:
        extend(bar(), 10, 4)
        bar().update(6)
        extend(bar(), 5, 5)
    assert "15/15" in capsys.readouterr().err
    with progress_bar(0, "frame", quiet=True) as bar:
        extend(bar(), 10, 4)


def test_suffixes_are_in_lower_case():
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in inputs.SOUND_SUFFIXES)
