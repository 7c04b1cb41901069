"""The descriptors of a sound: numbers over time that the schedules of films follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sound_diffusion.typing import DoubleArray

PERCENTILES = (1, 99)  # of a film; what lies outside is clipped


@dataclass(frozen=True)
class Descriptor:
    """One number over time.

    Attributes
    ----------
    name : str
    description : str
        One line, with the unit that it has before it is brought to [0, 1].
    over_hops : callable
        How the hops of a frame become one number: the mean of what lasts, the maximum of what is sudden.
    smallest_range : float
        What varies by less over a film is constant but for rounding or hiss, and is not blown up to [0, 1].
    music : (float, float)
        What stands for 0 and for 1 where there is but one number for a whole sound: about the range of 94
        excerpts of music.
    """

    name: str
    description: str
    over_hops: Callable[..., Any]
    smallest_range: float
    music: tuple[float, float]


DESCRIPTORS = {
    descriptor.name: descriptor
    for descriptor in (
        Descriptor("loudness", "root mean square of the samples", np.mean, 1e-3, (0, 0.3)),
        Descriptor("onset", "rise of the mel spectrum in dB, mean over its bands", np.max, 1.0, (0, 6)),
        Descriptor("low", "20 to 150 Hz, root mean square", np.mean, 1e-3, (0, 0.25)),
        Descriptor("mid", "150 to 2,000 Hz, root mean square", np.mean, 1e-3, (0, 0.25)),
        Descriptor("high", "2,000 to 16,000 Hz, root mean square", np.mean, 1e-3, (0, 0.07)),
        Descriptor(
            "percussive", "what is short and broad in the spectrum, root mean square", np.max, 1e-3, (0, 0.2)
        ),
        Descriptor(
            "harmonic", "what is long and narrow in the spectrum, root mean square", np.mean, 1e-3, (0, 0.25)
        ),
        Descriptor("centroid", "centre of the magnitude spectrum, Hz", np.mean, 20.0, (0, 5000)),
        Descriptor("flatness", "0 a tone, 1 white noise", np.mean, 1e-4, (0, 0.003)),
        Descriptor("flux", "distance between successive magnitude spectra", np.max, 1.0, (0, 140)),
        Descriptor("pitch", "fundamental, MIDI number; held where there is none", np.median, 0.5, (36, 84)),
    )
}


def over_hops(hops: DoubleArray) -> DoubleArray:
    """Make one row, (11,), of the hops of a frame, (n, 11) with n of at least 1."""
    columns = zip(DESCRIPTORS.values(), hops.T, strict=True)
    return np.array([descriptor.over_hops(column) for descriptor, column in columns])


def levels(raw: DoubleArray) -> DoubleArray:
    """Bring descriptors to [0, 1] by the 1st and the 99th percentile.

    Parameters
    ----------
    raw : np.ndarray [shape=(n, 11), dtype=float64]
        In the units of :data:`DESCRIPTORS`.

    Returns
    -------
    levels : np.ndarray [shape=(n, 11), dtype=float64]
        What lies outside of the percentiles is clipped. A descriptor that does not vary is 0.
    """
    low, high = np.percentile(raw, PERCENTILES, axis=0)
    smallest = np.array([descriptor.smallest_range for descriptor in DESCRIPTORS.values()])
    return np.asarray(np.clip((raw - low) / np.maximum(high - low, smallest), 0, 1), dtype=np.float64)
