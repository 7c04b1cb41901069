"""Noise over a film: from seed to seed, round a circle, or a seed for each frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sound_diffusion.constants import LARGEST_SEED
from sound_diffusion.errors import ParameterError
from sound_diffusion.film.keys import Keys
from sound_diffusion.formulas.schedules import plain_number
from sound_diffusion.interpolation import slerp
from sound_diffusion.typing import DoubleArray, FloatArray

if TYPE_CHECKING:
    import torch

    from sound_diffusion.film.timeline import Timeline
    from sound_diffusion.model.model import Model
    from sound_diffusion.options import FilmOptions
    from sound_diffusion.settings import PaintSettings

KEPT = 8  # noises that are not drawn anew


@dataclass(frozen=True)
class NoisePoint:
    """The noise of a frame: that of one seed, or between those of two.

    Attributes
    ----------
    seed, other : int
    share : float
        How much of the way from the one to the other is done, in [0, 1).
    angle : float or None
        Instead, the angle on the circle through both, in radians.
    """

    seed: int
    other: int = 0
    share: float = 0.0
    angle: float | None = None

    def mix(self, draw: Callable[[int], FloatArray]) -> FloatArray:
        """Return the noise.

        Parameters
        ----------
        draw : callable
            Returns the noise of a seed, of any shape, float32.

        Returns
        -------
        noise : np.ndarray [dtype=float32]
            With the deviation of what is drawn, whatever the share or the angle is.
        """
        one = draw(self.seed)
        if self.angle is not None:
            return on_circle(one, draw(self.other), self.angle)
        if self.share == 0:
            return one
        return arc(one, draw(self.other), self.share)


def arc(one: FloatArray, other: FloatArray, share: float) -> FloatArray:
    """Go from one noise to another along an arc, so that the deviation stays."""
    return slerp(one.reshape(1, -1), other.reshape(1, -1), share).reshape(one.shape)


def on_circle(one: FloatArray, other: FloatArray, angle: float) -> FloatArray:
    """Return a point of the circle that begins at one noise and turns towards another.

    Parameters
    ----------
    one, other : np.ndarray [dtype=float32]
        Of one shape.
    angle : float
        In radians; at a full turn the first again.

    Returns
    -------
    noise : np.ndarray [dtype=float32]
        Of the length of the first.
    """
    start, towards = one.astype(np.float64), other.astype(np.float64)
    towards = towards - start * (np.vdot(start, towards) / np.vdot(start, start))
    towards *= np.linalg.norm(start) / np.linalg.norm(towards)
    turned: FloatArray = (math.cos(angle) * start + math.sin(angle) * towards).astype(np.float32)
    return turned


class NoisePath(Protocol):
    """The noise of a film over time."""

    def at(self, place: float) -> NoisePoint:
        """Return the noise at a place of the film, in frames."""


@dataclass(frozen=True)
class Walk:
    """A walk from seed to seed.

    Attributes
    ----------
    seed : int
        The first.
    rates : np.ndarray [shape=(n,), dtype=float64]
        Seeds a second at every frame, at least 0.
    fps : float
        Frames a second.
    closed : bool
        Whether it ends where it begins: then it takes a whole number of seeds, two or more, after the last
        of which the first one follows.

    Raises
    ------
    ParameterError
        If it runs past the largest seed.
    """

    seed: int
    rates: DoubleArray
    fps: float
    closed: bool = False

    def __post_init__(self) -> None:
        steps = float(self.rates[1:].sum()) / self.fps
        last = self.seed + (self.ring - 1 if self.closed else math.floor(steps) + 1)
        if last > LARGEST_SEED:
            raise ParameterError(
                f"a walk from seed {self.seed} to {last}",
                f"at most {LARGEST_SEED}",
                "lower --seed or --walk-rate",
            )

    @cached_property
    def ring(self) -> int:
        """How many seeds a closed walk takes."""
        return max(2, round(float(self.rates.sum()) / self.fps))

    @cached_property
    def passed(self) -> DoubleArray:
        """How many seeds are passed at every frame, and at the first again: shape (n + 1,)."""
        passed: DoubleArray = np.concatenate([[0.0], np.cumsum(np.roll(self.rates, -1)) / self.fps])
        return passed / passed[-1] * self.ring if self.closed and passed[-1] > 0 else passed

    def at(self, place: float) -> NoisePoint:
        """Return the noise at a place of the film, in frames."""
        passed = float(np.interp(place, np.arange(len(self.passed)), self.passed))
        whole = math.floor(passed)
        numbers = [(whole + n) % self.ring if self.closed else whole + n for n in (0, 1)]
        return NoisePoint(self.seed + numbers[0], self.seed + numbers[1], passed - whole)


@dataclass(frozen=True)
class Circle:
    """The circle through the noise of a seed and of the next one.

    Attributes
    ----------
    seed : int
    frames : float
        In which it is gone round once.
    """

    seed: int
    frames: float

    def at(self, place: float) -> NoisePoint:
        """Return the noise at a place of the film, in frames."""
        return NoisePoint(self.seed, self.seed + 1, angle=2 * math.pi * ((place / self.frames) % 1))


@dataclass(frozen=True)
class FromKeyToKey:
    """From the noise of one key frame to that of the next.

    Attributes
    ----------
    keys : Keys
    seeds : sequence of int
        Of the keys.
    """

    keys: Keys
    seeds: Sequence[int]

    def at(self, place: float) -> NoisePoint:
        """Return the noise at a place of the film, in frames."""
        between = self.keys.locate(place)
        one, other = self.seeds[between.before], self.seeds[between.after]
        return NoisePoint(one, other, 0.0 if one == other else between.share)


def noise_path(options: FilmOptions, timeline: Timeline, rates: DoubleArray | None) -> NoisePath | None:
    """Say how the noise of a film goes on; None where each frame has that of its own seed.

    Parameters
    ----------
    options : FilmOptions
    timeline : Timeline
    rates : np.ndarray [shape=(n_positions,), dtype=float64] or None
        What ``--walk-rate`` comes to, where it changes.

    Raises
    ------
    ParameterError
        If a walk runs past the largest seed.
    """
    fps, n_frames = float(timeline.fps), timeline.n_positions
    if timeline.seed_mode == "walk":
        if rates is None:
            rates = np.full(n_frames, plain_number(options.walk_rate))
        return Walk(timeline.seed, rates, fps, timeline.loop)
    if timeline.seed_mode == "circle":
        wanted = n_frames if options.loop_seconds is None else float(options.loop_seconds * timeline.fps)
        return Circle(timeline.seed, n_frames / max(1, round(n_frames / wanted)) if timeline.loop else wanted)
    if timeline.keys is not None and timeline.seed_mode != "fixed":
        keys = timeline.keys
        return FromKeyToKey(keys, [timeline.seed_at(position) for position in keys.frames])
    return None


class NoiseMaker:
    """Makes the noise of frames for a model; that of the last few seeds is kept.

    Parameters
    ----------
    model : Model
    settings : PaintSettings
        Of which the size counts.
    """

    def __init__(self, model: Model, settings: PaintSettings) -> None:
        from sound_diffusion.latents import latent_noise

        self._draw = lru_cache(KEPT)(
            lambda seed: latent_noise(model, [seed], settings)[0].float().numpy().astype(np.float32)
        )
        self._dtype = model.dtype

    def __call__(self, points: Sequence[NoisePoint]) -> torch.Tensor:
        """Return the noise of several frames, on the CPU: (n, channels, height, width)."""
        import torch

        noise = np.stack([point.mix(self._draw) for point in points])
        return torch.from_numpy(noise).to(self._dtype)
