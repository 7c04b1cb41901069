"""Words beside a sound: mixes with known ends, and the text of a model that can read."""

import numpy as np
import pytest

from sound_diffusion.conditioning import Words, condition
from sound_diffusion.errors import ParameterError
from sound_diffusion.sound.embeddings import add_to_text, mix, scale

# diffusers' schedulers and NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Reader:
    """A model as far as embeddings know it: every prompt has a matrix of its own."""

    width = 8
    empty_prompt = np.zeros((77, 8), dtype=np.float32)

    def scaling_for(self, feature, scaling="auto"):
        return "none" if scaling == "auto" else scaling

    def pooled_prompt(self, prompt):
        return np.full(4, len(prompt), dtype=np.float32)

    def encode_negative(self, prompt=""):
        return self.encode_prompt(prompt), self.pooled_prompt(prompt)

    def encode_prompt(self, prompt):
        return np.random.default_rng(len(prompt)).normal(size=(77, 8)).astype(np.float32)


@pytest.fixture
def sound(rng):
    return rng.uniform(0, 300, (77, 8)).astype(np.float32)


def test_the_ends_of_a_mix_are_its_parts(sound):
    text = Reader().encode_prompt("apple")
    np.testing.assert_array_equal(mix(sound, text, 0), sound)
    np.testing.assert_array_equal(mix(sound, text, 1), text)
    np.testing.assert_allclose(mix(sound, text, 0.25), 0.75 * sound + 0.25 * text, rtol=1e-6)


def test_the_sum_puts_the_sound_on_the_range_of_the_text(sound):
    text = Reader().encode_prompt("apple")
    added = add_to_text(sound, text, 4.0) - text
    assert added.min() == pytest.approx(text.min() / 4, abs=1e-5)
    assert added.max() == pytest.approx(text.max() / 4, abs=1e-5)
    line = np.polyfit(sound.ravel(), added.ravel(), 1)
    np.testing.assert_allclose(np.polyval(line, sound), added, atol=1e-4)


def test_silence_added_to_a_text_is_finite():
    text = Reader().encode_prompt("apple")
    assert np.isfinite(add_to_text(np.zeros_like(text), text, 2.0)).all()


def test_conditioning_scales_and_brings_words_in(sound):
    model = Reader()
    text = model.encode_prompt("a plate")

    def embedding(*words, **options):
        return condition(model, sound, "log", Words(*words, **options)).embedding

    np.testing.assert_array_equal(embedding(), scale(sound, "log"))
    np.testing.assert_allclose(embedding("a plate"), 0.5 * scale(sound, "log") + 0.5 * text, rtol=1e-5)
    np.testing.assert_array_equal(embedding("a plate", weight=1.0), text)
    np.testing.assert_array_equal(embedding("a plate", strength=3.0), add_to_text(sound, text, 3.0))


def test_a_film_goes_from_one_text_to_the_other():
    model, words = Reader(), Words("day", "at night")
    np.testing.assert_array_equal(words.encode(model, 0.0)[0], model.encode_prompt("day"))
    np.testing.assert_array_equal(words.encode(model, 1.0)[0], model.encode_prompt("at night"))


@pytest.mark.parametrize(
    "options",
    [
        {"weight": -0.1},
        {"weight": 1.1},
        {"strength": 0.0},
        {"strength": -1.0},
        {"weight": 0.5, "strength": 2.0},
    ],
)
def test_words_that_cannot_be(options):
    with pytest.raises(ParameterError):
        Words("text", **options)


def test_shapes_have_to_agree(sound):
    with pytest.raises(ParameterError, match="shape"):
        mix(sound, np.zeros((77, 9), dtype=np.float32), 0.5)
