"""Whitening: what most music has in common is taken off a feature; what is left tells sounds apart."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.typing import FloatArray

# One array `FEATURE_COLUMNS` of shape (2, columns) each: mean and deviation; made by training/whitening.py.
CONSTANTS = Path(__file__).with_name("whitening.npz")
# Of the mean deviation: columns that hardly vary, such as those above 20 kHz, are not blown up.
SMALLEST_DEVIATION = 0.1


def compress(matrix: FloatArray) -> FloatArray:
    """Return log(1 + x), odd about zero for features with negative values."""
    return np.copysign(np.log1p(np.abs(matrix)), matrix)


@cache
def constants_for(feature: str, width: int) -> FloatArray:
    """Mean and deviation of every column of a feature over music, after :func:`compress`.

    Parameters
    ----------
    feature : str
        A key of :data:`sound_diffusion.sound.features.FEATURES`.
    width : int
        Columns D. For a width that was not measured, those of the nearest one are interpolated.

    Returns
    -------
    constants : np.ndarray [shape=(2, D), dtype=float32]
        Deviations are above zero.

    Raises
    ------
    ParameterError
        If nothing was measured for `feature`.
    """
    with np.load(CONSTANTS) as measured:
        widths = [int(name.rsplit("_", 1)[1]) for name in measured.files if name.startswith(f"{feature}_")]
        if not widths:
            known = ", ".join(sorted({name.rsplit("_", 1)[0] for name in measured.files}))
            raise ParameterError(
                f"scaling 'whiten' of {feature!r}",
                f"a feature whose mean is known: {known}",
                "use another --scaling",
            )
        nearest = min(widths, key=lambda other: abs(other - width))
        mean, deviation = measured[f"{feature}_{nearest}"]
    here, there = np.linspace(0, 1, width), np.linspace(0, 1, nearest)
    deviation = np.maximum(deviation, SMALLEST_DEVIATION * deviation.mean())
    return np.stack([np.interp(here, there, values) for values in (mean, deviation)]).astype(np.float32)


def whiten(matrix: FloatArray, feature: str) -> FloatArray:
    """Take the mean of music off every column, and divide by its deviation.

    Parameters
    ----------
    matrix : np.ndarray [shape=(77, D), dtype=float32]
        A feature, unscaled.
    feature : str
        Its name.

    Returns
    -------
    whitened : np.ndarray [shape=(77, D), dtype=float32]
        (log(1 + x) - mean) / deviation; over music each column has about mean 0 and deviation 1.

    Raises
    ------
    ParameterError
        As :func:`constants_for`.
    """
    mean, deviation = constants_for(feature, matrix.shape[1])
    return np.asarray((compress(matrix) - mean) / deviation, dtype=np.float32)
