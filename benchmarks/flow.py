"""How a picture moved from one frame to the next: optical flow, by Lucas and Kanade's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

LEVELS = (8, 4, 2, 1)  # factors by which the pictures are made smaller, coarse to fine
ITERATIONS = 4


@dataclass(frozen=True)
class AffineFlow:
    """The motion of a whole picture, as a linear function of the place from its centre.

    Attributes
    ----------
    matrix : np.ndarray [shape=(2, 3), dtype=float64]
        Pixels to the right and down: ``matrix @ (x, y, 1)``.
    """

    matrix: np.ndarray

    @property
    def divergence(self) -> float:
        """How it grows; 2*(z - 1) for a zoom by z."""
        return float(self.matrix[0, 0] + self.matrix[1, 1])

    @property
    def curl(self) -> float:
        """How it turns against the clock; about twice the angle in radians."""
        return float(self.matrix[0, 1] - self.matrix[1, 0])

    @property
    def mean(self) -> tuple[float, float]:
        """Pixels to the right and down."""
        return float(self.matrix[0, 2]), float(self.matrix[1, 2])


def affine_flow(before: Image.Image, after: Image.Image) -> AffineFlow:
    """Estimate the motion that takes one picture into another.

    Parameters
    ----------
    before, after : PIL.Image.Image
        Of the same size.

    Returns
    -------
    flow : AffineFlow

    References
    ----------
    Lucas and Kanade, "An iterative image registration technique", 1981; Bergen et al., "Hierarchical
    model-based motion estimation", 1992.
    """
    matrix = np.zeros((2, 3))
    for factor in LEVELS:
        size = (max(before.width // factor, 16), max(before.height // factor, 16))
        one, other = (
            np.asarray(picture.convert("L").resize(size, Image.Resampling.BOX), dtype=np.float64)
            for picture in (before, after)
        )
        scale = np.array([1, 1, size[0] / before.width])  # pixels of this level
        for _ in range(ITERATIONS):
            matrix += _step(one, other, matrix * scale) / scale
    return AffineFlow(matrix)


def _step(before: np.ndarray, after: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Solve for what has to be added to a motion, where the pictures change in proportion to it."""
    from scipy.ndimage import map_coordinates

    height, width = before.shape
    y, x = np.mgrid[0:height, 0:width]
    place = np.stack([x - (width - 1) / 2, y - (height - 1) / 2, np.ones_like(x, dtype=float)])
    motion = np.tensordot(matrix, place, 1)
    there = (y + motion[1], x + motion[0])
    moved = map_coordinates(after, there, order=1, mode="nearest")
    rows, columns = np.gradient(moved)
    inside = (there[0] > 1) & (there[0] < height - 2) & (there[1] > 1) & (there[1] < width - 2)
    difference = (before - moved)[inside]
    # Large differences are new things and no motion: they count in proportion to their root.
    weight = 1 / np.sqrt(1 + np.abs(difference) / (np.median(np.abs(difference)) + 1e-6))
    terms = np.concatenate([columns[inside] * place[:, inside], rows[inside] * place[:, inside]])
    normal = (terms * weight) @ terms.T
    return np.linalg.lstsq(normal, (terms * weight) @ difference, rcond=None)[0].reshape(2, 3)
