"""Films that cannot be made, or not as they were asked for."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from sound_diffusion.errors import OutputError
from sound_diffusion.film import painter
from sound_diffusion.film.run_folder import RunFolder
from tests.films import frames_of, n_frames_in

REPOSITORY = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--strength", "onsett"), "onset"),
        (("--strength", "2*t"), "frame 1"),
        (("--zoom", "1/t"), "division by zero"),
        (("--zoom", "0"), "0.001"),
        (("--angle", "9**9**9"), "--angle"),
        (("--gain", "__import__('os')"), "--gain"),
        (("--zoom", "1.1", "--mode", "txt2img"), "--mode img2img"),
        (("--strength", "8b:(1)"), "no beats"),
        (("--strength", "0.1 + 0*t"), "no step|none"),
        (("--prompts", "0: rain"), "text encoder"),
        (("--preset", "none"), "no such preset"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_anything_is_written(
    flags, said, make, model_loads, tmp_path
):
    code, out, err = make("--fps", 5, *flags)
    assert (code, out, len(err)) == (2, [], 1)
    assert re.search(said, err[0])
    assert not model_loads
    assert not (tmp_path / "out").exists()


def test_one_bad_file_does_not_stop_the_others(make, sound, tmp_path):
    other = tmp_path / "other.wav"
    shutil.copy(sound, other)
    code, out, err = make("--fps", 3, path=[sound, tmp_path / "missing.wav", other])
    assert code == 2
    assert [Path(path).name for path in out] == ["noise.mp4", "other.mp4"]
    assert len(err) == 1
    assert "missing.wav" in err[0]
    code, out, err = make("--fps", 3, "--skip-existing", path=[sound, other])
    assert (code, out, err) == (0, [], [])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--fps", "0"), "fps"),
        (("--fps", "many"), "fps"),
        (("--fps", "1e9"), "fps"),
        (("--window", "-1"), "window"),
        (("--strength", "1.5"), "strength"),
        (("--strength", "0.1"), "0.25"),
        (("--batch-size", "0"), "batch"),
        (("--batch-size", "2"), "batch"),
        (("--preview", "0"), "preview"),
        (("--output", "film.avi"), ".webm"),
        (("--mode", "painting"), "mode"),
        (("--seed-mode", "clock"), "seed-mode"),
        (("--H", "100"), "multiple of 8"),
        (("--offset", "9"), "past the end"),
    ],
)
def test_bad_requests(flags, words, make, tmp_path):
    code, out, err = make(*flags)
    assert (code, out) == (2, [])
    assert len(err) == 1
    assert words in err[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["out", "out/noise"])
@pytest.mark.parametrize("flags", [(), ("--describe",)])
def test_a_folder_that_cannot_be_written(place, flags, make, model_loads, tmp_path):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("a file where the folder should be")
    code, out, err = make("--fps", 5, *flags)
    assert (code, out, model_loads) == (2, [], [])
    assert len(err) == 1
    assert "cannot be written (Not a directory)" in err[0]


def test_ffmpeg_dying_leaves_the_frames(make, tmp_path, monkeypatch):
    dying = tmp_path / "ffmpeg"
    alive = imageio_ffmpeg.get_ffmpeg_exe()
    dies = "echo 'Killed by a test' >&2; kill -9 $$"
    dying.write_text(f'#!/bin/sh\ncase "$*" in *-framerate*) {dies};; *) exec "{alive}" "$@";; esac\n')
    dying.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(dying))
        code, out, err = make("--fps", 5)
    assert (code, out) == (1, [])
    assert len(err) == 1
    assert "Killed by a test" in err[0]
    assert len(frames_of(tmp_path / "out" / "noise")) == 4
    monkeypatch.setattr(painter, "paint_latents", None)
    assert make("--fps", 5)[0] == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB, where the user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(make, small_disk, tmp_path):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(130_000))
    code, out, err = make("--fps", 20, outdir="disk/out")
    assert (code, out) == (1, [])
    assert len(err) == 1
    assert "No space left" in err[0]
    folder = small_disk / "out" / "noise"
    n_done = len(frames_of(folder))
    assert 0 < n_done < 15
    filler.unlink()
    shutil.copytree(folder, tmp_path / "out" / "noise")  # the film as a whole needs a larger disk
    assert make("--fps", 20)[0] == 0
    make("--fps", 20, outdir="whole")
    assert frames_of(tmp_path / "out" / "noise") == frames_of(tmp_path / "whole" / "noise")


def test_a_full_disk_says_so_also_of_latents(small_disk):
    (small_disk / "filler").write_bytes(bytes(196_000))
    with pytest.raises(OutputError, match=r"No space left on device.*free some space"):
        RunFolder(small_disk / "film").save_latents(13, np.zeros((4, 64, 64), np.float32))


def test_as_a_process_stderr_has_one_bar_and_stdout_the_path(sound, tiny_model_folder, tmp_path):
    command = [sys.executable, "audio2video.py", "--path", str(sound), "--fps", "4"]
    command += ["--model", str(tiny_model_folder), "--outdir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    assert done.stdout.decode() == f"{tmp_path / 'noise' / 'noise.mp4'}\n"
    assert done.stderr.count(b"\n") == 1
    assert b"3/3" in done.stderr
    assert b"frame/s" in done.stderr or b"s/frame" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="file names of bytes")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".gif"])
def test_a_name_that_is_not_text(suffix, make, sound, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff.wav"))
    shutil.copy(sound, path)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(stdout):
        code, _, err = make("--fps", 4, "--output", suffix, path=path)
    assert (code, err) == (0, [])
    film = tmp_path / "out" / path.stem / f"{path.stem}{suffix}"
    assert stdout.buffer.getvalue() == os.fsencode(film) + b"\n"
    assert n_frames_in(film) == 3
    manifest = json.loads((film.parent / "manifest.json").read_text())
    assert manifest["request"]["sound"] == str(path)


@pytest.mark.parametrize("letter", ["a", "長"])
def test_very_long_names(letter, make, sound, tmp_path):
    stem = letter * (250 // len(letter.encode()))
    paths = [tmp_path / f"{stem[:-1]}{end}.wav" for end in "12"]
    for path in paths:
        shutil.copy(sound, path)
    code, out, err = make("--fps", 2, "--preview", 2, path=paths)
    assert (code, err) == (0, [])
    assert len({Path(film).parent for film in out}) == 2
    assert all(Path(film).exists() for film in out)


def test_a_name_too_long_for_a_film_is_found_before_painting(make, tmp_path, model_loads):
    code, out, err = make("--fps", 2, "--output", tmp_path / ("x" * 300 + ".mp4"))
    assert (code, out, len(err)) == (2, [], 1)
    assert "choose a shorter name" in err[0]
    assert model_loads == []


def test_a_contact_sheet_that_fails_withholds_no_film(make, monkeypatch):
    def fail(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr("sound_diffusion.plots.contact_sheet", fail)
    code, out, err = make("--fps", 4)
    assert (code, err) == (0, [])  # the warning is quiet
    assert Path(out[0]).exists()
