"""Between two arrays: along a straight line, along an arc, or not at all."""

from __future__ import annotations

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.typing import FloatArray

INTERPOLATIONS = ("slerp", "lerp", "none")
NEARLY_PARALLEL = 0.9995  # cosine above which an arc is a line


def interpolate(before: FloatArray, after: FloatArray, share: float, how: str = "slerp") -> FloatArray:
    """Go from one array to another.

    Parameters
    ----------
    before, after : np.ndarray [shape=(..., D), dtype=float32]
        Embeddings: each row of the last axis goes its own way.
    share : float
        In [0, 1]: how far.
    how : {"slerp", "lerp", "none"}
        Along an arc, along a straight line, or not before the end.

    Returns
    -------
    between : np.ndarray [shape=(..., D), dtype=float32]
        At 0 and at 1 the very arrays.

    Raises
    ------
    ParameterError
        If the shapes differ, `share` is out of range or `how` is unknown.
    """
    if before.shape != after.shape:
        raise ParameterError(f"arrays of shapes {before.shape} and {after.shape}", "the same shape")
    if not 0 <= share <= 1:
        raise ParameterError(f"share {share}", "a number in [0, 1]")
    if how not in INTERPOLATIONS:
        raise ParameterError(f"unknown interpolation {how!r}", f"one of {', '.join(INTERPOLATIONS)}")
    if share == 1:
        return after
    if share == 0 or how == "none":
        return before
    if how == "slerp":
        return slerp(before, after, share)
    return ((1 - share) * before + share * after).astype(np.float32)


def slerp(before: FloatArray, after: FloatArray, share: float) -> FloatArray:
    """Go along an arc: the direction turns evenly, and the length changes evenly.

    Parameters
    ----------
    before, after : np.ndarray [shape=(..., D), dtype=float32]
        Vectors along the last axis.
    share : float
        In [0, 1].

    Returns
    -------
    between : np.ndarray [shape=(..., D), dtype=float32]
        Where two directions are nearly the same, opposite, or none at all: along a straight line.
    """
    one, other = before.astype(np.float64), after.astype(np.float64)
    lengths = [np.linalg.norm(vectors, axis=-1, keepdims=True) for vectors in (one, other)]
    there = np.where(lengths[0] * lengths[1] > 0, lengths[0] * lengths[1], 1)
    cosine = np.sum(one * other, axis=-1, keepdims=True) / there
    straight = (np.abs(cosine) > NEARLY_PARALLEL) | (lengths[0] * lengths[1] == 0)
    angle = np.arccos(np.clip(np.where(straight, 0, cosine), -1, 1))
    directions = [
        vectors / np.where(length > 0, length, 1)
        for vectors, length in zip((one, other), lengths, strict=True)
    ]
    turned = np.sin((1 - share) * angle) * directions[0] + np.sin(share * angle) * directions[1]
    length = (1 - share) * lengths[0] + share * lengths[1]
    arc = turned / np.sin(angle) * length
    return np.where(straight, (1 - share) * one + share * other, arc).astype(np.float32)
