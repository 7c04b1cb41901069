"""Noise over a film: from seed to seed, round a circle, or a seed for each frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sound_diffusion.constants import LARGEST_SEED
from sound_diffusion.errors import ParameterError
from sound_diffusion.interpolation import slerp
from sound_diffusion.typing import DoubleArray, FloatArray

if TYPE_CHECKING:
    import torch

    from sound_diffusion.model.model import Model
    from sound_diffusion.settings import PaintSettings

SEED_MODES = ("increment", "fixed", "random", "ladder", "alternate", "walk", "circle")
MOVING = ("walk", "circle")  # whose noise goes on from frame to frame
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


def walk_places(rates: DoubleArray, fps: float, *, closed: bool = False) -> DoubleArray:
    """Say how many seeds further every frame is.

    Parameters
    ----------
    rates : np.ndarray [shape=(n,), dtype=float64]
        Seeds a second, at least 0.
    fps : float
        Frames a second.
    closed : bool
        Whether the walk ends where it begins: then it takes a whole number of seeds, at least two, one
        after the last of which the first follows.

    Returns
    -------
    places : np.ndarray [shape=(n,), dtype=float64]
        0 for the first.
    """
    steps = rates / fps
    places: DoubleArray = np.concatenate([[0.0], np.cumsum(steps[1:])])
    length = float(steps.sum())
    if closed and length > 0:
        places *= seeds_of_ring(rates, fps) / length
    return places


def seeds_of_ring(rates: DoubleArray, fps: float) -> int:
    """Return the number of seeds that a closed walk takes."""
    return max(2, round(float(rates.sum()) / fps))


def walk(seed: int, rates: DoubleArray, fps: float, *, closed: bool = False) -> list[NoisePoint]:
    """Walk from seed to seed.

    Parameters
    ----------
    seed : int
        The first.
    rates, fps, closed
        As for :func:`walk_places`.

    Returns
    -------
    points : list of NoisePoint
        One a frame.

    Raises
    ------
    ParameterError
        If it runs past the largest seed.
    """
    places = walk_places(rates, fps, closed=closed)
    ring = seeds_of_ring(rates, fps) if closed else math.inf
    last = seed + math.ceil(min(float(places[-1]), ring - 1))
    if last > LARGEST_SEED:
        raise ParameterError(
            f"a walk from seed {seed} to {last}", f"at most {LARGEST_SEED}", "lower --seed or --walk-rate"
        )
    points = []
    for place in places.tolist():
        whole = math.floor(place)
        one, other = (int(number % ring) if closed else number for number in (whole, whole + 1))
        points.append(NoisePoint(seed + one, min(seed + other, LARGEST_SEED), place - whole))
    return points


def circle(seed: int, n_frames: int, frames_round: float) -> list[NoisePoint]:
    """Go round the circle through the noise of a seed and of the next one.

    Parameters
    ----------
    seed : int
    n_frames : int
    frames_round : float
        Frames in which it is gone round once.

    Returns
    -------
    points : list of NoisePoint
        One a frame.
    """
    return [
        NoisePoint(seed, seed + 1, angle=2 * math.pi * ((frame / frames_round) % 1))
        for frame in range(n_frames)
    ]


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
        self._dtype = model.pipeline.unet.dtype

    def __call__(self, points: Sequence[NoisePoint]) -> torch.Tensor:
        """Return the noise of several frames, on the CPU: (n, channels, height, width)."""
        import torch

        noise = np.stack([point.mix(self._draw) for point in points])
        return torch.from_numpy(noise).to(self._dtype)
