"""The weights of a diffusers folder: which files they are, and reading them like those of a single file.

diffusers by itself wants to be told of a variant, maps files into memory, and paints with random numbers
where a tensor is missing.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.errors import ModelError
from sound_diffusion.model.checkpoint import filled
from sound_diffusion.model.tensors import open_tensor_file, read_tensors

if TYPE_CHECKING:
    import torch

INDEX_FILE = "model_index.json"
LIBRARIES = {
    "UNet2DConditionModel": "diffusers",
    "AutoencoderKL": "diffusers",
    "AutoencoderTiny": "diffusers",
    "CLIPTextModel": "transformers",
    "CLIPTextModelWithProjection": "transformers",
    "StableDiffusionSafetyChecker": "diffusers.pipelines.stable_diffusion.safety_checker",
}
"""Parts with weights, by the name of their class: the module that it is in."""
WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)"
    r"(?:\.(?P<variant>[^.]+?))?(?:-(?P<shard>\d{5})-of-(?P<count>\d{5}))?(?:\.(?P<old>[^.]+))?"
    r"\.(?P<kind>safetensors|bin)"
)
"""Files of weights: diffusers once wrote the variant behind the number of the shard."""


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a file in JSON; ModelError where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})", "JSON") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: a {type(content).__name__}", "an object")
    return content


def read_index(folder: Path) -> dict[str, list[str | None]]:
    """Read which parts a model has: for each its library and its class, two None for a part that it lacks.

    Parameters
    ----------
    folder : Path
        With model_index.json.

    Returns
    -------
    index : dict of str to list of (str or None)

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    index = read_json(folder / INDEX_FILE)
    return {name: entry for name, entry in index.items() if isinstance(entry, list) and len(entry) == 2}


def chosen_weights(names: Iterable[str]) -> list[str]:
    """Choose the files that are read of those in the folder of a part.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    chosen : list of str
        One file, or all shards of one set. .safetensors rather than .bin, weights as they were trained rather
        than a variant, and of variants fp16 first. Empty if there are none, or shards are missing.
    """
    sets: dict[tuple[bool, int, str, str], dict[str, str]] = defaultdict(dict)
    for name in names:
        match = WEIGHTS.fullmatch(name)
        if match:
            variant = match["variant"] or match["old"] or ""
            rank = ("", "fp16").index(variant) if variant in ("", "fp16") else 2
            sets[match["kind"] == "bin", rank, variant, match["count"] or "1"][match["shard"] or ""] = name
    whole = [key for key, shards in sets.items() if len(shards) == int(key[-1])]
    return sorted(sets[min(whole)].values()) if whole else []


def folder_parts(folder: Path, *, torch_dtype: torch.dtype, safety_checker: bool = False) -> dict[str, Any]:
    """Load the parts of a diffusers folder that have weights.

    Parameters
    ----------
    folder : Path
        With model_index.json.
    torch_dtype : torch.dtype
        Of the loaded parts.
    safety_checker : bool
        Whether the safety checker is loaded as well.

    Returns
    -------
    parts : dict of str to torch.nn.Module
        For ``DiffusionPipeline.from_pretrained(folder, **parts)``.

    Raises
    ------
    ModelError
        If weights are missing or damaged, or do not fit their configuration.
    """
    return {
        name: _load_part(folder / name, str(class_name), torch_dtype)
        for name, (_, class_name) in read_index(folder).items()
        if class_name in LIBRARIES and (safety_checker or name != "safety_checker")
    }


def read_weights(folder: Path, dtype: torch.dtype) -> tuple[dict[str, torch.Tensor], str]:
    """Read the weights of a part.

    Parameters
    ----------
    folder : Path
        Of the part.
    dtype : torch.dtype
        What they become.

    Returns
    -------
    state : dict of str to torch.Tensor
    name : str
        What error messages call them.

    Raises
    ------
    ModelError
        If weights are missing or damaged.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    chosen = chosen_weights(names)
    if not chosen:
        raise ModelError(f"{folder}: no weights in it", "a .safetensors or .bin file, or all of its shards")
    state: dict[str, torch.Tensor] = {}
    for name in chosen:
        state |= read_tensors(open_tensor_file(folder / name), dtype)
    return state, str(folder / chosen[0]) if len(chosen) == 1 else str(folder)


def _load_part(folder: Path, class_name: str, dtype: torch.dtype) -> Any:
    import importlib

    import transformers

    state, name = read_weights(folder, dtype)
    config = read_json(folder / "config.json")
    part = getattr(importlib.import_module(LIBRARIES[class_name]), class_name)
    if class_name.startswith("CLIP"):
        return filled(lambda: part(transformers.CLIPTextConfig(**config)), state, name)
    if class_name.startswith("StableDiffusion"):
        return filled(lambda: part(transformers.CLIPConfig(**config)), state, name)
    return filled(lambda: part.from_config(config), state, name)
