"""What models declare: how they paint where the user says nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

from sound_diffusion.errors import ModelError
from sound_diffusion.model.folders import INDEX_FILE, read_json
from sound_diffusion.sound.embeddings import SCALINGS

DEFAULTS_FILE = "sound_diffusion.json"
UNET_CONFIG = "unet/config.json"
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
SETTINGS_FILES = (INDEX_FILE, DEFAULTS_FILE, UNET_CONFIG, SCHEDULER_CONFIG)
"""All that is read before a model is loaded."""

PIXELS_PER_LATENT = 8
LCM_STEPS = 4
NUMBER, TEXT = (int, float), (str,)
FILM_DEFAULTS = {  # the strength may be a formula
    "steps": (int,), "guidance": NUMBER, "strength": NUMBER + TEXT, "seed_mode": TEXT, "chain": TEXT,
    "local_contrast": NUMBER,
}  # fmt: skip
"""Options of films for which a model may declare values of its own, and their types in JSON."""

SAMPLERS = {
    "ddim": "DDIMScheduler",
    "plms": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "lcm": "LCMScheduler",
}

Rule: TypeAlias = tuple[Callable[[Any], bool], str]
COUNT: Rule = (lambda value: type(value) is int and value >= 1, "a whole number from 1 on")
SWITCH: Rule = (lambda value: type(value) is bool, "true or false")
RULES: dict[str, Rule] = {
    **dict.fromkeys(("steps", "height", "width"), COUNT),
    **dict.fromkeys(("guidance", "local_contrast"), (lambda value: type(value) in NUMBER, "a number")),
    "scaling": (
        lambda value: isinstance(value, dict) and all(each in SCALINGS for each in value.values()),
        f"an object with values of {', '.join(SCALINGS)}",
    ),
    "sampler": (lambda value: value in tuple(SAMPLERS), f"one of {', '.join(SAMPLERS)}"),
    "window": (
        lambda value: value is None or (type(value) in NUMBER and value > 0),
        "a number of seconds above 0, or null",
    ),
    **dict.fromkeys(("sound_encoder", "mirrored_noise", "few_steps"), SWITCH),
    "film": (
        lambda value: (
            isinstance(value, dict)
            and all(type(each) in FILM_DEFAULTS.get(name, ()) for name, each in value.items())
        ),
        f"an object with any of {', '.join(FILM_DEFAULTS)}",
    ),
}
"""What the entries of a declaration have to be."""


@dataclass(frozen=True)
class ModelDefaults:
    """What a model declares in sound_diffusion.json; the values below hold for one that declares nothing.

    Attributes
    ----------
    steps : int
        Denoising steps.
    guidance : float
        Scale of classifier-free guidance.
    height, width : int
        Size of the pictures in pixels.
    scaling : mapping of str to str
        Scaling of each feature. One that is not named has ``none``.
    sampler : str
        A key of :data:`SAMPLERS`.
    window : float or None
        Seconds of sound in a frame of a film. None: the duration of one frame.
    sound_encoder : bool
        Whether :class:`sound_diffusion.model.sound_encoder.SoundEncoder`, in the folder sound_encoder/, reads
        every embedding before the UNet does.
    mirrored_noise : bool
        Whether noise is :func:`sound_diffusion.model.mirrored.mirrored`, and latents after every step.
    local_contrast : float
        What decoded pictures get of :func:`sound_diffusion.latents.with_local_contrast`.
    few_steps : bool
        Whether the model is made for few steps, so that what is painted over a picture gets all of them,
        whatever the strength.
    film : mapping
        What is different for films, any of :data:`FILM_DEFAULTS`.
    """

    steps: int = 50
    guidance: float = 7.5
    height: int = 512
    width: int = 512
    scaling: Mapping[str, str] = field(
        default_factory=lambda: {"fft": "clip", "melspectrogram": "clip", "mfcc": "clip", "cqt": "clip"}
    )
    sampler: str = "ddim"
    window: float | None = None
    sound_encoder: bool = False
    mirrored_noise: bool = False
    local_contrast: float = 0.0
    few_steps: bool = False
    film: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ModelDefaults:
        """Read sound_diffusion.json; ModelError for entries that are unknown or wrong."""
        declared = read_json(path)
        known = {f.name for f in fields(cls)}
        if not declared.keys() <= known:
            raise ModelError(f"{path}: unknown entries", f"an object with {', '.join(sorted(known))}")
        for name, value in declared.items():
            is_right, expected = RULES[name]
            if not is_right(value):
                raise ModelError(f"{path}: {name} {value!r}", expected)
        return cls(**declared)

    def scaling_for(self, feature: str, scaling: str = "auto") -> str:
        """Resolve ``--scaling``: `scaling` itself, or for ``auto`` what is declared for `feature`."""
        return self.scaling.get(feature, "none") if scaling == "auto" else scaling


def read_defaults(path: Path) -> ModelDefaults:
    """Read what a model declares, whose file or folder is at a path.

    One that declares nothing paints pictures of the size that it was trained on, and in few steps where its
    scheduler says that it is a latent consistency model. A single file is checked here, and refused as
    :func:`sound_diffusion.model.families.family_of` says; where only a measurement can tell for
    which size it was trained, that is made.

    Raises
    ------
    ModelError
        If the declaration is wrong, or the file is no model.
    """
    if (path / DEFAULTS_FILE).exists():
        return ModelDefaults.read(path / DEFAULTS_FILE)
    if path.is_file():
        from sound_diffusion.model.checkpoint import measured_family

        path = measured_family(path).config_folder
    unet, scheduler = _read_config(path, UNET_CONFIG), _read_config(path, SCHEDULER_CONFIG)
    defaults = ModelDefaults()
    size = unet.get("sample_size")
    if isinstance(size, int):
        defaults = replace(defaults, height=PIXELS_PER_LATENT * size, width=PIXELS_PER_LATENT * size)
    if scheduler.get("_class_name") == "LCMScheduler":  # distilled, without guidance unless it is built in
        guidance = defaults.guidance if unet.get("time_cond_proj_dim") else 1.0
        defaults = replace(defaults, sampler="lcm", steps=LCM_STEPS, guidance=guidance, few_steps=True)
    elif _is_turbo(scheduler):
        defaults = replace(defaults, sampler="euler", steps=1, guidance=1.0, few_steps=True)
    return defaults


def _is_turbo(scheduler: Mapping[str, Any]) -> bool:
    """Whether a scheduler is that of SD-Turbo or SDXL-Turbo: Euler's, on trailing timesteps.

    Models that predict v, or whose schedule ends in pure noise, have such timesteps too, and need all steps.
    """
    return (
        scheduler.get("_class_name") in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
        and scheduler.get("timestep_spacing") == "trailing"
        and scheduler.get("prediction_type", "epsilon") == "epsilon"
        and not scheduler.get("rescale_betas_zero_snr", False)
    )


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    """Read a configuration of diffusers; empty where there is none."""
    with contextlib.suppress(ModelError):
        return read_json(folder / name)
    return {}


def read_width(path: Path) -> int | None:
    """Read how many columns D a diffusers model's embeddings have; None where only loading tells."""
    width = _read_config(path, UNET_CONFIG).get("cross_attention_dim")
    return width if isinstance(width, int) else None


def reads_text(path: Path) -> bool:
    """Say whether a model has a text encoder; true where only loading tells."""
    part = _read_config(path, INDEX_FILE).get("text_encoder", [""])
    return isinstance(part, list) and None not in part
