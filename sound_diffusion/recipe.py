"""Recipes: what a picture was made from and how, as it travels inside the picture, and the way back to it."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.errors import OutputError, ParameterError, SoundDiffusionError
from sound_diffusion.installation import as_typed
from sound_diffusion.model.find import WEIGHT_SUFFIXES, find_model, fingerprint
from sound_diffusion.sound.audio import hash_file

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

__all__ = [
    "changes_since",
    "parameters_text",
    "png_chunks",
    "prompt_text",
    "read_recipe",
    "recipe_command",
    "versions",
]

RECIPE_KEY = "sound_diffusion"
PARAMETERS_KEY = "parameters"
# As stable-diffusion-webui writes them.
SAMPLER_NAMES = {"ddim": "DDIM", "plms": "PLMS", "euler": "Euler", "dpm++": "DPM++ 2M", "lcm": "LCM"}
# Flags by the entries of a recipe that they set, in the order in which they are printed. None goes unsaid.
SHARED_FLAGS = {
    "feature": "--feature",
    "scaling": "--scaling",
    "offset": "--offset",
    "duration": "--duration",
    "textprompt": "--textprompt",
    "textpromptend": "--textpromptend",
    "text_weight": "--text-weight",
    "textstrength": "--textstrength",
    "model": "--model",
    "vae": "--vae",
    "lora": "--lora",
    "lora_strength": "--lora-strength",
    "device": "--device",
    "precision": "--precision",
    "sampler": "--scheduler",
    "steps": "--ddim_steps",
    "eta": "--ddim_eta",
    "guidance": "--scale",
    "height": "--H",
    "width": "--W",
    "init_image": "--init-img",
    "strength": "--strength",
}
PICTURE_FLAGS = {"first_seed": "--seed", "n_samples": "--n_samples", "n_iter": "--n_iter"}
FILM_FLAGS = {
    "film_seed": "--seed",
    "fps": "--fps",
    "window": "--window",
    "mode": "--mode",
    "seed_mode": "--seed-mode",
    "batch_size": "--batch-size",
    "preview": "--preview",
}
SWITCHES = {"low_memory": "--low-memory", "safety_checker": "--safety-checker", "fixed_code": "--fixed_code"}


def versions() -> dict[str, str]:
    """Versions of what a picture depends on, by package name."""
    from importlib.metadata import version

    import sound_diffusion

    packages = ("torch", "diffusers", "numpy", "librosa")
    return {RECIPE_KEY: sound_diffusion.__version__, **{package: version(package) for package in packages}}


def png_chunks(recipe: Mapping[str, Any]) -> PngInfo:
    """Write a recipe into two text chunks of a PNG: for people's tools, and for :func:`read_recipe`."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    chunks.add_itxt(PARAMETERS_KEY, parameters_text(recipe).encode(errors="replace"))
    chunks.add_itxt(RECIPE_KEY, json.dumps(recipe, sort_keys=True))
    return chunks


def parameters_text(recipe: Mapping[str, Any]) -> str:
    """Write a recipe in the form that Stable Diffusion tools show and read.

    The form is the one of the ``parameters`` chunk of stable-diffusion-webui: the prompt on the first line,
    then comma-separated settings.
    """
    parts = [
        f"Steps: {recipe['steps']}",
        f"Sampler: {SAMPLER_NAMES[recipe['sampler']]}",
        f"CFG scale: {recipe['guidance']:g}",
        f"Seed: {recipe['seed']}",
        f"Size: {recipe['width']}x{recipe['height']}",
        f"Model: {_quoted(_model_title(recipe['model']))}",
    ]
    if recipe.get("init_image"):
        parts.append(f"Denoising strength: {recipe['strength']:g}")
    return f"{prompt_text(recipe)}\n{', '.join(parts)}"


def _model_title(model: str) -> str:
    """Name a model without folders, and without the suffix of a checkpoint; other dots belong to its name."""
    path = Path(model)
    return path.stem if path.suffix.lower() in WEIGHT_SUFFIXES else path.name


def _quoted(text: str) -> str:
    """Quote what would end a setting early, as stable-diffusion-webui does."""
    return json.dumps(text, ensure_ascii=False) if re.search("[,:\n]", text) else text


def prompt_text(recipe: Mapping[str, Any]) -> str:
    """Say in one line what a picture was painted from: the words, the sound, or both."""
    parts = [recipe["textprompt"]] if recipe.get("textprompt") else []
    if recipe.get("sound"):
        parts += [Path(recipe["sound"]).name, recipe["feature"], f"scaling {recipe['scaling']}"]
    return " ".join(", ".join(parts).split())


def read_recipe(path: Path) -> dict[str, Any]:
    """Read the recipe that a picture carries.

    Parameters
    ----------
    path : Path
        A PNG file that this program wrote.

    Returns
    -------
    recipe : dict

    Raises
    ------
    OutputError
        If the file cannot be read or carries no recipe; its exit code is 2.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            text = picture.info.get(RECIPE_KEY)
        recipe = json.loads(text) if text else None
    except (OSError, ValueError, SyntaxError) as error:
        raise _no_recipe(path, f"cannot be read ({error})") from error
    if not isinstance(recipe, dict):
        raise _no_recipe(path, "carries no recipe")
    return recipe


def _no_recipe(path: Path, problem: str) -> OutputError:
    error = OutputError(f"{path}: {problem}", "a PNG file that this program wrote")
    error.exit_code = 2
    return error


def recipe_command(recipe: Mapping[str, Any]) -> str:
    """Write the command that makes a picture again.

    Parameters
    ----------
    recipe : mapping
        From :func:`read_recipe`.

    Returns
    -------
    command : str
        One line for a POSIX shell. Where pictures were painted in batches (not on a CPU), it makes the whole
        batch; for a frame, the film.

    Raises
    ------
    ParameterError
        If entries are missing.
    """
    is_film = "fps" in recipe
    unsaid = _unsaid(recipe, is_film=is_film)
    script, path_flag = ("audio2video.py", "--path") if is_film else ("audio2img.py", "--prompt")
    flags = {"sound": path_flag} | SHARED_FLAGS | (FILM_FLAGS if is_film else PICTURE_FLAGS)
    words = as_typed(f"python {script}").split()
    try:
        for entry, flag in flags.items():
            value = recipe[entry]
            if value is not None and entry not in unsaid:
                # A value that begins with a dash would pass for a flag.
                words += [f"{flag}={value}"] if str(value).startswith("-") else [flag, str(value)]
    except KeyError as error:
        raise ParameterError(f"the recipe has no entry {error}", "a recipe of this program") from error
    return shlex.join([*words, *(flag for entry, flag in SWITCHES.items() if recipe.get(entry))])


def changes_since(recipe: Mapping[str, Any]) -> list[str]:
    """Name what a picture was made from and what is no longer the same, so that it would come out different.

    Parameters
    ----------
    recipe : mapping

    Returns
    -------
    changes : list of str
        One line for each file, model or package.
    """
    changes = []
    for entry in ("sound", "vae", "lora", "init_image"):
        path, digest = recipe.get(entry), recipe.get(f"{entry}_sha256")
        if path is not None and digest is not None:
            file = Path(path)
            if not file.is_file():
                changes.append(f"{path} is not there (paths are as they were typed, relative to a folder)")
            elif hash_file(file) != digest:
                changes.append(f"{path} has changed")
    with contextlib.suppress(SoundDiffusionError):
        if recipe.get("model_fingerprint") not in (None, fingerprint(find_model(str(recipe.get("model"))))):
            changes.append(f"model {recipe['model']} has changed")
    present = versions()
    for package, used in recipe.get("versions", {}).items():
        if present.get(package) != used:
            changes.append(f"{package} was {used}, is {present.get(package)}")
    return changes


def _unsaid(recipe: Mapping[str, Any], *, is_film: bool) -> set[str]:
    """Name the entries whose flags would say nothing, or something that the script does not take."""
    unsaid = {entry for entry in ("offset", "eta") if not recipe.get(entry)}
    if recipe.get("feature") in ("embedding", "text"):
        unsaid.add("feature")
    if recipe.get("sound") is None:
        unsaid |= {"text_weight", "textstrength"}
    if recipe.get("lora") is None:
        unsaid.add("lora_strength")
    if recipe.get("init_image") is None and not is_film:
        unsaid.add("strength")
    return unsaid
