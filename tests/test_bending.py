"""Network bending: what it does to latents, how it is written, and pictures that are bent by their sound."""

import math

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import sound_diffusion as sd
from sound_diffusion import recipe as recipes
from sound_diffusion.bending import OPERATORS, Bending, parse_bend
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import ParameterError
from sound_diffusion.model.mirrored import mirrored
from sound_diffusion.sound.description import describe_whole


@pytest.fixture
def latents():
    """Latents of two pictures."""
    return torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(0))


def bend(latents, name, amount, *, mirrored=False, seeds=(1, 2)):
    """Bend all of the latents by one amount, after the second of four steps."""
    bends = [parse_bend(f"{name}@2: 0")]
    amounts = np.full((len(latents), 1), amount, dtype=np.float64)
    return Bending(bends, amounts, seeds, 4, mirrored)(1, latents)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_neutral_amount_gives_the_very_latents(name, latents):
    assert bend(latents, name, OPERATORS[name].neutral) is latents


@pytest.mark.parametrize("name", OPERATORS)
def test_each_picture_is_bent_by_its_own_amount(name, latents):
    other = OPERATORS[name].neutral + 0.5
    bends = [parse_bend(f"{name}@2: 0")]
    bent = Bending(bends, np.array([[OPERATORS[name].neutral], [other]]), (1, 2), 4)(1, latents)
    assert torch.equal(bent[0], latents[0])
    assert torch.equal(bent[1], bend(latents, name, other)[1])
    assert not torch.equal(bent[1], latents[1])


def test_operators_do_what_they_are_called(latents):
    torch.testing.assert_close(bend(latents, "add", -2), latents - 2)
    torch.testing.assert_close(bend(latents, "multiply", 1.5), latents * 1.5)
    torch.testing.assert_close(bend(latents, "flip", 1), latents.flip(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(bend(latents, "rotate", math.pi), -latents, atol=1e-6, rtol=0)
    torch.testing.assert_close(bend(latents, "rotate", 2 * math.pi), latents, atol=1e-6, rtol=0)
    turned = bend(latents, "rotate", 1.0)
    torch.testing.assert_close(turned.square().sum(1), latents.square().sum(1))
    kept = bend(latents, "threshold", 0.5)
    assert torch.equal(kept, torch.where(latents.abs() >= 0.5, latents, 0))


def test_noise_is_that_of_the_seed_and_has_the_deviation_asked_for():
    nothing = torch.zeros((2, 4, 64, 64))
    one = bend(nothing, "noise", 0.25)
    assert torch.equal(one, bend(nothing, "noise", 0.25))
    assert not torch.equal(one[0], one[1])
    assert float(one.std()) == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("name", OPERATORS)
def test_mirror_images_stay_such(name, latents):
    symmetric = mirrored(latents)
    bent = bend(symmetric, name, 0.6, mirrored=True)
    assert torch.equal(mirrored(bent), bent)
    assert not torch.equal(bent, symmetric)


def test_other_steps_are_left_alone(latents):
    bending = Bending([parse_bend("add@2: 1")], np.ones((2, 1)), (1, 2), 4)
    changed = [index for index in range(4) if bending(index, latents) is not latents]
    assert changed == [1]


@pytest.mark.parametrize(
    ("text", "n_steps", "step"),
    [
        ("add@3: 1", 15, 3),
        ("add@50%: 1", 15, 8),
        ("add@50%: 1", 2, 1),
        ("add@1%: 1", 15, 1),
        ("add@99.9%: 1", 15, 14),
        ("add@3: 1", 3, None),
        ("add@50%: 1", 1, None),
        (" add @ 1 :1", 2, 1),
    ],
)
def test_where_a_bend_happens(text, n_steps, step):
    assert parse_bend(text).step(n_steps) == step


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rotat@3: 1", "did you mean rotate?"),
        ("rotate: 1", "OPERATOR@STEP"),
        ("rotate@0: 1", "1, 2, ..."),
        ("rotate@1.5: 1", "1, 2, ..."),
        ("rotate@100%: 1", "less than 100%"),
        ("rotate@0%: 1", "more than 0%"),
        ("rotate@3:", "a value is missing"),
        ("rotate@3: __import__('os')", "rotate@3"),
        ("", "OPERATOR@STEP"),
    ],
)
def test_what_is_no_bend(text, words):
    with pytest.raises(ParameterError, match=words.replace("?", r"\?")):
        parse_bend(text)


def test_whole_sounds_are_described_between_fixed_limits(sine):
    loud, quiet = describe_whole(sine), describe_whole(sine / 10)
    assert all(0 <= level <= 1 for level in loud.values())
    assert loud["loudness"] == pytest.approx(1)  # 0.35, more than any music has
    assert quiet["loudness"] == pytest.approx(0.035 / 0.3, rel=0.05)
    assert loud["pitch"] == pytest.approx((69 - 36) / 48, abs=0.02)
    assert loud["centroid"] == pytest.approx(440 / 5000, rel=0.1)


@pytest.fixture
def pixels(audio2img):
    """Paint a picture and return its pixels and its recipe."""

    def paint(*words):
        done = audio2img(*words, "--quiet", "--skip_grid")
        assert done.code == 0, done.err
        [path] = done.paths
        with Image.open(path) as picture:
            return np.asarray(picture).astype(int), recipes.read_recipe(path)

    return paint


def test_pictures_are_bent_by_their_sound(pixels, sine_file, sine, tmp_path):
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, sine / 10, SAMPLE_RATE)
    plain, _ = pixels("--prompt", sine_file)
    for text in ("rotate@2: 0*centroid", "multiply@2: 1", "noise@50%: 0"):
        same, recipe = pixels("--prompt", sine_file, "--bend", text)
        np.testing.assert_array_equal(same, plain)
        assert recipe["bend"] == [text]
    bent, recipe = pixels("--prompt", sine_file, "--bend", "add@2: 3*loudness", "--bend", "rotate@1: 0.5")
    assert np.abs(bent - plain).mean() > 1
    assert recipe["values"]["bend"] == [3.0, 0.5]
    assert pixels("--prompt", quiet, "--bend", "add@2: 3*loudness")[1]["values"]["bend"][0] < 0.5


def test_from_python_pictures_are_bent_as_by_the_command(pixels, sine_file, tiny_model):
    texts = ["add@2: 3*loudness + s/1000", "noise@50%: 0.5"]
    expected, recipe = pixels("--prompt", sine_file, "--seed", 7, "--bend", texts[0], "--bend", texts[1])
    y = sd.load_audio(sine_file)
    embedding = sd.embed(y, feature="fft", model=tiny_model)
    picture = sd.paint(tiny_model, embedding, 7, bends=texts, levels=sd.describe_whole(y))
    np.testing.assert_allclose(np.asarray(picture).astype(int), expected, atol=1)
    assert recipe["values"]["bend"][0] == pytest.approx(3.007)
    over = sd.paint(tiny_model, embedding, 7, init_image=picture, strength=0.5, bends=["add@1: 1"])
    plain = sd.paint(tiny_model, embedding, 7, init_image=picture, strength=0.5)
    assert over.tobytes() != plain.tobytes()


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("add@1: loudness", {}, "follows loudness without a sound"),
        ("add@1: loudness", {"levels": {"onset": 1.0}}, "follows loudness without a sound"),
        ("add@1: beats", {}, "unknown variable 'beats'"),
        ("ad@1: 1", {}, "did you mean add?"),
        ("add@1: 1", {"steps": 1}, "1 step is run, and none follows it"),
        ("add@2: 1", {"init_image": Image.new("RGB", (64, 64)), "strength": 0.5}, "2 steps are run"),
    ],
)
def test_from_python_bends_that_cannot_be_are_refused(text, options, words, tiny_model):
    embedding = np.zeros((77, tiny_model.width), dtype=np.float32)
    with pytest.raises(ParameterError) as caught:
        sd.paint(tiny_model, embedding, bends=[text], **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rotate@4: 1", "4 steps are run, and none follows it"),
        ("rotate@99: 1", "a step from 1 to 3"),
        ("roate@1: 1", "did you mean rotate?"),
        ("rotate@1: loudnes", "did you mean loudness?"),
        ("rotate@1: beats", "unknown variable 'beats'"),
        ("flip@1: 2", "[0, 1]"),
        ("noise@1: 0 - loudness", "a number in [0, 1000]"),
        ("add@1: 1/0", "division by zero"),
    ],
)
def test_bends_that_cannot_be_are_refused_before_the_model_is_loaded(
    text, words, audio2img, model_loads, sine_file, tmp_path
):
    done = audio2img("--prompt", sine_file, "--bend", text, "--quiet")
    assert (done.code, done.out) == (2, "")
    assert words in done.error
    assert model_loads == []
    assert not list(tmp_path.rglob("*.png"))
