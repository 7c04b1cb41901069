"""What was recorded: a take, how it was painted, and the command for its film."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from sound_diffusion.errors import ParameterError
from sound_diffusion.files import write_atomically
from sound_diffusion.formulas.schedules import NUMBER
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.options import FilmOptions, LiveOptions, Option, options_of
from sound_diffusion.options.films import SCHEDULED
from sound_diffusion.options.live import meaningless
from sound_diffusion.recipe import option_entries, recipe_command, versions

SESSION = "session.json"
LONGEST_WORD = 100_000  # characters that a command may have in one word, with room to spare


@dataclass(frozen=True)
class Change:
    """From a frame on, how it is painted.

    Attributes
    ----------
    frame : int
    options : LiveOptions
        With what the model declares filled in.
    """

    frame: int
    options: LiveOptions


@dataclass
class Recorded:
    """What was painted of a take.

    Attributes
    ----------
    fps : Fraction
        Of the numbers of its frames.
    frames : list of int
        Those that were painted, ascending.
    changes : list of Change
        The settings over time; the first one at the first frame.
    """

    fps: Fraction
    frames: list[int] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def add(self, frame: int, options: LiveOptions) -> bool:
        """Note a frame that was painted; say whether the settings have changed."""
        changed = not self.changes or self.changes[-1].options != options
        if changed:
            self.changes.append(Change(frame, options))
        self.frames.append(frame)
        return changed

    def write(self, path: Path) -> None:
        """Write it as JSON; every change has the words of a command line of audio2live."""
        settings = [{"frame": each.frame, "words": _words_of(each.options)} for each in self.changes]
        said = {"fps": str(self.fps), "frames": self.frames, "settings": settings, "versions": versions()}
        with write_atomically(path) as file:
            file.write(json.dumps(said, indent=1).encode())


def _words_of(options: LiveOptions) -> list[str]:
    """Write options as the words of a command line of audio2live."""
    entries = option_entries(options)
    deciding = (each for each in options_of(LiveOptions) if each.decides)
    return [word for each in deciding for word in each.words(entries[each.entry])]


def film_command(recorded: Recorded, sound: Path, defaults: ModelDefaults) -> tuple[str, list[str]]:
    """Write the command that makes the film of a recording at full quality.

    It has all frames, and no fewer steps than the model declares for films.

    Parameters
    ----------
    recorded : Recorded
    sound : Path
    defaults : ModelDefaults
        Of its model.

    Returns
    -------
    command : str
    constant : list of str
        Options that were changed while it was heard, and are in the film what they were for longest.
    """
    first = recorded.changes[0].options
    values: dict[str, Any] = {}
    constant = {}
    for each in options_of(LiveOptions):
        told = [getattr(change.options, each.name) for change in recorded.changes]
        if not each.decides or all(value == told[0] for value in told):
            continue
        values[each.name] = _keyframes(recorded, each) if each.name in SCHEDULED else None
        if values[each.name] is None:
            constant[each.name] = each.flag
            values[each.name] = _longest(recorded, told)
    idle = meaningless(vars(first) | values)
    options = first.with_changed(**{name: each for name, each in values.items() if name not in idle})
    film = FilmOptions(
        **{each.name: getattr(options, each.name) for each in fields(FilmOptions)}
        | {"paths": (sound,), "preset": None}
        | {"steps": max(options.steps or 1, defaults.film.get("steps", defaults.steps))}
    )
    command = recipe_command(option_entries(film) | {"sound": str(sound)})
    return command, [flag for name, flag in constant.items() if name not in idle]


def _longest(recorded: Recorded, told: list[Any]) -> Any:
    """Return what was told for longest, of an option over the changes."""
    frames: Counter[str] = Counter()
    starts = [*(change.frame for change in recorded.changes), recorded.frames[-1] + 1]
    for value, (start, end) in zip(told, pairwise(starts), strict=True):
        frames[str(value)] += end - start
    [(longest, _)] = frames.most_common(1)
    return next(value for value in told if str(value) == longest)


def _keyframes(recorded: Recorded, option: Option) -> Any:
    """Write a number that was changed as keyframes, each of which holds; None where that cannot be said."""
    keys: dict[int, str] = {}
    last = ""
    for change in recorded.changes:
        text = str(getattr(change.options, option.name))
        if text == last:
            continue
        if text == "None" or ":" in text:  # what a model takes by itself, or keyframes already
            return None
        if keys and NUMBER.fullmatch(last):  # else it would lead to the next one; a formula holds
            keys.setdefault(change.frame - 1, last)
        keys[change.frame if keys else 0] = last = text
    written = ", ".join(f"{frame}:({text})" for frame, text in keys.items())
    try:
        return option.kind(written) if len(written) <= LONGEST_WORD else None
    except ParameterError:  # more of them than a film may have
        return None
