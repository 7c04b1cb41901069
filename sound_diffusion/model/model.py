"""Models: a name, a folder or a checkpoint becomes a loaded diffusers pipeline on a device."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sound_diffusion.constants import N_ROWS
from sound_diffusion.errors import ModelError, ParameterError
from sound_diffusion.model.checkpoints import (
    add_lora,
    folder_parts,
    load_checkpoint_pipeline,
    load_vae,
)
from sound_diffusion.model.find import (
    DEVICES,
    INDEX_FILE,
    PRECISIONS,
    SAMPLERS,
    ModelDefaults,
    find_model,
    model_name,
    read_defaults,
    settings_folder,
    sound_encoder_folder,
)
from sound_diffusion.model.symmetry import begin_mirrored
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

    from sound_diffusion.model.sound_encoder import SoundEncoder

__all__ = ["Model", "load_model"]

PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
IN_CHANNELS = 4  # of a UNet that paints from an embedding alone
LARGE_UNET = 100_000_000
"""Parameters from which bfloat16 on a CPU saves enough time to be worth its rounding."""
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""What :func:`torch.cpu.get_capabilities` calls the instructions that multiply bfloat16."""


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
    low_memory : bool
        Whether parts wait on the CPU until they are needed, and the VAE works in slices and tiles.
    sound_encoder : SoundEncoder or None
        What reads embeddings before the UNet does, where the model has it; on the CPU, in float32.
    """

    name: str
    pipeline: DiffusionPipeline
    defaults: ModelDefaults
    device: str
    precision: str
    low_memory: bool = False
    sound_encoder: SoundEncoder | None = None

    @property
    def width(self) -> int:
        """Columns D of the embeddings that it paints: the width of its cross-attention."""
        return int(self.pipeline.unet.config.cross_attention_dim)

    @property
    def has_text_encoder(self) -> bool:
        """Whether it can encode prompts."""
        return getattr(self.pipeline, "text_encoder", None) is not None

    @property
    def is_xl(self) -> bool:
        """Whether it also takes a pooled embedding and sizes, as Stable Diffusion XL does."""
        return getattr(self.pipeline, "text_encoder_2", None) is not None

    @property
    def empty_prompt(self) -> FloatArray | None:
        """Its embedding of the empty prompt, (77, width) float32, or None without a text encoder."""
        return self.encode_prompt("") if self.has_text_encoder else None

    def encode_prompt(self, prompt: str) -> FloatArray:
        """Encode a text prompt.

        Parameters
        ----------
        prompt : str
            What is beyond the 77 tokens of the text encoder is cut off.

        Returns
        -------
        embedding : np.ndarray [shape=(77, width), dtype=float32]

        Raises
        ------
        ModelError
            If the model has no text encoder.
        """
        if not self.has_text_encoder:
            raise ModelError(
                f"model {self.name}: no text encoder, so that it cannot read {prompt!r}",
                "a Stable Diffusion model",
                "leave the text out, or choose another --model",
            )
        values: FloatArray = self._encoded(prompt)[0][0].float().cpu().numpy()
        return values

    def encode_sounds(self, embeddings: FloatArray) -> torch.Tensor:
        """Return what the cross-attention of the UNet reads in the place of an encoded prompt.

        Parameters
        ----------
        embeddings : np.ndarray [shape=(n, 77, width), dtype=float32]

        Returns
        -------
        states : torch.Tensor [shape=(n, 77, width), dtype=float32]
            On the CPU; the embeddings themselves where the model has no sound encoder.
        """
        import torch

        states = torch.from_numpy(embeddings)
        if self.sound_encoder is None:
            return states
        # In float32 on a CPU, as cheap as it is, so that the states are the same for every device.
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            encoded: torch.Tensor = self.sound_encoder(states)
        return encoded

    def pooled_prompt(self, prompt: str) -> FloatArray | None:
        """Return the pooled embedding of a prompt, (pooled width,) float32; None but for XL."""
        if not self.is_xl:
            return None
        values: FloatArray = self._encoded(prompt)[2][0].float().cpu().numpy()
        return values

    def encode_negative(self, prompt: str = "") -> tuple[FloatArray, FloatArray | None]:
        """Encode what guidance leads away from.

        Parameters
        ----------
        prompt : str
            Empty: for XL the zeros that it was trained with, where its configuration says so; for a model
            without a text encoder, zeros.

        Returns
        -------
        embedding : np.ndarray [shape=(77, width), dtype=float32]
        pooled : np.ndarray [shape=(pooled width,), dtype=float32] or None
            None but for XL.

        Raises
        ------
        ModelError
            If there is a prompt and the model has no text encoder.
        """
        if prompt or (self.has_text_encoder and not self.is_xl):
            return self.encode_prompt(prompt), self.pooled_prompt(prompt)
        if not self.is_xl:
            return np.zeros((N_ROWS, self.width), dtype=np.float32), None
        _, negative, _, pooled = (values[0].float().cpu().numpy() for values in self._encoded(""))
        return negative, pooled

    def _encoded(self, prompt: str) -> tuple[torch.Tensor, ...]:
        """Encode a prompt once: its embedding, the negative one, and for XL the two pooled ones."""
        import torch

        if prompt not in self._prompts:
            options = {"device": self.device, "num_images_per_prompt": 1, "do_classifier_free_guidance": True}
            # In float32 on a CPU, so that it does not matter whether painting or anyone else asks first.
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                self._prompts[prompt] = tuple(self.pipeline.encode_prompt(prompt, **options))
        return self._prompts[prompt]

    @cached_property
    def _prompts(self) -> dict[str, tuple[torch.Tensor, ...]]:
        return {}

    def scaling_for(self, feature: str, scaling: str = "auto") -> str:
        """Resolve ``--scaling``: `scaling` itself, or for ``auto`` what the model declares for `feature`."""
        return self.defaults.scaling_for(feature, scaling)

    @cached_property
    def _pipelines(self) -> dict[tuple[str, str], DiffusionPipeline]:
        return {}

    def pipeline_for(self, task: str, sampler: str) -> DiffusionPipeline:
        """Return the pipeline of a task with a sampler; all share the weights.

        Parameters
        ----------
        task : {"txt2img", "img2img"}
        sampler : str
            A key of :data:`sound_diffusion.model.find.SAMPLERS`.

        Returns
        -------
        pipeline : diffusers.DiffusionPipeline
        """
        if (task, sampler) not in self._pipelines:
            built = _build_pipeline(self.pipeline, task, sampler)
            if self.defaults.mirrored_noise:
                begin_mirrored(built, task)
            if self.low_memory and self.device != "cpu":
                built.enable_model_cpu_offload(device=self.device)
            self._pipelines[task, sampler] = built
        return self._pipelines[task, sampler]


def load_model(
    name: str = "auto",
    *,
    device: str = "auto",
    precision: str = "auto",
    vae: Path | None = None,
    lora: Path | None = None,
    lora_strength: float = 1.0,
    low_memory: bool = False,
    safety_checker: bool = False,
) -> Model:
    """Load a model onto a device.

    Parameters
    ----------
    name : str
        As for :func:`sound_diffusion.model.find.find_model`. Only a hub id that is not in the cache yet
        is downloaded.
    device : str
        ``auto``, ``cuda``, ``mps`` or ``cpu``. ``auto`` is the first of the others that is there.
    precision : str
        ``auto``, ``full`` or ``autocast``. ``auto`` is ``autocast`` on cuda, what :func:`cpu_precision`
        says on cpu, and ``full`` elsewhere.
    vae : Path, optional
        A file with a VAE that replaces the model's own.
    lora : Path, optional
        A file with a LoRA that is added to the model's weights, `lora_strength` times.
    low_memory : bool
        Trade speed for memory: parts wait on the CPU, and the VAE works in slices and tiles.
    safety_checker : bool
        Whether pictures that the model's safety checker flags become black. Each is named in a warning.

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
    defaults = read_defaults(location)
    if precision == "auto" and device != "cpu":
        precision = "autocast" if device == "cuda" else "full"
    pipeline = _load_pipeline(location, device, precision, safety_checker)
    if precision == "auto":
        precision = cpu_precision(pipeline.unet.num_parameters())
    pipeline.set_progress_bar_config(disable=True)
    if vae is not None:
        pipeline.register_modules(vae=load_vae(vae, pipeline.vae))
    if lora is not None:
        add_lora(pipeline, lora, lora_strength)
    if low_memory:
        pipeline.vae.enable_slicing()
        pipeline.vae.enable_tiling()
    if low_memory and device != "cpu":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    encoder = None
    if defaults.sound_encoder:
        from sound_diffusion.model.sound_encoder import load_sound_encoder

        width = pipeline.unet.config.cross_attention_dim
        encoder = load_sound_encoder(sound_encoder_folder(location), width)
    return Model(model_name(name), pipeline, defaults, device, precision, low_memory, encoder)


def cpu_precision(n_parameters: int) -> str:
    """Say what the precision ``auto`` is on this CPU.

    bfloat16 is faster where the CPU multiplies it itself. How much depends on the size of the layers, whose
    weights and inputs have to be converted: docs/checkpoints.md has what was measured.

    Parameters
    ----------
    n_parameters : int
        Of the UNet.

    Returns
    -------
    precision : {"full", "autocast"}
    """
    import torch

    capabilities = torch.cpu.get_capabilities()
    is_native = any(capabilities.get(name, False) for name in BF16_INSTRUCTIONS)
    return "autocast" if is_native and n_parameters >= LARGE_UNET else "full"


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


def _load_pipeline(
    location: Path | str, device: str, precision: str, safety_checker: bool
) -> DiffusionPipeline:
    import torch

    dtype = torch.float16 if precision == "autocast" and device != "cpu" else torch.float32
    if isinstance(location, Path) and location.is_file():
        pipeline = load_checkpoint_pipeline(location, torch_dtype=dtype)
    else:
        pipeline = _load_folder(location, dtype, safety_checker)
    if safety_checker and getattr(pipeline, "safety_checker", None) is None:
        raise ModelError(
            f"model {location}: no safety checker in it (--safety-checker)",
            "a diffusers folder that has one",
        )
    return pipeline


def _load_folder(location: Path | str, dtype: torch.dtype, safety_checker: bool) -> DiffusionPipeline:
    from diffusers import DiffusionPipeline

    folder = settings_folder(location)
    # Weights of the commit whose settings were read, though the hub may have a newer one by now.
    revision = None if isinstance(location, Path) else folder.name

    def load(**options: Any) -> DiffusionPipeline:
        return DiffusionPipeline.from_pretrained(
            location,
            revision=revision,
            dtype=dtype,
            requires_safety_checker=False,
            **_absent_parts(folder, safety_checker),
            **options,
        )

    expected = "a Stable Diffusion model in diffusers format"
    try:
        try:
            parts = folder_parts(location, torch_dtype=dtype) if isinstance(location, Path) else {}
            pipeline = load(local_files_only=True, **parts)
        except OSError:
            if isinstance(location, Path):
                raise
            from huggingface_hub.utils.tqdm import enable_progress_bars

            enable_progress_bars()
            logging.getLogger(__name__).warning("downloading %s", location)
            pipeline = load()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"model {location}: cannot be loaded ({reason})", expected) from error
    _check_pipeline(pipeline, location, expected)
    return pipeline


def _check_pipeline(pipeline: DiffusionPipeline, location: Path | str, expected: str) -> None:
    """Refuse a folder whose model paints from something else than an embedding."""
    name = type(pipeline).__name__
    config = getattr(getattr(pipeline, "unet", None), "config", {})
    if name not in PIPELINES or not isinstance(config.get("cross_attention_dim"), int):
        raise ModelError(f"model {location}: a {name}", expected)
    if config["in_channels"] != IN_CHANNELS:
        what = "an inpainting model" if config["in_channels"] == 9 else "a model"
        raise ModelError(
            f"model {location}: {what} with {config['in_channels']} input channels", f"{IN_CHANNELS} channels"
        )


def _absent_parts(folder: Path, safety_checker: bool) -> dict[str, None]:
    """Name the parts that the model goes without; diffusers wants to be told."""
    absent: dict[str, None] = {} if safety_checker else {"safety_checker": None}
    try:
        index = dict(json.loads((folder / INDEX_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder / INDEX_FILE}: cannot be read ({error})", "JSON") from error
    return absent | {part: None for part, library in index.items() if library == [None, None]}


def _build_pipeline(pipeline: DiffusionPipeline, task: str, sampler: str) -> DiffusionPipeline:
    import diffusers

    try:
        scheduler_class = getattr(diffusers, SAMPLERS[sampler])
    except KeyError:
        raise ParameterError(f"unknown sampler {sampler!r}", f"one of {', '.join(SAMPLERS)}") from None
    name = type(pipeline).__name__
    if task == "img2img":
        name = name.removesuffix("Pipeline") + "Img2ImgPipeline"
    # Not from_pipe: unless it is told otherwise, that converts the shared weights to float32.
    options: dict[str, Any] = {"requires_safety_checker": False}
    if "XL" in name:
        zeros = pipeline.config.force_zeros_for_empty_prompt
        options = {"force_zeros_for_empty_prompt": zeros, "add_watermarker": False}
    built = getattr(diffusers, name)(**pipeline.components, **options)
    # PNDM takes its Runge-Kutta steps out of the count in what is known as PLMS.
    extra = {"skip_prk_steps": True} if sampler == "plms" else {}
    built.scheduler = scheduler_class.from_config(pipeline.scheduler.config, **extra)
    built.set_progress_bar_config(disable=True)
    return built
