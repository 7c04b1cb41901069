"""Signals with known answers, and models built small from their configurations."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

SAMPLE_RATE = 44_100


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory):
    """A diffusers folder of the structure of models/cymatics, with random weights and a width of 32."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=64,
    )
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipeline.save_pretrained(folder)
    declared = {
        "steps": 4,
        "guidance": 2.0,
        "height": 64,
        "width": 64,
        "scaling": {"fft": "log"},
        "row_positions": "sinusoidal",
        "window": 0.25,
    }
    (folder / "sound_diffusion.json").write_text(json.dumps(declared))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder):
    """The tiny model, loaded on the CPU."""
    from sound_diffusion.models import load_model

    return load_model(str(tiny_model_folder), device="cpu")


@pytest.fixture
def rng():
    """A generator of random numbers that is the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def sine():
    """Two seconds of a 440 Hz sine at half of full scale."""
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


@pytest.fixture
def sine_file(sine, tmp_path) -> Path:
    """The sine as a wav file."""
    path = tmp_path / "sine.wav"
    soundfile.write(path, sine, SAMPLE_RATE)
    return path
