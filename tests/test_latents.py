"""Latents: what painting is made of, each part by itself, and what goes in between."""

import numpy as np
import pytest
import torch
from PIL import Image

from sound_diffusion.errors import PaintingError, ParameterError
from sound_diffusion.latents import (
    decode_latents,
    encode_pictures,
    latent_noise,
    seeded,
    with_local_contrast,
)
from sound_diffusion.painting import paint_batch, paint_latents
from sound_diffusion.settings import PaintSettings

SEEDS = [5, 11]


def settings(**changes):
    return PaintSettings(**({"steps": 4, "guidance": 2.0, "height": 64, "width": 48} | changes))


@pytest.fixture
def embeddings():
    return list(np.random.default_rng(0).normal(size=(2, 77, 32)).astype(np.float32))


@pytest.fixture
def pictures():
    noise = np.random.default_rng(1).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)
    return [Image.fromarray(pixels) for pixels in noise]


def data(pictures):
    return [picture.tobytes() for picture in pictures]


def test_painting_is_its_parts(tiny_model, embeddings, pictures):
    whole = paint_batch(tiny_model, embeddings, SEEDS, settings())
    latents = paint_latents(tiny_model, embeddings, SEEDS, settings())
    assert latents.shape == (2, 4, 8, 6)
    assert data(decode_latents(tiny_model, latents)) == data(whole)
    over = settings(strength=0.5)
    generators = seeded(SEEDS)  # which give what the VAE draws, and then the noise
    start = encode_pictures(tiny_model, pictures, over, generators)
    assert start.shape == (2, 4, 8, 6)
    latents = paint_latents(tiny_model, embeddings, generators, over, start)
    assert data(decode_latents(tiny_model, latents)) == data(
        paint_batch(tiny_model, embeddings, SEEDS, over, pictures)
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("sampler", ["ddim", "plms", "euler", "dpm++", "lcm"])
@pytest.mark.parametrize("chained", [False, True])
def test_noise_of_a_seed_can_be_given(tiny_model, embeddings, pictures, sampler, chained):
    chosen = settings(sampler=sampler, strength=0.5)
    start = encode_pictures(tiny_model, pictures, chosen, SEEDS) if chained else None
    noise = latent_noise(tiny_model, SEEDS, chosen)
    by_seed = paint_latents(tiny_model, embeddings, SEEDS, chosen, start)
    given = paint_latents(
        tiny_model, embeddings, SEEDS if sampler == "lcm" else [0, 1], chosen, start, noise=noise
    )
    if sampler == "lcm":  # draws more noise from the generators, after every step
        assert not torch.equal(by_seed, given)
    else:
        assert torch.equal(by_seed, given)
    other = paint_latents(tiny_model, embeddings, SEEDS, chosen, start, noise=noise.flip(0))
    assert not torch.equal(by_seed, other)


def test_noise_is_that_of_its_seed(tiny_model):
    noise = latent_noise(tiny_model, SEEDS, settings())
    alone = torch.randn((1, 4, 8, 6), generator=torch.Generator("cpu").manual_seed(11))
    assert torch.equal(noise[1:], alone)
    with pytest.raises(ParameterError, match="seed -1"):
        latent_noise(tiny_model, [-1], settings())


def test_latents_may_be_changed_after_a_step(tiny_model, embeddings):
    seen = []

    def change(index, latents):
        seen.append((index, latents.clone()))
        return latents.flip(-1) if index == 1 else None

    changed = paint_latents(tiny_model, embeddings, SEEDS, settings(), on_step=change)
    plain = paint_latents(tiny_model, embeddings, SEEDS, settings(), on_step=lambda index, latents: None)
    assert [index for index, _ in seen] == [0, 1, 2, 3]
    assert torch.equal(plain, paint_latents(tiny_model, embeddings, SEEDS, settings()))
    assert not torch.equal(changed, plain)
    last = paint_latents(
        tiny_model,
        embeddings,
        SEEDS,
        settings(),
        on_step=lambda index, latents: latents * 0 if index == 3 else None,
    )
    assert not last.any()


def test_strength_from_unchanged_to_forgotten(tiny_model, embeddings, pictures):
    start = encode_pictures(tiny_model, pictures, settings(), SEEDS)
    kept = paint_latents(tiny_model, embeddings, SEEDS, settings(strength=0.0), start)
    assert torch.equal(kept, start)
    forgotten = paint_latents(tiny_model, embeddings, SEEDS, settings(strength=1.0), start)
    assert torch.equal(forgotten, paint_latents(tiny_model, embeddings, SEEDS, settings()))
    with pytest.raises(ParameterError, match="gives no step at all"):
        paint_latents(tiny_model, embeddings, SEEDS, settings(strength=0.1), start)


@pytest.mark.parametrize("amount", [0.3, 1.0, 10.0])
@pytest.mark.parametrize("shape", [(2, 4, 8, 6), (1, 16, 9, 7), (1, 4, 32, 32)])
def test_local_contrast_is_taken_back(amount, shape):
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    changed = with_local_contrast(latents, amount)
    assert not torch.allclose(changed, latents, atol=0.05)
    torch.testing.assert_close(with_local_contrast(changed, amount, undo=True), latents, rtol=0, atol=1e-5)
    assert with_local_contrast(latents.half(), amount).dtype == torch.float16
    assert with_local_contrast(latents, 0.0) is latents


def test_local_contrast_raises_what_is_fine_and_keeps_what_is_even():
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    latents = torch.stack([checks, torch.full((32, 32), 3.0)])[None]
    changed = with_local_contrast(latents, 0.5)
    inside = slice(8, -8)  # the mirror at an edge doubles what is there
    torch.testing.assert_close(changed[0, 0, inside, inside], 1.5 * checks[inside, inside], rtol=0, atol=1e-3)
    torch.testing.assert_close(changed[0, 1], latents[0, 1], rtol=0, atol=1e-5)


def test_local_contrast_keeps_the_mirror_and_the_mean():
    latents = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(1))
    symmetric = latents + latents.flip(-1)
    changed = with_local_contrast(symmetric, 0.7)
    torch.testing.assert_close(changed, changed.flip(-1), rtol=0, atol=1e-5)
    torch.testing.assert_close(changed.mean((2, 3)), symmetric.mean((2, 3)), rtol=0, atol=1e-5)


def test_a_picture_that_is_painted_over_is_encoded_as_it_is_decoded(tiny_model, pictures):
    plain, raised = settings(), settings(local_contrast=0.8)
    latents = encode_pictures(tiny_model, pictures, raised, SEEDS)
    shown = decode_latents(tiny_model, latents, SEEDS, raised.local_contrast)
    once = decode_latents(tiny_model, encode_pictures(tiny_model, pictures, plain, SEEDS), SEEDS)
    for one, other in zip(shown, once, strict=True):
        np.testing.assert_allclose(np.asarray(one, int), np.asarray(other, int), atol=1)


def test_pictures_get_the_local_contrast_that_is_asked_for(tiny_model, embeddings):
    latents = paint_latents(tiny_model, embeddings, SEEDS, settings())
    raised = data(paint_batch(tiny_model, embeddings, SEEDS, settings(local_contrast=0.6)))
    assert raised == data(decode_latents(tiny_model, latents, SEEDS, 0.6))
    assert raised != data(decode_latents(tiny_model, latents, SEEDS))


def test_latents_are_tensors_as_any_other(tiny_model, embeddings, pictures):
    for latents in (
        paint_latents(tiny_model, embeddings, SEEDS, settings(steps=1)),
        encode_pictures(tiny_model, pictures, settings(), SEEDS),
    ):
        latents.add_(1)  # which those of torch's inference mode refuse


def test_picture_with_nan_is_named(tiny_model):
    latents = torch.zeros(2, 4, 8, 8)
    latents[1] = float("nan")
    with pytest.raises(PaintingError, match="picture of seed 11 holds NaN"):
        decode_latents(tiny_model, latents, SEEDS)
    with pytest.raises(PaintingError, match="picture of number 2 holds NaN"):
        decode_latents(tiny_model, latents)
