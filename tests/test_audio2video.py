"""Films from the command line: exact, resumable, and clear about what went wrong."""

import contextlib
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from PIL import Image

import audio2img
import audio2video
from sound_diffusion import recipe as recipes
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import VideoError
from sound_diffusion.film import making, painter
from sound_diffusion.film import run as film_run
from sound_diffusion.locks import hold
from sound_diffusion.model import load as models
from sound_diffusion.sound.audio import load_audio
from tests.conftest import MANY_KILLS

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def make(tiny_model_folder, sound, tmp_path, capsys):
    """Return a function that runs the script and returns exit status, lines of stdout and of stderr."""

    def run(*flags, path=None, outdir="out"):
        paths = [str(each) for each in (path if isinstance(path, list) else [path or sound])]
        argv = [
            "--path",
            *paths,
            "--model",
            str(tiny_model_folder),
            "--outdir",
            str(tmp_path / outdir),
            "--quiet",
        ]
        code = audio2video.main([*argv, "--device", "cpu", *map(str, flags)])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


def n_frames_in(film):
    """Count the frames of a film by decoding it."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", film, "-map", "0:v", "-fps_mode", "passthrough"]
    command += ["-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, check=True).stderr.decode(errors="replace")
    return int(re.findall(r"frame=\s*(\d+)", said)[-1])


def frames_of(folder):
    """Return the bytes of all frames of a run folder, in order."""
    return [path.read_bytes() for path in sorted((folder / "frames").glob("*.png"))]


def pixels_of(folder):
    """Return the pixels of all frames of a run folder: (n, height, width, 3)."""
    frames = []
    for path in sorted((folder / "frames").glob("*.png")):
        with Image.open(path) as picture:
            frames.append(np.asarray(picture))
    return np.stack(frames)


def test_a_film_of_a_sound(make, tmp_path):
    code, out, err = make("--fps", 12, "--strength", 0.5)
    folder = tmp_path / "out" / "noise"
    assert (code, out, err) == (0, [str(folder / "noise.mp4")], [])
    assert sorted(path.name for path in folder.iterdir()) == [
        "frames",
        "manifest.json",
        "noise.mp4",
        "noise.png",
    ]
    assert len(frames_of(folder)) == 9  # ceil(31000 / 44100 * 12)
    assert n_frames_in(folder / "noise.mp4") == 9
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["n_frames"] == 9
    assert manifest["request"]["window"] == "1/4"  # what the model declares
    recipe = recipes.read_recipe(folder / "frames" / "00003.png")
    assert (recipe["frame"], recipe["seed"]) == (3, 45)


@pytest.mark.parametrize(
    ("n_samples", "fps", "expected"), [(1, "12", 1), (3675, "12", 1), (3676, "12", 2), (100, "30", 1)]
)
def test_short_sounds(n_samples, fps, expected, make, tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, np.full(n_samples, 0.5, dtype=np.float32), SAMPLE_RATE)
    code, out, _ = make("--fps", fps, path=path)
    assert code == 0
    assert n_frames_in(out[0]) == expected


def test_a_damaged_sound_is_named_once_and_seen_as_long_as_it_is_heard(
    tiny_model_folder, sound, tmp_path, capsys
):
    path = tmp_path / "cut.flac"
    samples, rate = soundfile.read(sound)
    soundfile.write(path, samples, rate)
    path.write_bytes(path.read_bytes()[:-15_000])
    flags = [
        "--model",
        str(tiny_model_folder),
        "--outdir",
        str(tmp_path / "out"),
        "--device",
        "cpu",
        "--fps",
        "20",
    ]
    assert audio2video.main(["--path", str(path), *flags, "--mode", "txt2img"]) == 0
    errors = capsys.readouterr().err
    assert errors.count("cut.flac") == errors.count("s are missing") == 1
    seconds = len(load_audio(path)) / SAMPLE_RATE
    assert 0.2 < seconds < 0.6
    film = tmp_path / "out" / "cut" / "cut.mp4"
    assert n_frames_in(film) == math.ceil(seconds * 20)
    assert abs(len(load_audio(film)) / SAMPLE_RATE - seconds) < 0.05


def test_silence_makes_a_film(make, tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(9000, dtype=np.float32), SAMPLE_RATE)
    assert make(path=path)[0] == 0


@pytest.mark.contact_sheet
def test_two_runs_give_the_same_bytes(make, tmp_path):
    make("--fps", 8)
    make("--fps", 8, outdir="again")
    one, two = tmp_path / "out" / "noise", tmp_path / "again" / "noise"
    assert frames_of(one) == frames_of(two)
    assert (one / "noise.mp4").read_bytes() == (two / "noise.mp4").read_bytes()
    assert (one / "noise.png").read_bytes() == (two / "noise.png").read_bytes()


def test_a_finished_film_is_not_made_again(make, monkeypatch):
    first = make("--fps", 5)
    monkeypatch.setattr(painter, "paint_latents", None)
    monkeypatch.setattr(film_run, "encode_film", None)
    assert make("--fps", 5) == first


def test_strength_zero_keeps_the_first_picture_and_one_forgets_it(make, tmp_path):
    make("--fps", 6, "--strength", 0, outdir="still")
    still = pixels_of(tmp_path / "still" / "noise")
    assert (still == still[0]).all()
    make("--fps", 6, "--strength", 1, outdir="over")
    make("--fps", 6, "--mode", "txt2img", "--seed-mode", "increment", outdir="alone")
    np.testing.assert_array_equal(
        pixels_of(tmp_path / "over" / "noise"), pixels_of(tmp_path / "alone" / "noise")
    )


def test_seed_modes(make, tmp_path):
    make("--fps", 6, "--mode", "txt2img", outdir="default")
    make("--fps", 6, "--mode", "txt2img", "--seed-mode", "fixed", outdir="fixed")
    make("--fps", 6, "--mode", "txt2img", "--seed-mode", "random", outdir="random")
    default, fixed, other = (pixels_of(tmp_path / name / "noise") for name in ("default", "fixed", "random"))
    np.testing.assert_array_equal(default, fixed)
    assert (fixed[1] != other[1]).any()


def test_init_image_is_the_start_of_the_chain(make, tmp_path):
    Image.new("RGB", (100, 80), (250, 20, 20)).save(tmp_path / "red.png")
    make("--fps", 6, "--strength", 0, "--init-img", tmp_path / "red.png")
    assert (pixels_of(tmp_path / "out" / "noise") == (250, 20, 20)).all()
    assert make("--mode", "txt2img", "--init-img", tmp_path / "red.png", outdir="b")[0] == 2


def test_batches_give_every_frame(make, tmp_path):
    make("--fps", 8, "--mode", "txt2img", "--batch-size", 1, outdir="one")
    make("--fps", 8, "--mode", "txt2img", "--batch-size", 4, outdir="four")
    make("--fps", 8, "--mode", "txt2img", outdir="any")
    one, four, as_memory_allows = (pixels_of(tmp_path / name / "noise") for name in ("one", "four", "any"))
    assert len(one) == 6
    np.testing.assert_array_equal(one, four)  # on a CPU
    np.testing.assert_array_equal(one, as_memory_allows)


def interrupt_after(monkeypatch, count, error):
    """Let painting fail with `error` after `count` calls."""
    paint, calls = painter.paint_latents, []

    def failing(*args, **kwargs):
        if len(calls) == count:
            raise error
        calls.append(1)
        return paint(*args, **kwargs)

    monkeypatch.setattr(painter, "paint_latents", failing)


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
    monkeypatch.setattr(models, "cpu_precision", lambda n_parameters: "autocast")
    said = []
    monkeypatch.setattr(making.logger, "warning", lambda text, *values: said.append(text % values))
    assert make("--fps", 10)[0] == 0
    assert "00002.png was painted on cpu in precision full by torch, what follows on cpu" in said[0]


def assert_same_films(one, two):
    """Compare two run folders byte by byte."""
    assert frames_of(one) == frames_of(two)
    film = f"{one.name}.mp4"
    assert (one / film).read_bytes() == (two / film).read_bytes()
    assert not list(one.rglob(".*"))


def test_killed_at_random_moments(kill_and_resume, make, sound, tiny_model_folder, tmp_path):
    flags = ["--fps", 48 if MANY_KILLS else 12, "--strength", "0.5"]
    make(*flags, outdir="whole")
    kills = kill_and_resume(sound, tiny_model_folder, tmp_path / "out", *flags)
    assert kills >= (20 if MANY_KILLS else 4)
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


@pytest.mark.parametrize(
    ("flags", "noise_moves", "mirrored"),
    [
        ((), False, [True] * 4),
        (("--zoom", 1.1), True, [True] * 4),
        (("--angle", 5), True, [True, False, False, False]),
        (("--translation_x", 4, "--strength", "where(t < 2, 0.5, 1)"), True, [True, False, True, True]),
    ],
)
def test_noise_moves_with_the_camera(flags, noise_moves, mirrored, make, monkeypatch):
    calls, paint_latents = [], painter.paint_latents
    monkeypatch.setattr(
        painter, "paint_latents", lambda *args, **more: calls.append(more) or paint_latents(*args, **more)
    )
    code, _, err = make("--fps", 5, "--strength", 0.5, "--seed-mode", "fixed", *flags)
    assert (code, err) == (0, [])
    assert [call["mirrored"] for call in calls] == mirrored
    noises = [call["noise"] for call in calls]
    assert [noise is not None for noise in noises] == [noise_moves] * 4
    if noise_moves:
        assert not np.array_equal(noises[0], noises[1])
        assert np.array_equal(noises[0], noises[2]) == ("--strength" in flags)


def test_a_constant_formula_gives_the_pixels_of_the_number(make, tmp_path):
    make("--fps", 6, "--strength", 0.5, outdir="number")
    make("--fps", 6, "--strength", "0:(0.25 + 0.25)", "--zoom", "1*1", "--gain", "2/2", outdir="formula")
    number, formula = (pixels_of(tmp_path / name / "noise") for name in ("number", "formula"))
    np.testing.assert_array_equal(number, formula)


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


def test_describing_paints_nothing(make, model_loads, tmp_path):
    code, out, _ = make("--fps", 5, "--preset", "pulse", "--describe")
    folder = tmp_path / "out" / "noise"
    assert code == 0
    assert out[-2:] == [str(folder / "noise.schedules.png"), str(folder / "noise.schedules.csv")]
    assert sorted(path.name for path in folder.iterdir()) == ["noise.schedules.csv", "noise.schedules.png"]
    assert len((folder / "noise.schedules.csv").read_text().splitlines()) == 1 + 4
    code, out, _ = make("--fps", 5, "--strength", "t/10", "--export-schedule", "strength")
    assert out == ["0:(0.0000), 1:(0.1000), 2:(0.2000), 3:(0.3000)"]
    assert not model_loads


def test_another_request_for_the_folder_is_refused(make, tmp_path):
    make("--fps", 5, "--strength", 0.5)
    before = frames_of(tmp_path / "out" / "noise")
    code, out, err = make("--fps", 6, "--strength", 0.75)
    assert (code, out) == (2, [])
    assert len(err) == 1
    assert "fps was 5, is 6" in err[0]
    assert "strength was 0.5, is 0.75" in err[0]
    assert "--force" in err[0]
    assert frames_of(tmp_path / "out" / "noise") == before
    assert make("--fps", 6, "--strength", 0.75, "--force")[0] == 0
    assert len(frames_of(tmp_path / "out" / "noise")) == 5


def test_a_changed_sound_is_another_request(make, sound):
    make("--fps", 5)
    soundfile.write(sound, np.zeros(31_000, dtype=np.float32), SAMPLE_RATE)
    code, _, err = make("--fps", 5)
    assert code == 2
    assert "sound_sha256" in err[0]


def test_frames_without_a_manifest_are_not_trusted(make, tmp_path):
    make("--fps", 5)
    (tmp_path / "out" / "noise" / "manifest.json").unlink()
    code, _, err = make("--fps", 5)
    assert code == 2
    assert "frames without a manifest" in err[0]


def test_the_recipe_of_a_frame_makes_the_film_again(make, tmp_path, capsys):
    make("--fps", "29.97", "--strength", 0.5, "--seed", 7, "--duration", 0.2, "--window", "1/5")
    folder = tmp_path / "out" / "noise"
    assert audio2img.main(["--recipe", str(folder / "frames" / "00002.png")]) == 0
    command = shlex.split(capsys.readouterr().out)
    assert command[:2] == ["python", "audio2video.py"]
    assert audio2video.main([*command[2:], "--outdir", str(tmp_path / "again"), "--quiet"]) == 0
    assert frames_of(folder) == frames_of(tmp_path / "again" / "noise")


def test_a_broken_manifest_is_named(make, tmp_path):
    make("--fps", 5)
    (tmp_path / "out" / "noise" / "manifest.json").write_text("{")
    code, _, err = make("--fps", 5)
    assert code == 2
    assert "manifest.json" in err[0]
    assert make("--fps", 5, "--force")[0] == 0


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".gif"])
def test_other_formats_need_no_new_frames(suffix, make, tmp_path, monkeypatch):
    make("--fps", 5)
    monkeypatch.setattr(painter, "paint_latents", None)
    code, out, _ = make("--fps", 5, "--output", suffix)
    assert (code, out) == (0, [str(tmp_path / "out" / "noise" / f"noise{suffix}")])
    assert n_frames_in(out[0]) == 4


def test_output_is_where_the_film_goes(make, tmp_path):
    code, out, _ = make("--fps", 5, "--output", tmp_path / "new" / "film.mkv")
    assert (code, out) == (0, [str(tmp_path / "new" / "film.mkv")])
    assert (tmp_path / "out" / "noise" / "noise.png").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["film.mkv"]


def test_a_film_never_replaces_what_it_is_made_from(make, sound, tmp_path):
    (tmp_path / "film.mp4").write_bytes(sound.read_bytes())
    before = (tmp_path / "film.mp4").read_bytes()
    code, _, err = make("--fps", 5, "--output", tmp_path / "film.mp4", path=tmp_path / "film.mp4")
    assert code == 2
    assert "would replace" in err[0]
    assert (tmp_path / "film.mp4").read_bytes() == before


def test_sounds_of_one_name_do_not_share_a_folder(make, sound, tmp_path):
    (tmp_path / "b").mkdir()
    shutil.copy(sound, tmp_path / "b" / "NOISE.flac")
    code, out, err = make("--fps", 5, path=[sound, tmp_path / "b" / "NOISE.flac"])
    assert (code, out) == (2, [])
    assert "share a run folder" in err[0]


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

    def encode_unless_draft(film, path):
        if film.draft:
            raise VideoError("no room for a draft")
        encode(film, path)

    monkeypatch.setattr(film_run, "encode_film", encode_unless_draft)
    monkeypatch.setattr(film_run, "IN_PROGRESS_SECONDS", 0.0)
    assert make("--fps", 5)[0] == 0


def test_no_audio_and_no_frames(make, tmp_path):
    _, out, _ = make("--fps", 5, "--no-audio", "--no-keep-frames")
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", out[0]], capture_output=True, text=True, check=False
    ).stderr
    assert "Audio:" not in said
    assert not (tmp_path / "out" / "noise" / "frames").exists()


def test_a_preview_has_a_folder_of_its_own(make, tmp_path):
    code, out, _ = make("--fps", 12, "--preview", 4)
    assert (code, out) == (0, [str(tmp_path / "out" / "noise-preview" / "noise-preview.mp4")])
    assert n_frames_in(out[0]) == 3


def test_the_film_so_far_can_be_watched(make, tmp_path, monkeypatch):
    encoded = []
    encode = film_run.encode_film

    def spy(film, path):
        encode(film, path)
        encoded.append((path.name, film.n_frames, n_frames_in(path)))

    monkeypatch.setattr(film_run, "encode_film", spy)
    monkeypatch.setattr(film_run, "IN_PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(film_run, "IN_PROGRESS_SHARE", 1e9)
    make("--fps", 5)
    assert encoded[0] == ("noise.in-progress.mp4", 1, 1)
    assert encoded[-1] == ("noise.mp4", 4, 4)
    assert not (tmp_path / "out" / "noise" / "noise.in-progress.mp4").exists()


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


def test_a_folder_that_cannot_be_written(make, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    code, out, err = make("--fps", 5)
    assert (code, out) == (2, [])
    assert len(err) == 1
    assert "cannot be written" in err[0]


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


def test_as_a_process_stderr_has_one_bar_and_stdout_the_path(sound, tiny_model_folder, tmp_path):
    command = [sys.executable, "audio2video.py", "--path", str(sound), "--fps", "4"]
    command += ["--model", str(tiny_model_folder), "--outdir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    assert done.stdout.decode() == f"{tmp_path / 'noise' / 'noise.mp4'}\n"
    assert done.stderr.count(b"\n") == 1
    assert b"3/3" in done.stderr
    assert b"frame/s" in done.stderr or b"s/frame" in done.stderr


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
