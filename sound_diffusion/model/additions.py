"""What a user adds to a model: a VAE or a LoRA in a file of its own."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.errors import ModelError, reason_of
from sound_diffusion.model.checkpoint import filled, load_vae_part
from sound_diffusion.model.families import VAE
from sound_diffusion.model.folders import read_json
from sound_diffusion.model.lora import EXPECTED, LoraLayer, LoraLayers, check_kind, fitted
from sound_diffusion.model.tensors import TensorFile, open_tensor_file, printable, read_tensors

if TYPE_CHECKING:
    import torch

PUBLISHED_VAE = "decoder.mid.attn_1.q.weight"
DIFFUSERS_VAE = "encoder.down_blocks.0.resnets.0.conv1.weight"
DIFFUSERS_TINY = "decoder.layers.0.weight"
TINY = "3.conv.0.weight"  # in either of the two files that taesd is published as


def load_vae(path: Path, like: Any) -> Any:
    """Load a VAE from a file of its own, or out of a whole model's file.

    Parameters
    ----------
    path : Path
        A .safetensors or .ckpt file, in the layout of Stable Diffusion or of diffusers; or a tiny autoencoder
        in that of diffusers, or one of the two files of taesd, with the other beside it.
    like : AutoencoderKL
        The VAE that it replaces: dtype is the same, and for an AutoencoderKL the scaling factor.

    Returns
    -------
    vae : AutoencoderKL or AutoencoderTiny
        On the CPU, in evaluation mode.

    Raises
    ------
    ModelError
        If the file is unsafe, damaged, or holds no VAE for this model.
    """
    file = open_tensor_file(path)
    prefix = next((each for each in (VAE, "") if f"{each}{PUBLISHED_VAE}" in file.tensors), None)
    if prefix is not None:
        kind, vae = "VAE", load_vae_part(file, prefix, like.config, like.dtype)
    elif DIFFUSERS_TINY in file.tensors or TINY in file.tensors:
        kind, vae = "tiny autoencoder", _load_tiny(file, like.dtype)
    elif DIFFUSERS_VAE in file.tensors:
        tensors = read_tensors(file, like.dtype)
        kind, vae = "VAE", filled(lambda: type(like).from_config(like.config), tensors, f"{path}: VAE")
    else:
        raise ModelError(f"{path}: holds no VAE", "a VAE in the layout of Stable Diffusion or diffusers")
    if vae.config.latent_channels != like.config.latent_channels:
        raise ModelError(
            f"{path}: a {kind} of {vae.config.latent_channels} latent channels",
            f"{like.config.latent_channels}",
        )
    return vae


def _load_tiny(file: TensorFile, dtype: torch.dtype) -> Any:
    """Load a tiny autoencoder, whose latents are those that the UNet knows."""
    from diffusers import AutoencoderTiny

    tensors = _taesd(file.path, dtype) if TINY in file.tensors else read_tensors(file, dtype)
    config = file.path.with_name("config.json")
    declared = read_json(config) if config.is_file() else {}
    options = declared if declared.get("_class_name") == "AutoencoderTiny" else {}
    return filled(lambda: AutoencoderTiny.from_config(options), tensors, f"{file.path}: tiny autoencoder")


def _taesd(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Read the two files of taesd as one. What its decoder begins with has no weights, and no number here."""
    tensors = {}
    for part, other, shift in (("encoder", "decoder", 0), ("decoder", "encoder", 1)):
        file = path.with_name(path.name.replace(other, part))
        if part not in file.name or not file.is_file():
            raise ModelError(
                f"{path}: one half of a tiny autoencoder",
                "taesd_encoder and taesd_decoder beside each other",
            )
        for name, values in read_tensors(open_tensor_file(file), dtype).items():
            number, _, rest = name.partition(".")
            if not number.isdecimal():
                raise ModelError(f"{file}: {printable(name)} is unknown", "a file of taesd")
            tensors[f"{part}.layers.{int(number) - shift}.{rest}"] = values
    return tensors


def add_lora(pipeline: Any, path: Path, strength: float = 1.0) -> None:
    """Add a LoRA to the weights of a pipeline, in place; painting takes no longer afterwards.

    What of the file is not used is said in a warning.

    Parameters
    ----------
    pipeline : StableDiffusionPipeline or StableDiffusionXLPipeline
    path : Path
        A .safetensors or .ckpt file with a LoRA or a DoRA for this family, as kohya's scripts, diffusers or
        peft write it.
    strength : float
        Factor of what is added.

    Raises
    ------
    ModelError
        If the file is unsafe, damaged, or holds no LoRA for this model.
    """
    file = open_tensor_file(path)
    check_kind(file, pipeline)
    tensors = {_with_prefix(name): t for name, t in read_tensors(file, pipeline.unet.dtype).items()}
    found = LoraLayers(tensors, pipeline)
    plain, dora = found.usable(with_magnitude=False), found.usable(with_magnitude=True)
    if not plain and not dora:
        raise ModelError(f"{path}: {next(found.unused())}: nothing is left of it", EXPECTED)
    for name, layer in (plain | dora).items():
        fitted(layer, tensors, pipeline, f"{path}: {printable(name)}")
    for sentence in found.unused():
        logging.getLogger(__name__).warning("%s: %s; they are left out", path, sentence)
    try:
        _fuse(pipeline, plain, tensors, strength)
        _fuse_dora(pipeline, dora, tensors, strength)
    except Exception as error:
        raise ModelError(f"{path}: cannot be added ({reason_of(error)})", EXPECTED) from error


def _with_prefix(name: str) -> str:
    """Say which part of the pipeline a layer is in, where early scripts and peft do not."""
    name = name.removeprefix("base_model.model.")
    return f"unet.{name}" if name.startswith(("down_blocks.", "mid_block.", "up_blocks.")) else name


def _fuse(
    pipeline: Any, layers: dict[str, LoraLayer], tensors: dict[str, torch.Tensor], strength: float
) -> None:
    """Add ``strength * alpha / rank * up @ down`` to the weights of layers."""
    names = [name for layer in layers.values() for part, name in layer.parts.items() if part != "magnitude"]
    if names:
        pipeline.load_lora_weights({name: tensors[name] for name in names}, adapter_name="added")
        if not pipeline.get_list_adapters():
            raise ValueError("none of its tensors fits")
        pipeline.fuse_lora(lora_scale=strength)
        pipeline.unload_lora_weights()


def _fuse_dora(
    pipeline: Any, layers: dict[str, LoraLayer], tensors: dict[str, torch.Tensor], strength: float
) -> None:
    """Add a LoRA, and give the weights the lengths that a DoRA has learnt beside it.

    ``weight + strength * (magnitude * v / |v| - weight)``, with ``v = weight + alpha / rank * up @ down``.
    peft does the same, but for every layer of a file or none, and for magnitudes of outputs alone: some
    trainers have one for each input.

    References
    ----------
    Liu et al., DoRA: Weight-Decomposed Low-Rank Adaptation, 2024, equation 5.
    """
    import torch

    before = {name: layer.module(pipeline).weight.detach().clone() for name, layer in layers.items()}
    _fuse(pipeline, layers, tensors, 1.0)
    for name, layer in layers.items():
        weight, old = layer.module(pipeline).weight.data, before[name].float()
        magnitude = tensors[layer.parts["magnitude"]].float()
        axis = int(magnitude.ndim > 1 and magnitude.shape[0] == 1)
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        others = [i for i in range(weight.ndim) if i != axis]
        new = weight.float()
        length = torch.linalg.vector_norm(new, dim=others, keepdim=True).clamp(min=1e-12)
        new = new * magnitude.view(shape) / length
        weight.copy_(old + strength * (new - old))
