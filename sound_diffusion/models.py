"""Models: a name, a folder or a checkpoint becomes a loaded diffusers pipeline on a device."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.embeddings import SCALINGS
from sound_diffusion.errors import ModelError, ParameterError
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "SAMPLERS",
    "Model",
    "ModelDefaults",
    "find_model",
    "fingerprint",
    "load_model",
    "model_name",
    "read_defaults",
]

MODELS_FOLDER = Path(__file__).resolve().parent.parent / "models"
STABLE_DIFFUSION_CHECKPOINT = Path("ldm") / "stable-diffusion-v1" / "model.ckpt"
EMBEDDED_MODEL = "cymatics"
DEFAULTS_FILE = "sound_diffusion.json"

DEVICES = ("auto", "cuda", "mps", "cpu")
PRECISIONS = ("auto", "full", "autocast")
SAMPLERS = {"ddim": "DDIMScheduler", "plms": "PNDMScheduler"}

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
    window : float or None
        Seconds of sound in a frame of a film. None: the duration of one frame.
    row_positions : str or None
        ``sinusoidal``: :func:`sound_diffusion.embeddings.row_positions` is added to every embedding.
    """

    steps: int = 50
    guidance: float = 7.5
    height: int = 512
    width: int = 512
    scaling: Mapping[str, str] = field(
        default_factory=lambda: {"fft": "clip", "melspectrogram": "clip", "mfcc": "clip", "cqt": "clip"}
    )
    window: float | None = None
    row_positions: str | None = None

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

    def _problem(self) -> str:
        """Say what is wrong with values that came from a file, if anything is."""
        if any(type(value) is not int or value < 1 for value in (self.steps, self.height, self.width)):
            return "steps, height and width have to be whole numbers from 1 on"
        if not isinstance(self.guidance, int | float) or isinstance(self.guidance, bool):
            return f"guidance {self.guidance!r} is no number"
        if not isinstance(self.scaling, dict) or not set(map(str, self.scaling.values())) <= set(SCALINGS):
            return f"scaling {self.scaling!r} is not an object with values of {', '.join(SCALINGS)}"
        if self.window is not None and (not isinstance(self.window, int | float) or not self.window > 0):
            return f"window {self.window!r} is not a number of seconds"
        if self.row_positions not in (None, "sinusoidal"):
            return f'row_positions {self.row_positions!r} is neither null nor "sinusoidal"'
        return ""


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes
    ----------
    name : str
        What ``--model`` has to be to load it again.
    pipeline : diffusers.StableDiffusionPipeline
        On its device, in its precision.
    defaults : ModelDefaults
        What it declares.
    device : str
        ``cuda``, ``mps`` or ``cpu``.
    precision : str
        ``full`` (float32) or ``autocast`` (float16 weights on a GPU, bfloat16 arithmetic on a CPU).
    """

    name: str
    pipeline: DiffusionPipeline
    defaults: ModelDefaults
    device: str
    precision: str

    @property
    def width(self) -> int:
        """Columns D of the embeddings that it paints: the width of its cross-attention."""
        return int(self.pipeline.unet.config.cross_attention_dim)

    @property
    def size_factor(self) -> int:
        """Pixels along one side of a latent pixel: heights and widths are multiples of it."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def has_text_encoder(self) -> bool:
        """Whether it can encode prompts."""
        return getattr(self.pipeline, "text_encoder", None) is not None

    @cached_property
    def empty_prompt(self) -> FloatArray | None:
        """Its embedding of the empty prompt, (77, width) float32, or None without a text encoder."""
        if not self.has_text_encoder:
            return None
        encoded = self.pipeline.encode_prompt(
            "", device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )[0]
        values: FloatArray = encoded[0].detach().float().cpu().numpy()
        return values

    def scaling_for(self, feature: str, scaling: str = "auto") -> str:
        """Resolve ``--scaling``: `scaling` itself, or for ``auto`` what the model declares for `feature`."""
        return self.defaults.scaling.get(feature, "none") if scaling == "auto" else scaling

    @cached_property
    def _pipelines(self) -> dict[tuple[str, str], DiffusionPipeline]:
        return {}

    def pipeline_for(self, task: str, sampler: str) -> DiffusionPipeline:
        """Return the pipeline of a task with a sampler; all share the weights.

        Parameters
        ----------
        task : {"txt2img", "img2img"}
        sampler : str
            A key of :data:`SAMPLERS`.

        Returns
        -------
        pipeline : diffusers.DiffusionPipeline
        """
        if (task, sampler) not in self._pipelines:
            self._pipelines[task, sampler] = _build_pipeline(self.pipeline, task, sampler)
        return self._pipelines[task, sampler]


def find_model(name: str = "auto") -> Path | str:
    """Say where a model is, without loading it.

    Parameters
    ----------
    name : str
        ``auto``, the name of a folder in models/, a diffusers folder, a .ckpt or .safetensors file, or a
        hub id.

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
        checkpoint = MODELS_FOLDER / STABLE_DIFFUSION_CHECKPOINT
        return checkpoint if checkpoint.exists() else find_model(EMBEDDED_MODEL)
    ours = MODELS_FOLDER / name
    for path in (Path(name), ours):
        if (path / "model_index.json").is_file() or (path.is_file() and path.suffix in WEIGHT_SUFFIXES):
            return path
    if Path(name).exists():
        raise ModelError(
            f"model {name}: neither a diffusers folder nor a checkpoint",
            "a folder with model_index.json, or a .ckpt or .safetensors file",
        )
    if HUB_ID.fullmatch(name) and not name.endswith(WEIGHT_SUFFIXES):
        return name
    raise ModelError(
        f"no model {name!r}",
        "auto, a folder in models/, a diffusers folder, a .ckpt or .safetensors file, or a hub id",
        f"download a checkpoint such as sd-v1-4.ckpt and save it as models/{STABLE_DIFFUSION_CHECKPOINT}",
    )


def load_model(name: str = "auto", *, device: str = "auto", precision: str = "auto") -> Model:
    """Load a model onto a device.

    Parameters
    ----------
    name : str
        As for :func:`find_model`. Only a hub id that is not in the cache yet is downloaded.
    device : str
        One of :data:`DEVICES`. ``auto`` is the first of cuda, mps and cpu that is there.
    precision : str
        One of :data:`PRECISIONS`. ``auto`` is ``autocast`` on cuda and ``full`` elsewhere.

    Returns
    -------
    model : Model

    Raises
    ------
    ModelError
        If there is no such model, or it is not one that this program can paint with.
    ParameterError
        If `device` or `precision` is unknown, or the device is not there.
    """
    location = find_model(name)
    _quiet_libraries()
    device = _choose_device(device)
    if precision not in PRECISIONS:
        raise ParameterError(f"precision {precision!r}", f"one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        precision = "autocast" if device == "cuda" else "full"
    pipeline = _load_pipeline(location, device, precision)
    pipeline.set_progress_bar_config(disable=True)
    return Model(model_name(name), pipeline.to(device), read_defaults(location), device, precision)


def read_defaults(location: Path | str) -> ModelDefaults:
    """Read what the model at a location (see :func:`find_model`) declares, without loading it."""
    return ModelDefaults.read(Path(location) / DEFAULTS_FILE)


def read_width(location: Path | str) -> int | None:
    """Read how many columns D a diffusers folder's embeddings have; None where only loading tells."""
    try:
        config = json.loads((Path(location) / "unet" / "config.json").read_text(encoding="utf-8"))
        width = config["cross_attention_dim"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return width if isinstance(width, int) else None


def model_name(name: str) -> str:
    """Name a model so that the name finds it again from any folder, where that can be done."""
    location = find_model(name)
    if isinstance(location, Path) and location.is_relative_to(MODELS_FOLDER):
        return location.relative_to(MODELS_FOLDER).as_posix()
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
        file of the model. None for a hub id.
    """
    if isinstance(location, str):
        return None
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


def _quiet_libraries() -> None:
    """Silence what transformers and diffusers say about parts that this program does not use."""
    import transformers.utils.logging

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    import diffusers.utils.logging

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()


def _choose_device(device: str) -> str:
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, there in available.items() if there)
    if device not in available:
        raise ParameterError(f"device {device!r}", f"one of {', '.join(DEVICES)}")
    if not available[device]:
        there = " or ".join(name for name, is_there in available.items() if is_there)
        raise ParameterError(f"device {device} is not there", there)
    return device


def _load_pipeline(location: Path | str, device: str, precision: str) -> DiffusionPipeline:
    import torch

    dtype = torch.float16 if precision == "autocast" and device != "cpu" else torch.float32
    if isinstance(location, Path) and location.is_file():
        from sound_diffusion.checkpoints import load_checkpoint_pipeline

        return load_checkpoint_pipeline(location, torch_dtype=dtype)
    return _load_folder(location, dtype)


def _load_folder(location: Path | str, dtype: torch.dtype) -> DiffusionPipeline:
    from diffusers import DiffusionPipeline

    def load(**options: Any) -> DiffusionPipeline:
        return DiffusionPipeline.from_pretrained(
            location, dtype=dtype, requires_safety_checker=False, **_absent_parts(location), **options
        )

    expected = "a Stable Diffusion model in diffusers format"
    try:
        try:
            pipeline = load(local_files_only=True)
        except OSError:
            if isinstance(location, Path):
                raise
            logging.getLogger(__name__).info("downloading %s", location)
            pipeline = load()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"model {location}: cannot be loaded ({reason})", expected) from error
    if not isinstance(getattr(getattr(pipeline, "unet", None), "config", {}).get("cross_attention_dim"), int):
        raise ModelError(f"model {location}: a {type(pipeline).__name__}", expected)
    return pipeline


def _absent_parts(location: Path | str) -> dict[str, None]:
    """Name the parts that the model goes without; diffusers wants to be told."""
    absent: dict[str, None] = {"safety_checker": None}
    if isinstance(location, Path):
        try:
            index = json.loads((location / "model_index.json").read_text(encoding="utf-8"))
            index = dict(index)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{location / 'model_index.json'}: cannot be read ({error})", "JSON") from error
        absent |= {part: None for part, library in index.items() if library == [None, None]}
    return absent


def _build_pipeline(pipeline: DiffusionPipeline, task: str, sampler: str) -> DiffusionPipeline:
    import diffusers

    try:
        scheduler_class = getattr(diffusers, SAMPLERS[sampler])
    except KeyError:
        raise ParameterError(f"unknown sampler {sampler!r}", f"one of {', '.join(SAMPLERS)}") from None
    name = type(pipeline).__name__
    if task == "img2img":
        name = name.removesuffix("Pipeline") + "Img2ImgPipeline"
    built = getattr(diffusers, name).from_pipe(pipeline, requires_safety_checker=False)
    # PNDM takes its Runge-Kutta steps out of the count in what is known as PLMS.
    options = {"skip_prk_steps": True} if sampler == "plms" else {}
    built.scheduler = scheduler_class.from_config(pipeline.scheduler.config, **options)
    built.set_progress_bar_config(disable=True)
    return built
