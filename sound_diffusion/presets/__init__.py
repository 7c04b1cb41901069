"""Presets: files of options that a film can begin with."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sound_diffusion.errors import ParameterError, reason_of
from sound_diffusion.formulas.expressions import nearest

FOLDER = Path(__file__).parent
LARGEST_PRESET = 1_000_000  # bytes


@dataclass(frozen=True)
class Preset:
    """Options with the values that a film begins with; those of the command line come after them.

    Attributes
    ----------
    name : str
        As it was asked for.
    description : str
        What it looks like.
    options : dict
        From the name of a flag, without its dashes, to a text, a number, true, false, or a list of these.
    text : str
        The file itself: a beginning for one of the user's own.
    """

    name: str
    description: str
    options: dict[str, Any]
    text: str

    @property
    def words(self) -> list[str]:
        """Return the options as words of a command line, to go before those of the user."""
        return [word for flag, value in self.options.items() for word in _words(flag, value)]


def preset_names() -> list[str]:
    """List the presets of the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_preset(name: str) -> Preset:
    """Read a preset of the package, or one of the user's own.

    Parameters
    ----------
    name : str
        One of :func:`preset_names`, or the path of a TOML file.

    Returns
    -------
    preset : Preset

    Raises
    ------
    ParameterError
        If there is none of that name, or it is no list of options.
    """
    path = FOLDER / f"{name}.toml" if name in preset_names() else Path(name)
    try:
        if path.stat().st_size > LARGEST_PRESET:
            raise ParameterError(f"--preset {name}: {path.stat().st_size} bytes", f"at most {LARGEST_PRESET}")
        text = path.read_text(encoding="utf-8-sig")
        options = tomllib.loads(text)
    except FileNotFoundError:
        if path.suffix == ".toml" or path.parent != Path():
            raise ParameterError(f"--preset {name}: no such file", remedy="check the path") from None
        expected = f"one of {', '.join(preset_names())}, or a TOML file"
        like = nearest(name, preset_names())
        raise ParameterError(f"--preset {name}: no such preset", expected, like) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ParameterError(
            f"--preset {name}: cannot be read ({reason_of(error)})", "options in TOML"
        ) from None
    description = options.pop("description", "")
    if not isinstance(description, str):
        raise ParameterError(f"--preset {name}: description = {description}", "a text")
    preset = Preset(name, description, options, text)
    for flag, value in options.items():
        _check(name, flag, value)
    return preset


def _check(name: str, flag: str, value: Any) -> None:
    if not (flag[:1].isalpha() and flag.replace("-", "_").isidentifier()) or flag in ("preset", "describe"):
        raise ParameterError(f"--preset {name}: {flag[:50]!r}", "the name of a flag, without its dashes")
    values = value if isinstance(value, list) else [value]
    for each in values:
        if not isinstance(each, str | int | float) or (isinstance(each, float) and not math.isfinite(each)):
            raise ParameterError(
                f"--preset {name}: {flag} = {str(value)[:50]}",
                "a text, a number, true, false, or a list of these",
            )


def _words(flag: str, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _words(flag, each)
    elif isinstance(value, bool):
        yield f"--{flag}" if value else f"--no-{flag}"
    else:
        yield f"--{flag}={value}"
