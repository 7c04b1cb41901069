"""audio2img from the command line to the files it leaves behind."""

import contextlib
import errno
import io
import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import audio2img as audio2img_script
import sound_diffusion as sd
from sound_diffusion import files, pictures, plots
from sound_diffusion import recipe as recipes
from sound_diffusion.recipe import read_recipe
from tests.films import pixels

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "audio2img.py"


# --- what a run leaves behind


def test_one_sound_one_picture(audio2img, sine_file, out):
    done = audio2img("--prompt", sine_file, "--feature", "fft")
    assert done.code == 0
    assert done.out == f"{out / 'sine' / '00000.png'}\n"
    assert [path.name for path in (out / "sine").iterdir()] == ["00000.png"]
    assert pixels(done.paths[0]).shape == (64, 64, 3)


def test_a_picture_is_what_python_paints(audio2img, sine_file, tiny_model):
    path = audio2img("--prompt", sine_file, "--feature", "fft", "--seed", 7).paths[0]
    embedding = sd.embed(sd.load_audio(sine_file), feature="fft", model=tiny_model)
    np.testing.assert_array_equal(pixels(path), np.asarray(sd.paint(tiny_model, embedding, seed=7)))


def test_two_runs_give_the_same_bytes_under_the_next_number(audio2img, sine_file):
    first = audio2img("--prompt", sine_file).paths[0]
    second = audio2img("--prompt", sine_file).paths[0]
    assert (first.name, second.name) == ("00000.png", "00001.png")
    assert first.read_bytes() == second.read_bytes()


def test_every_feature_and_scaling_paints_its_own_picture(audio2img, sine_file):
    runs = [audio2img("--prompt", sine_file, "--feature", name, "--quiet") for name in sd.FEATURES]
    runs.append(audio2img("--prompt", sine_file, "--feature", "fft", "--scaling", "none", "--quiet"))
    assert all((run.code, run.err) == (0, "") for run in runs)
    assert len({run.paths[0].read_bytes() for run in runs}) == len(runs)


def test_silence_is_legal(audio2img, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(1000), 44_100)
    for feature in sd.FEATURES:
        assert audio2img("--prompt", tmp_path / "silence.wav", "--feature", feature).code == 0


def test_recipe_names_everything(audio2img, sine_file):
    path = audio2img("--prompt", sine_file, "--offset", 0.25, "--seed", 9, "--plms").paths[0]
    recipe = read_recipe(path)
    assert recipe["sound"] == str(sine_file)
    assert len(recipe["sound_sha256"]) == 64
    assert (recipe["offset"], recipe["duration"], recipe["seed"]) == (0.25, None, 9)
    assert (recipe["sampler"], recipe["steps"], recipe["guidance"]) == ("plms", 4, 2.0)
    assert (recipe["feature"], recipe["scaling"]) == ("fft", "log")
    assert recipe["versions"].keys() >= {"torch", "diffusers", "numpy", "librosa", "sound_diffusion"}
    with Image.open(path) as picture:
        assert picture.info["parameters"].startswith("sine.wav, fft, scaling log\nSteps: 4, Sampler: PLMS, ")
        assert json.loads(picture.info["sound_diffusion"]) == recipe


RECIPES = {
    "fft": ["--feature", "fft"],
    "waveform": ["--feature", "waveform", "--offset", "0.1", "--duration", "0.3333333"],
    "plms": ["--plms", "--ddim_steps", "6", "--scale", "3.7"],
    "eta": ["--ddim_eta", "0.35", "--seed", "123456789012345678"],
    "contrast": ["--local-contrast", "0.75", "--init-img", "START", "--strength", "0.5"],
    "size": ["--H", "72", "--W", "128", "--scaling", "none"],
    "several": ["--n_samples", "2", "--n_iter", "2", "--seed", "3"],
    "fixed code": ["--n_samples", "2", "--n_iter", "2", "--fixed_code"],
    "init": ["--init-img", "START", "--strength", "0.5"],
    "forget": ["--init-img", "START", "--strength", "1"],
    "keep": ["--init-img", "START", "--strength", "0"],
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_makes_the_same_bytes_again(audio2img, sine_file, start_picture, tmp_path, name):
    words = [str(start_picture) if word == "START" else word for word in RECIPES[name]]
    for path in audio2img("--prompt", sine_file, *words).paths:
        printed = audio2img("--recipe", path)
        assert (printed.code, printed.err, printed.out.count("\n")) == (0, "", 1)
        python, script, *command = shlex.split(printed.out)
        assert (python, script) == ("python", "audio2img.py")
        again = audio2img(*command, "--outdir", tmp_path / "again").paths
        assert path.read_bytes() in [other.read_bytes() for other in again]


@pytest.mark.skipif(os.name != "posix", reason="the command is for a POSIX shell")
@pytest.mark.parametrize("name", ['it\'s "so" $HOME.wav', "-dash.wav", "naïve 音.wav"])
def test_recipe_of_names_that_shells_and_parsers_misread(audio2img, sine_file, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    sine_file.rename(tmp_path / name)
    path = audio2img(f"--prompt={name}").paths[0]
    command = recipes.recipe_command(read_recipe(path))
    again = audio2img(*shlex.split(command)[2:], "--outdir", "again").paths[0]
    assert path.read_bytes() == again.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="file names of bytes")
def test_name_that_is_not_text(model_loads, tiny_model_folder, sine_file, tmp_path, capfdbinary):
    sound = sine_file.rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    where = ["--model", str(tiny_model_folder), "--outdir", str(tmp_path / "out")]
    assert audio2img_script.main(["--prompt", str(sound), *where]) == 0
    path = Path(os.fsdecode(capfdbinary.readouterr().out.strip()))
    assert read_recipe(path)["sound"] == str(sound)
    assert audio2img_script.main(["--recipe", str(path)]) == 0
    assert b"caf\xe9.wav" in capfdbinary.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="file names of bytes")
@pytest.mark.parametrize("stem", [b"latin\xe9", b"\xff\xfe", "長".encode() * 80, b"a" * 250, b"$x^ \\ {} %d"])
def test_names_of_every_kind_are_painted_and_plotted(stem, audio2img, sine_file, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + stem + b".wav"))
    shutil.copy(sine_file, path)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(stdout):
        done = audio2img("--prompt", path, "--plot", "--ddim_steps", 1, "--quiet")
        assert (done.code, done.err) == (0, "")
        picture, plot = (Path(os.fsdecode(line)) for line in stdout.buffer.getvalue().splitlines())
        assert audio2img("--recipe", picture).code == 0
    assert plot.name == f"plot-{picture.name}"
    assert read_recipe(picture)["sound"] == str(path)


# --- several pictures


def test_batches_seeds_numbers_and_grid(audio2img, sine_file):
    paths = audio2img("--prompt", sine_file, "--n_samples", 2, "--n_iter", 3, "--seed", 10).paths
    assert [path.name for path in paths] == [*(f"{i:05d}.png" for i in range(6)), "grid-00000.png"]
    assert [read_recipe(path)["seed"] for path in paths[:6]] == list(range(10, 16))
    grid = pixels(paths[6])
    assert grid.shape == (3 * 64, 2 * 64, 3)
    for i, path in enumerate(paths[:6]):
        row, column = divmod(i, 2)
        tile = grid[row * 64 : (row + 1) * 64, column * 64 : (column + 1) * 64]
        np.testing.assert_array_equal(tile, pixels(path))


def test_the_same_seed_alone_or_in_a_batch(audio2img, sine_file):
    batch = audio2img("--prompt", sine_file, "--n_samples", 3, "--seed", 10, "--skip_grid").paths
    alone = audio2img("--prompt", sine_file, "--seed", 11).paths[0]
    assert batch[1].read_bytes() == alone.read_bytes()


def test_fixed_code_starts_every_batch_from_the_same_noise(audio2img, sine_file):
    paths = audio2img(
        "--prompt", sine_file, "--n_samples", 2, "--n_iter", 2, "--fixed_code", "--skip_grid"
    ).paths
    assert [read_recipe(path)["seed"] for path in paths] == [42, 43, 42, 43]
    assert paths[0].read_bytes() == paths[2].read_bytes()


def test_skip_grid_and_skip_save(audio2img, sine_file, out):
    two = ["--prompt", sine_file, "--n_samples", 2]
    assert [path.name for path in audio2img(*two, "--skip_grid").paths] == ["00000.png", "00001.png"]
    assert [path.name for path in audio2img(*two, "--skip_save").paths] == ["grid-00000.png"]
    assert [path.name for path in audio2img("--prompt", sine_file, "--skip_save").paths] == ["grid-00001.png"]
    assert len(list((out / "sine").iterdir())) == 4


def test_plot(audio2img, sine_file):
    paths = audio2img("--prompt", sine_file, "--plot").paths
    assert [path.name for path in paths] == ["00000.png", "plot-00000.png"]
    assert pixels(paths[1]).shape[1] > 1000


def test_a_plot_that_fails_stops_nothing(audio2img, sine_file, tmp_path, monkeypatch):
    shutil.copy(sine_file, tmp_path / "other.wav")
    plot_picture, calls = plots.plot_picture, []

    def fail_first(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("no font")
        plot_picture(*arguments)

    monkeypatch.setattr(plots, "plot_picture", fail_first)
    words = ["--prompt", sine_file, tmp_path / "other.wav", "--plot", "--n_iter", 2, "--ddim_steps", 1]
    done = audio2img(*words, "--quiet")
    assert done.code == 1
    assert "00000.png: no plot of it (RuntimeError: no font)" in done.error
    names = [path.name for path in done.paths]
    both = ["00000.png", "plot-00000.png", "00001.png", "plot-00001.png", "grid-00000.png"]
    assert names == [both[0], *both[2:], *both]


# --- what goes wrong while running


def test_picture_with_nan_leaves_no_file(audio2img, sine_file, out):
    done = audio2img("--prompt", sine_file, "--scale", 3e38, "--quiet")
    assert done.code == 1
    assert re.search("seed 42 holds NaN.*lower --scale", done.error)
    assert not out.exists()


def test_full_disk(audio2img, sine_file, out, monkeypatch):
    def full(picture, file, recipe):
        file.write(b"\x89PNG")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_png", full)
    done = audio2img("--prompt", sine_file, "--quiet")
    assert (done.code, done.out) == (1, "")
    assert re.search("No space left on device.*free some space", done.error)
    assert list((out / "sine").iterdir()) == []


def test_interrupted(audio2img, sine_file, out, monkeypatch):
    painted = pictures.paint_batch

    def interrupt_the_second(model, embeddings, seeds, *rest):
        if seeds == [43]:
            raise KeyboardInterrupt
        return painted(model, embeddings, seeds, *rest)

    monkeypatch.setattr(pictures, "paint_batch", interrupt_the_second)
    done = audio2img("--prompt", sine_file, "--n_samples", 3, "--quiet")
    assert done.code == 130
    assert done.error.endswith(": error: interrupted")
    assert [path.name for path in done.paths] == ["00000.png"]
    assert [path.name for path in (out / "sine").iterdir()] == ["00000.png"]
