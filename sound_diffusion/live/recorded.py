"""What was recorded: a take, how it was painted, its pictures painted again, the command for its film."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sound_diffusion.cli import Parser
from sound_diffusion.errors import OutputError, ParameterError
from sound_diffusion.files import write_atomically
from sound_diffusion.job import Job
from sound_diffusion.live.chain import Chain, Painted
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.model.model import Model
from sound_diffusion.options import FilmOptions, LiveOptions, Option, options_of
from sound_diffusion.options.films import SCHEDULED
from sound_diffusion.options.live import meaningless
from sound_diffusion.recipe import option_entries, recipe_command, versions
from sound_diffusion.sound.audio import load_audio
from sound_diffusion.typing import FloatArray

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
        said = {
            "fps": str(self.fps),
            "frames": self.frames,
            "settings": [{"frame": each.frame, "words": words_of(each.options)} for each in self.changes],
            "versions": versions(),
        }
        with write_atomically(path) as file:
            file.write(json.dumps(said, indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> Recorded:
        """Read what :meth:`write` has written.

        Raises
        ------
        OutputError
            If it cannot be read, or is something else; its exit code is 2.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            parser = Parser(LiveOptions)
            changes = [Change(int(each["frame"]), parser.read(each["words"])) for each in said["settings"]]
            frames = [int(frame) for frame in said["frames"]]
            recorded = cls(Fraction(said["fps"]), frames, changes)
            if frames != sorted(set(frames)) or (frames and not changes):
                raise ValueError("frames that are not in order")
        except (OSError, ValueError, KeyError, TypeError) as error:
            unread = OutputError(f"{path}: cannot be read ({error})", "the folder of a recording")
            unread.exit_code = 2
            raise unread from None
        return recorded


def words_of(options: LiveOptions) -> list[str]:
    """Write options as the words of a command line of audio2live."""
    entries = option_entries(options)
    return [
        word for each in options_of(LiveOptions) if each.decides for word in each.words(entries[each.entry])
    ]


def repaint(folder: Path, model: Model) -> Iterator[Painted]:
    """Paint the pictures of a recording again: from the same windows, seeds and settings, so the same.

    Parameters
    ----------
    folder : Path
        Of the recording.
    model : Model

    Yields
    ------
    painted : Painted
        A picture for every one that was painted live.
    """
    recorded = Recorded.read(folder / SESSION)
    sound = _WholeSound(load_audio(folder / f"{folder.name}.flac"))
    chain = Chain(model, sound, recorded.fps)
    jobs = {change.frame: Job.plan(change.options) for change in recorded.changes}
    for frame in recorded.frames:
        yield chain.paint(frame, jobs[max(start for start in jobs if start <= frame)])


class _WholeSound:
    """A sound in memory, zero outside."""

    def __init__(self, samples: FloatArray) -> None:
        self._samples = samples

    def read(self, first: int, stop: int) -> FloatArray:
        inside = self._samples[max(first, 0) : max(stop, 0)]
        ahead = max(-first, 0)
        return np.pad(inside, (ahead, stop - first - ahead - len(inside)))


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
    spans = _spans(recorded)
    values: dict[str, Any] = {}
    constant = {}
    for each in options_of(LiveOptions):
        told = [getattr(span, each.name) for _, span, _ in spans]
        if not each.decides or all(value == told[0] for value in told):
            continue
        values[each.name] = _keyframes(recorded, each) if each.name in SCHEDULED else None
        if values[each.name] is None:
            constant[each.name] = each.flag
            values[each.name] = _longest(spans, each.name)
    idle = meaningless(vars(spans[0][1]) | values)
    options = spans[0][1].with_changed(**{name: each for name, each in values.items() if name not in idle})
    film = FilmOptions(
        **{each.name: getattr(options, each.name) for each in fields(FilmOptions)}
        | {
            "paths": (sound,),
            "preset": None,
            "steps": max(options.steps or 1, defaults.film.get("steps", defaults.steps)),
        }
    )
    command = recipe_command(option_entries(film) | {"sound": str(sound)})
    return command, [flag for name, flag in constant.items() if name not in idle]


def _longest(spans: list[tuple[int, LiveOptions, int]], name: str) -> Any:
    """Return what an option was for longest."""
    frames: Counter[str] = Counter()
    for _, options, n_frames in spans:
        frames[str(getattr(options, name))] += n_frames
    [(longest, _)] = frames.most_common(1)
    return next(value for _, options, _ in spans if str(value := getattr(options, name)) == longest)


def _spans(recorded: Recorded) -> list[tuple[int, LiveOptions, int]]:
    """First frame, options, and number of frames of every stretch without a change."""
    starts = [change.frame for change in recorded.changes]
    ends = [*starts[1:], recorded.frames[-1] + 1]
    return [
        (change.frame, change.options, end - change.frame)
        for change, end in zip(recorded.changes, ends, strict=True)
    ]


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
        if keys and _is_number(last):  # else it would lead to the next one; a formula holds
            keys.setdefault(change.frame - 1, last)
        keys[change.frame if keys else 0] = last = text
    written = ", ".join(f"{frame}:({text})" for frame, text in keys.items())
    try:
        return option.kind(written) if len(written) <= LONGEST_WORD else None
    except ParameterError:  # more of them than a film may have
        return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
