"""The weights of a diffusers folder, read tensor by tensor like those of a single file.

diffusers maps such files into memory. Weights in a mapped file lie at any address, and the last bits of a
matrix product on a CPU depend on how its operands are aligned: read into memory of their own, the same
weights give the same picture from every kind of file, and loading takes the memory of one copy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.model.checkpoints.building import filled
from sound_diffusion.model.checkpoints.formats import open_tensor_file
from sound_diffusion.model.checkpoints.tensors import read_tensors

if TYPE_CHECKING:
    import torch

__all__ = ["folder_parts"]

WEIGHTS = {
    "UNet2DConditionModel": "diffusion_pytorch_model.safetensors",
    "AutoencoderKL": "diffusion_pytorch_model.safetensors",
    "CLIPTextModel": "model.safetensors",
    "CLIPTextModelWithProjection": "model.safetensors",
}


def folder_parts(folder: Path, *, torch_dtype: torch.dtype) -> dict[str, Any]:
    """Load the UNet, the VAE and the text encoders of a diffusers folder.

    Parameters
    ----------
    folder : Path
        With model_index.json.
    torch_dtype : torch.dtype
        Of the loaded parts.

    Returns
    -------
    parts : dict of str to torch.nn.Module
        For ``DiffusionPipeline.from_pretrained(folder, **parts)``. What is not in a single .safetensors file
        under its usual name is left to diffusers.

    Raises
    ------
    ModelError
        If a file is damaged, or does not fit its configuration.
    """
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    parts = {}
    for name, entry in index.items():
        if isinstance(entry, list) and len(entry) == 2 and entry[1] in WEIGHTS:
            path = folder / name / WEIGHTS[entry[1]]
            if path.is_file():
                parts[name] = _load_part(entry[1], path, torch_dtype)
    return parts


def _load_part(class_name: str, path: Path, dtype: torch.dtype) -> Any:
    import diffusers
    import transformers

    file = open_tensor_file(path)
    tensors = read_tensors(file, file.records, dtype)
    config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
    if class_name.startswith("CLIP"):
        settings = transformers.CLIPTextConfig(**config)
        return filled(lambda: getattr(transformers, class_name)(settings), tensors, str(path))
    return filled(lambda: getattr(diffusers, class_name).from_config(config), tensors, str(path))
