"""What happens to a frame before the next one is painted over it: motion, sharpening, noise.

Meaning, units and order are those of Deforum. Every function is one of a picture and of numbers, and returns
the picture itself where the numbers say that nothing happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sound_diffusion.typing import DoubleArray

if TYPE_CHECKING:
    from PIL import Image

BORDERS = {"replicate": "edge", "wrap": "wrap", "reflect": "symmetric"}  # and their names in numpy.pad
MARGIN = 2  # pixels that bicubic interpolation needs on either side
SHARPEN_SIGMA = 1.0  # pixels, as in Deforum, with a kernel of five


@dataclass(frozen=True)
class Motion:
    """A step of the camera.

    Attributes
    ----------
    zoom : float
        Above 0: the factor by which the picture grows about its centre; 1 is none.
    angle : float
        Degrees by which it turns about its centre, against the clock.
    translation_x, translation_y : float
        Pixels by which it is shifted to the right and down, before it turns and grows.
    """

    zoom: float = 1.0
    angle: float = 0.0
    translation_x: float = 0.0
    translation_y: float = 0.0

    @property
    def is_still(self) -> bool:
        """Whether nothing moves."""
        return self == Motion()

    @property
    def is_centred(self) -> bool:
        """Whether what is its own mirror image stays so: nothing turns, nothing is shifted."""
        return self == Motion(self.zoom)

    def then(self, step: Motion) -> Motion:
        """The motion that is this one, and then a step."""
        radians = math.radians(self.angle)
        cosine, sine = math.cos(radians) / self.zoom, math.sin(radians) / self.zoom
        return Motion(
            self.zoom * step.zoom,
            self.angle + step.angle,
            self.translation_x + cosine * step.translation_x - sine * step.translation_y,
            self.translation_y + cosine * step.translation_y + sine * step.translation_x,
        )

    @property
    def inverse(self) -> Motion:
        """The step that undoes it."""
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return Motion(
            1 / self.zoom,
            -self.angle,
            -self.zoom * (cosine * self.translation_x + sine * self.translation_y),
            -self.zoom * (cosine * self.translation_y - sine * self.translation_x),
        )


@dataclass(frozen=True)
class Feedback:
    """All that happens to a frame before the next one is painted over it.

    Attributes
    ----------
    motion : Motion
    border : {"replicate", "wrap", "reflect"}
        What comes in from outside of the picture.
    sharpen : float
        At least 0: amount of an unsharp mask.
    noise : float
        At least 0: deviation, as a share of half the range of a pixel.
    seed : int
        Of the noise.
    """

    motion: Motion = Motion()
    border: str = "replicate"
    sharpen: float = 0.0
    noise: float = 0.0
    seed: int = 0

    @property
    def changes(self) -> bool:
        """Whether anything happens."""
        return not self.motion.is_still or self.sharpen > 0 or self.noise > 0


def feed_back(picture: Image.Image, feedback: Feedback) -> Image.Image:
    """Prepare a frame for being painted over, in Deforum's order.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    feedback : Feedback

    Returns
    -------
    picture : PIL.Image.Image
        RGB, of the same size.
    """
    moved = move(picture, feedback.motion, feedback.border)
    return add_noise(sharpen(moved, feedback.sharpen), feedback.noise, feedback.seed)


def move(picture: Image.Image, motion: Motion, border: str = "replicate") -> Image.Image:
    """Move the camera by one step, with bicubic interpolation.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    motion : Motion
    border : {"replicate", "wrap", "reflect"}
        What lies outside of the picture: its last pixels, the picture again, or its mirror image.

    Returns
    -------
    picture : PIL.Image.Image
        RGB, of the same size.
    """
    if motion.is_still:
        return picture
    import torch
    from torch.nn.functional import grid_sample

    pixels = np.asarray(picture, dtype=np.float32)
    padded = np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode=BORDERS[border])  # type: ignore[call-overload]
    x, y = _sources(motion, picture.width, picture.height)
    grid = np.stack(
        [
            2 * (_fold(x, picture.width, border) + MARGIN) / (padded.shape[1] - 1) - 1,
            2 * (_fold(y, picture.height, border) + MARGIN) / (padded.shape[0] - 1) - 1,
        ],
        axis=-1,
    ).astype(np.float32)
    sampled = grid_sample(
        torch.from_numpy(padded).permute(2, 0, 1)[None],
        torch.from_numpy(grid)[None],
        mode="bicubic",
        padding_mode="border",
        align_corners=True,
    )
    return _picture(sampled[0].permute(1, 2, 0).numpy())


def _sources(motion: Motion, width: int, height: int) -> tuple[DoubleArray, DoubleArray]:
    """Where every pixel of the result comes from: x and y, of shape (height, width).

    Forward it is OpenCV's ``getRotationMatrix2D(centre, angle, zoom) @ translation``, as in Deforum; but the
    centre is that of the picture to half a pixel, so that what is symmetric stays so.
    """
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    cosine, sine = (f(math.radians(motion.angle)) / motion.zoom for f in (math.cos, math.sin))
    return (
        cosine * x - sine * y + (width - 1) / 2 - motion.translation_x,
        sine * x + cosine * y + (height - 1) / 2 - motion.translation_y,
    )


def _fold(positions: DoubleArray, size: int, border: str) -> DoubleArray:
    """Bring positions outside of a line of pixels to the place inside that looks the same."""
    if border == "replicate":
        return np.clip(positions, 0, size - 1)
    if border == "wrap":
        return np.mod(positions, size)
    there_and_back = np.mod(positions + 0.5, 2 * size)
    folded: DoubleArray = np.minimum(there_and_back, 2 * size - there_and_back) - 0.5
    return folded


def sharpen(picture: Image.Image, amount: float) -> Image.Image:
    """Sharpen by an unsharp mask, against the blur that painting over and over adds up.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    amount : float
        At least 0; Deforum's is 0.1.

    Returns
    -------
    picture : PIL.Image.Image
    """
    if amount == 0:
        return picture
    from scipy.ndimage import gaussian_filter

    pixels = np.asarray(picture, dtype=np.float32)
    blurred = gaussian_filter(pixels, SHARPEN_SIGMA, truncate=2.0, axes=(0, 1))
    return _picture(pixels + amount * (pixels - blurred))


def add_noise(picture: Image.Image, amount: float, seed: int) -> Image.Image:
    """Add noise, from which painting makes new detail.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    amount : float
        At least 0: deviation of the noise where pixels lie in [-1, 1]; Deforum's is 0.065.
    seed : int

    Returns
    -------
    picture : PIL.Image.Image
    """
    if amount == 0:
        return picture
    pixels = np.asarray(picture, dtype=np.float32)
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
    return _picture(pixels + 127.5 * amount * noise)


def _picture(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8))
