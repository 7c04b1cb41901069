"""Places in a film: a frame, seconds, or beats."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sound_diffusion.errors import ParameterError, shorten
from sound_diffusion.formulas.expressions import Evaluation, Expression, parse_expression
from sound_diffusion.formulas.variables import Variables

POSITION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([sb]?)")


@dataclass(frozen=True)
class Position:
    """A place in a film.

    Attributes
    ----------
    text : str
        As it was written.
    number : float or Expression
        An expression of ``max_f`` is a frame.
    unit : {"", "s", "b"}
        Frames, seconds or beats since the first.
    """

    text: str
    number: float | Expression
    unit: str = ""

    def frame(self, variables: Variables) -> float:
        """Return the frame, a real number where it lies between two."""
        if isinstance(self.number, Expression):
            known = {name: variables[name] for name in ("max_f", "s")}
            frame = float(self.number.evaluate(Evaluation(known, 1, variables.frame_seconds))[0])
            if not 0 <= frame < math.inf:
                raise ParameterError(f"key {self.text}: frame {frame:g}", "0 or more")
            return math.floor(frame)  # as Deforum does
        if self.unit == "b":
            return variables.frame_of_beat(self.number)
        return self.number * float(variables.fps) if self.unit == "s" else self.number


def parse_position(text: str) -> Position:
    """Read a place in a film: ``30`` or ``max_f/2`` for a frame, ``2.5s`` for seconds, ``8b`` for beats.

    Raises
    ------
    ParameterError
        If it is none of these.
    """
    text = text.strip()
    match = POSITION.fullmatch(text)
    if match is not None and (match[2] or float(match[1]).is_integer()):
        number = float(match[1])
        if not math.isfinite(number):
            raise ParameterError(f"key {text[:20]}...", "a number that a film can reach")
        return Position(text, number, match[2])
    expected = "a whole frame, seconds such as 2.5s, or beats such as 8b"
    if not text or match is not None:
        raise ParameterError(f"key {shorten(text)!r}", expected)
    try:
        expression = parse_expression(text)
    except ParameterError:
        raise ParameterError(f"key {shorten(text)!r}", expected) from None
    if unknown := sorted(expression.names - {"max_f", "s"}):
        raise ParameterError(f"key {shorten(text)!r}: {unknown[0][:20]!r} is not known to keys", expected)
    return Position(text, expression)


def check_ascending(positions: Sequence[Position], frames: Sequence[float]) -> None:
    """Raise ParameterError unless the frames of keys ascend."""
    for index in range(1, len(frames)):
        before, after = positions[index - 1].text, positions[index].text
        if frames[index] == frames[index - 1]:
            raise ParameterError(f"two keys at frame {frames[index]:g} ({before} and {after})", "one")
        if frames[index] < frames[index - 1]:
            raise ParameterError(
                f"key {after} (frame {frames[index]:.6g}) after key {before} (frame {frames[index - 1]:.6g})",
                "keys in the order of time",
            )
