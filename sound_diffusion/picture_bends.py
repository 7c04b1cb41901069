"""How pictures are bent: by the descriptors of the whole sound, each one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from sound_diffusion.bending import FLAG, Bend, work_out_amounts
from sound_diffusion.errors import ParameterError
from sound_diffusion.formulas.variables import TIME_VARIABLES, Variables
from sound_diffusion.sound.descriptors import DESCRIPTORS
from sound_diffusion.typing import DoubleArray

# What an amount can speak of; a picture has no beats.
VARIABLES = [*(name for name in TIME_VARIABLES if name != "beats"), *DESCRIPTORS]


def check_names(bends: Sequence[Bend]) -> None:
    """Raise ParameterError where an amount speaks of what a picture has not."""
    for bend in bends:
        bend.amount.check_names(VARIABLES)


def followed(bends: Sequence[Bend]) -> list[str]:
    """Name the descriptors that amounts follow, in alphabetical order."""
    return sorted(frozenset().union(*(bend.amount.names for bend in bends)) & {*DESCRIPTORS})


def picture_amounts(bends: Sequence[Bend], levels: Mapping[str, float] | None, seed: int) -> DoubleArray:
    """Work out what the bends of a picture come to.

    Parameters
    ----------
    bends : sequence of Bend
    levels : mapping from str to float, or None
        The descriptors of the whole sound, from :func:`sound_diffusion.describe_whole`; None without one.
    seed : int
        Of the first picture.

    Returns
    -------
    amounts : np.ndarray [shape=(1, n_bends), dtype=float64]

    Raises
    ------
    ParameterError
        If an amount follows a sound and there is none, or speaks of what a picture has not.
    """
    check_names(bends)
    missing = [name for name in followed(bends) if name not in (levels or {})]
    if missing:
        raise ParameterError(
            f"{FLAG} follows {', '.join(missing)} without a sound", "a sound, or an amount that is a number"
        )
    descriptors = {name: np.array([level]) for name, level in (levels or {}).items()}
    return work_out_amounts(bends, Variables(1, Fraction(1), descriptors, seed=seed))
