"""A checkpoint in one file -> a diffusers pipeline, with no network and no pickle executed.

The names of tensors are converted by diffusers' own functions; sizes come from the shapes of the tensors,
and what shapes cannot tell (heads, activations, schedules) from the configurations in configs/.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sound_diffusion.model.checkpoints.building import build_vae, filled, read_part, told_sizes
from sound_diffusion.model.checkpoints.families import (
    CONFIGS,
    IN_CHANNELS,
    UNET,
    VAE,
    CheckpointFamily,
    TextEncoder,
    checkpoint_family,
    family_of,
)
from sound_diffusion.model.checkpoints.formats import open_tensor_file
from sound_diffusion.model.checkpoints.structure import text_encoder_sizes, unet_sizes
from sound_diffusion.model.checkpoints.tensors import TensorFile

if TYPE_CHECKING:
    import torch

__all__ = ["load_checkpoint_pipeline", "measured_family"]

NOISIEST_STEP = 999


def load_checkpoint_pipeline(
    path: Path, *, torch_dtype: torch.dtype, prediction_type: str | None = None
) -> Any:
    """Load Stable Diffusion 1.x, 2.x or XL base from a single file.

    Parameters
    ----------
    path : Path
        A .safetensors or .ckpt file in the layout in which Stable Diffusion was published.
    torch_dtype : torch.dtype
        Of the loaded model. Tensors are converted one by one, as they are read.
    prediction_type : str, optional
        ``epsilon`` or ``v_prediction``. If None: what the file states, else, for Stable Diffusion 2.x,
        what the UNet is measured to predict.

    Returns
    -------
    pipeline : StableDiffusionPipeline or StableDiffusionXLPipeline
        On the CPU, in evaluation mode, without a safety checker.

    Raises
    ------
    ModelError
        If the file is unsafe, damaged, or not a model of these families.
    ParameterError
        If `prediction_type` is unknown.
    """
    family = measured_family(path, prediction_type)
    file = open_tensor_file(path)
    components: dict[str, Any] = {}
    for number, encoder in enumerate(family.text_encoders):
        suffix = "_2" if number else ""
        components[f"tokenizer{suffix}"] = _load_tokenizer(family, f"tokenizer{suffix}")
        components[encoder.name] = _load_text_encoder(file, family, encoder, torch_dtype)
    components["vae"] = build_vae(file, VAE, _config(family, "vae"), torch_dtype)
    components["unet"] = _load_unet(file, family, torch_dtype)
    components["scheduler"] = _load_scheduler(family)
    return _assemble(family, components)


def measured_family(path: Path, prediction_type: str | None = None) -> CheckpointFamily:
    """Find out which family a checkpoint belongs to, and what its UNet predicts.

    As :func:`sound_diffusion.model.checkpoints.checkpoint_family`; but where that leaves open what the UNet
    predicts, it is loaded and measured, once for every file.

    Parameters
    ----------
    path : Path
        A .safetensors or .ckpt file.
    prediction_type : str, optional
        ``epsilon`` or ``v_prediction``, where the user knows better than the file.

    Returns
    -------
    family : CheckpointFamily
        With a ``prediction_type``.

    Raises
    ------
    ModelError, ParameterError
        As :func:`sound_diffusion.model.checkpoints.checkpoint_family`.
    """
    family = checkpoint_family(path, prediction_type)
    if family.prediction_type is not None:
        return family
    measured = _measure_file(path.resolve(), path.stat().st_mtime_ns)
    return dataclasses.replace(family, prediction_type=measured)


@functools.cache
def _measure_file(path: Path, _changed: int) -> str:
    import torch

    logging.getLogger(__name__).warning("%s does not say what it predicts: measuring it", path)
    file = open_tensor_file(path)
    family = family_of(file)
    [encoder] = family.text_encoders
    return _measured_prediction_type(
        _load_unet(file, family, torch.float32),
        _load_tokenizer(family, "tokenizer"),
        _load_text_encoder(file, family, encoder, torch.float32),
    )


def _load_unet(file: TensorFile, family: CheckpointFamily, dtype: torch.dtype) -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = _config(family, "unet")
    config |= told_sizes(file, "UNet", lambda: unet_sizes(file.records, UNET, config))
    state = convert_ldm_unet_checkpoint(read_part(file, UNET, dtype), config)
    return filled(lambda: UNet2DConditionModel.from_config(config), state, f"{file.path}: UNet")


def _load_text_encoder(
    file: TensorFile, family: CheckpointFamily, encoder: TextEncoder, dtype: torch.dtype
) -> Any:
    import transformers
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    entries = _config(family, encoder.name)
    what = encoder.name.replace("_", " ")
    entries |= told_sizes(file, what, lambda: text_encoder_sizes(file.records, encoder.prefix, entries))
    [architecture] = entries.pop("architectures")
    config = transformers.CLIPTextConfig(**entries)
    state = read_part(file, encoder.prefix, dtype)
    if encoder.is_open_clip:
        state = convert_open_clip_checkpoint(SimpleNamespace(config=config), state, encoder.prefix)
    else:
        state = {name.removeprefix(encoder.prefix): tensor for name, tensor in state.items()}
    return filled(lambda: getattr(transformers, architecture)(config), state, f"{file.path}: {what}")


def _load_tokenizer(family: CheckpointFamily, name: str) -> Any:
    from transformers import CLIPTokenizer

    config = _config(family, name, "tokenizer_config.json")
    del config["tokenizer_class"]
    vocabulary, merges = str(CONFIGS / "clip/vocab.json"), str(CONFIGS / "clip/merges.txt")
    return CLIPTokenizer(vocab=vocabulary, merges=merges, **config)


def _load_scheduler(family: CheckpointFamily) -> Any:
    import diffusers

    config = _config(family, "scheduler", "scheduler_config.json")
    config["prediction_type"] = family.prediction_type
    if family.zero_terminal_snr:
        config |= {"_class_name": "EulerDiscreteScheduler", "rescale_betas_zero_snr": True}
        config["timestep_spacing"] = "trailing"
    return getattr(diffusers, config["_class_name"]).from_config(config)


def _assemble(family: CheckpointFamily, components: dict[str, Any]) -> Any:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    if len(family.text_encoders) == 2:
        return StableDiffusionXLPipeline(**components, add_watermarker=False)
    return StableDiffusionPipeline(
        **components, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def _measured_prediction_type(unet: Any, tokenizer: Any, text_encoder: Any) -> str:
    """Find out what a UNet predicts by asking it about noise at the noisiest step.

    There the noise is all but the whole input: a model that predicts the noise gives its input back, and
    a model that predicts v gives its idea of the picture, which has little to do with that input.
    """
    import torch

    noise = torch.randn(1, IN_CHANNELS, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = tokenizer("", padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        prompt = text_encoder(tokens)[0]
        predicted = unet(noise.to(unet.dtype), NOISIEST_STEP, prompt).sample.float()
    correlation = torch.corrcoef(torch.stack([noise.flatten(), predicted.flatten()]))[0, 1]
    return "epsilon" if correlation > 0.5 else "v_prediction"


def _config(family: CheckpointFamily, part: str, file: str = "config.json") -> dict[str, Any]:
    return dict(json.loads((family.config_folder / part / file).read_text(encoding="utf-8")))
