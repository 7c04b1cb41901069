"""Mirrored noise: symmetric, and noise all the same."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from sound_diffusion.model.model import load_model
from sound_diffusion.model.symmetry import begin_mirrored, mirrored
from sound_diffusion.painting import paint


def is_symmetric(x: torch.Tensor) -> bool:
    across = [x.flip(-1), x.flip(-2)] + ([x.mT] if x.shape[-1] == x.shape[-2] else [])
    return all(torch.equal(x, image) for image in across)


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
def test_every_size_becomes_symmetric_and_stays_so(height, width, seed):
    noise = torch.randn(2, 4, height, width, generator=torch.manual_seed(seed))
    symmetric = mirrored(noise)
    assert symmetric.shape == noise.shape
    assert is_symmetric(symmetric)
    assert torch.equal(mirrored(symmetric), symmetric)
    for plate, values in zip(symmetric.flatten(0, 1), noise.flatten(0, 1), strict=True):
        assert torch.isin(plate, values).all()


def test_every_value_keeps_its_distribution():
    noise = mirrored(torch.randn(20_000, 6, 6, generator=torch.manual_seed(0)))
    torch.testing.assert_close(noise.mean(0), torch.zeros(6, 6), atol=0.04, rtol=0)
    torch.testing.assert_close(noise.std(0), torch.ones(6, 6), atol=0.03, rtol=0)


def test_img2img_adds_mirrored_noise_to_a_picture_as_it_is():
    plain, pipeline = DDIMScheduler(), SimpleNamespace(scheduler=DDIMScheduler())
    begin_mirrored(pipeline, "img2img")
    latents, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.manual_seed(0))
    timestep = torch.tensor([500])
    noisy = pipeline.scheduler.add_noise(latents, noise, timestep)
    assert torch.equal(noisy, plain.add_noise(latents, mirrored(noise), timestep))


@pytest.mark.parametrize("declared", [True, False])
def test_a_model_that_declares_it_begins_with_mirrored_noise(declared, tiny_model_folder, rng, tmp_path):
    folder = shutil.copytree(tiny_model_folder, tmp_path / "plate")
    defaults = json.loads((folder / "sound_diffusion.json").read_text())
    (folder / "sound_diffusion.json").write_text(json.dumps(defaults | {"mirrored_noise": declared}))
    model, seen = load_model(str(folder), device="cpu"), []
    model.pipeline.unet.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    paint(model, rng.random((77, 32), dtype=np.float32), steps=3)
    assert [is_symmetric(latents) for latents in seen] == [declared] * 3
