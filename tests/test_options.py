"""Options: what a declaration gives, and that parser, checks, recipe and command agree about all of them."""
# ruff: noqa: RUF009  (option declares a field)

import contextlib
import dataclasses
import shlex
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sound_diffusion.bending import parse_bend
from sound_diffusion.cli import Parser
from sound_diffusion.errors import ParameterError
from sound_diffusion.formulas.prompts import read_prompts
from sound_diffusion.formulas.schedules import Limits, parse_schedule
from sound_diffusion.options import (
    SCRIPTS,
    FilmOptions,
    LiveOptions,
    PictureOptions,
    all_options,
    options_of,
    verify,
)
from sound_diffusion.options.declaration import above, at_least, finite, fraction, option, values_of, within
from sound_diffusion.recipe import differences, option_entries, recipe_command

# What every option may be that decides what a picture looks like, beside its default.
VALUES = {
    "feature": "cqt",
    "scaling": "log",
    "offset": 0.25,
    "duration": 1.5,
    "textprompt": '-a "planet"; $HOME it\'s',
    "textpromptend": "at night",
    "text_weight": 0.3,
    "textstrength": 4.0,
    "negative_prompt": "blurred, grey",
    "model": "FOLDER",
    "vae": "FILE",
    "lora": "FILE",
    "lora_strength": 0.5,
    "low_memory": True,
    "safety_checker": True,
    "device": "cpu",
    "precision": "full",
    "runtime": "torch",
    "compile": True,
    "steps": 7,
    "sampler": "plms",
    "eta": 0.5,
    "local_contrast": 0.5,
    "guidance": -1.5,
    "height": 72,
    "width": 8,
    "init_image": "FILE",
    "strength": 0.125,
    "seed": 2**62,
    "n_samples": 2,
    "n_iter": 3,
    "fixed_code": True,
    "fps": Fraction(24000, 1001),
    "window": Fraction(1, 3),
    "mode": "txt2img",
    "seed_mode": "random",
    "batch_size": 4,
    "preview": 2,
    "gain": parse_schedule("-0.5*onset", "--gain", Limits(-1000, 1000)),
    "prompts": read_prompts("0:01 : rain --neg sun\n8b : snow"),
    "interpolation": "none",
    "zoom": parse_schedule("0:(1.01), 2s:(1)", "--zoom", Limits(0.001, 1000)),
    "angle": -2.5,
    "translation_x": parse_schedule("-2*sin(t)", "--translation_x"),
    "translation_y": 3.0,
    "border": "wrap",
    "color_coherence": "LAB",
    "color_strength": 0.5,
    "sharpen": 0.1,
    "noise": 0.02,
    "series": "FILE",
    "bend": (parse_bend("rotate@3: 6.28*centroid"), parse_bend("add@50%: -1")),
    "walk_rate": parse_schedule("2*onset", "--walk-rate", Limits(0, 1000)),
    "loop": True,
    "loop_seconds": Fraction(3, 2),
    "interpolate": 6,
    "spacing": "even",
    "pace": parse_schedule("percussive", "--pace", Limits(0)),
    "cadence": 3,
    "chain": "picture",
}
NEEDED = {
    "mode": "txt2img",
    "textprompt": "words",
    "prompts": VALUES["prompts"],
    "color_coherence": "HSV",
    "init_image": "FILE",
    "lora": "FILE",
}
# What an option is refused without, though it does not say so in its declaration.
BESIDE = {
    "batch_size": {"mode": "txt2img"},
    "interpolate": {"mode": "txt2img"},
    "spacing": {"mode": "txt2img", "interpolate": 4},
    "pace": {"mode": "txt2img", "interpolate": 4, "spacing": "music"},
    "walk_rate": {"seed_mode": "walk"},
    "loop_seconds": {"seed_mode": "circle"},
}


def changed(declared, values, files):
    """Make options of the class with these values; FILE and FOLDER stand for what is there."""
    return declared(
        paths=(Path("a.wav"),), **{name: files.get(value, value) for name, value in values.items()}
    )


def needs_of(each):
    """Return the values without which an option says nothing or is refused."""
    if each.name in BESIDE:
        return BESIDE[each.name]
    needed = [names.split("|")[0] for names in each.needs]
    return {name: NEEDED[name] for name in needed if name in NEEDED}


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        (declared, each.name)
        for declared in (PictureOptions, FilmOptions)  # what is heard live becomes a film
        for each in options_of(declared)
        if each.decides and each.entry != "sound"
    ],
)
def test_every_option_comes_back_from_a_recipe(declared, name, tiny_model_folder, tmp_path):
    (tmp_path / "file").write_bytes(b"contents")
    files = {"FILE": tmp_path / "file", "FOLDER": str(tiny_model_folder)}
    each = {each.name: each for each in options_of(declared)}[name]
    wanted = {"model": "FOLDER"} | needs_of(each) | {name: VALUES[name]}
    options = changed(declared, wanted, files)
    plain = changed(declared, {"model": "FOLDER"} | needs_of(each), files)
    recipe = option_entries(options) | {"sound": "a.wav"}
    script, *words = shlex.split(recipe_command(recipe))[1:]
    assert script == declared.script
    assert Parser(declared).read(words) == options
    if name != "model":
        assert differences(option_entries(plain), recipe, in_bytes=True)
        assert bool(differences(option_entries(plain), recipe, in_bytes=False)) == (each.decides == "picture")


def test_flags_are_said_once_and_every_option_is_described():
    for declared in SCRIPTS:
        flags = [flag.replace("_", "-") for each in options_of(declared) for flag in each.flags]
        assert len(flags) == len(set(flags))
        assert all(each.description for each in options_of(declared))
    assert set(VALUES) == {n for n, each in all_options().items() if each.decides and each.entry != "sound"}


RECIPE_0_1_0 = dict.fromkeys(
    ["duration", "textprompt", "textpromptend", "text_weight", "textstrength", "vae", "lora", "init_image"]
) | {
    "sound": "bell.wav",
    "offset": 0.0,
    "feature": "fft",
    "scaling": "none",
    "model": "cymatics",
    "lora_strength": 1.0,
    "low_memory": False,
    "safety_checker": False,
    "device": "cpu",
    "precision": "full",
    "steps": 15,
    "guidance": 3.0,
    "height": 256,
    "width": 256,
    "sampler": "ddim",
    "eta": 0.0,
    "strength": 0.75,
    "versions": {"sound_diffusion": "0.1.0"},
}


def test_recipes_of_the_first_version_are_still_read():
    picture = {"seed": 43, "first_seed": 42, "n_samples": 2, "n_iter": 1, "fixed_code": False}
    command = recipe_command(RECIPE_0_1_0 | picture)
    read = Parser(PictureOptions).read(shlex.split(command)[2:])
    assert (read.seed, read.n_samples, read.steps, read.negative_prompt) == (42, 2, 15, None)
    film = {"film_seed": 7, "fps": "12", "window": "3/4", "mode": "img2img", "seed_mode": "increment"}
    command = recipe_command(RECIPE_0_1_0 | film | {"batch_size": 1, "preview": None, "frame": 3, "seed": 10})
    read = Parser(FilmOptions).read(shlex.split(command)[2:])
    assert (read.seed, read.window, read.strength) == (7, Fraction(3, 4), 0.75)


def test_a_file_is_known_by_its_contents():
    old = {"vae": "a.pt", "vae_sha256": "1", "model": "a", "model_fingerprint": "2", "steps": 3}
    assert not differences(old, old | {"vae": "b.pt", "model": "b"}, in_bytes=True)
    assert differences(old, old | {"vae_sha256": "3"}, in_bytes=False) == ["--vae a.pt has changed"]
    assert differences(old, old | {"model_fingerprint": "3"}, in_bytes=True) == ["--model a has changed"]
    other = old | {"vae": "b.pt", "vae_sha256": "3"}
    assert differences(old, other, in_bytes=False) == ["--vae was a.pt, is b.pt"]
    assert differences(other, old | {"vae": None, "vae_sha256": None}, in_bytes=False) == [
        "--vae was b.pt, is not set"
    ]


def test_differences_are_told_by_flags():
    old = {"sound": "a.wav", "sound_sha256": "1", "film_seed": 1, "steps": 2, "loop": False, "bend": []}
    new = {
        "sound": "b.wav",
        "sound_sha256": "2",
        "film_seed": 2,
        "steps": 3,
        "loop": True,
        "bend": ["a", "b"],
    }
    assert differences(old, new, in_bytes=True) == [
        "--path was a.wav, is b.wav",
        "--seed was 1, is 2",
        "--ddim_steps was 2, is 3",
        "--loop was off, is on",
        "--bend was not set, is a, b",
    ]
    assert differences({}, {"prompts": "0 : " + "rain " * 50}, in_bytes=True)[0].count("rain") < 12


# --- declarations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """A few options of every kind."""

    script = "sample.py"
    bends: tuple[str, ...] = option((), "repeatable", "--bend", decides="picture")
    half: float = option(0.5, "a number", check=within(0, 1))
    loud: bool = option(True, "a switch that is on")
    rate: Fraction | None = option(None, "exact", parse=fraction, check=above(0, 60))


def test_kinds_of_values():
    read = Parser(Sample).read
    assert read([]) == Sample()
    assert read(["--bend", "a", "--bend", "b", "c"]).bends == ("a", "b", "c")
    assert not read(["--no-loud"]).loud
    assert read(["--rate", "24000/1001"]).rate == Fraction(24000, 1001)
    with pytest.raises(ParameterError, match=r"--rate: 'fast'.*24000/1001"):
        read(["--rate", "fast"])


def test_words_of_values():
    bends, half, loud, rate = options_of(Sample)
    assert bends.words(["a b", "-c"]) == ["--bend", "a b", "--bend=-c"]
    assert half.words(0.25) == ["--half", "0.25"]
    assert (loud.words(False), loud.words(True)) == (["--no-loud"], ["--loud"])
    assert rate.words(None) == []


def test_what_needs_another_option():
    for words, pattern in (
        (["--strength", "0.5"], "--strength 0.5 alone .*--init-img PICTURE"),
        (["--text-weight", "0.5"], "--text-weight 0.5 alone .*--textprompt TEXT"),
        (["--lora-strength", "0.5"], "--lora-strength 0.5 alone .*--lora FILE"),
    ):
        with pytest.raises(ParameterError, match=pattern):
            Parser(PictureOptions).read(words)


def test_values_are_checked_by_name():
    verify(steps=1, seed=None, strength=0.0)
    with pytest.raises(ParameterError, match=r"0 steps .--ddim_steps"):
        verify(steps=0)
    with pytest.raises(ParameterError, match=r"unknown sampler 'x' .--scheduler.*ddim"):
        verify(sampler="x")


@given(st.floats())
def test_checks_of_numbers(value):
    assert (not at_least(1)(value)) == (value >= 1)
    assert (not within(0, 1)(value)) == (0 <= value <= 1)
    assert (not above(0)(value)) == (0 < value < float("inf"))
    assert (not finite(value)) == (abs(value) < float("inf"))


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "9" * 5000, "1_0e9_9", "١٢"])
def test_fractions_of_any_text_are_quick(text):
    began = time.process_time()
    with contextlib.suppress(ParameterError):
        fraction(text)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], []),
        (["--size"], []),
        (["--size", "64"], ["64"]),
        (["--size=64", "--other", "--size", "128"], ["64", "128"]),
        (["--sizes", "1", "--size="], []),
    ],
)
def test_what_a_flag_is_given(words, values):
    assert values_of("--size", words) == values


@pytest.mark.parametrize("declared", SCRIPTS)
def test_a_script_without_words_is_understood(declared):
    assert declared.expand([]) == []
    assert LiveOptions.expand(["--size", "64"])[:2] == ["--H=64", "--W=64"]
