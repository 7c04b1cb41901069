"""Latents: what a model's VAE makes of pictures and back, and the noise of a seed."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sound_diffusion.errors import OutOfMemoryError, PaintingError
from sound_diffusion.model.model import Model
from sound_diffusion.options import verify
from sound_diffusion.settings import PaintSettings
from sound_diffusion.starting_pictures import as_rgb

if TYPE_CHECKING:
    import torch
    from PIL import Image

logger = logging.getLogger(__name__)

CONTRAST_RADIUS = 0.08
"""Of the shorter side of a picture: the deviation of the Gaussian that says what is around a place."""

Seed: TypeAlias = "int | torch.Generator"


def seeded(seeds: Sequence[Seed]) -> list[torch.Generator]:
    """Return a generator on the CPU for each seed, so that it gives the same noise on every device.

    Parameters
    ----------
    seeds : sequence of int or torch.Generator
        Integers in [0, 2**63). A generator stands for itself, and goes on where it is.

    Raises
    ------
    ParameterError
        If a seed is out of range.
    """
    import torch

    for seed in seeds:
        if isinstance(seed, int):
            verify(seed=seed)
    return [torch.Generator("cpu").manual_seed(seed) if isinstance(seed, int) else seed for seed in seeds]


def latent_shape(model: Model, settings: PaintSettings) -> tuple[int, int, int]:
    """Return channels, height and width of the latents of a picture."""
    channels, factor = model.pipeline.unet.config.in_channels, model.pipeline.vae_scale_factor
    return channels, settings.height // factor, settings.width // factor


def latent_noise(model: Model, seeds: Sequence[Seed], settings: PaintSettings) -> torch.Tensor:
    """Draw the noise that pictures are painted from.

    Parameters
    ----------
    model : Model
    seeds : sequence of int or torch.Generator
        As for :func:`seeded`.
    settings : PaintSettings
        Of which the size counts.

    Returns
    -------
    noise : torch.Tensor [shape=(n, 4, height / 8, width / 8)]
        Standard normal, on the CPU, in the precision of the UNet.
    """
    import torch

    shape = (1, *latent_shape(model, settings))
    return torch.cat([torch.randn(shape, generator=each, dtype=model.dtype) for each in seeded(seeds)])


def encode_pictures(
    model: Model, pictures: Sequence[Image.Image], settings: PaintSettings, seeds: Sequence[Seed]
) -> torch.Tensor:
    """Encode pictures as latents to be painted over.

    Parameters
    ----------
    model : Model
    pictures : sequence of PIL.Image.Image
        Scaled and cropped to the size of the settings.
    settings : PaintSettings
        Of which size and local contrast count. The latter is taken back, so that whoever decodes with it
        again sees the picture as it was.
    seeds : sequence of int or torch.Generator
        One for each: a VAE gives a distribution, from which a sample is drawn.

    Returns
    -------
    latents : torch.Tensor [shape=(n, 4, height / 8, width / 8)]
        Scaled as the UNet expects them, on the device of the model.
    """
    import torch

    pipeline = model.pipeline
    pixels = pipeline.image_processor.preprocess([fit_picture(picture, settings) for picture in pictures])
    with computing(model), _vae(model) as vae:
        # split keeps the order of the channels in memory, which decides the last bits.
        each_picture = pixels.to(model.device, vae.dtype).split(1)
        each = zip(each_picture, seeded(seeds), strict=True)
        latents = torch.cat([model.encode_pixels(vae, picture, generator) for picture, generator in each])
        if model.is_xl:
            latents = latents.to(model.dtype)
        mean, deviation = _statistics(model, latents)
        latents = (latents - mean) * vae.config.scaling_factor / deviation
        latents = with_local_contrast(latents, settings.local_contrast, undo=True)
    result: torch.Tensor = latents.clone()  # outside of inference mode: a tensor as any other
    return result


def with_local_contrast(latents: torch.Tensor, amount: float, *, undo: bool = False) -> torch.Tensor:
    """Raise the local contrast of latents, or take that back.

    An unsharp mask of wide radius: what differs from a Gaussian mean of what is around, the picture being
    continued as in a mirror, is added `amount` times. Latents are nearly linear in the pixels, so that the
    picture changes as by a mask of its own, and what is painted over is as it was.

    Parameters
    ----------
    latents : torch.Tensor [shape=(n, channels, height, width)]
    amount : float
        In [0, 10]: 0 changes nothing, 1 doubles what is fine.
    undo : bool
        Whether it is taken back: exactly, but for the rounding of float32, or of the latents' own type.

    Returns
    -------
    latents : torch.Tensor
        Shape and type as they were.
    """
    import torch

    if amount == 0:
        return latents
    height, width = latents.shape[-2:]
    whole = torch.cat([latents, latents.flip(-1)], -1).float()
    whole = torch.cat([whole, whole.flip(-2)], -2)
    down, right = torch.fft.fftfreq(2 * height)[:, None], torch.fft.rfftfreq(2 * width)
    deviation = CONTRAST_RADIUS * min(height, width)
    around = torch.exp(-2 * (torch.pi * deviation) ** 2 * (down**2 + right**2))
    response = (1 + amount * (1 - around)).to(latents.device) ** (-1 if undo else 1)
    changed: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(whole) * response, s=whole.shape[-2:])
    return changed[..., :height, :width].to(latents)


def decode_latents(
    model: Model, latents: torch.Tensor, seeds: Sequence[Seed] = (), local_contrast: float = 0.0
) -> list[Image.Image]:
    """Decode latents into pictures.

    Parameters
    ----------
    model : Model
    latents : torch.Tensor [shape=(n, 4, height / 8, width / 8)]
        As :func:`encode_pictures` and :func:`sound_diffusion.painting.paint_latents` return them.
    seeds : sequence of int or torch.Generator, optional
        One for each picture, to name those with which something is wrong.
    local_contrast : float
        As for :func:`with_local_contrast`.

    Returns
    -------
    pictures : list of PIL.Image.Image
        RGB. Those that a safety checker flags are black, and named in a warning.

    Raises
    ------
    PaintingError
        If a picture has NaN in it.
    """
    pipeline = model.pipeline
    with computing(model, decoding=True), _vae(model) as vae:
        latents = with_local_contrast(latents.to(model.device), local_contrast)
        mean, deviation = _statistics(model, latents)
        latents = latents * deviation / vae.config.scaling_factor + mean
        # In float32 from here on: what follows would be rounded once more in the precision of the VAE.
        decoded = vae.decode(latents.to(vae.dtype), return_dict=False)[0].float()
        flagged = None
        if getattr(pipeline, "safety_checker", None) is not None:
            decoded, flagged = pipeline.run_safety_checker(decoded, model.device, model.dtype)
    in_range = [not each for each in flagged or [False] * len(decoded)]
    pixels = pipeline.image_processor.postprocess(decoded, output_type="pt", do_denormalize=in_range)
    names = [f"seed {seed}" for seed in seeds if isinstance(seed, int)]
    names = names if len(names) == len(pixels) else [f"number {number + 1}" for number in range(len(pixels))]
    for name, fits in zip(names, in_range, strict=True):
        if not fits:
            logger.warning("the safety checker flagged the picture of %s: it is black", name)
    return [_to_picture(each, name, model) for each, name in zip(pixels, names, strict=True)]


def fit_picture(image: Image.Image, settings: PaintSettings) -> Image.Image:
    """Return an RGB copy that fills the size of `settings`: scaled, and cropped about the centre."""
    from PIL import Image, ImageOps

    size = (settings.width, settings.height)
    picture = as_rgb(image)
    return picture if picture.size == size else ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


@contextlib.contextmanager
def computing(model: Model, *, decoding: bool = False) -> Iterator[None]:
    """Compute with the networks of a model, in its precision, and say what helps where memory lacks."""
    import torch

    # On a GPU the weights themselves are float16; on a CPU bfloat16 arithmetic is what can be faster.
    in_bfloat16 = model.precision == "autocast" or (model.precision == "mixed" and decoding)
    enabled = in_bfloat16 and model.device == "cpu"
    try:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            yield
    except (RuntimeError, MemoryError) as error:  # the CPU and MPS have no error of their own for it
        lacks_memory = re.search("out of memory|can't allocate memory", str(error))
        if isinstance(error, RuntimeError) and not lacks_memory:
            raise
        raise OutOfMemoryError(
            "the memory does not suffice for this picture",
            remedy="lower --H, --W or --n_samples, or use --low-memory",
        ) from error


@contextlib.contextmanager
def _vae(model: Model) -> Iterator[Any]:
    """Lend the VAE of a model; that of Stable Diffusion XL overflows in float16, and is lent in float32."""
    import torch

    vae = model.pipeline.vae
    overflows = model.is_xl and vae.dtype == torch.float16 and vae.config.force_upcast
    if overflows:
        vae.to(torch.float32)
    try:
        yield vae
    finally:
        if overflows:
            vae.to(torch.float16)
        if model.moves:
            model.pipeline.maybe_free_model_hooks()


def _statistics(model: Model, latents: torch.Tensor) -> tuple[Any, Any]:
    """Return what a VAE of the XL kind declares about its latents, mean and deviation; else 0 and 1."""
    import torch

    config = model.pipeline.vae.config
    declared = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if not model.is_xl or None in declared:
        return 0, 1
    mean, deviation = (torch.tensor(values).view(1, -1, 1, 1).to(latents) for values in declared)
    return mean, deviation


def _to_picture(pixels: torch.Tensor, name: str, model: Model) -> Image.Image:
    """Make a picture of pixels of shape (3, height, width) in [0, 1]."""
    import torch
    from PIL import Image

    if not pixels.sum(dtype=torch.float32).isfinite():  # as soon as one of them is not
        remedy = "use --precision full" if model.precision != "full" else "lower --scale or change --scaling"
        raise PaintingError(f"the picture of {name} holds NaN", "finite pixels", remedy)
    # Rounded where they are: a byte each has to be fetched from a GPU.
    rounded = pixels.float().mul(255).round_().to(torch.uint8).permute(1, 2, 0).contiguous()
    return Image.fromarray(rounded.cpu().numpy())
