"""Words over time: which prompts belong to every frame of a film, and how near the next ones are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sound_diffusion.errors import ParameterError, reason_of, shorten
from sound_diffusion.formulas.positions import Position, check_ascending, parse_position
from sound_diffusion.formulas.variables import Variables

LONGEST_PROMPTS = 1_000_000  # characters
NEGATIVE = re.compile(r"(?:^|\s)--neg(?:\s+|$)")  # what parts a prompt from what is not wanted, as in Deforum
# A place in a film, a colon, a text: "0:10 : rain", "1:02:03.5 : rain", "2.5s: rain", "8b : rain", "30: rain"
LINE = re.compile(r"([0-9]+(?::[0-9]{1,2}){1,2}(?:\.[0-9]+)?|[0-9.]+\s*[sb]?)\s*:\s*(.*)", re.DOTALL)
CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]+):([0-9]{1,2}(?:\.[0-9]+)?)")


@dataclass(frozen=True)
class Prompt:
    """A text, and what is not wanted beside it.

    Attributes
    ----------
    text : str
    negative : str or None
        None: what the film has anyway.
    """

    text: str
    negative: str | None = None


@dataclass(frozen=True)
class PromptStep:
    """The prompts of a frame.

    Attributes
    ----------
    before, after : Prompt
        Of the key that was passed last, and of the one that comes next; after the last key, the same twice.
    share : float
        How much of the way to the next one is done, in [0, 1).
    """

    before: Prompt
    after: Prompt
    share: float


@dataclass(frozen=True)
class PromptSchedule:
    """Prompts at keys of a film.

    Attributes
    ----------
    text : str
        As it was written.
    keys : tuple of (Position, Prompt)
        At least one.
    """

    text: str
    keys: tuple[tuple[Position, Prompt], ...]

    def __str__(self) -> str:
        return self.text

    @property
    def in_beats(self) -> bool:
        """Whether a key counts beats."""
        return any(position.unit == "b" for position, _ in self.keys)

    def steps(self, variables: Variables, *, closed: bool = False) -> list[PromptStep]:
        """Find the prompts of every frame.

        Parameters
        ----------
        variables : Variables
            For the frames of keys in seconds and in beats.
        closed : bool
            Whether the first key follows on the last, as in a loop.

        Returns
        -------
        steps : list of PromptStep
            One a frame. Before the first key, its prompt holds, unless they close.

        Raises
        ------
        ParameterError
            If keys are not in the order of time, or are in beats and the sound has none.
        """
        try:
            frames = [position.frame(variables) for position, _ in self.keys]
            check_ascending([position for position, _ in self.keys], frames)
        except ParameterError as error:
            raise _named(error) from None
        prompts = [prompt for _, prompt in self.keys]
        if closed:
            within = sum(frame < variables.n_frames for frame in frames)
            frames, prompts = _closed(frames[:within], prompts[:within], variables.n_frames)
        passed = np.searchsorted(frames, variables.frames, side="right") - 1
        steps = []
        for frame, key in zip(variables.frames.tolist(), passed.tolist(), strict=True):
            if key < 0 or key + 1 == len(prompts):
                steps.append(PromptStep(prompts[max(key, 0)], prompts[max(key, 0)], 0.0))
            else:
                share = (frame - frames[key]) / (frames[key + 1] - frames[key])
                steps.append(PromptStep(prompts[key], prompts[key + 1], share))
        return steps


def _closed(frames: list[float], prompts: list[Prompt], n_frames: int) -> tuple[list[float], list[Prompt]]:
    """Put the last key before the first one as well, and the first after the last."""
    if not frames:
        raise ParameterError("no prompt within the loop", f"one before frame {n_frames}")
    ends = frames[-1] - n_frames, frames[0] + n_frames
    return [ends[0], *frames, ends[1]], [prompts[-1], *prompts, prompts[0]]


def read_prompts(source: str) -> PromptSchedule:
    """Read prompts over time, from a file or as they are.

    Parameters
    ----------
    source : str
        The name of a file, or its contents: Deforum's JSON from frame to text, or lines ``0:10 : text``
        (minutes and seconds), ``2.5s : text``, ``8b : text`` (beats), ``30 : text`` (a frame).
        ``text --neg other`` says what is not wanted.

    Returns
    -------
    prompts : PromptSchedule

    Raises
    ------
    ParameterError
        If it is none of these.
    """
    text = _read(source)
    try:
        if len(text) > LONGEST_PROMPTS:
            raise ParameterError(f"{len(text)} characters", f"at most {LONGEST_PROMPTS}")
        entries = _json_entries(text) if text.lstrip().startswith("{") else _line_entries(text)
        keys = tuple((_position(key), _prompt(words)) for key, words in entries)
        if not keys:
            raise ParameterError("no prompts", "lines such as 0:10 : text, or JSON from frame to text")
    except ParameterError as error:
        raise _named(error) from None
    return PromptSchedule(text, keys)


def _read(source: str) -> str:
    """Return what a file of that name holds, or else the text itself."""
    is_line = len(source) < 1000 and "\n" not in source
    try:
        if is_line and Path(source).is_file():
            return Path(source).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"--prompts {shorten(source)}: cannot be read ({reason_of(error)})", "text in UTF-8"
        ) from None
    if is_line and ":" not in source and not source.lstrip().startswith("{"):
        raise ParameterError(
            f"--prompts {shorten(source)!r}: no such file", "a file, or lines such as 0:10 : text"
        )
    return source


def _json_entries(text: str) -> Iterator[tuple[str, str]]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        raise ParameterError(
            f"no JSON at line {error.lineno} ({error.msg})", '{"0": "text", "30": "text"}'
        ) from None
    except RecursionError:
        pairs = None
    if not isinstance(pairs, list):
        raise ParameterError("JSON of another kind", '{"0": "text", "30": "text"}')
    for key, words in pairs:
        if not isinstance(words, str):
            raise ParameterError(f"{shorten(json.dumps(words))} at key {shorten(key)}", "a text")
        yield key, words


def _line_entries(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise ParameterError(
                f"line {number}: {shorten(line)!r}",
                "such as 0:10 : text, 2.5s : text, 8b : text or 30 : text",
            )
        yield match[1], match[2]


def _position(key: str) -> Position:
    match = CLOCK.fullmatch(key.strip())
    if match is None:
        return parse_position(key)
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if seconds >= 60 or (match[1] and minutes >= 60):
        raise ParameterError(f"time {key}", "minutes and seconds below 60")
    return Position(key, 3600 * hours + 60 * minutes + seconds, "s")


def _prompt(words: str) -> Prompt:
    prompt, *negatives = NEGATIVE.split(words.strip())
    if len(negatives) > 1:
        raise ParameterError(f"{shorten(words)!r}: --neg {len(negatives)} times", "once")
    return Prompt(prompt.strip(), negatives[0].strip() if negatives else None)


def _named(error: ParameterError) -> ParameterError:
    return ParameterError(f"--prompts: {error.found}", error.expected, error.remedy)
