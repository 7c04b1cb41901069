"""Models from tensors in a file: sizes that fit, memory only for the weights, every shape checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sound_diffusion.errors import ModelError
from sound_diffusion.model.checkpoints.structure import vae_sizes
from sound_diffusion.model.checkpoints.tensors import TensorFile, read_tensors

if TYPE_CHECKING:
    import torch

__all__ = ["build_vae", "filled", "read_part", "told_sizes"]

DAMAGED = "the file is damaged, or a part of it comes from another model"


def read_part(file: TensorFile, prefix: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Read all tensors whose names begin with `prefix`, under their whole names."""
    return read_tensors(file, [name for name in file.records if name.startswith(prefix)], dtype)


def build_vae(file: TensorFile, prefix: str, config: Mapping[str, Any], dtype: torch.dtype) -> Any:
    """Build the VAE whose tensors' names begin with `prefix`; `config` tells what shapes do not."""
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = dict(config) | told_sizes(file, "VAE", lambda: vae_sizes(file.records, prefix))
    state = convert_ldm_vae_checkpoint(read_part(file, prefix, dtype), config)
    return filled(lambda: AutoencoderKL.from_config(config), state, f"{file.path}: VAE")


def told_sizes(file: TensorFile, what: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the sizes that `read` finds, or name what keeps it from finding them."""
    try:
        return read()
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{file.path}: {what}: sizes cannot be told ({error})", remedy=DAMAGED) from error


def filled(build: Callable[[], Any], state: dict[str, torch.Tensor], name: str) -> Any:
    """Build a model without memory of its own, and give it tensors of exactly the shapes it has.

    Tensors that the model does not know, such as counters of training, are left out.
    """
    from accelerate import init_empty_weights

    try:
        with init_empty_weights():
            model = build()
    except (ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"{name}: of sizes that make no model ({error})", remedy=DAMAGED) from error
    flat = {key.removeprefix("text_model."): tensor for key, tensor in state.items()}
    fitting = {}
    for key, expected in model.state_dict().items():
        tensor = state.get(key, flat.get(key.removeprefix("text_model.")))
        if tensor is None:
            raise ModelError(f"{name}: {key} is missing", remedy=DAMAGED)
        if tensor.shape != expected.shape:
            raise ModelError(
                f"{name}: {key} of shape {tuple(tensor.shape)}", f"{tuple(expected.shape)}", DAMAGED
            )
        fitting[key] = tensor
    model.load_state_dict(fitting, assign=True)
    return model.eval()
