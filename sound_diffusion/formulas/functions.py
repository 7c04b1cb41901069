"""The functions of expressions: of numbers at one frame, and of what came before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.typing import DoubleArray


@dataclass(frozen=True)
class Function:
    """A function that an expression may call.

    Attributes
    ----------
    signature : str
        How it is called.
    evaluate : callable
        Takes arrays. One that is over time takes an array of all frames, the numbers in seconds that follow
        it, and last the duration of a frame.
    fewest, most : int
        Arguments.
    over_time : bool
        Whether it looks at earlier frames.
    """

    signature: str
    evaluate: Callable[..., Any]
    fewest: int
    most: int
    over_time: bool = False

    def __call__(self, values: Sequence[DoubleArray], n_frames: int, frame_seconds: float) -> DoubleArray:
        """Apply it to arguments of shape () or (n,)."""
        arguments: Sequence[Any] = values
        if self.over_time:
            times = [_seconds(value, self.signature) for value in values[1:]]
            arguments = [np.broadcast_to(values[0], n_frames), *times, frame_seconds]
        return np.asarray(self.evaluate(*arguments), dtype=np.float64)


def _seconds(values: DoubleArray, signature: str) -> float:
    """Read an argument that is the same for the whole film."""
    first = float(values.flat[0])
    if not (values == first).all():
        raise ParameterError(f"{signature}: a duration that changes over the film", "one number of seconds")
    if not 0 <= first < math.inf:
        raise ParameterError(f"{signature}: {first:g} seconds", "0 or more: nothing looks ahead")
    return first


def _envelope(x: DoubleArray, attack: float, release: float, frame_seconds: float) -> DoubleArray:
    """Follow x, up with one time constant and down with another, in which it comes 63% of the way."""
    up, down = _share(attack, frame_seconds), _share(release, frame_seconds)
    level, levels = float(x[0]), []
    for value in x.tolist():
        level += (up if value > level else down) * (value - level)
        levels.append(level)
    return np.array(levels)


def _share(seconds: float, frame_seconds: float) -> float:
    """Share of a distance that is left behind within a frame."""
    return -math.expm1(-frame_seconds / seconds) if seconds > 0 else 1.0


def _delay(x: DoubleArray, seconds: float, frame_seconds: float) -> DoubleArray:
    """What x was some time ago; its first value where there was none yet."""
    frames = np.arange(len(x), dtype=np.float64)
    return np.interp(frames - seconds / frame_seconds, frames, x)


def _trigger(condition: DoubleArray, seconds: float, frame_seconds: float) -> DoubleArray:
    """1 at a frame where a condition begins to hold, and then not again for some time."""
    holds = condition != 0
    begins = np.flatnonzero(holds & ~np.concatenate([[False], holds[:-1]]))
    wait = seconds / frame_seconds - 1e-6  # frames; what is a whole number stays one
    fired, last = np.zeros(len(holds)), -math.inf
    for frame in begins.tolist():
        if frame - last >= wait:
            fired[frame], last = 1.0, frame
    return fired


def _cumulative(x: DoubleArray, frame_seconds: float) -> DoubleArray:
    """The share of all of x that has passed; what is below zero counts as nothing."""
    total = np.cumsum(np.maximum(x, 0))
    return np.asarray(total / total[-1] if total[-1] > 0 else np.zeros(len(x)), dtype=np.float64)


ELEMENTWISE: dict[str, Callable[..., DoubleArray]] = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs,
    "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "log10": np.log10, "log1p": np.log1p, "expm1": np.expm1,
}  # fmt: skip

FUNCTIONS = {name: Function(f"{name}(x)", function, 1, 1) for name, function in ELEMENTWISE.items()} | {
    "arctan2": Function("arctan2(y, x)", np.arctan2, 2, 2),
    "min": Function("min(x, y, ...)", lambda *values: reduce(np.minimum, values), 2, 20),
    "max": Function("max(x, y, ...)", lambda *values: reduce(np.maximum, values), 2, 20),
    "clip": Function("clip(x, low, high)", np.clip, 3, 3),
    "where": Function("where(condition, x, y)", lambda holds, x, y: np.where(holds != 0, x, y), 3, 3),
    "gate": Function("gate(x, threshold)", lambda x, threshold: np.where(x >= threshold, x, 0.0), 2, 2),
    "smooth": Function(
        "smooth(x, seconds)", lambda x, s, frame: _envelope(x, s, s, frame), 2, 2, over_time=True
    ),
    "envelope": Function("envelope(x, attack, release)", _envelope, 3, 3, over_time=True),
    "delay": Function("delay(x, seconds)", _delay, 2, 2, over_time=True),
    "trigger": Function("trigger(condition, seconds)", _trigger, 2, 2, over_time=True),
    "cumulative": Function("cumulative(x)", _cumulative, 1, 1, over_time=True),
}
