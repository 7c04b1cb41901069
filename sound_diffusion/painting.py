"""Painting: an embedding, and a previous picture where there is one, become a picture."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sound_diffusion.conditioning import Conditioning, condition_embedding
from sound_diffusion.errors import OutOfMemoryError, PaintingError, ParameterError
from sound_diffusion.model.model import Model
from sound_diffusion.options import verify
from sound_diffusion.settings import PaintSettings, settings_for, steps_to_run
from sound_diffusion.starting_pictures import as_rgb

if TYPE_CHECKING:
    import torch
    from PIL import Image


def paint(
    model: Model,
    embedding: npt.ArrayLike | Conditioning,
    seed: int = 0,
    *,
    init_image: Image.Image | None = None,
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
        If a setting is out of range.
    PaintingError
        If the model gives a picture with NaN in it.

    Examples
    --------
    >>> import sound_diffusion as sd
    >>> model = sd.load_model("auto")  # doctest: +SKIP
    >>> y = sd.load_audio("examples/bell.wav")  # doctest: +SKIP
    >>> embedding = sd.embed(y, feature="fft", model=model)  # doctest: +SKIP
    >>> sd.paint(model, embedding, seed=0).save("bell.png")  # doctest: +SKIP
    """
    init_images = None if init_image is None else [init_image]
    return paint_batch(model, [embedding], [seed], settings_for(model.defaults, **settings), init_images)[0]


def paint_batch(
    model: Model,
    embeddings: Sequence[npt.ArrayLike | Conditioning],
    seeds: Sequence[int],
    settings: PaintSettings,
    init_images: Sequence[Image.Image] | None = None,
    on_step: Callable[[], object] | None = None,
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

    Returns
    -------
    pictures : list of PIL.Image.Image
        RGB, of ``settings.width`` by ``settings.height`` pixels.

    Raises
    ------
    EmbeddingError, ParameterError, PaintingError
        As :func:`paint`.
    """
    import torch

    if not 0 < len(embeddings) == len(seeds) == len(init_images if init_images is not None else seeds):
        raise ParameterError(f"{len(embeddings)} embeddings and {len(seeds)} seeds", "one seed for each")
    conditioning = Conditioning.stack(
        [each if isinstance(each, Conditioning) else condition_embedding(model, each) for each in embeddings]
    )
    for seed in seeds:
        verify(seed=seed)
    options: dict[str, Any] = {"height": settings.height, "width": settings.width}
    task = "txt2img"
    if init_images is not None and settings.strength < 1:
        fitted = [fit_picture(image, settings) for image in init_images]
        if settings.strength == 0:
            return fitted
        steps_to_run(settings)
        task, options = "img2img", {"image": fitted, "strength": settings.strength}
    pipeline = model.pipeline_for(task, settings.sampler)

    def after_step(_pipeline: Any, _index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if on_step is not None:
            on_step()
        return tensors

    with torch.inference_mode(), _autocast(model), _memory_errors():
        painted = pipeline(
            **_prompt_arguments(model, conditioning),
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            eta=settings.eta,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            output_type="np",
            callback_on_step_end=after_step,
            **options,
        )
    _name_flagged(seeds, getattr(painted, "nsfw_content_detected", None))
    return [_to_picture(pixels, seed, model) for pixels, seed in zip(painted.images, seeds, strict=True)]


def fit_picture(image: Image.Image, settings: PaintSettings) -> Image.Image:
    """Return an RGB copy that fills the size of `settings`: scaled, and cropped about the centre."""
    from PIL import Image, ImageOps

    size = (settings.width, settings.height)
    picture = as_rgb(image)
    return picture if picture.size == size else ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def _prompt_arguments(model: Model, conditioning: Conditioning) -> dict[str, torch.Tensor]:
    """Return the arguments of a pipeline that stand for prompt and negative prompt."""
    import torch

    where = {"device": model.device, "dtype": model.pipeline.unet.dtype}
    arrays = {
        "negative_prompt_embeds": conditioning.negative,
        "pooled_prompt_embeds": conditioning.pooled,
        "negative_pooled_prompt_embeds": conditioning.negative_pooled,
    }
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items() if values is not None}
    tensors["prompt_embeds"] = model.encode_sounds(conditioning.embedding)
    return {name: values.to(**where) for name, values in tensors.items()}


def _name_flagged(seeds: Sequence[int], flagged: Sequence[bool] | None) -> None:
    """Say which pictures the safety checker, where there is one, has made black."""
    for seed, is_flagged in zip(seeds, flagged or [], strict=False):
        if is_flagged:
            logging.getLogger(__name__).warning(
                "the safety checker flagged the picture of seed %d: it is black", seed
            )


def _autocast(model: Model) -> Any:
    import torch

    # On a GPU the weights themselves are float16; on a CPU bfloat16 arithmetic is what can be faster.
    enabled = model.precision == "autocast" and model.device == "cpu"
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Say what helps where the memory of the device does not suffice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # the CPU and MPS have no error of their own for it
        if isinstance(error, RuntimeError) and not re.search(
            "out of memory|can't allocate memory", str(error)
        ):
            raise
        raise OutOfMemoryError(
            "the memory does not suffice for this picture",
            remedy="lower --H, --W or --n_samples, or use --low-memory",
        ) from error


def _to_picture(pixels: npt.NDArray[Any], seed: int, model: Model) -> Image.Image:
    from PIL import Image

    if not np.isfinite(pixels).all():
        remedy = "use --precision full" if model.precision != "full" else "lower --scale or change --scaling"
        raise PaintingError(f"the picture of seed {seed} holds NaN", "finite pixels", remedy)
    return Image.fromarray((pixels * 255).round().astype(np.uint8))
