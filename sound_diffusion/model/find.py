"""Where models are and what they declare."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sound_diffusion.errors import ModelError
from sound_diffusion.installation import MODELS_FOLDER
from sound_diffusion.model.folders import INDEX_FILE
from sound_diffusion.model.hub import cached_snapshot, download_settings
from sound_diffusion.sound.embeddings import SCALINGS

STABLE_DIFFUSION_CHECKPOINT = Path("ldm") / "stable-diffusion-v1" / "model.ckpt"
EMBEDDED_MODEL = "cymatics"
DEFAULTS_FILE = "sound_diffusion.json"
UNET_CONFIG = "unet/config.json"
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
SETTINGS_FILES = [INDEX_FILE, DEFAULTS_FILE, UNET_CONFIG, SCHEDULER_CONFIG]
PIXELS_PER_LATENT = 8
LCM_STEPS = 4
FILM_DEFAULTS = {
    "steps": (int,),
    "guidance": (int, float),
    "strength": (int, float),
    "seed_mode": (str,),
    "chain": (str,),
}
"""Options of films for which a model may declare values of its own, and their types in JSON."""

DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "full", "autocast")
SAMPLERS = {
    "ddim": "DDIMScheduler",
    "plms": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "lcm": "LCMScheduler",
}
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
WEIGHT_SUFFIXES = (".ckpt", ".safetensors")
FINGERPRINT_BYTES = 1 << 16


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
    few_steps: bool = False
    film: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ModelDefaults:
        """Read sound_diffusion.json; without the file, the defaults of Stable Diffusion."""
        try:
            declared = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: cannot be read ({error})", "JSON") from error
        known = {f.name for f in fields(cls)}
        if not isinstance(declared, dict) or not declared.keys() <= known:
            raise ModelError(f"{path}: unknown entries", f"an object with {', '.join(sorted(known))}")
        defaults = cls(**declared)
        problem = defaults._problem()
        if problem:
            raise ModelError(f"{path}: {problem}")
        return defaults

    def scaling_for(self, feature: str, scaling: str = "auto") -> str:
        """Resolve ``--scaling``: `scaling` itself, or for ``auto`` what is declared for `feature`."""
        return self.scaling.get(feature, "none") if scaling == "auto" else scaling

    def _problem(self) -> str:
        """Say what is wrong with values that came from a file, if anything is."""
        counts = (self.steps, self.height, self.width)
        scalings = self.scaling.values() if isinstance(self.scaling, dict) else [None]
        checks = {
            "steps, height and width have to be whole numbers from 1 on": all(
                type(value) is int and value >= 1 for value in counts
            ),
            f"guidance {self.guidance!r} is no number": type(self.guidance) in (int, float),
            f"scaling {self.scaling!r} is not an object with values of {', '.join(SCALINGS)}": (
                set(map(str, scalings)) <= set(SCALINGS)
            ),
            f"sampler {self.sampler!r} is none of {', '.join(SAMPLERS)}": self.sampler in SAMPLERS,
            f"window {self.window!r} is not a number of seconds": self.window is None
            or (isinstance(self.window, int | float) and self.window > 0),
        } | {
            f"{name} {value!r} is neither true nor false": type(value) is bool
            for name, value in (
                ("sound_encoder", self.sound_encoder),
                ("mirrored_noise", self.mirrored_noise),
                ("few_steps", self.few_steps),
            )
        }
        checks[f"film {self.film!r} is not an object with any of {', '.join(FILM_DEFAULTS)}"] = isinstance(
            self.film, dict
        ) and all(type(value) in FILM_DEFAULTS.get(name, ()) for name, value in self.film.items())
        return next((problem for problem, passed in checks.items() if not passed), "")


def find_model(name: str = "auto") -> Path | str:
    """Say where a model is, without loading it.

    Parameters
    ----------
    name : str
        ``auto``, the name of a folder in models/, a diffusers folder, a .ckpt or .safetensors file, or a
        hub id. Besides the program's own models/, one in the current folder is looked into.

    Returns
    -------
    location : Path or str
        A Path that exists, or the hub id.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if name == "auto":
        checkpoints = (folder / STABLE_DIFFUSION_CHECKPOINT for folder in _models_folders())
        return next(filter(Path.exists, checkpoints), None) or find_model(EMBEDDED_MODEL)
    try:
        for path in (Path(name), *(folder / name for folder in _models_folders())):
            if path.is_file() or (path / INDEX_FILE).is_file():
                return path
        is_folder, beside = Path(name).is_dir(), "/" in name and Path(name).parent.is_dir()
    except (OSError, ValueError) as error:  # a name that no file system takes
        raise ModelError(f"model {name!r}: cannot be read ({error})") from error
    if is_folder:
        raise ModelError(f"model {name}: not a diffusers folder", f"a folder with {INDEX_FILE}")
    # What could be a file in a folder that is there is taken for a mistyped path, not for the hub's.
    if HUB_ID.fullmatch(name) and not beside and not name.endswith(WEIGHT_SUFFIXES):
        return name
    raise ModelError(
        f"no model {name!r}",
        "auto, a folder in models/, a diffusers folder, a .ckpt or .safetensors file, or a hub id",
        f"download a checkpoint such as sd-v1-4.ckpt and save it as models/{STABLE_DIFFUSION_CHECKPOINT}",
    )


def _models_folders() -> tuple[Path, Path]:
    """Return the folders whose models have names: the program's own, and that of the current folder."""
    return MODELS_FOLDER, Path("models")


def read_defaults(location: Path | str) -> ModelDefaults:
    """Read what the model at a location (see :func:`find_model`) declares.

    One that declares nothing paints pictures of the size that it was trained on, and in few steps where its
    scheduler says that it is a latent consistency model. A single file is checked here, and refused as
    :func:`sound_diffusion.model.families.checkpoint_family` says; where only a measurement can tell for
    which size it was trained, that is made. Of a model on the hub that is not in the cache, the few small
    files that are read here are downloaded.

    Raises
    ------
    ModelError
        If there is no such model on the hub, the hub cannot be reached, or the declaration is wrong.
    """
    path = settings_folder(location)
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


def settings_folder(location: Path | str) -> Path:
    """Return where a model declares its settings; for one on the hub, a folder of the hub's cache."""
    if isinstance(location, Path):
        return location
    return cached_snapshot(location, SETTINGS_FILES) or download_settings(location, SETTINGS_FILES)


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    """Read a configuration of diffusers; empty where there is none."""
    try:
        config = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def read_width(location: Path | str) -> int | None:
    """Read how many columns D a diffusers model's embeddings have; None where only loading tells."""
    width = _read_config(settings_folder(location), UNET_CONFIG).get("cross_attention_dim")
    return width if isinstance(width, int) else None


def reads_text(location: Path | str) -> bool:
    """Say whether a model has a text encoder; true where only loading tells."""
    part = _read_config(settings_folder(location), INDEX_FILE).get("text_encoder", [""])
    return isinstance(part, list) and None not in part


def model_name(name: str) -> str:
    """Name a model so that the name finds it again from any folder, where that can be done."""
    location = find_model(name)
    for folder in _models_folders():
        if isinstance(location, Path) and location.is_relative_to(folder):
            return location.relative_to(folder).as_posix()
    return name


def fingerprint(location: Path | str) -> str | None:
    """Identify a model's weights without reading gigabytes.

    Parameters
    ----------
    location : Path or str
        From :func:`find_model`.

    Returns
    -------
    fingerprint : str or None
        The first 16 hexadecimal digits of a SHA-256 over names, sizes, and the beginning and end of every
        file of the model. For a hub id, its commit in the hub's cache; None if it is not there.
    """
    if isinstance(location, str):
        snapshot = cached_snapshot(location, SETTINGS_FILES)
        return None if snapshot is None else snapshot.name
    digest = hashlib.sha256()
    for path in sorted(location.rglob("*")) if location.is_dir() else [location]:
        if path.is_file():
            size = path.stat().st_size
            digest.update(f"{path.relative_to(location.parent).as_posix()} {size}".encode())
            with path.open("rb") as file:
                digest.update(file.read(FINGERPRINT_BYTES))
                file.seek(max(size - FINGERPRINT_BYTES, 0))
                digest.update(file.read())
    return digest.hexdigest()[:16]
