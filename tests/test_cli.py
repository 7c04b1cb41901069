"""The command line both scripts share: flags, inputs, messages, exit statuses."""

import errno
import logging
import os
import warnings
from pathlib import Path

import pytest

from sound_diffusion import __version__, inputs
from sound_diffusion.cli import Parser, run
from sound_diffusion.errors import (
    AudioError,
    FailedInputsError,
    PaintingError,
    ParameterError,
)
from sound_diffusion.options import SCRIPTS, FilmOptions, LiveOptions, PictureOptions, options_of
from sound_diffusion.progress import extend, progress_bar


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
        (["--n_sample", "3"], r"unrecognized arguments: --n_sample 3 \(did you mean --n_samples\?\)"),
        (["--device", "tpu"], "tpu"),
        (["--fps=12"], r"unrecognized arguments: --fps=12 \(a flag of audio2video.py and audio2live.py\)"),
        (["--seed", "ten"], r"--seed: 'ten' \(expected a whole number\)"),
        (["--text-weight", "0,5"], r"--text-weight: '0,5' \(expected a point, 0.5\)"),
        (["--offset", "1:30"], r"--offset: '1:30' \(expected a number of seconds, such as 12.5\)"),
        (
            ["--scheduler", "DPM"],
            r"--scheduler: 'DPM' \(expected one of .*\); did you mean dpm\+\+\?",
        ),
        (["--guidance", "3"], r"--guidance 3 \(did you mean --scale\?\)"),
        (["--height", "64"], r"--height 64 \(did you mean --H\?\)"),
        (["--eta", "1"], r"--eta 1 \(did you mean --ddim_eta\?\)"),
        (["--sound", "a.wav"], r"\(did you mean --prompt\?\)"),
        (["--quiet=yes"], "--quiet: it takes no value, and was given 'yes'"),
        (["--batch_size", "2"], "--batch_size 2 .a flag of audio2video.py"),
    ],
)
def test_bad_flags_are_errors_of_ours(parser, words, pattern):
    with pytest.raises(ParameterError, match=pattern) as caught:
        parser.read(words)
    assert "--help" in str(caught.value)


@pytest.mark.parametrize("text", ["", " "])
@pytest.mark.parametrize("script", SCRIPTS)
def test_an_empty_text_is_no_path_and_no_name(script, text):
    flags = [option.flag for option in options_of(script) if option.kind in (str, Path)]
    assert {"--outdir", "--model", "--init-img"} <= set(flags)
    for flag in set(flags) - {"--textprompt", "--negative-prompt", "--textpromptend"}:
        with pytest.raises(ParameterError, match=f"argument {flag}.*: '{text}?'"):
            Parser(script).read([flag, text])
    assert Parser(script).read(["--negative-prompt", text]).negative_prompt == text


def test_a_preset_of_no_name():
    words = ["--preset", ""]
    with pytest.raises(ParameterError, match="argument --preset: '' is empty"):
        Parser(FilmOptions).read(FilmOptions.expand(words))


def test_the_next_flag_is_not_the_name_of_a_preset():
    words = ["--preset", "--quiet"]
    with pytest.raises(ParameterError, match="--preset: expected one argument"):
        Parser(FilmOptions).read(FilmOptions.expand(words))


def test_what_is_needed_is_told_by_its_choices():
    with pytest.raises(ParameterError, match=r"--color-coherence LAB\|HSV\|RGB as well"):
        Parser(FilmOptions).read(["--color-strength", "0.5"])


def test_choices_in_any_case():
    read = Parser(FilmOptions).read(["--color-coherence", "lab", "--feature=MFCC", "--mode", "Img2Img"])
    assert (read.color_coherence, read.feature, read.mode) == ("LAB", "mfcc", "img2img")


def test_a_file_for_a_script_that_takes_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "-a.wav"):
        Path(name).touch()
        with pytest.raises(ParameterError, match=f"unrecognized arguments: {name}; see"):
            Parser(LiveOptions).read([name])


def test_a_file_without_a_flag_is_told_its_flag(parser, tmp_path):
    sound = tmp_path / "song.ogg"
    sound.touch()
    with pytest.raises(ParameterError, match=f"write --prompt {sound}"):
        parser.read([str(sound)])


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
        (MemoryError(), 1, "error: the memory of this machine does not suffice; ask for less"),
        (
            PermissionError(errno.EACCES, "Permission denied", "xx"),
            2,
            "xx: Permission denied (expected a path",
        ),
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


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        run_script(failing(None), "--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"Sound Diffusion {__version__}\n"


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
