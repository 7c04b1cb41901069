"""Painting: an embedding, and a previous picture where there is one, become a picture."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from sound_diffusion.bending import Bending, parse_bend
from sound_diffusion.conditioning import Conditioning, condition_embedding
from sound_diffusion.errors import ParameterError
from sound_diffusion.latents import (
    Seed,
    computing,
    decode_latents,
    encode_pictures,
    fit_picture,
    latent_noise,
    seeded,
)
from sound_diffusion.model.model import Model
from sound_diffusion.picture_bends import picture_amounts
from sound_diffusion.settings import PaintSettings, few_step_timesteps, settings_for, steps_to_run

if TYPE_CHECKING:
    import torch
    from PIL import Image


def paint(
    model: Model,
    embedding: npt.ArrayLike | Conditioning,
    seed: int = 0,
    *,
    init_image: Image.Image | None = None,
    bends: Sequence[str] = (),
    levels: Mapping[str, float] | None = None,
    **settings: Any,
) -> Image.Image:
    """Paint one embedding.

    Parameters
    ----------
    model : Model
        From :func:`sound_diffusion.load_model`.
    embedding : array_like [shape=(77, model.width)] or Conditioning
        From :func:`sound_diffusion.embed`, or any real and finite matrix; or with what a model takes beside
        it, from :func:`sound_diffusion.condition`.
    seed : int
        In [0, 2**63): the noise that the picture is made from, the same on every device.
    init_image : PIL.Image.Image, optional
        A picture to start from; it is cropped and scaled to the size wanted.
    bends : sequence of str
        What is done to the latents between the steps, as ``--bend`` takes it: ``rotate@50%: 3*centroid``.
    levels : mapping from str to float, optional
        What amounts may follow: the descriptors of the whole sound, from
        :func:`sound_diffusion.describe_whole`.
    **settings
        Attributes of :class:`PaintSettings` that differ from the model's defaults.

    Returns
    -------
    picture : PIL.Image.Image
        RGB.

    Raises
    ------
    EmbeddingError
        If the embedding has not the shape that the model expects.
    ParameterError
        If a setting is out of range, or a bend cannot be: an unknown operator, no step after it, an amount
        that follows what is not in `levels`.
    PaintingError
        If the model gives a picture with NaN in it.

    Examples
    --------
    >>> import sound_diffusion as sd
    >>> model = sd.load_model("auto")  # doctest: +SKIP
    >>> y = sd.load_audio("examples/bell.wav")  # doctest: +SKIP
    >>> embedding = sd.embed(y, feature="fft", model=model)  # doctest: +SKIP
    >>> sd.paint(model, embedding, seed=0).save("bell.png")  # doctest: +SKIP
    >>> bends, levels = ["rotate@50%: 3*centroid"], sd.describe_whole(y)  # doctest: +SKIP
    >>> sd.paint(model, embedding, bends=bends, levels=levels).save("bent.png")  # doctest: +SKIP
    """
    own = settings_for(model.defaults, **settings)
    n_steps = own.steps if init_image is None else steps_to_run(own)
    read = [parse_bend(bend) for bend in bends]
    for bend in read:
        bend.check(n_steps)
    amounts = picture_amounts(read, levels, seed)
    bending = Bending(read, amounts, [seed], n_steps, model.defaults.mirrored_noise)
    init_images = None if init_image is None else [init_image]
    return paint_batch(model, [embedding], [seed], own, init_images, bending=bending)[0]


def paint_batch(
    model: Model,
    embeddings: Sequence[npt.ArrayLike | Conditioning],
    seeds: Sequence[int],
    settings: PaintSettings,
    init_images: Sequence[Image.Image] | None = None,
    on_step: Callable[[], object] | None = None,
    bending: Bending | None = None,
) -> list[Image.Image]:
    """Paint several embeddings at once.

    The loop is that of the diffusers pipelines. Each picture has a generator of its own on the CPU, so that
    a seed gives the same noise on every device and in every batch.

    Parameters
    ----------
    model : Model
    embeddings : sequence of array_like [shape=(77, model.width)] or of Conditioning
        As for :func:`paint`.
    seeds : sequence of int
        One for each embedding, in [0, 2**63).
    settings : PaintSettings
    init_images : sequence of PIL.Image.Image, optional
        Pictures to paint over, one for each embedding, by ``settings.strength``: 0 returns them unchanged
        but for their size, 1 forgets them.
    on_step : callable, optional
        Called after each denoising step.
    bending : Bending, optional
        What is done to the latents between the steps.

    Returns
    -------
    pictures : list of PIL.Image.Image
        RGB, of ``settings.width`` by ``settings.height`` pixels.

    Raises
    ------
    EmbeddingError, ParameterError, PaintingError
        As :func:`paint`.
    """
    if not 0 < len(embeddings) == len(seeds) == len(init_images if init_images is not None else seeds):
        raise ParameterError(f"{len(embeddings)} embeddings and {len(seeds)} seeds", "one seed for each")
    start = None
    generators = seeded(seeds)
    if init_images is not None and settings.strength < 1:
        if settings.strength == 0:
            return [fit_picture(image, settings) for image in init_images]
        steps_to_run(settings)
        start = encode_pictures(model, init_images, settings, generators)

    def after_step(index: int, latents: torch.Tensor) -> torch.Tensor | None:
        if on_step is not None:
            on_step()
        return None if bending is None else bending(index, latents)

    latents = paint_latents(model, embeddings, generators, settings, start, on_step=after_step)
    return decode_latents(model, latents, seeds, settings.local_contrast)


def paint_latents(
    model: Model,
    embeddings: Sequence[npt.ArrayLike | Conditioning],
    seeds: Sequence[Seed],
    settings: PaintSettings,
    start: torch.Tensor | None = None,
    *,
    noise: torch.Tensor | None = None,
    on_step: Callable[[int, torch.Tensor], torch.Tensor | None] | None = None,
    mirrored: bool = True,
) -> torch.Tensor:
    """Paint several embeddings at once, without decoding them.

    The loop is that of the diffusers pipelines.

    Parameters
    ----------
    model : Model
    embeddings : sequence of array_like [shape=(77, model.width)] or of Conditioning
        As for :func:`paint`.
    seeds : sequence of int or torch.Generator
        One for each embedding, see :func:`sound_diffusion.latents.seeded`. What ``settings.eta`` adds in
        every step is drawn from it, and before that the noise, where none is given.
    settings : PaintSettings
    start : torch.Tensor [shape=(n, 4, height / 8, width / 8)], optional
        Latents to paint over by ``settings.strength``, from :func:`sound_diffusion.latents.encode_pictures`
        or from here: 0 returns them unchanged, 1 forgets them.
    noise : torch.Tensor [shape=(n, 4, height / 8, width / 8)], optional
        Standard normal, in the place of :func:`sound_diffusion.latents.latent_noise` of the seeds.
    on_step : callable, optional
        Called after each denoising step with its number, from 0 on, and the latents that it left. If it
        returns latents, the next step goes on from those.
    mirrored : bool
        Whether a model whose pictures are their own mirror images mirrors the noise and what a step leaves.

    Returns
    -------
    latents : torch.Tensor [shape=(n, 4, height / 8, width / 8)]
        On the device of the model, scaled as the UNet gives them.

    Raises
    ------
    EmbeddingError, ParameterError, PaintingError
        As :func:`paint`.
    """
    if start is not None and settings.strength == 0:
        return start
    over = start if settings.strength < 1 else None
    generators = seeded(seeds)
    if noise is None:
        noise = latent_noise(model, generators, settings)
    conditioning = Conditioning.stack(
        [each if isinstance(each, Conditioning) else condition_embedding(model, each) for each in embeddings]
    )
    task = "txt2img" if over is None else "img2img"
    pipeline = model.pipeline_for(task, settings.sampler, mirrored=mirrored)

    def after_step(_pipeline: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        changed = None if on_step is None else on_step(index, tensors["latents"])
        return tensors if changed is None else tensors | {"latents": changed.to(tensors["latents"])}

    with computing(model):
        painted = pipeline(
            **_prompt_arguments(model, conditioning),
            **_beginning(pipeline, noise.to(model.device), over, settings),
            guidance_scale=settings.guidance,
            eta=settings.eta,
            generator=generators,
            output_type="latent",
            callback_on_step_end=after_step,
        )
    latents: torch.Tensor = painted.images.clone()  # outside of inference mode: a tensor as any other
    return latents


def _beginning(
    pipeline: Any, noise: torch.Tensor, start: torch.Tensor | None, settings: PaintSettings
) -> dict[str, Any]:
    """Return the arguments of a pipeline that say what it begins with, and how many steps there are."""
    if start is None:
        size = {"height": settings.height, "width": settings.width}
        return {"num_inference_steps": settings.steps, "latents": noise, **size}
    scheduler = pipeline.scheduler
    n_steps, strength = settings.steps, 1.0
    own: dict[str, Any] = {}
    if settings.few_steps and "timesteps" in inspect.signature(scheduler.set_timesteps).parameters:
        count = scheduler.config.num_train_timesteps
        # Latent consistency models divide the 50 timesteps that they were distilled from.
        most = scheduler.config.get("original_inference_steps") or count
        own = {"timesteps": few_step_timesteps(settings, count, most)}
        n_steps = len(own["timesteps"])
    else:
        if settings.few_steps:  # PLMS, which divides all timesteps alone: the last ones of more steps
            n_steps = math.ceil(round(settings.steps / settings.strength, 9))
        # The pipelines round the share of the steps down; half a step keeps it from falling short of a whole.
        strength = min((steps_to_run(settings) + 0.5) / n_steps, 1.0)
    steps = own or {"num_inference_steps": n_steps}
    # In the order of the img2img pipelines, which draw the noise themselves: some schedulers keep count.
    scheduler.set_timesteps(**steps, device=noise.device)
    timesteps, _ = pipeline.get_timesteps(n_steps, strength, noise.device)
    noisy = scheduler.add_noise(start.to(noise.device), noise, timesteps[:1].repeat(len(start)))
    return {"image": noisy, "strength": strength, **steps}


def _prompt_arguments(model: Model, conditioning: Conditioning) -> dict[str, torch.Tensor]:
    """Return the arguments of a pipeline that stand for prompt and negative prompt."""
    import torch

    arrays = {
        "negative_prompt_embeds": conditioning.negative,
        "pooled_prompt_embeds": conditioning.pooled,
        "negative_pooled_prompt_embeds": conditioning.negative_pooled,
    }
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items() if values is not None}
    states = conditioning.states
    tensors["prompt_embeds"] = (
        model.encode_sounds(conditioning.embedding) if states is None else torch.from_numpy(states)
    )
    return {name: values.to(model.device, model.dtype) for name, values in tensors.items()}
