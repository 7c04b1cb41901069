"""Stable Diffusion in miniature: real structure and widths, few layers, random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from sound_diffusion.model import families
from tests.original_layout import original_clip, original_open_clip, original_unet, original_vae

FAMILIES = {
    "sd1": families.SD1,
    "sd2_base": families.SD2,
    "sd2_768v": families.SD2,
    "sdxl_base": families.SDXL,
}
GLOBAL_STEPS = {"sd2_base": 875_000, "sd2_768v": 110_000}
CHANNELS = [64, 128]
VAE_CHANNELS = [32, 32, 64, 64]
WHOLE_VOCABULARY = 49_408


def read_config(family: str, name: str) -> dict[str, Any]:
    """Read a configuration of the package."""
    return dict(json.loads((families.CONFIGS / family / name).read_text(encoding="utf-8")))


def build_pipeline(family: str, vocabulary: int = WHOLE_VOCABULARY) -> Any:
    """Build the pipeline of a family from configurations of its own, with random weights.

    With less than the whole vocabulary, its files are small and it takes no prompts.
    """
    import diffusers
    from transformers import CLIPTokenizer

    torch.manual_seed(0)
    is_xl = family == "sdxl_base"
    down, up = ["CrossAttnDownBlock2D", "DownBlock2D"], ["UpBlock2D", "CrossAttnUpBlock2D"]
    unet = read_config(family, "unet/config.json") | {
        "block_out_channels": CHANNELS,
        "layers_per_block": 1,
        "down_block_types": down[::-1] if is_xl else down,
        "up_block_types": up[::-1] if is_xl else up,
    }
    if family != "sd1":
        unet["attention_head_dim"] = [1, 2]
    if is_xl:
        unet["transformer_layers_per_block"] = [1, 2]
    vae = read_config(family, "vae/config.json") | {
        "block_out_channels": VAE_CHANNELS,
        "layers_per_block": 1,
    }
    scheduler = read_config(family, "scheduler/scheduler_config.json")
    components = {
        "unet": diffusers.UNet2DConditionModel.from_config(unet),
        "vae": diffusers.AutoencoderKL.from_config(vae),
        "scheduler": getattr(diffusers, scheduler["_class_name"]).from_config(scheduler),
    }
    for number, encoder in enumerate(FAMILIES[family].text_encoders):
        components[encoder.name] = build_text_encoder(family, encoder.name, vocabulary)
        tokenizer = "tokenizer_2" if number else "tokenizer"
        options = read_config(family, f"{tokenizer}/tokenizer_config.json")
        del options["tokenizer_class"]
        components[tokenizer] = CLIPTokenizer.from_pretrained(families.CONFIGS / "clip", **options)
    if is_xl:
        return diffusers.StableDiffusionXLPipeline(**components, add_watermarker=False)
    return diffusers.StableDiffusionPipeline(
        **components, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def build_text_encoder(family: str, name: str, vocabulary: int) -> Any:
    """Build a text encoder of two layers."""
    import transformers

    config = read_config(family, f"{name}/config.json")
    config |= {"num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": vocabulary}
    [architecture] = config.pop("architectures")
    return getattr(transformers, architecture)(transformers.CLIPTextConfig(**config)).eval()


def original_tensors(pipeline: Any, family: str) -> dict[str, torch.Tensor]:
    """Return all tensors of a pipeline in the layout in which Stable Diffusion was published."""
    tensors = original_unet(pipeline.unet.state_dict(), 1)
    tensors |= original_vae(pipeline.vae.state_dict(), len(VAE_CHANNELS))
    for encoder in FAMILIES[family].text_encoders:
        rename = original_open_clip if encoder.is_open_clip else original_clip
        tensors |= rename(getattr(pipeline, encoder.name).state_dict(), encoder.prefix)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def save_checkpoints(pipeline: Any, family: str, folder: Path) -> dict[str, Path]:
    """Save a pipeline in every form a user may have; returns the path of each."""
    from safetensors.torch import save_file

    tensors = original_tensors(pipeline, family)
    prediction = {"modelspec.prediction_type": "v" if family == "sd2_768v" else "epsilon"}
    notes = {"global_step": GLOBAL_STEPS[family]} if family in GLOBAL_STEPS else {"epoch": 1}
    paths = {
        "folder": folder / family,
        "safetensors": folder / f"{family}.safetensors",
        "ckpt": folder / f"{family}.ckpt",
    }
    pipeline.save_pretrained(paths["folder"])
    save_file(tensors, paths["safetensors"], metadata=prediction)
    torch.save({"state_dict": tensors} | notes, paths["ckpt"])
    if family == "sd1":
        paths["legacy"] = folder / f"{family}-legacy.ckpt"
        torch.save({"state_dict": tensors} | notes, paths["legacy"], _use_new_zipfile_serialization=False)
    return paths


def save_tiny_cymatics(folder: Path) -> None:
    """Save the parts of a model of the structure of models/cymatics, of random weights and a width of 32."""
    import diffusers

    from sound_diffusion.model.sound_encoder import SoundEncoder

    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=64,
    )
    absent = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae, unet=unet, scheduler=trailing_scheduler(), **absent, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder)
    encoder = SoundEncoder(32, channels=(4,), kernels=(4,), strides=(4,), hidden=8, reach=3)
    torch.nn.init.normal_(encoder.expand.weight)  # it hears nothing to begin with
    encoder.save_pretrained(folder / "sound_encoder")


def trailing_scheduler() -> Any:
    """Build a scheduler like that of models/cymatics."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        steps_offset=1,
    )
