"""Colours over a film: kept near those that it begins with, by histograms.

All is done in floating point: conversion to 8-bit LAB and back for every frame of a film turns it blue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from sound_diffusion.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from PIL import Image

COLOR_SPACES = ("none", "LAB", "HSV", "RGB")
N_BINS = 256
# Lowest and highest value of each channel: L, a, b of all colours that a screen shows.
CHANNEL_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "LAB": ((0, 100), (-87, 99), (-108, 95)),
    "HSV": ((0, 1),) * 3,
    "RGB": ((-0.5 / 255, 255.5 / 255),) * 3,  # a bin for every 8-bit value
}

# sRGB (IEC 61966-2-1) to CIE XYZ, each row divided by that of the white point D65.
WHITE = np.array([0.95047, 1.0, 1.08883])
XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
LAB_KNEE = 6 / 29  # where the cube root of CIE 1976 becomes a straight line


class Coherence:
    """Brings the frames of a film back to the colours of its first second.

    Not to those of the first frame, of which nothing has been heard yet; and each after it is painted, as
    what is painted over a frame of other colours changes the more.

    Parameters
    ----------
    space : {"LAB", "HSV", "RGB"}
    strength : float
        In [0, 1].
    first : sequence of int
        The frames of the first second that are painted, ascending.
    load : callable, optional
        Returns one of these that an earlier run has made.
    """

    def __init__(
        self,
        space: str,
        strength: float,
        first: Sequence[int],
        load: Callable[[int], Image.Image] | None = None,
    ) -> None:
        self.space, self.strength, self.first = space, strength, first
        self._load = load
        self._seen: dict[int, IntArray] = {}
        self._looking = threading.Lock()  # frames are decoded by two threads

    def match(self, picture: Image.Image, index: int) -> Image.Image:
        """Give a frame the colours of the first second, or remember its own if it belongs to it.

        Parameters
        ----------
        picture : PIL.Image.Image
            RGB.
        index : int
            Of the frame. All of the first second that are painted have come before a later one.
        """
        if index > self.first[-1]:
            return match_colors(picture, self._wanted(), self.space, self.strength)
        if index in self.first:
            with self._looking:
                self._seen[index] = histograms(picture, self.space)
        return picture

    def _wanted(self) -> IntArray:
        with self._looking:
            if self._load is not None:
                for index in (index for index in self.first if index not in self._seen):
                    self._seen[index] = histograms(self._load(index), self.space)
            wanted: IntArray = np.sum(list(self._seen.values()), axis=0)
            return wanted


def histograms(picture: Image.Image, space: str) -> IntArray:
    """Count the values of every channel of a picture in a colour space: (3, 256)."""
    pixels = _to_space(np.asarray(picture), space)
    channels = enumerate(CHANNEL_RANGES[space])
    return np.stack([_histogram(pixels[..., channel], limits) for channel, limits in channels])


def match_colors(picture: Image.Image, wanted: IntArray, space: str, strength: float) -> Image.Image:
    """Give a picture other colours, by matching the histogram of every channel.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    wanted : np.ndarray [shape=(3, 256), dtype=int64]
        From :func:`histograms`, of one picture or the sum of several.
    space : {"none", "LAB", "HSV", "RGB"}
        Whose channels are matched, each by itself.
    strength : float
        In [0, 1]: how much of the way each value goes.

    Returns
    -------
    picture : PIL.Image.Image
        RGB; the picture itself where there is nothing to do.
    """
    if space == "none" or strength == 0:
        return picture
    from PIL import Image

    pixels = _to_space(np.asarray(picture), space)
    for channel, limits in enumerate(CHANNEL_RANGES[space]):
        pixels[..., channel] += strength * _shifts(pixels[..., channel], wanted[channel], limits)
    rgb = np.clip(_to_rgb(pixels, space), 0, 1) * 255
    return Image.fromarray(rgb.round().astype(np.uint8))


def _shifts(values: FloatArray, wanted: IntArray, limits: tuple[float, float]) -> FloatArray:
    """What has to be added to values to give them the histogram of others."""
    counts = _histogram(values, limits)
    middles = limits[0] + (np.arange(N_BINS) + 0.5) * (limits[1] - limits[0]) / N_BINS
    here, there = counts > 0, wanted > 0
    shares, wanted_shares = np.cumsum(counts) / values.size, np.cumsum(wanted) / wanted.sum()
    matched = np.interp(shares[here], wanted_shares[there], middles[there])
    shifts: FloatArray = np.interp(values, middles[here], matched - middles[here]).astype(np.float32)
    return shifts


def _histogram(values: FloatArray, limits: tuple[float, float]) -> IntArray:
    """Count values in bins of equal width; ``numpy.histogram`` takes five times as long."""
    bins = ((values - limits[0]) * (N_BINS / (limits[1] - limits[0]))).astype(np.int64)
    return np.bincount(np.clip(bins, 0, N_BINS - 1).ravel(), minlength=N_BINS)


def _to_space(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], space: str) -> FloatArray:
    if space == "LAB":
        return to_lab(pixels)
    rgb: FloatArray = pixels.astype(np.float32) / np.float32(255)
    if space == "HSV":
        from matplotlib.colors import rgb_to_hsv

        return np.asarray(rgb_to_hsv(rgb), dtype=np.float32)
    return rgb


def _to_rgb(pixels: FloatArray, space: str) -> FloatArray:
    if space == "LAB":
        return from_lab(pixels)
    if space == "HSV":
        from matplotlib.colors import hsv_to_rgb

        return np.asarray(hsv_to_rgb(np.clip(pixels, 0, 1)), dtype=np.float32)
    return pixels


@cache
def linear_light() -> FloatArray:
    """Light of every 8-bit value of sRGB, in [0, 1], shape (256,)."""
    values = np.arange(256) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_lab(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> FloatArray:
    """Convert sRGB to CIE 1976 L*a*b*.

    Parameters
    ----------
    pixels : np.ndarray [shape=(..., 3), dtype=uint8]

    Returns
    -------
    lab : np.ndarray [shape=(..., 3), dtype=float32]
        L in [0, 100], a and b about [-100, 100].
    """
    xyz = linear_light()[pixels] @ (XYZ_OF_RGB / WHITE[:, None]).T.astype(np.float32)
    roots = np.where(xyz > LAB_KNEE**3, np.cbrt(xyz), xyz / (3 * LAB_KNEE**2) + np.float32(4 / 29))
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def from_lab(lab: FloatArray) -> FloatArray:
    """Convert CIE 1976 L*a*b* to sRGB.

    Parameters
    ----------
    lab : np.ndarray [shape=(..., 3), dtype=float32]

    Returns
    -------
    rgb : np.ndarray [shape=(..., 3), dtype=float32]
        In [0, 1] for the colours that sRGB has, outside for others.
    """
    y = (lab[..., 0] + 16) / 116
    roots = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(roots > LAB_KNEE, roots**3, 3 * LAB_KNEE**2 * (roots - np.float32(4 / 29)))
    light = xyz @ np.linalg.inv(XYZ_OF_RGB / WHITE[:, None]).T.astype(np.float32)
    bright = 1.055 * np.maximum(light, 0.0031308) ** np.float32(1 / 2.4) - 0.055
    return np.where(light > 0.0031308, bright, 12.92 * light).astype(np.float32)
