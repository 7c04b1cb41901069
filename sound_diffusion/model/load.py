"""Loading a model: a name, a folder or a checkpoint becomes a diffusers pipeline on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.constants import DEVICES, PRECISIONS
from sound_diffusion.errors import ModelError, ParameterError, reason_of
from sound_diffusion.model.additions import add_lora, load_vae
from sound_diffusion.model.checkpoint import load_checkpoint_pipeline
from sound_diffusion.model.defaults import read_defaults
from sound_diffusion.model.families import IN_CHANNELS, OTHER_IN_CHANNELS
from sound_diffusion.model.find import Location, find_model
from sound_diffusion.model.folders import folder_parts, read_index
from sound_diffusion.model.libraries import import_without_compiler, quiet_libraries, quiet_transformers
from sound_diffusion.model.model import Model
from sound_diffusion.model.pipelines import is_tiny

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
LARGE_UNET = 100_000_000
"""Parameters from which painting with bfloat16 on a CPU saves enough time to be worth its rounding."""
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
"""What :func:`torch.cpu.get_capabilities` calls the instructions that multiply bfloat16."""


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
    compiled: bool = False,
    runtime: str = "auto",
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
        ``auto``, ``full``, ``mixed`` (on cpu) or ``autocast``. ``auto`` is ``autocast`` on cuda, ``full``
        on mps and with ONNX Runtime, and else what :func:`cpu_precision` says.
    vae : Path, optional
        A file with a VAE that replaces the model's own.
    lora : Path, optional
        A file with a LoRA that is added to the model's weights, `lora_strength` times.
    low_memory : bool
        Trade speed for memory: parts wait on the CPU, and the VAE works in slices and tiles.
    safety_checker : bool
        Whether pictures that the model's safety checker flags become black. Each is named in a warning.
    compiled : bool
        Whether torch.compile makes kernels for the blocks that the UNet repeats.
    runtime : str
        ``auto``, ``torch`` or ``onnx``: see :func:`sound_diffusion.model.onnx_runtime.choose_runtime`.

    Returns
    -------
    model : Model

    Raises
    ------
    ModelError
        If there is no such model, or it is not one that this program can paint with.
    ParameterError
        If `device` or `precision` is unknown, or the device or the runtime is not there.
    """
    location = find_model(name)
    if not compiled:
        import_without_compiler()
    quiet_libraries()
    device = _choose_device(device)
    if precision not in PRECISIONS:
        raise ParameterError(f"precision {precision!r}", f"one of {', '.join(PRECISIONS)}")
    if precision == "mixed" and device != "cpu":
        raise ParameterError(f"precision mixed on {device}", "full or autocast, or the device cpu")
    defaults = read_defaults(location.path)
    if precision == "auto" and device != "cpu":
        precision = "autocast" if device == "cuda" else "full"
    plain = vae is None and lora is None and not (low_memory or compiled or safety_checker)
    is_own = defaults.sound_encoder or defaults.mirrored_noise
    pipeline = _load_pipeline(location, device, precision, safety_checker, light=plain and is_own)
    from sound_diffusion.model.acceleration import speed_up
    from sound_diffusion.model.onnx_runtime import choose_runtime

    square = defaults.height == defaults.width
    suitable = (
        plain and defaults.sound_encoder and square and device == "cpu" and precision in ("auto", "full")
    )
    runtime = choose_runtime(runtime, suitable=suitable)
    if vae is not None:
        pipeline.register_modules(vae=load_vae(vae, pipeline.vae))
    if precision == "auto":
        n_parameters = sum(weights.numel() for weights in pipeline.unet.parameters())
        precision = "full" if runtime == "onnx" else cpu_precision(n_parameters, is_tiny(pipeline.vae))
    if lora is not None:
        add_lora(pipeline, lora, lora_strength)
    if low_memory:
        pipeline.vae.enable_slicing()
        pipeline.vae.enable_tiling()
    if low_memory and device != "cpu":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    speed_up(pipeline, device, low_memory=low_memory, compiled=compiled)
    model = Model(location.name, pipeline, defaults, device, precision, low_memory, runtime)
    if is_own:
        from sound_diffusion.model.cymatics import as_cymatics

        return as_cymatics(model, location)
    return model


def cpu_precision(n_parameters: int, has_tiny_vae: bool) -> str:
    """Say what the precision ``auto`` is on this CPU.

    bfloat16 is faster where the CPU multiplies it itself. A large UNet gains enough by it. With a small one a
    tiny autoencoder decodes with it: what is rounded then is seen, and painted over again only where a film
    goes on from its pictures. With ONNX Runtime, which has its own arithmetic, nobody asks.
    docs/checkpoints.md has what was measured.

    Parameters
    ----------
    n_parameters : int
        Of the UNet.
    has_tiny_vae : bool
        Whether its autoencoder is one of :func:`sound_diffusion.model.pipelines.is_tiny`.

    Returns
    -------
    precision : {"full", "mixed", "autocast"}
    """
    import torch

    capabilities = torch.cpu.get_capabilities()
    is_native = any(capabilities.get(name, False) for name in BF16_INSTRUCTIONS)
    if not is_native:
        return "full"
    if n_parameters >= LARGE_UNET:
        return "autocast"
    return "mixed" if has_tiny_vae else "full"


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
    location: Location, device: str, precision: str, safety_checker: bool, *, light: bool
) -> Any:
    import torch

    dtype = torch.float16 if precision == "autocast" and device != "cpu" else torch.float32
    if location.path.is_file():
        quiet_transformers()
        pipeline = load_checkpoint_pipeline(location.path, torch_dtype=dtype)
    else:
        pipeline = _load_folder(location, dtype, safety_checker, light=light)
    if safety_checker and getattr(pipeline, "safety_checker", None) is None:
        raise ModelError(
            f"model {location}: no safety checker in it (--safety-checker)",
            "a diffusers folder that has one",
        )
    return pipeline


def _load_folder(location: Location, dtype: torch.dtype, safety_checker: bool, *, light: bool) -> Any:
    folder = location.path
    index = read_index(folder)
    unwanted = set() if safety_checker else {"safety_checker", "feature_extractor"}
    absent = {part for part, entry in index.items() if part in unwanted or entry == [None, None]}
    location.fetch(index.keys() - absent)
    expected = "a Stable Diffusion model in diffusers format"
    try:
        if light:
            from sound_diffusion.model.light_pipeline import load_light_pipeline

            if (pipeline := load_light_pipeline(folder, dtype)) is not None:
                return pipeline
        quiet_transformers()
        from diffusers import DiffusionPipeline

        parts = folder_parts(folder, torch_dtype=dtype, safety_checker=safety_checker)
        pipeline = DiffusionPipeline.from_pretrained(
            folder,
            local_files_only=True,
            dtype=dtype,
            requires_safety_checker=False,
            **dict.fromkeys(absent),
            **parts,
        )
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"model {location}: cannot be loaded ({reason_of(error)})", expected) from error
    _check_pipeline(pipeline, location, expected)
    return pipeline


def _check_pipeline(pipeline: DiffusionPipeline, location: Location, expected: str) -> None:
    """Refuse a folder whose model paints from something else than an embedding."""
    name = type(pipeline).__name__
    config = getattr(getattr(pipeline, "unet", None), "config", {})
    if name not in PIPELINES or not isinstance(config.get("cross_attention_dim"), int):
        raise ModelError(f"model {location}: a {name}", expected)
    channels = config["in_channels"]
    if channels != IN_CHANNELS:
        found = f"{OTHER_IN_CHANNELS.get(channels, 'a model')} with {channels} input channels"
        raise ModelError(f"model {location}: {found}", f"{IN_CHANNELS} channels")
