"""Recipes: what a picture was made from and how, as it travels inside the picture, and the way back to it."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shlex
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.bending import Bend
from sound_diffusion.errors import OutputError, ParameterError, SoundDiffusionError, shorten
from sound_diffusion.formulas.prompts import PromptSchedule
from sound_diffusion.formulas.schedules import Schedule
from sound_diffusion.installation import as_typed
from sound_diffusion.model.find import CHECKPOINT_SUFFIXES, find_model
from sound_diffusion.options import FilmOptions, Options, PictureOptions, all_options, options_of
from sound_diffusion.sound.audio import hash_file
from sound_diffusion.starting_pictures import why_unreadable

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

logger = logging.getLogger(__name__)

RECIPE_KEY = "sound_diffusion"
PARAMETERS_KEY = "parameters"
OURS = "a PNG file that this program wrote"
# As stable-diffusion-webui writes them.
SAMPLER_NAMES = {"ddim": "DDIM", "plms": "PLMS", "euler": "Euler", "dpm++": "DPM++ 2M", "lcm": "LCM"}


def versions() -> dict[str, str]:
    """Versions of what a picture depends on, by package name."""
    from importlib.metadata import PackageNotFoundError, version

    import sound_diffusion

    found = {RECIPE_KEY: sound_diffusion.__version__}
    for package in ("torch", "diffusers", "numpy", "librosa", "onnxruntime"):
        with contextlib.suppress(PackageNotFoundError):  # the last one is not needed
            found[package] = version(package)
    return found


def option_entries(options: Options) -> dict[str, Any]:
    """Return all that decides what pictures look like, but for the sound, in JSON types.

    Parameters
    ----------
    options : Options
        With what the model declares filled in.

    Returns
    -------
    entries : dict
        Files are named by their path and identified by the SHA-256 of their contents, the model by its
        fingerprint.
    """
    entries: dict[str, Any] = {}
    for each in options_of(type(options)):
        value = getattr(options, each.name)
        if not each.decides or each.entry == "sound":
            continue
        entries |= file_entries(each.entry, value) if each.is_file else {each.entry: _in_json(value)}
    location = find_model(options.model)
    return entries | {"model": location.name, "model_fingerprint": location.fingerprint()}


def _in_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_in_json(each) for each in value]
    return str(value) if isinstance(value, Fraction | Schedule | PromptSchedule | Bend) else value


def file_entries(entry: str, path: Path | None) -> dict[str, str | None]:
    """Return what a recipe says about a file: its path as it was typed, and the SHA-256 of its contents."""
    digest = None if path is None else hash_file(path)
    return {entry: None if path is None else str(path), f"{entry}_sha256": digest}


def differences(old: Mapping[str, Any], new: Mapping[str, Any], *, in_bytes: bool) -> list[str]:
    """Say in what the recipe of an `old` result differs from a `new` one.

    Parameters
    ----------
    old, new : mapping
        Entries of `old` that `new` has not are passed over. What `old` does not state, since the option is
        newer, was at its default.
    in_bytes : bool
        Whether what may change the last bits counts too.

    Returns
    -------
    differences : list of str
        One for each flag. Files and the model are known by their contents, whatever their names are.
    """
    declared = {each.entry: each for each in all_options().values()}
    named = {entry for entry, each in declared.items() if each.is_file} | {"sound", "model"}
    last_bits = {entry for entry, each in declared.items() if each.decides == "bytes"}
    passed_over = named if in_bytes else named | last_bits
    before = {entry: _in_json(each.default) for entry, each in declared.items()} | dict(old)
    return [
        _difference(entry, before, new)
        for entry, value in new.items()
        if before.get(entry) != value and entry not in passed_over
    ]


def _difference(entry: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say how an entry differs, in the words of the command line; of a file, by its name."""
    name = entry.removesuffix("_sha256").removesuffix("_fingerprint")
    flag = next((each.flag for each in all_options().values() if each.entry == name), name)
    texts = (_shown(recipe.get(name)) for recipe in (old, new))
    was, is_ = texts if name != entry else map(shorten, texts)  # a file is told by the end of its path
    return f"{flag} was {was}, is {is_}" if was != is_ else f"{flag} {is_} has changed"


def _shown(value: Any) -> str:
    """Write the value of an entry as a message shows it."""
    if value is None or value == []:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
    the negative prompt on the second where there is one, then comma-separated settings.
    """
    recipe = {**recipe, **recipe.get("values", {})}
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
    lines = [prompt_text(recipe), ", ".join(parts)]
    if recipe.get("negative_prompt"):
        lines.insert(1, f"Negative prompt: {' '.join(recipe['negative_prompt'].split())}")
    return "\n".join(lines)


def _model_title(model: str) -> str:
    """Name a model without folders, and without the suffix of a checkpoint; other dots belong to its name."""
    path = Path(model)
    return path.stem if path.suffix.lower() in CHECKPOINT_SUFFIXES else path.name


def _quoted(text: str) -> str:
    """Quote what would end a setting early, as stable-diffusion-webui does."""
    return json.dumps(text, ensure_ascii=False) if re.search("[,:\n]", text) else text


def prompt_text(recipe: Mapping[str, Any]) -> str:
    """Say in one line what a picture was painted from: the words, the sound, or both."""
    words = recipe.get("textprompt") or recipe.get("values", {}).get("prompts", [""])[0]
    parts = [words] if words else []
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
        raise OutputError(f"{path}: cannot be read ({why_unreadable(error)})", OURS, exit_code=2) from error
    if not isinstance(recipe, dict):
        raise OutputError(f"{path}: carries no recipe", OURS, exit_code=2)
    return recipe


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
    declared = FilmOptions if "fps" in recipe else PictureOptions
    words = as_typed(f"python {declared.script}").split()
    for each in (option for option in options_of(declared) if option.decides):
        if each.entry not in recipe and not each.since:
            raise ParameterError(f"the recipe has no entry {each.entry!r}", "a recipe of this program")
        if all(any(recipe.get(name) is not None for name in names.split("|")) for names in each.needs):
            words += each.words(recipe.get(each.entry))
    return shlex.join(words)


def command_again(picture: Path) -> str:
    """Read the recipe of a picture and write its command; warn of what would make it come out different."""
    recipe = read_recipe(picture)
    for change in changes_since(recipe):
        logger.warning("the picture would come out different: %s", change)
    return recipe_command(recipe)


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
    for entry in ("sound", *(each.entry for each in all_options().values() if each.is_file)):
        path, digest = recipe.get(entry), recipe.get(f"{entry}_sha256")
        if path is not None and digest is not None:
            file = Path(path)
            if not file.is_file():
                changes.append(f"{path} is not there (paths are as they were typed, relative to a folder)")
            elif hash_file(file) != digest:
                changes.append(f"{path} has changed")
    with contextlib.suppress(SoundDiffusionError):
        location = find_model(str(recipe.get("model")))
        if recipe.get("model_fingerprint") not in (None, location.fingerprint()):
            changes.append(f"model {recipe['model']} has changed")
    present = versions()
    for package, used in recipe.get("versions", {}).items():
        if present.get(package) != used:
            changes.append(f"{package} was {used}, is {present.get(package)}")
    return changes
