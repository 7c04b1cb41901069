"""Pictures to start from, as other programs save them: any depth, colour space and way of transparency."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sound_diffusion.errors import ParameterError, reason_of

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

# White, for pictures whose brightest value is at most the first number. Lights of a float picture may be
# brighter than white, which is 1.
WHITES_OF_INTEGERS = ((65_535, 65_535), (2**31 - 1, 2**31 - 1))
WHITES_OF_FLOATS = ((16, 1), (255, 255), (65_535, 65_535))


def load_picture(path: Path) -> Image.Image:
    """Read a picture to start from.

    Parameters
    ----------
    path : Path
        In any format that Pillow reads. Of several pictures in a file, the first.

    Returns
    -------
    picture : PIL.Image.Image
        RGB, upright. What is transparent is laid on black, with a warning.

    Raises
    ------
    ParameterError
        If it cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            count = getattr(file, "n_frames", 1)
            if count > 1 and file.format != "MPO":  # a phone's, with a thumbnail
                logger.warning("picture %s: %d pictures in it, the first is used", path, count)
            return as_rgb(file, f"picture {path}")
    except ParameterError:
        raise
    except Exception as error:  # Pillow's many formats have no error in common
        raise ParameterError(
            f"picture {path}: cannot be read ({why_unreadable(error)})", "a PNG, JPEG or WebP file"
        ) from error


def why_unreadable(error: Exception) -> str:
    """Say in one line why a picture cannot be read, without its path."""
    from PIL import UnidentifiedImageError

    return "not a picture" if isinstance(error, UnidentifiedImageError) else reason_of(error)


def as_rgb(picture: Image.Image, name: str = "picture") -> Image.Image:
    """Return a picture of any mode as RGB, upright, with what is transparent laid on black.

    Parameters
    ----------
    picture : PIL.Image.Image
    name : str
        What a warning calls it.

    Returns
    -------
    picture : PIL.Image.Image
        RGB of 8 bits. 16-bit and float values are scaled: white is 65,535, or 1 for float; where a float
        picture goes far beyond 1, the next of 255 and 65,535, with a warning.

    Raises
    ------
    ParameterError
        If it holds NaN or infinite values.
    """
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _deep_grey(picture, name)
    elif picture.mode == "La":  # which Pillow converts to this alone
        picture = picture.convert("LA")
    transparent = picture.info.get("transparency")
    if isinstance(transparent, tuple) and max(transparent) > 255:  # of 16 bits, where the pixels are of 8
        picture.info["transparency"] = tuple(value >> 8 for value in transparent)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    if picture.getchannel("A").getextrema() != (255, 255):
        logger.warning("%s: what is transparent in it is laid on black", name)
    ground = Image.new("RGBA", picture.size, "black")
    return Image.alpha_composite(ground, picture).convert("RGB")


def _deep_grey(picture: Image.Image, name: str) -> Image.Image:
    """Scale grey of 16 bits, 32 bits or float to 8 bits."""
    from PIL import Image

    values = np.asarray(picture).astype(np.float64)
    largest = float(values.max(initial=0))
    if not np.isfinite(values).all():
        raise ParameterError(f"{name}: NaN or infinite values in it", "finite values")
    whites = WHITES_OF_FLOATS if picture.mode == "F" else WHITES_OF_INTEGERS
    white = next((own for limit, own in whites if largest <= limit), int(largest))
    if picture.mode == "F" and white != 1:
        logger.warning("%s: float values up to %.6g in it; white is taken for %.6g", name, largest, white)
    grey = Image.fromarray((values / white * 255).round().clip(0, 255).astype(np.uint8))
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        grey = grey.convert("LA")
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey
