"""Flashes: how often a film changes between light and dark, which can set off epileptic fits."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from sound_diffusion.film.colors import XYZ_OF_RGB, linear_light
from sound_diffusion.typing import DoubleArray, IntArray

if TYPE_CHECKING:
    from PIL import Image

# W3C, Web Content Accessibility Guidelines 2.2, "general flash and red flash thresholds".
MOST_FLASHES = 3  # in any second
SMALLEST_CHANGE = 0.1  # of the relative luminance of white
LIGHTEST_DARK = 0.8


def relative_luminance(picture: Image.Image) -> float:
    """Return the mean relative luminance of a picture.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.

    Returns
    -------
    luminance : float
        0 for black, 1 for white.
    """
    counts = np.reshape(picture.histogram(), (3, 256))
    return float(XYZ_OF_RGB[1] @ (counts @ linear_light()) / counts[0].sum())


def flashing_times(luminances: Sequence[float], fps: Fraction) -> list[float]:
    """Find where more than :data:`MOST_FLASHES` come within a second.

    Parameters
    ----------
    luminances, fps
        Relative luminance of every frame, in [0, 1], and frames a second.

    Returns
    -------
    times : list of float
        Seconds at which such a second begins, each at least a second after the one before.
    """
    times: list[float] = []
    for time, count in zip(*changes_within_a_second(luminances, fps), strict=True):
        if count // 2 > MOST_FLASHES and (not times or time >= times[-1] + 1):
            times.append(float(time))
    return times


def changes_within_a_second(luminances: Sequence[float], fps: Fraction) -> tuple[DoubleArray, IntArray]:
    """Return the seconds of all changes, and how many come within a second from each; two are a flash."""
    changes = np.array(_changes(luminances), dtype=np.float64) / float(fps)
    inside = np.searchsorted(changes, changes + 1, side="left") - np.arange(len(changes))
    return changes, inside


def _changes(luminances: Sequence[float]) -> list[int]:
    """Frames by which the luminance has come a tenth up from a valley, or down from a peak."""
    changes: list[int] = []
    if not len(luminances):
        return changes
    valley = peak = luminances[0]
    falling = rising = True  # what may come next; at first both
    for frame, luminance in enumerate(luminances):
        valley, peak = min(valley, luminance), max(peak, luminance)
        if rising and luminance - valley >= SMALLEST_CHANGE and valley < LIGHTEST_DARK:
            rising, falling, peak = False, True, luminance
            changes.append(frame)
        elif falling and peak - luminance >= SMALLEST_CHANGE and luminance < LIGHTEST_DARK:
            rising, falling, valley = True, False, luminance
            changes.append(frame)
    return changes
