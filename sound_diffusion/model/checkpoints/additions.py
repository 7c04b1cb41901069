"""What a user adds to a model: a VAE or a LoRA in a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sound_diffusion.errors import ModelError
from sound_diffusion.model.checkpoints.building import build_vae, filled
from sound_diffusion.model.checkpoints.families import VAE
from sound_diffusion.model.checkpoints.formats import open_tensor_file
from sound_diffusion.model.checkpoints.tensors import read_tensors

__all__ = ["add_lora", "load_vae"]

DIFFUSERS_VAE = "encoder.down_blocks.0.resnets.0.conv1.weight"


def load_vae(path: Path, like: Any) -> Any:
    """Load a VAE from a file of its own, or out of a whole model's file.

    Parameters
    ----------
    path : Path
        A .safetensors or .ckpt file, in the layout of Stable Diffusion or of diffusers.
    like : AutoencoderKL
        The VAE that it replaces: dtype and scaling factor are the same.

    Returns
    -------
    vae : AutoencoderKL
        On the CPU, in evaluation mode.

    Raises
    ------
    ModelError
        If the file is unsafe, damaged, or holds no VAE for this model.
    """
    file = open_tensor_file(path)
    for prefix in (VAE, ""):
        if f"{prefix}decoder.mid.attn_1.q.weight" in file.records:
            vae = build_vae(file, prefix, like.config, like.dtype)
            break
    else:
        if DIFFUSERS_VAE not in file.records:
            raise ModelError(f"{path}: holds no VAE", "a VAE in the layout of Stable Diffusion or diffusers")
        tensors = read_tensors(file, file.records, like.dtype)
        vae = filled(lambda: type(like).from_config(like.config), tensors, f"{path}: VAE")
    if vae.config.latent_channels != like.config.latent_channels:
        raise ModelError(
            f"{path}: a VAE of {vae.config.latent_channels} latent channels", f"{like.config.latent_channels}"
        )
    return vae


def add_lora(pipeline: Any, path: Path, strength: float = 1.0) -> None:
    """Add a LoRA to the weights of a pipeline, in place; painting takes no longer afterwards.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline or StableDiffusionXLPipeline
    path : Path
        A .safetensors or .ckpt file with a LoRA for this family, in any layout that diffusers knows.
    strength : float
        Factor of what is added.

    Raises
    ------
    ModelError
        If the file is unsafe, damaged, or holds no LoRA for this model.
    """
    file = open_tensor_file(path)
    tensors = read_tensors(file, file.records, pipeline.unet.dtype)
    if not any("lora" in name for name in tensors):
        raise ModelError(f"{path}: holds no LoRA", "a LoRA for this family of models")
    try:
        pipeline.load_lora_weights(tensors, adapter_name="added")
        if not pipeline.get_list_adapters():
            raise ValueError("none of its tensors fits")
        pipeline.fuse_lora(lora_scale=strength)
        pipeline.unload_lora_weights()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path}: cannot be added ({reason})", "a LoRA for this family of models") from error
