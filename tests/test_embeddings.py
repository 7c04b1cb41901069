"""Embeddings: scaling by its definitions, matrices from elsewhere, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import sound_diffusion as sd
from sound_diffusion.errors import ParameterError, SoundDiffusionError
from sound_diffusion.sound import whitening
from sound_diffusion.sound.embeddings import (
    SCALINGS,
    embed,
    scale,
)

ROWS, WIDTH = 77, 32
NAMES = list(sd.FEATURES)


def matrix_of(seed=0, width=WIDTH):
    return np.random.default_rng(seed).normal(3, 2, (ROWS, width)).astype(np.float32)


@pytest.fixture(scope="module")
def empty_prompt():
    """Like the one of Stable Diffusion 1.x: the extremes are in the first row."""
    prompt = np.random.default_rng(1).normal(0, 1, (ROWS, WIDTH)).astype(np.float32)
    prompt[0, :2] = -28.0912, 33.0632
    return prompt


class Painter:
    """A model as embeddings see it."""

    width = WIDTH

    def __init__(self, empty_prompt=None):
        self.empty_prompt = empty_prompt

    def scaling_for(self, feature, scaling="auto"):
        return ({"fft": "log", "cqt": "clip"}.get(feature, "none")) if scaling == "auto" else scaling


# --- scaling


def test_none_changes_nothing():
    np.testing.assert_array_equal(scale(matrix_of(), "none"), matrix_of())


def test_log():
    magnitudes = np.abs(matrix_of())
    np.testing.assert_allclose(scale(magnitudes, "log"), np.log(1 + magnitudes.astype(np.float64)), rtol=1e-6)
    np.testing.assert_array_equal(scale(-magnitudes, "log"), -scale(magnitudes, "log"))


def test_range_goes_from_the_lowest_to_the_highest_value_of_the_empty_prompt(empty_prompt):
    matrix = matrix_of().astype(np.float64)
    unit = (matrix - matrix.min()) / (matrix.max() - matrix.min())
    scaled = scale(matrix_of(), "range", empty_prompt)
    np.testing.assert_allclose(scaled, -28.0912 + (33.0632 + 28.0912) * unit, rtol=1e-5, atol=1e-5)
    assert scaled.min() == pytest.approx(-28.0912, rel=1e-6)
    assert scaled.max() == pytest.approx(33.0632, rel=1e-6)


def test_clip_keeps_the_start_token_and_gives_the_rest_its_statistics(empty_prompt):
    scaled = scale(matrix_of(), "clip", empty_prompt)
    np.testing.assert_array_equal(scaled[0], empty_prompt[0])
    body = matrix_of()[1:].astype(np.float64)
    target = empty_prompt[1:].astype(np.float64)
    expected = (body - body.mean()) / body.std() * target.std() + target.mean()
    np.testing.assert_allclose(scaled[1:], expected, rtol=1e-4, atol=1e-5)
    assert scaled[1:].mean() == pytest.approx(target.mean(), abs=1e-5)
    assert scaled[1:].std() == pytest.approx(target.std(), rel=1e-5)


@pytest.mark.parametrize("feature", NAMES)
@pytest.mark.parametrize("width", [WIDTH, 768, 1024, 1280, 2048])
def test_whiten_takes_the_mean_of_music_off_and_divides_by_its_deviation(feature, width):
    mean, deviation = whitening.constants_for(feature, width).astype(np.float64)
    assert mean.shape == deviation.shape == (width,)
    assert deviation.min() > 0
    wanted = matrix_of(2, width).astype(np.float64)
    raised = mean + deviation * wanted
    feature_of_it = (np.sign(raised) * np.expm1(np.abs(raised))).astype(np.float32)
    np.testing.assert_allclose(whitening.whiten(feature_of_it, feature), wanted, atol=2e-3)
    prompt = matrix_of(3, width)
    scaled = scale(feature_of_it, "whiten", prompt, feature)
    np.testing.assert_allclose(scaled, scale(wanted.astype(np.float32), "clip", prompt), atol=2e-3)
    np.testing.assert_array_equal(scaled[0], prompt[0])


def test_constants_of_other_widths_are_interpolated():
    for name in ("fft", "cqt"):
        known, stretched = (
            whitening.constants_for(name, width) for width in (768, 767 * 2 + 1 if name == "cqt" else 700)
        )
        np.testing.assert_allclose(stretched[:, [0, -1]], known[:, [0, -1]], rtol=1e-6)
        assert stretched[0].max() <= known[0].max()
        assert stretched[0].min() >= known[0].min()


def test_whitened_music_is_less_alike(empty_prompt):
    """Two chords of one timbre have the spectrum of music in common, and little else."""
    t = np.arange(44_100) / 44_100
    prompt = np.random.default_rng(0).normal(0, 1, (ROWS, 768)).astype(np.float32)

    def chord(*roots):
        return sum(np.sin(2 * np.pi * root * n * t) / n**2 for root in roots for n in range(1, 40)) / 8

    def cosine(scaling, feature):
        a, b = (
            scale(sd.extract(y.astype(np.float32), feature), scaling, prompt, feature)[1:].ravel()
            for y in (chord(220, 277, 330), chord(247, 294, 370))
        )
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    for feature in ("fft", "melspectrogram"):
        assert cosine("whiten", feature) < cosine("clip", feature) - 0.1


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0])
def test_silence_never_divides_by_zero(value, empty_prompt):
    flat = np.full((ROWS, WIDTH), value, dtype=np.float32)
    np.testing.assert_allclose(scale(flat, "range", empty_prompt), -28.0912, rtol=1e-6)
    scaled = scale(flat, "clip", empty_prompt)
    np.testing.assert_array_equal(scaled[0], empty_prompt[0])
    np.testing.assert_allclose(scaled[1:], empty_prompt[1:].mean(), rtol=1e-5)
    for scaling in ("none", "log"):
        assert np.isfinite(scale(flat, scaling)).all()


def test_input_is_not_changed(empty_prompt):
    for scaling in SCALINGS:
        matrix = matrix_of()
        scale(matrix, scaling, empty_prompt, "fft")
        np.testing.assert_array_equal(matrix, matrix_of())


@pytest.mark.parametrize(
    ("scaling", "prompt", "pattern"),
    [
        ("loud", None, "unknown scaling 'loud'.*none, log, range, clip"),
        ("auto", None, "unknown scaling 'auto'"),
        ("range", None, "'range' needs the embedding of the empty prompt.*text encoder.*--scaling none"),
        ("clip", None, "'clip' needs"),
        ("whiten", None, "'whiten' needs the embedding of the empty prompt"),
        ("whiten", matrix_of(), "'whiten' of 'embedding'.*mean is known: cqt, fft.*another --scaling"),
        ("clip", np.zeros((ROWS, 5), dtype=np.float32), r"shape \(77, 5\)"),
    ],
)
def test_scaling_that_cannot_be_done(scaling, prompt, pattern):
    with pytest.raises(ParameterError, match=pattern):
        scale(matrix_of(), scaling, prompt)


# --- embed


@pytest.mark.parametrize("feature", NAMES)
def test_embed_is_extract_then_scale(feature, sine, empty_prompt):
    np.testing.assert_array_equal(embed(sine, feature), sd.extract(sine, feature))
    model = Painter(empty_prompt)
    expected = scale(sd.extract(sine, feature, WIDTH), model.scaling_for(feature), empty_prompt)
    np.testing.assert_array_equal(embed(sine, feature, model=model), expected)
    np.testing.assert_array_equal(
        embed(sine, feature, model=model, scaling="none"), sd.extract(sine, feature, WIDTH)
    )


def test_embed_without_a_model():
    assert embed(np.zeros(10), width=1024).shape == (ROWS, 1024)
    np.testing.assert_array_equal(embed(np.ones(10), scaling="log"), np.log1p(embed(np.ones(10))))
    with pytest.raises(ParameterError, match="needs the embedding of the empty prompt"):
        embed(np.zeros(10), scaling="clip")


@settings(max_examples=50, deadline=None)
@given(
    y=hnp.arrays(
        np.float32, st.integers(0, 500), elements=st.floats(width=32), fill=st.floats(-1, 1, width=32)
    ),
    feature=st.sampled_from(NAMES),
    scaling=st.sampled_from(["auto", *SCALINGS]),
    with_prompt=st.booleans(),
)
def test_any_sound_and_flags_give_a_finite_embedding_or_an_error_of_ours(y, feature, scaling, with_prompt):
    prompt = (
        np.linspace(-28, 33, ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH) if with_prompt else None
    )
    try:
        embedding = embed(y, feature, model=Painter(prompt), scaling=scaling)
    except SoundDiffusionError as error:
        good_sound = bool(np.isfinite(y).all()) and np.abs(y).max(initial=0) <= 1e6
        assert not good_sound or "empty prompt" in str(error)  # noqa: PT017
    else:
        assert embedding.shape == (ROWS, WIDTH)
        assert embedding.dtype == np.float32
        assert np.isfinite(embedding).all()
