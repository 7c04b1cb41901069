"""Prompts over time: Deforum's JSON and lines, keys in frames, seconds and beats; and what lies between."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_diffusion.errors import ParameterError
from sound_diffusion.formulas.prompts import Prompt, PromptStep, read_prompts
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.interpolation import interpolate, slerp

FILM = Variables(120, Fraction(12), find_beats=lambda: np.arange(0.25, 9, 0.5), seed=1)


def prompts_of(source, frame):
    return read_prompts(source).steps(FILM)[frame]


def test_deforums_json():
    source = '{"0": "a cat, red: very", "30": "a dog --neg blurry, dark", "max_f/2": "a bird --neg"}'
    cat, dog, bird = Prompt("a cat, red: very"), Prompt("a dog", "blurry, dark"), Prompt("a bird", "")
    assert prompts_of(source, 0) == PromptStep(cat, dog, 0.0)
    assert prompts_of(source, 15) == PromptStep(cat, dog, 0.5)
    assert prompts_of(source, 30) == PromptStep(dog, bird, 0.0)
    assert prompts_of(source, 119) == PromptStep(bird, bird, 0.0)


def test_lines():
    source = "\n0 : rain\n2.5s: snow: deep\n8b : fog --neg people\n0:06.5 : 10 suns\n\n"
    assert [position.text for position, _ in read_prompts(source).keys] == ["0", "2.5s", "8b", "0:06.5"]
    assert prompts_of(source, 15) == PromptStep(Prompt("rain"), Prompt("snow: deep"), 0.5)
    assert prompts_of(source, 51) == PromptStep(
        Prompt("fog", "people"), Prompt("10 suns"), 0.0
    )  # beat 8: 4.25 s
    assert prompts_of(source, 78).before == Prompt("10 suns")


def test_one_line_is_a_text():
    assert prompts_of("0 : rain", 0) == PromptStep(Prompt("rain"), Prompt("rain"), 0.0)
    assert prompts_of("30 : 10 cats", 0).before == Prompt("10 cats")
    assert prompts_of("30:10 cats", 0).before == Prompt("10 cats")
    assert prompts_of("1:02:03 : late", 5).before == Prompt("late")


def test_before_the_first_key_its_prompt_holds():
    source = "30 : rain\n60 : snow"
    for frame in (0, 29, 30):
        assert prompts_of(source, frame).before == Prompt("rain")
        assert prompts_of(source, frame).share == 0
    assert prompts_of(source, 31).share == pytest.approx(1 / 30)


def test_an_empty_prompt_is_one():
    assert prompts_of("0 : \n10 : rain", 0).before == Prompt("")


@pytest.mark.parametrize("suffix", [".txt", ".json"])
def test_files(tmp_path, suffix):
    path = tmp_path / f"words{suffix}"
    path.write_text(
        "\ufeff" + (json.dumps({"0": "rain"}) if suffix == ".json" else "0 : rain\n"), encoding="utf-8"
    )
    assert prompts_of(str(path), 0).before == Prompt("rain")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("", "no such file"),
        ("words.txt", "'words.txt': no such file"),
        ("\n \n", "no prompts"),
        ("{}", "no prompts"),
        ("0 : rain\nsnow", "line 2: 'snow'"),
        ("rain : 0", "line 1: 'rain : 0'"),
        ('{"0": "rain",}', "no JSON at line 1"),
        ('{"0": 3}', "3 at key 0 (expected a text)"),
        ('{"0": {"a": "b"}}', "at key 0 (expected a text)"),
        ('{"onset": "rain"}', "'onset' is not known to keys"),
        ('{"-1": "rain"}', "key -1: frame -1"),
        ('{"0": "rain", "0": "snow"}', "two keys at frame 0"),
        ("30 : rain\n10 : snow", "key 10 (frame 10) after key 30"),
        ("1s : rain\n12 : snow", "two keys at frame 12 (1s and 12)"),
        ("0:75 : rain", "time 0:75"),
        ("1:75:00 : rain", "time 1:75:00"),
        ("2.5 : rain", "key '2.5' (expected a whole frame"),
        ("0 : rain --neg a --neg b", "--neg 2 times"),
        ("[" * 5000, "line 1"),
        ('{"0":' * 5000, "JSON"),
        ("0 : " + "x" * 2_000_000, "2000004 characters"),
        ("a\x00b.txt", ""),
    ],
)
def test_errors_are_one_line(source, found):
    with pytest.raises(ParameterError) as error:
        read_prompts(source).steps(FILM)
    assert str(error.value).startswith("--prompts")
    assert found in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"0 : \xff\xfe")
    with pytest.raises(ParameterError, match="cannot be read"):
        read_prompts(str(path))


def test_beats_that_are_not_there():
    silent = Variables(10, Fraction(12))
    with pytest.raises(ParameterError, match="--prompts: the sound has no beats"):
        read_prompts("8b : rain").steps(silent)


@settings(max_examples=200, deadline=1000)
@given(st.one_of(st.text(max_size=100), st.text('0123456789:{}",sb \nx-neg', max_size=60)))
def test_any_text_is_prompts_or_our_error(source):
    try:
        steps = read_prompts(source).steps(FILM)
    except ParameterError as refusal:
        message, steps = str(refusal), []
    else:
        message = "fine"
        assert len(steps) == 120
    assert "\n" not in message
    assert all(0 <= step.share < 1 for step in steps)


class TestInterpolation:
    def vectors(self, rng, shape=(77, 16)):
        return rng.standard_normal((2, *shape)).astype(np.float32)

    @pytest.mark.parametrize("how", ["slerp", "lerp", "none"])
    def test_the_ends_are_the_arrays(self, rng, how):
        one, other = self.vectors(rng)
        assert interpolate(one, other, 0.0, how) is one
        assert interpolate(one, other, 1.0, how) is other

    def test_lerp_and_none(self, rng):
        one, other = self.vectors(rng)
        np.testing.assert_allclose(
            interpolate(one, other, 0.25, "lerp"), 0.75 * one + 0.25 * other, atol=1e-6
        )
        assert interpolate(one, other, 0.99, "none") is one

    def test_slerp_turns_evenly_and_keeps_the_length(self):
        one, other = np.eye(2, dtype=np.float32)
        for share in (0.1, 0.5, 0.8):
            angle = share * np.pi / 2
            np.testing.assert_allclose(slerp(one, other, share), [np.cos(angle), np.sin(angle)], atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(slerp(one, 3 * other, 0.5)), 2, rtol=1e-6)

    def test_slerp_of_noise_keeps_its_deviation(self, rng):
        one, other = rng.standard_normal((2, 1, 4 * 64 * 64)).astype(np.float32)
        assert slerp(one, other, 0.5).std() == pytest.approx(1, abs=0.02)
        assert interpolate(one, other, 0.5, "lerp").std() == pytest.approx(np.sqrt(0.5), abs=0.02)

    def test_slerp_without_directions(self):
        zero, one = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
        for pair in ((zero, one), (one, one), (one, -one), (zero, zero)):
            expected = (0.5 * pair[0] + 0.5 * pair[1]).astype(np.float32)
            np.testing.assert_allclose(slerp(*pair, 0.5), expected, atol=1e-6)

    def test_errors(self, rng):
        one, other = self.vectors(rng)
        for arguments in ((one, other[:, :3], 0.5), (one, other, 1.5), (one, other, 0.5, "spline")):
            with pytest.raises(ParameterError):
                interpolate(*arguments)
