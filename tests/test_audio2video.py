"""Films from the command line: exact, resumable, and clear about what went wrong."""

import json
import math
import shlex
import shutil
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from PIL import Image

import audio2img
import audio2video
from sound_diffusion import recipe as recipes
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film import painter
from sound_diffusion.film import run as film_run
from sound_diffusion.sound.audio import load_audio
from tests.films import frames_of, n_frames_in, pixels_of


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


def test_the_recipe_of_a_frame_makes_the_film_again(make, tmp_path, capsys):
    make("--fps", "29.97", "--strength", 0.5, "--seed", 7, "--duration", 0.2, "--window", "1/5")
    folder = tmp_path / "out" / "noise"
    assert audio2img.main(["--recipe", str(folder / "frames" / "00002.png")]) == 0
    command = shlex.split(capsys.readouterr().out)
    assert command[:2] == ["python", "audio2video.py"]
    assert audio2video.main([*command[2:], "--outdir", str(tmp_path / "again"), "--quiet"]) == 0
    assert frames_of(folder) == frames_of(tmp_path / "again" / "noise")


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
