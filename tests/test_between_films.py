"""Films from the command line: interpolated, decoded between painted frames, walked, looped and bent."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

import audio2video
from sound_diffusion import recipe as recipes
from sound_diffusion.constants import LARGEST_SEED, SAMPLE_RATE
from sound_diffusion.film import painter, run_folder
from sound_diffusion.interpolation import slerp
from sound_diffusion.painting import _prompt_arguments
from tests.conftest import MANY_KILLS
from tests.films import frames_of, interrupt_after, pixels_of

KEYS = ("--mode", "txt2img", "--interpolate", "3")
TOGETHER = {
    "interpolation and a walk in batches": (
        *(*KEYS, "--seed-mode", "walk", "--walk-rate", "4*loudness", "--batch-size", "2"),
        *("--bend", "rotate@2: 3*onset", "--bend", "noise@50%: 0.2"),
    ),
    "even steps": (*KEYS, "--spacing", "even", "--seed-mode", "increment", "--interpolation", "lerp"),
    "the pace of the music, decoded between, in a loop": (
        *(*KEYS, "--spacing", "music", "--pace", "0.1 + percussive", "--cadence", "2", "--batch-size", "2"),
        *("--loop", "--seed-mode", "circle", "--gain", "1 + 0.5*low"),
    ),
    "cadence under a camera": (
        *("--cadence", "3", "--zoom", "1.05", "--angle", "2*onset", "--translation_x", "1"),
        *("--color-coherence", "LAB", "--strength", "0.5 + 0.5*onset", "--noise", "0.02"),
        *("--bend", "add@1: 0.3*loudness", "--seed-mode", "ladder"),
    ),
    "a loop that is painted over": ("--loop", "--strength", "0.5", "--cadence", "2", "--seed-mode", "walk"),
}


@pytest.fixture
def sound(tmp_path, rng):
    """Three quarters of a second of noise that comes in bursts."""
    path = tmp_path / "noise.wav"
    n = 3 * SAMPLE_RATE // 4
    y = rng.uniform(-0.5, 0.5, n) * (0.1 + (np.arange(n) % 11_025 < 2_000))
    soundfile.write(path, y.astype(np.float32) / 2, SAMPLE_RATE, subtype="FLOAT")
    return path


@pytest.fixture
def make(model_loads, tiny_model_folder, sound, tmp_path, capsys):
    """Return a function that makes a film of nine frames and returns exit status and lines of stderr."""

    def run(*flags, outdir="out", path=sound):
        where = ["--model", tiny_model_folder, "--outdir", tmp_path / outdir, "--device", "cpu", "--quiet"]
        code = audio2video.main([*map(str, ["--path", path, *where, "--no-audio", *flags])])
        return code, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize("flags", TOGETHER.values(), ids=TOGETHER)
def test_films_go_on_to_the_same_bytes(flags, make, tmp_path, monkeypatch):
    assert make(*flags, outdir="whole") == (0, [])
    for calls in (2, 1, 3):
        with monkeypatch.context() as patched:
            interrupt_after(patched, calls, KeyboardInterrupt())
            make(*flags)
    assert make(*flags)[0] == 0
    one, two = tmp_path / "out" / "noise", tmp_path / "whole" / "noise"
    assert len(frames_of(two)) == 9
    assert frames_of(one) == frames_of(two)
    assert (one / "noise.mp4").read_bytes() == (two / "noise.mp4").read_bytes()


def test_latents_that_are_lost_are_made_again(make, tmp_path, monkeypatch):
    flags = ("--cadence", "3", "--strength", "0.5")
    make(*flags, outdir="whole")
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3, KeyboardInterrupt())
        make(*flags)
    for path in (tmp_path / "out" / "noise" / "latents").glob("*"):
        path.write_bytes(b"")
    assert make(*flags)[0] == 0
    assert frames_of(tmp_path / "out" / "noise") == frames_of(tmp_path / "whole" / "noise")


@pytest.mark.parametrize("mode", ["img2img", "txt2img"])
def test_what_leads_from_the_last_painted_frame_of_a_loop_to_the_first_is_made_again(
    mode, make, tmp_path, monkeypatch
):
    flags = ("--loop", "--cadence", "3", "--mode", mode)  # 6 is painted, 7 and 8 lead back to 0
    make(*flags, outdir="whole")
    with monkeypatch.context() as patched:  # interrupted after all that is painted, before the last frame
        patched.setattr(
            run_folder.RunFolder, "save_frame", interrupted_at(8, run_folder.RunFolder.save_frame)
        )
        make(*flags)
    assert len(frames_of(tmp_path / "out" / "noise")) == 8
    assert make(*flags)[0] == 0
    assert frames_of(tmp_path / "out" / "noise") == frames_of(tmp_path / "whole" / "noise")


def interrupted_at(index, save):
    """Return a method that saves frames, and is interrupted at one."""

    def save_or_stop(folder, number, *arguments):
        if number == index:
            raise KeyboardInterrupt
        save(folder, number, *arguments)

    return save_or_stop


def test_between_keys_nothing_jumps(make, tmp_path):
    make("--mode", "txt2img", "--interpolate", "8")
    steps = np.abs(np.diff(pixels_of(tmp_path / "out" / "noise").astype(float), axis=0)).mean((1, 2, 3))
    make("--mode", "txt2img", "--window", "2/3", outdir="each")
    each = pixels_of(tmp_path / "each" / "noise").astype(float)
    assert steps.max() < np.abs(each[8] - each[0]).mean()
    np.testing.assert_array_equal(pixels_of(tmp_path / "out" / "noise")[8], each[8])  # which hears as much


def test_spacing_by_music_and_by_the_eye_are_in_the_recipe(make, tmp_path):
    for spacing in ("music", "even"):
        assert make(*KEYS, "--spacing", spacing, "--seed-mode", "increment", outdir=spacing) == (0, [])
        folder = tmp_path / spacing / "noise"
        places = [recipes.read_recipe(path)["values"]["place"] for path in sorted(folder.glob("frames/*"))]
        assert places == sorted(places)
        assert places != list(range(9))
        assert places[0] == 0
        assert places[-1] == pytest.approx(8)
        assert spacing == "even" or places[::3] + places[8:] == [0, 3, 6, 8]
        assert not (folder / "trials").exists()
    request = json.loads((tmp_path / "music" / "noise" / "manifest.json").read_text())["request"]
    assert request["pace"] == "onset"


def test_cadence_paints_every_nth_frame_and_the_last(make, tmp_path, monkeypatch):
    painted, paint_latents = [], painter.paint_latents

    def count(model, conditionings, *others, **options):
        painted.extend(conditionings)
        return paint_latents(model, conditionings, *others, **options)

    flags = ("--mode", "txt2img", "--window", "1/4")
    make(*flags, outdir="each")
    monkeypatch.setattr(painter, "paint_latents", count)
    make(*flags, "--cadence", "3")
    assert len(painted) == 4
    each, decoded = (pixels_of(tmp_path / name / "noise") for name in ("each", "out"))
    np.testing.assert_array_equal(decoded[[0, 3, 6, 8]], each[[0, 3, 6, 8]])
    assert not np.array_equal(decoded[1], each[1])
    frame = recipes.read_recipe(tmp_path / "out" / "noise" / "frames" / "00004.png")
    assert (frame["cadence"], frame["between"]) == (3, [3, 6])


def test_between_keys_the_unet_reads_what_lies_between_what_it_reads_at_the_keys(make, monkeypatch):
    read, paint_latents = [], painter.paint_latents

    def paint(model, conditionings, *others, **options):
        [conditioning] = conditionings
        read.append(conditioning.states)
        np.testing.assert_array_equal(
            _prompt_arguments(model, conditioning.stack(conditionings))["prompt_embeds"][0], read[-1]
        )
        return paint_latents(model, conditionings, *others, **options)

    monkeypatch.setattr(painter, "paint_latents", paint)
    make("--mode", "txt2img", "--interpolate", "4", "--ddim_steps", "1", "--scale", "1")
    assert len(read) == 9
    for first in (0, 4):
        for frame in (1, 2, 3):
            expected = slerp(read[first], read[first + 4], frame / 4)
            np.testing.assert_allclose(read[first + frame], expected, atol=1e-5)


def test_between_painted_frames_the_camera_moves_on(make, tmp_path):
    make("--cadence", "4", "--strength", "0", "--translation_x", "4")
    frames = pixels_of(tmp_path / "out" / "noise").astype(int)
    for index in (1, 2, 3):  # nothing is painted over, so that all that happens is the camera's
        moved = frames[index][:, 4 * index : 60] - frames[0][:, : 60 - 4 * index]
        still = frames[index][:, 4 * index : 60] - frames[0][:, 4 * index : 60]
        assert np.abs(moved).mean() < np.abs(still).mean()


@pytest.mark.parametrize(
    "flags",
    [
        ("--mode", "txt2img", "--seed-mode", "fixed"),
        ("--mode", "txt2img", "--seed-mode", "circle"),
        ("--mode", "txt2img", "--interpolate", "6", "--seed-mode", "fixed"),
        ("--mode", "txt2img", "--interpolate", "7", "--seed-mode", "circle"),
        ("--strength", "0.5"),
        ("--strength", "0.8", "--seed-mode", "fixed"),
        ("--strength", "0.4", "--init-img", "PICTURE"),
        ("--strength", "0.4", "--init-img", "PICTURE", "--seed-mode", "fixed"),
    ],
)
def test_a_loop_comes_back_to_a_beginning_that_does_not_follow_on_its_end(flags, make, tmp_path):
    n = SAMPLE_RATE * 3 // 2
    fading = tmp_path / "fading.wav"
    y = np.sin(np.arange(n) ** 1.4 / 300) * np.linspace(0.9, 0, n)
    soundfile.write(fading, y.astype(np.float32), SAMPLE_RATE, subtype="FLOAT")
    picture = tmp_path / "picture.png"
    Image.fromarray(np.mgrid[:64, :64, :3].sum(0).astype(np.uint8) * 2).save(picture)
    flags = [str(picture) if flag == "PICTURE" else flag for flag in flags]
    assert make(*flags, "--loop", "--fps", "24", path=fading) == (0, [])
    film = pixels_of(tmp_path / "out" / "fading").astype(float)
    *steps, home = np.abs(np.roll(film, -1, axis=0) - film).mean((1, 2, 3))
    assert home <= 1.2 * np.median(steps) + 0.5


def test_walks_are_smooth_and_reach_the_seeds(make, tmp_path):
    flags = ("--mode", "txt2img", "--gain", "0")  # the noise alone changes
    make(*flags, "--seed-mode", "walk", "--walk-rate", "4", outdir="walk")
    make(*flags, "--seed-mode", "circle", "--loop", outdir="circle")
    make(*flags, "--seed-mode", "increment", outdir="jumps")
    walk, circle, jumps = (
        pixels_of(tmp_path / name / "noise").astype(float) for name in ("walk", "circle", "jumps")
    )
    np.testing.assert_array_equal(walk[[0, 3, 6]], jumps[[0, 1, 2]])  # a third of a seed a frame

    def step(film):
        return np.abs(np.diff(film, axis=0)).mean()

    assert step(walk) < step(jumps)
    assert np.abs(circle[-1] - circle[0]).mean() < 1.5 * step(circle)


def test_deforums_ladder_and_alternation(make, tmp_path):
    for mode, seeds in {"ladder": [0, 2, 1, 3, 2, 4, 3, 5, 4], "alternate": [0, 1] * 4 + [0]}.items():
        make("--strength", "0.5", "--seed", "0", "--seed-mode", mode, outdir=mode)
        frames = sorted((tmp_path / mode / "noise" / "frames").glob("*"))
        assert [recipes.read_recipe(path)["seed"] for path in frames] == seeds


def test_bends_that_change_nothing_give_the_same_pixels(make, tmp_path):
    make("--strength", "0.5", outdir="plain")
    assert make("--strength", "0.5", "--bend", "rotate@1: 0*onset", "--bend", "multiply@50%: 1") == (0, [])
    plain, bent = (pixels_of(tmp_path / name / "noise") for name in ("plain", "out"))
    np.testing.assert_array_equal(plain, bent)
    make("--strength", "0.5", "--bend", "rotate@1: 3*onset", outdir="bent")
    assert not np.array_equal(pixels_of(tmp_path / "bent" / "noise")[1:], plain[1:])
    recipe = recipes.read_recipe(tmp_path / "bent" / "noise" / "frames" / "00001.png")
    assert len(recipe["values"]["bend"]) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--bend", "rotat@3: 1"), "did you mean rotate?"),
        (("--bend", "rotate@4: 1", "--mode", "txt2img"), "4 steps are run, and none follows it"),
        (("--bend", "rotate@2: 1", "--strength", "0.5"), "2 steps are run, and none follows it"),
        (("--bend", "rotate@1: onsett", "--strength", "1"), "did you mean onset?"),
        (("--bend", "flip@1: 2*onset", "--strength", "1"), "in [0, 1]"),
        (("--cadence", "10"), "--cadence 10 of a film of 9 frames"),
        (("--cadence", "0"), "at least 1"),
        ((*KEYS, "--interpolate", "10"), "--interpolate 10 of a film of 9 frames"),
        ((*KEYS, "--interpolate", "9", "--loop"), "--interpolate 9 of a film of 9 frames"),
        (("--interpolate", "3"), "--cadence"),
        ((*KEYS, "--spacing", "smooth"), "one of time, even, music"),
        (("--mode", "txt2img", "--spacing", "even"), "--interpolate N as well"),
        ((*KEYS, "--pace", "onset"), "--spacing music as well"),
        ((*KEYS, "--spacing", "music", "--pace", "onset - 2"), "of at least 0"),
        (("--loop", "--fps", "1"), "--loop with 1 frame"),
        (("--loop-seconds", "1/10", "--seed-mode", "circle"), "less than 2 frames"),
        (("--loop-seconds", "1"), "--seed-mode circle as well"),
        (("--walk-rate", "2"), "--seed-mode walk as well"),
        (("--seed-mode", "walk", "--walk-rate", "-1"), "walk-rate"),
        (("--seed-mode", "walk", "--seed", LARGEST_SEED), "lower --seed or --walk-rate"),
        (("--seed-mode", "circle", "--seed", LARGEST_SEED), str(LARGEST_SEED)),
    ],
)
def test_bad_requests_load_no_model(flags, words, make, model_loads, tmp_path):
    code, err = make(*flags)
    assert code == 2
    assert len(err) == 1
    assert words in err[0]
    assert model_loads == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", TOGETHER if MANY_KILLS else ["the pace of the music, decoded between, in a loop"]
)
def test_killed_again_and_again(kind, kill_and_resume, sound, tiny_model_folder, tmp_path):
    flags = TOGETHER[kind]
    flags = (*flags, "--fps", 72 if MANY_KILLS else 12, "--no-audio")
    kill_and_resume(sound, tiny_model_folder, tmp_path / "whole", *flags, kill=False)
    kills = kill_and_resume(sound, tiny_model_folder, tmp_path / "out", *flags)
    assert kills >= (20 if MANY_KILLS else 3)
    one, two = tmp_path / "out" / "noise", tmp_path / "whole" / "noise"
    assert frames_of(one) == frames_of(two)
    assert (one / "noise.mp4").read_bytes() == (two / "noise.mp4").read_bytes()
