"""From the text of a flag to the value of its option."""

from __future__ import annotations

import re
from typing import Any

from sound_diffusion.errors import ParameterError, shorten
from sound_diffusion.formulas.expressions import nearest
from sound_diffusion.options.declaration import Option


def read_text(option: Option, text: str) -> Any:
    """Read the text of a flag.

    Parameters
    ----------
    option : Option
    text : str
        Where there are choices, one of them in any case.

    Returns
    -------
    value : object
        One value, also of an option that takes several.

    Raises
    ------
    ParameterError
        If it is no such value. The error names the text; where the flag is not named, the caller does so.
    """
    if not text.strip() and not option.may_be_empty:
        raise ParameterError(f"{text!r} is empty", f"{option.metavar}, or no {option.flag} at all")
    if option.choices:
        return _choice(text, option.choices)
    try:
        return option.kind(text)
    except ParameterError:
        raise
    except ValueError:
        raise ParameterError(repr(shorten(text)), _number(option, text)) from None


def _choice(text: str, choices: tuple[str, ...]) -> str:
    folded = {choice.casefold(): choice for choice in choices}
    if text.casefold() in folded:
        return folded[text.casefold()]
    like = nearest(text.casefold(), list(folded))
    raise ParameterError(repr(shorten(text)), f"one of {', '.join(choices)}", like)


def _number(option: Option, text: str) -> str:
    """Say what number would have been right."""
    if option.kind is int:
        return "a whole number"
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return f"a point, {text.replace(',', '.')}"
    return "a number" + (" of seconds, such as 12.5" if option.metavar == "SECONDS" else "")
