"""Settings: how a picture is painted, what the model declares and the user wants brought together."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from sound_diffusion.errors import ParameterError
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.options import verify

MOST_STEPS = 1000  # as many as a model has timesteps


@dataclass(frozen=True)
class PaintSettings:
    """How a picture is painted; the names are those of diffusers.

    Attributes
    ----------
    steps : int
        Denoising steps, at least 1.
    guidance : float
        Scale of classifier-free guidance; 1 or less turns it off.
    height, width : int
        Size in pixels, multiples of 8.
    sampler : str
        A key of :data:`sound_diffusion.model.defaults.SAMPLERS`.
    eta : float
        In [0, 1]; 0 is deterministic DDIM, 1 is DDPM. Other samplers take 0 alone.
    strength : float
        In [0, 1]: how much of the picture that is painted over is forgotten.
    few_steps : bool
        Whether all of the steps are run whatever the strength, as models that are made for few steps need.
        Otherwise it is the last int(steps * strength) of them, as in diffusers.
    local_contrast : float
        In [0, 10]: by how much contrast with what is around is raised as a picture is decoded.
    """

    steps: int
    guidance: float
    height: int
    width: int
    sampler: str = "ddim"
    eta: float = 0.0
    strength: float = 0.75
    few_steps: bool = False
    local_contrast: float = 0.0

    def __post_init__(self) -> None:
        verify(**asdict(self))
        if self.eta and self.sampler != "ddim":
            raise ParameterError(f"eta {self.eta} with sampler {self.sampler}", "0", "leave --ddim_eta out")


def settings_for(defaults: ModelDefaults, **overrides: Any) -> PaintSettings:
    """Combine what a model declares with what the caller wants.

    Parameters
    ----------
    defaults : ModelDefaults
    **overrides
        Attributes of :class:`PaintSettings`; None keeps the default.

    Returns
    -------
    settings : PaintSettings

    Raises
    ------
    ParameterError
        If a value is out of range.
    """
    settings = PaintSettings(
        defaults.steps,
        defaults.guidance,
        defaults.height,
        defaults.width,
        defaults.sampler,
        few_steps=defaults.few_steps,
        local_contrast=defaults.local_contrast,
    )
    return replace(settings, **{name: value for name, value in overrides.items() if value is not None})


def steps_to_run(settings: PaintSettings) -> int:
    """Count the steps that run where a picture is painted over.

    Raises
    ------
    ParameterError
        If the strength is above 0 and gives no step at all.
    """
    if settings.strength > 0 and not gives_a_step(settings):
        raise ParameterError(
            f"strength {settings.strength} of {settings.steps} steps gives no step at all",
            remedy=what_gives_a_step(settings.steps, settings.strength),
        )
    if settings.few_steps:
        return settings.steps if settings.strength > 0 else 0
    return int(settings.steps * settings.strength)


def what_gives_a_step(steps: int, strength: float) -> str:
    """Say which strength of that many steps, or how many steps of a strength above 0, give one to run."""
    least = math.ceil(1e4 / steps) / 1e4
    needed = math.ceil(1 / max(strength, 1 / (2 * MOST_STEPS)))
    needed += needed * strength < 1  # as floats have it
    words = f"use --strength {least:g} or more"
    return words + (f", or --ddim_steps {needed} or more" if needed <= MOST_STEPS else "")


def few_step_timesteps(settings: PaintSettings, count: int, most: int) -> list[int]:
    """Divide the way from a picture that is forgotten by its strength to the new one evenly among the steps.

    Parameters
    ----------
    settings : PaintSettings
        Of a model of few steps: all of them run, whatever the strength.
    count : int
        Timesteps of the model, 1000 as a rule.
    most : int
        How many of them, evenly spaced, the model was distilled from.

    Returns
    -------
    list of int
        Timesteps from the noisiest to the clearest, in [0, count).
    """
    left = range(min(settings.steps, most), 0, -1)
    places = [max(round(most * settings.strength * part / settings.steps), part) for part in left]
    return [place * (count // most) - 1 for place in places]


def gives_a_step(settings: PaintSettings) -> bool:
    """Whether anything of a picture that is painted over would change."""
    return settings.strength > 0 and (settings.few_steps or int(settings.steps * settings.strength) > 0)
