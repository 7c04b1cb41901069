"""Noise that moves with the camera.

Noise that stays where it is pins a picture to the screen: what is painted over a frame that has moved is
painted where it was. So the noise is that of a plane that the camera moves over. It stays standard normal and
white at every zoom: of octaves of ever finer noise, two are seen at a time, each sampled within the band of
frequencies that the picture has.

References
----------
Chang et al., "How I Warped Your Noise", 2024, for what is wanted; Unser et al., "Convolution-based
interpolation for fast, high-quality rotation of images", 1995, for the three shears.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from sound_diffusion.film.camera import Motion
from sound_diffusion.film.noise import KEPT, NoisePoint
from sound_diffusion.typing import DoubleArray, FloatArray

if TYPE_CHECKING:
    import torch

    from sound_diffusion.film.controls import Controls
    from sound_diffusion.film.timeline import Timeline
    from sound_diffusion.model.model import Model
    from sound_diffusion.settings import PaintSettings

CANVAS = 4  # sides of a picture that an octave covers where its first pixels are seen
COARSEST, FINEST = -2, 0  # octaves between a pixel of the noise and one of the picture, where it is unseen
FARTHEST = 2.0**60  # a way that is longer, or zooms more, begins anew


class MovedNoiseMaker:
    """Makes the noise of frames for a model, over which the camera has moved.

    Parameters
    ----------
    model : Model
    settings : PaintSettings
        Of which the size counts.
    """

    def __init__(self, model: Model, settings: PaintSettings) -> None:
        from sound_diffusion.latents import latent_shape

        channels, *self._size = latent_shape(model, settings)
        self._factor, self._dtype = model.pipeline.vae_scale_factor, model.dtype
        self._octave: Callable[[int, int, int, int], FloatArray] = (
            mirrored_octave if model.defaults.mirrored_noise else draw_octave
        )
        self._shape = channels, CANVAS * max(self._size)

    def __call__(self, points: Sequence[NoisePoint], ways: Sequence[Motion]) -> torch.Tensor:
        """Return the noise of several frames, on the CPU: (n, channels, height, width).

        Parameters
        ----------
        points : sequence of NoisePoint
        ways : sequence of Motion
            How far the camera has come, in pixels of the picture.
        """
        import torch

        noise = [self._moved(point, way) for point, way in zip(points, ways, strict=True)]
        return torch.from_numpy(np.stack(noise)).to(self._dtype)

    def _moved(self, point: NoisePoint, way: Motion) -> FloatArray:
        across, down = way.translation_x / self._factor, way.translation_y / self._factor
        in_latents = Motion(way.zoom, way.angle, across, down)
        return moved_noise(
            lambda octave: point.mix(lambda seed: self._octave(seed, octave, *self._shape)),
            in_latents,
            *self._size,
        )


def ways_over(controls: Controls, timeline: Timeline) -> dict[int, Motion] | None:
    """Return how far the camera of a film has come, by the index of the frame; None if it never moves."""
    stride, painted = timeline.stride, set(timeline.painted)
    steps = [controls.motion(range((n - 1) * stride + 1, n * stride + 1)) for n in range(1, len(timeline))]
    if all(step.is_still for step in steps):
        return None
    anew = [index in painted and controls.forgets_all(index) for index in range(len(timeline))]
    return dict(enumerate(add_up(zip([Motion(), *steps], anew, strict=True))))


def add_up(steps: Iterable[tuple[Motion, bool]]) -> list[Motion]:
    """Add up the steps of a camera.

    Parameters
    ----------
    steps : iterable of (Motion, bool)
        The step before every frame, and whether the frame begins anew.

    Returns
    -------
    ways : list of Motion
        How far it has come at every frame since the last one that began anew.
    """
    ways: list[Motion] = []
    way = Motion()
    for step, anew in steps:
        way = way.then(step)
        far = max(abs(way.translation_x), abs(way.translation_y), way.zoom, 1 / way.zoom)
        way = Motion() if anew or not far < FARTHEST else way
        ways.append(way)
    return ways


@lru_cache(KEPT)  # for all makers: live there is one for every frame
def mirrored_octave(seed: int, octave: int, channels: int, side: int) -> FloatArray:
    """Draw noise that is its own mirror image, as :func:`draw_octave`."""
    import torch

    from sound_diffusion.model.mirrored import mirrored

    noise: FloatArray = mirrored(torch.from_numpy(draw_octave(seed, octave, channels, side))).numpy()
    return noise


@lru_cache(KEPT)
def draw_octave(seed: int, octave: int, channels: int, side: int) -> FloatArray:
    """Draw the noise of a seed at an octave of the zoom.

    Parameters
    ----------
    seed : int
        At least 0.
    octave : int
        Every one is twice as fine as the one before.
    channels, side : int

    Returns
    -------
    noise : np.ndarray [shape=(channels, side, side), dtype=float32]
        Standard normal, the same on every machine. It is kept and shared: not to be written to.
    """
    generator = np.random.default_rng([seed, octave % 2**32])
    return generator.standard_normal((channels, side, side), dtype=np.float32)


def moved_noise(draw: Callable[[int], FloatArray], way: Motion, height: int, width: int) -> FloatArray:
    """Look at a plane of noise as a camera does that has come some way.

    Parameters
    ----------
    draw : callable
        Returns the noise of an octave, (channels, side, side) float32, as :func:`draw_octave` does.
    way : Motion
        In pixels of what is returned.
    height, width : int

    Returns
    -------
    noise : np.ndarray [shape=(channels, height, width), dtype=float32]
        Standard normal. Along a way it goes on as a picture does that is moved.
    """
    zoomed = math.log2(way.zoom)
    cosine, sine = (way.zoom * f(math.radians(way.angle)) for f in (math.cos, math.sin))
    right = cosine * way.translation_x + sine * way.translation_y
    down = cosine * way.translation_y - sine * way.translation_x
    seen: DoubleArray | float = 0.0
    for octave in range(math.floor(zoomed - FINEST) + 1, math.ceil(zoomed - COARSEST)):
        size = zoomed - octave  # of its pixels, in octaves of the picture's
        weight = math.sin(math.pi * (size - COARSEST) / (FINEST - COARSEST))  # the squares of two sum to 1
        noise = turn(draw(octave), math.radians(way.angle))
        rows, columns = (
            _samples(count, shift, 2.0**size, noise.shape[-1])
            for count, shift in ((height, down), (width, right))
        )
        seen = seen + weight * (rows @ noise @ columns.T)
    return np.asarray(seen, dtype=np.float32)


def turn(noise: FloatArray, radians: float) -> FloatArray:
    """Turn noise about its centre against the clock: by quarters, and the rest by three shears.

    Each shear moves rows or columns by the Fourier transform, round and round: white noise stays white.

    Parameters
    ----------
    noise : np.ndarray [shape=(..., side, side), dtype=float32]
    radians : float

    Returns
    -------
    turned : np.ndarray [shape=(..., side, side), dtype=float32]
    """
    quarters = round(radians / (math.pi / 2))
    rest = radians - quarters * math.pi / 2
    noise = np.rot90(noise, quarters % 4, axes=(-2, -1))
    if rest == 0:
        return noise
    across, along = math.tan(rest / 2), -math.sin(rest)
    noise = _shear(noise, across)
    noise = _shear(noise.swapaxes(-1, -2), along).swapaxes(-1, -2)
    return _shear(noise, across)


def _shear(noise: FloatArray, amount: float) -> FloatArray:
    """Shift every row to the right by `amount` for each row that it is below the centre."""
    rows, columns = noise.shape[-2:]
    shifts = amount * (np.arange(rows) - (rows - 1) / 2)
    phases = np.exp(-2j * np.pi * shifts[:, None] * np.fft.rfftfreq(columns)).astype(np.complex64)
    sheared: FloatArray = scipy.fft.irfft(scipy.fft.rfft(noise, axis=-1) * phases, columns, axis=-1)
    return sheared


def _samples(count: int, shift: float, size: float, side: int) -> FloatArray:
    """Return what samples a periodic line of `side` values at `count` pixels, shape (count, side).

    The line is shifted by `shift` pixels and each of its values is `size` pixels long, at most 1; frequencies
    that the pixels cannot show are left out, and every row has norm 1.
    """
    places = (np.arange(count) - (count - 1) / 2 - shift) / size + (side - 1) / 2
    angles = np.pi * np.mod(places[:, None] - np.arange(side), side) / side
    harmonics = 2 * math.floor(size * side / 2) + 1 - 2 * (size * side % 2 == 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # Dirichlet's kernel; its limit where both are 0
        kernel = np.sin(harmonics * angles) / np.sin(angles)
    kernel[np.abs(np.sin(angles)) < 1e-9] = harmonics
    samples: FloatArray = (kernel / np.linalg.norm(kernel, axis=1, keepdims=True)).astype(np.float32)
    return samples
