"""What the page may set: options of the program, one at a time, as a command line would."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from sound_diffusion.cli import Parser
from sound_diffusion.errors import ParameterError, SoundDiffusionError, shorten
from sound_diffusion.formulas.schedules import Schedule
from sound_diffusion.formulas.variables import TIME_VARIABLES
from sound_diffusion.options import LiveOptions, Option, options_of
from sound_diffusion.options.declaration import check_needs
from sound_diffusion.options.live import meaningless
from sound_diffusion.presets import preset_names, read_preset
from sound_diffusion.sound.descriptors import DESCRIPTORS
from sound_diffusion.sound.features import FEATURES

# Names on the page, which are those of the flags, and the options that they set.
SETTINGS = {
    "strength": "strength", "scale": "guidance", "gain": "gain", "window": "window", "fps": "fps",
    "seed": "seed", "seed_mode": "seed_mode", "walk_rate": "walk_rate", "loop_seconds": "loop_seconds",
    "feature": "feature", "text_weight": "text_weight", "noise": "noise", "zoom": "zoom", "angle": "angle",
    "translation_x": "translation_x", "translation_y": "translation_y", "border": "border",
    "color_coherence": "color_coherence", "color_strength": "color_strength", "sharpen": "sharpen",
    "local_contrast": "local_contrast",
}  # fmt: skip
NAMES = {option: name for name, option in SETTINGS.items()}
PRESET = "preset"
LONGEST_TEXT = 2000  # characters of a formula
NEED_THE_WHOLE = {
    "beats": ("beats", "onset, t or seconds"),
    "max_f": ("max_f", "onset, t or seconds"),
    "cumulative": ("cumulative(x)", "smooth(x, seconds)"),
}
VARIABLES = (*(name for name in TIME_VARIABLES if name not in ("beats", "max_f")), *DESCRIPTORS)


def shown(options: LiveOptions) -> dict[str, Any]:
    """Return the settings as the page knows them: numbers, texts, None; none that mean nothing now."""
    idle = meaningless(vars(options))
    values = {name: getattr(options, option) for name, option in SETTINGS.items() if option not in idle}
    return {name: _in_json(value) for name, value in values.items()} | {PRESET: options.preset or ""}


@functools.cache
def choices() -> dict[str, list[str]]:
    """Return the names that may be chosen for the settings that are names."""
    declared = _declared()
    named = {name: list(declared[option].choices) for name, option in SETTINGS.items()}
    return {name: names for name, names in named.items() if names} | {PRESET: ["", *preset_names()]}


@functools.cache
def descriptions() -> dict[str, str]:
    """Say what each feature and preset is, by their names."""
    features = {feature.name: feature.description for feature in FEATURES.values()}
    return features | {name: read_preset(name).description for name in preset_names()}


def change(
    options: LiveOptions, wanted: Mapping[str, Any], start: LiveOptions
) -> tuple[LiveOptions, dict[str, str]]:
    """Set what a page wants.

    Parameters
    ----------
    options : LiveOptions
        As they are.
    wanted : mapping
        Values by the names of :data:`SETTINGS`, or a preset; None brings back that of `start`.
    start : LiveOptions
        What the program was started with.

    Returns
    -------
    options : LiveOptions
    refused : dict from str to str
        What could not be set, and why, in one line.
    """
    refused: dict[str, str] = {}
    for name in sorted(wanted, key=_rank):
        try:
            options = _set(options, name, wanted[name], start)
        except (SoundDiffusionError, ArithmeticError) as error:
            refused[name[:40]] = str(error)
    return options, refused


def _rank(name: str) -> int:
    """What a preset sets, the others may change; some mean nothing until another is set."""
    return [PRESET, "seed_mode", "color_coherence", name].index(name)


def _set(options: LiveOptions, name: str, value: Any, start: LiveOptions) -> LiveOptions:
    if name == PRESET:
        return _with_preset(options, value, start)
    if name not in SETTINGS:
        raise ParameterError(f"setting {name[:40]!r}", f"one of {', '.join((*SETTINGS, PRESET))}")
    field = SETTINGS[name]
    if value is None:
        return options.with_changed(**{field: getattr(start, field)})
    read = _read(_declared()[field], value)
    if isinstance(read, Schedule):
        check_live(read)
    changed = options.with_changed(**{field: read})
    check_needs(changed)
    return changed


def check_live(schedule: Schedule) -> None:
    """Refuse a schedule that needs the whole of the sound."""
    for name, (shown, instead) in NEED_THE_WHOLE.items():
        if name in schedule.names | schedule.functions:
            found = f"{schedule.flag} {shorten(schedule.text)!r}: {shown} needs the whole sound"
            raise ParameterError(found, "what was heard so far", f"use {instead}")
    schedule.check_names(VARIABLES)


def _read(option: Option, value: Any) -> Any:
    """Read a value from JSON as the text of its flag would be read."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ParameterError(f"{option.flag}: {type(value).__name__}", "a number or a text")
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f"{option.flag} {value}", "a finite number")
    text = str(value) if not isinstance(value, float) else f"{value:.12g}"
    if len(text) > LONGEST_TEXT:
        raise ParameterError(f"{option.flag}: {len(text)} characters", f"at most {LONGEST_TEXT}")
    try:
        return option.kind(text.strip())
    except ValueError as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(
            f"{option.flag} {shorten(text)!r}", "a whole number" if option.kind is int else "a number"
        ) from None


def _with_preset(options: LiveOptions, name: Any, start: LiveOptions) -> LiveOptions:
    """Set what a preset sets, and bring back what it does not."""
    kept = {field: getattr(options, field) for field in ("feature", "window", "fps", "seed")}
    if name in ("", None):
        return start.with_changed(preset=None, **kept)
    if name not in preset_names():  # a path on disk is none of the page's business
        raise ParameterError(f"preset {str(name)[:40]!r}", f"one of {', '.join(preset_names())}")
    preset = read_preset(name)
    values = Parser(LiveOptions).read(preset.words)
    names = {flag.replace("_", "-"): each.name for each in _declared().values() for flag in each.flags}
    fields = [names["--" + flag.replace("_", "-")] for flag in preset.options]
    told = {field: getattr(values, field) for field in fields}
    for value in told.values():
        if isinstance(value, Schedule):
            check_live(value)
    return start.with_changed(**kept | told, preset=name)


def _declared() -> dict[str, Option]:
    return {each.name: each for each in options_of(LiveOptions)}


def _in_json(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.text
    return float(value) if isinstance(value, Fraction) else value
