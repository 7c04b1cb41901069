"""Films that are interrupted, killed, asked for again or otherwise, or wanted by two."""

import math
import os

import numpy as np
import pytest
import soundfile

from sound_diffusion import recipe as recipes
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import VideoError
from sound_diffusion.film import run as film_run
from sound_diffusion.film import run_folder
from sound_diffusion.locks import hold
from sound_diffusion.model import load as models
from tests.conftest import MANY_KILLS
from tests.films import assert_same_films, frames_of, interrupt_after, n_frames_in


@pytest.mark.parametrize("flags", [(), ("--mode", "txt2img", "--batch-size", "2")])
def test_an_interrupted_film_goes_on(flags, make, tmp_path, monkeypatch):
    make("--fps", 10, *flags, outdir="whole")
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3, KeyboardInterrupt())
        code, out, err = make("--fps", 10, *flags)
    assert (code, out) == (130, [])
    assert err == ["audio2video.py: error: 3 of 8 frames of noise are done; the same command continues"]
    damaged = tmp_path / "out" / "noise" / "frames" / "00002.png"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert make("--fps", 10, *flags)[0] == 0
    one, two = tmp_path / "out" / "noise", tmp_path / "whole" / "noise"
    assert frames_of(one) == frames_of(two)
    assert (one / "noise.mp4").read_bytes() == (two / "noise.mp4").read_bytes()


def test_frames_of_another_precision_are_named(make, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3, KeyboardInterrupt())
        make("--fps", 10)
    assert recipes.read_recipe(tmp_path / "out/noise/frames/00002.png")["precision"] == "full"
    monkeypatch.setattr(models, "cpu_precision", lambda *_: "autocast")
    said = []
    monkeypatch.setattr(run_folder.logger, "warning", lambda text, *values: said.append(text % values))
    assert make("--fps", 10)[0] == 0
    assert "00002.png was painted on cpu in precision full by torch, what follows on cpu" in said[0]


def test_killed_at_random_moments(kill_and_resume, make, sound, tiny_model_folder, tmp_path):
    flags = ["--fps", 48 if MANY_KILLS else 12, "--strength", "0.5"]
    make(*flags, outdir="whole")
    kills = kill_and_resume(sound, tiny_model_folder, tmp_path / "out", *flags)
    assert kills >= (10 if MANY_KILLS else 2)  # a busy machine paints more before it is killed
    assert_same_films(tmp_path / "out" / "noise", tmp_path / "whole" / "noise")


MOVING = (
    *("--strength", "0.5 + 0.5*onset", "--scale", "2 + loudness", "--gain", "0.5 + smooth(low, 0.1)"),
    *("--zoom", "1 + 0.1*onset", "--angle", "-2*sin(t)", "--translation_x", "0:(0), 0.3s:(2)"),
    *("--color-coherence", "LAB", "--color-strength", 0.5, "--sharpen", 0.1, "--noise", 0.02),
)


def test_a_film_that_follows_its_sound_goes_on_to_the_same_bytes(make, tmp_path, monkeypatch):
    assert make("--fps", 10, *MOVING, outdir="whole")[0] == 0
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3, KeyboardInterrupt())
        assert make("--fps", 10, *MOVING)[0] == 130
    assert make("--fps", 10, *MOVING)[0] == 0
    one, two = tmp_path / "out" / "noise", tmp_path / "whole" / "noise"
    assert frames_of(one) == frames_of(two)
    recipe = recipes.read_recipe(one / "frames" / "00003.png")
    assert recipe["strength"] == "0.5 + 0.5*onset"
    assert recipe["values"]["angle"] == pytest.approx(-2 * math.sin(3))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_film_that_follows_everything_is_killed_at_random_moments(
    kill_and_resume, sound, reading_folder, tmp_path
):
    fps = 60 if MANY_KILLS else 10
    words = ("--prompts", "0 : rain\n0.2s : snow --neg fog\n0.5s : sun", "--text-weight", "0.5*loudness")
    flags = ("--fps", fps, *MOVING, *words, "--H", 64, "--W", 64, "--ddim_steps", 2)
    kill_and_resume(sound, reading_folder, tmp_path / "whole", *flags, kill=False)
    assert kill_and_resume(sound, reading_folder, tmp_path / "out", *flags) >= fps // 3
    assert_same_films(tmp_path / "out" / "noise", tmp_path / "whole" / "noise")


def test_another_request_for_the_folder_is_refused(make, tmp_path):
    make("--fps", 5, "--strength", 0.5)
    before = frames_of(tmp_path / "out" / "noise")
    code, out, err = make("--fps", 6, "--strength", 0.75)
    assert (code, out) == (2, [])
    assert len(err) == 1
    assert "--fps was 5, is 6" in err[0]
    assert "--strength was 0.5, is 0.75" in err[0]
    assert "--force" in err[0]
    assert frames_of(tmp_path / "out" / "noise") == before
    assert make("--fps", 6, "--strength", 0.75, "--force")[0] == 0
    assert len(frames_of(tmp_path / "out" / "noise")) == 5


def test_a_changed_sound_is_another_request(make, sound):
    make("--fps", 5)
    soundfile.write(sound, np.zeros(31_000, dtype=np.float32), SAMPLE_RATE)
    code, _, err = make("--fps", 5)
    assert code == 2
    assert f"--path {sound} has changed" in err[0]


def test_frames_without_a_manifest_are_not_trusted(make, tmp_path):
    make("--fps", 5)
    (tmp_path / "out" / "noise" / "manifest.json").unlink()
    code, _, err = make("--fps", 5)
    assert code == 2
    assert "frames without a manifest" in err[0]


def test_a_broken_manifest_is_named(make, tmp_path):
    make("--fps", 5)
    (tmp_path / "out" / "noise" / "manifest.json").write_text("{")
    code, _, err = make("--fps", 5)
    assert code == 2
    assert "manifest.json" in err[0]
    assert make("--fps", 5, "--force")[0] == 0


def test_a_request_that_came_to_nothing_leaves_the_folder_free(make):
    code, _, err = make("--fps", 5, "--scaling", "clip")
    assert code == 2
    assert "text encoder" in err[0]
    assert make("--fps", 5)[0] == 0


def test_force_goes_on_with_the_same_request(make, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt_after(patched, 2, KeyboardInterrupt())
        assert make("--fps", 5, "--force")[0] == 130
    made = (tmp_path / "out" / "noise" / "frames" / "00001.png").stat().st_mtime_ns
    assert make("--fps", 5, "--force")[0] == 0
    assert (tmp_path / "out" / "noise" / "frames" / "00001.png").stat().st_mtime_ns == made


def test_interrupted_while_the_film_is_encoded(make, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(film_run, "encode_film", interrupted)
    code, _, err = make("--fps", 5)
    assert code == 130
    assert "4 of 4 frames" in err[0]


def test_a_failing_draft_does_not_stop_the_film(make, monkeypatch):
    encode = film_run.encode_film

    def encode_unless_draft(film, *where):
        if film.draft:
            raise VideoError("no room for a draft")
        encode(film, *where)

    monkeypatch.setattr(film_run, "encode_film", encode_unless_draft)
    monkeypatch.setattr(film_run, "IN_PROGRESS_SECONDS", 0.0)
    assert make("--fps", 5)[0] == 0


def test_the_film_so_far_can_be_watched(make, tmp_path, monkeypatch):
    encoded = []
    encode = film_run.encode_film

    def spy(film, path, *chunks):
        encode(film, path, *chunks)
        encoded.append((path.name, film.n_frames, n_frames_in(path)))

    monkeypatch.setattr(film_run, "encode_film", spy)
    monkeypatch.setattr(film_run, "IN_PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(film_run, "IN_PROGRESS_SHARE", 1e9)
    make("--fps", 5)
    assert encoded[0] == ("noise.in-progress.mp4", 1, 1)
    assert encoded[-1] == ("noise.mp4", 4, 4)
    assert not (tmp_path / "out" / "noise" / "noise.in-progress.mp4").exists()


def test_a_second_run_says_who_is_at_work_and_changes_nothing(make, tmp_path):
    with pytest.MonkeyPatch.context() as patched:
        interrupt_after(patched, 2, KeyboardInterrupt())
        make("--fps", 5)
    folder = tmp_path / "out" / "noise"
    (folder / "frames" / ".00002.png.abc.part").touch()  # of the run at work
    before = sorted(path.name for path in folder.rglob("*"))
    with hold(folder, wait=False):
        for flags in ((), ("--force", "--strength", 0.7)):
            code, out, err = make("--fps", 5, *flags)
            assert (code, out, len(err)) == (2, [], 1)
            assert f"process {os.getpid()} on " in err[0]
            assert "--wait" in err[0]
        assert sorted(path.name for path in folder.rglob("*") if path.name != ".lock") == before
    assert make("--fps", 5, "--wait")[0] == 0
    assert not list(folder.rglob(".*"))
