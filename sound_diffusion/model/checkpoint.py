"""A checkpoint in one file -> a diffusers pipeline, with no network and no pickle executed.

The names of tensors are converted by diffusers' own functions; sizes come from the shapes of the tensors,
and what shapes cannot tell (heads, activations, schedules) from the configurations in configs/.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sound_diffusion.errors import ModelError
from sound_diffusion.model.families import (
    CONFIGS,
    IN_CHANNELS,
    UNET,
    VAE,
    CheckpointFamily,
    TextEncoder,
    family_of,
)
from sound_diffusion.model.libraries import quiet_libraries, quiet_transformers
from sound_diffusion.model.sizes import text_encoder_sizes, unet_sizes, vae_sizes
from sound_diffusion.model.tensors import TensorFile, open_tensor_file, read_tensors

if TYPE_CHECKING:
    import torch

NOISIEST_STEP = 999
NO_FIT = "it is incomplete, or a part of it belongs to another kind of model"


def load_checkpoint_pipeline(path: Path, *, torch_dtype: torch.dtype) -> Any:
    """Load Stable Diffusion 1.x, 2.x or XL base from a single file.

    Parameters
    ----------
    path : Path
        A .safetensors or .ckpt file in the layout in which Stable Diffusion was published.
    torch_dtype : torch.dtype
        Of the loaded model. Tensors are converted one by one, as they are read.

    Returns
    -------
    pipeline : StableDiffusionPipeline or StableDiffusionXLPipeline
        On the CPU, in evaluation mode, without a safety checker.

    Raises
    ------
    ModelError
        If the file is unsafe, damaged, or not a model of these families.
    """
    family = measured_family(path)
    file = open_tensor_file(path)
    components: dict[str, Any] = {}
    for number, encoder in enumerate(family.text_encoders):
        suffix = "_2" if number else ""
        components[f"tokenizer{suffix}"] = _load_tokenizer(family, f"tokenizer{suffix}")
        components[encoder.name] = _load_text_encoder(file, family, encoder, torch_dtype)
    components["vae"] = load_vae_part(file, VAE, _config(family, "vae"), torch_dtype)
    components["unet"] = _load_unet(file, family, torch_dtype)
    components["scheduler"] = _load_scheduler(family)
    return _assemble(family, components)


def measured_family(path: Path) -> CheckpointFamily:
    """As :func:`sound_diffusion.model.families.family_of`, with a ``prediction_type`` in any case.

    Where the file leaves open what its UNet predicts, that is loaded and measured, once for every file.
    """
    family = family_of(open_tensor_file(path))
    if family.prediction_type is not None:
        return family
    measured = _measure_file(path.resolve(), path.stat().st_mtime_ns)
    return dataclasses.replace(family, prediction_type=measured)


@functools.cache
def _measure_file(path: Path, _changed: int) -> str:
    import torch

    quiet_libraries()
    quiet_transformers()
    logging.getLogger(__name__).warning("%s does not say what it predicts: measuring it", path)
    file = open_tensor_file(path)
    family = family_of(file)
    [encoder] = family.text_encoders
    return _measured_prediction_type(
        _load_unet(file, family, torch.float32),
        _load_tokenizer(family, "tokenizer"),
        _load_text_encoder(file, family, encoder, torch.float32),
    )


def load_vae_part(file: TensorFile, prefix: str, config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    """Load the VAE whose tensors' names begin with `prefix`, in the layout of Stable Diffusion.

    Parameters
    ----------
    file : TensorFile
    prefix : str
    config : mapping
        What shapes do not tell.
    dtype : torch.dtype

    Returns
    -------
    vae : AutoencoderKL
        On the CPU, in evaluation mode.

    Raises
    ------
    ModelError
        If tensors are missing, or do not fit together.
    """
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = dict(config) | _told_sizes(file, "VAE", lambda: vae_sizes(file.tensors, prefix))
    state = convert_ldm_vae_checkpoint(read_tensors(file, dtype, file.under(prefix)), config)
    return filled(lambda: AutoencoderKL.from_config(config), state, f"{file.path}: VAE")


def filled(build: Callable[[], Any], state: dict[str, torch.Tensor], name: str) -> Any:
    """Build a model without memory of its own, and give it tensors of exactly the shapes it has.

    The libraries only warn of a tensor that is missing, and paint with random numbers in its place.

    Parameters
    ----------
    build : callable
        Returns the model.
    state : dict of str to torch.Tensor
        Under the model's own names, or those of before diffusers 0.17 and transformers 5. What the model does
        not know, such as counters of training, is left out.
    name : str
        What error messages call it.

    Returns
    -------
    model : torch.nn.Module
        In evaluation mode; it shares memory with `state`.

    Raises
    ------
    ModelError
        If a tensor is missing or has another shape, or the sizes make no model.
    """
    from accelerate import init_empty_weights

    try:
        with init_empty_weights():
            model = build()
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ModelError(f"{name}: of sizes that make no model ({error})", remedy=NO_FIT) from error
    known = {key.removeprefix("text_model."): tensor for key, tensor in state.items()}
    if hasattr(model, "_fix_state_dict_keys_on_load"):  # the names of attention before diffusers 0.17
        known = model._fix_state_dict_keys_on_load(known)
    fitting = {}
    for key, expected in model.state_dict().items():
        tensor = known.get(key.removeprefix("text_model."))
        if tensor is None:
            raise ModelError(f"{name}: {key} is missing", remedy=NO_FIT)
        if tensor.shape != expected.shape:
            raise ModelError(
                f"{name}: {key} of shape {tuple(tensor.shape)}", f"{tuple(expected.shape)}", NO_FIT
            )
        fitting[key] = tensor
    model.load_state_dict(fitting, assign=True)
    return model.eval()


def _load_unet(file: TensorFile, family: CheckpointFamily, dtype: torch.dtype) -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = _config(family, "unet")
    config |= _told_sizes(file, "UNet", lambda: unet_sizes(file.tensors, UNET, config))
    state = convert_ldm_unet_checkpoint(read_tensors(file, dtype, file.under(UNET)), config)
    return filled(lambda: UNet2DConditionModel.from_config(config), state, f"{file.path}: UNet")


def _load_text_encoder(
    file: TensorFile, family: CheckpointFamily, encoder: TextEncoder, dtype: torch.dtype
) -> Any:
    import transformers
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    entries = _config(family, encoder.name)
    what = encoder.name.replace("_", " ")
    entries |= _told_sizes(file, what, lambda: text_encoder_sizes(file.tensors, encoder.prefix, entries))
    [architecture] = entries.pop("architectures")
    config = transformers.CLIPTextConfig(**entries)
    state = read_tensors(file, dtype, file.under(encoder.prefix))
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


def _told_sizes(file: TensorFile, what: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the sizes that `read` finds, or name what keeps it from finding them."""
    try:
        return read()
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{file.path}: {what}: sizes cannot be told ({error})", remedy=NO_FIT) from error
