"""Noise with the symmetry of a square plate, for models that were trained to paint from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

__all__ = ["begin_mirrored", "mirrored"]


def mirrored(noise: torch.Tensor) -> torch.Tensor:
    """Repeat one part of the noise in its mirror images.

    They lie left and right, above and below, and in a square across the diagonals. Values are copied, never
    added, so that each keeps its distribution.

    Parameters
    ----------
    noise : torch.Tensor [shape=(..., height, width)]

    Returns
    -------
    mirrored : torch.Tensor [shape=(..., height, width)]
        The same noise where it is symmetric already.

    Examples
    --------
    >>> import torch
    >>> mirrored(torch.arange(16).reshape(4, 4))
    tensor([[0, 1, 1, 0],
            [1, 5, 5, 1],
            [1, 5, 5, 1],
            [0, 1, 1, 0]])
    """
    import torch

    height, width = noise.shape[-2:]
    rows, columns = (torch.arange(size, device=noise.device) for size in (height, width))
    rows = torch.minimum(rows, height - 1 - rows)[:, None]
    columns = torch.minimum(columns, width - 1 - columns)[None, :]
    if height == width:
        rows, columns = torch.minimum(rows, columns), torch.maximum(rows, columns)
    return noise[..., rows, columns]


def begin_mirrored(pipeline: DiffusionPipeline, task: str) -> None:
    """Let a pipeline paint from mirrored noise.

    Parameters
    ----------
    pipeline : diffusers.DiffusionPipeline
        With a scheduler of its own.
    task : {"txt2img", "img2img"}
        In txt2img the noise is what the pipeline begins with; in img2img its scheduler adds it to a picture.
    """
    if task == "txt2img":
        draw = pipeline.prepare_latents

        def prepare_latents(*args: Any, **options: Any) -> torch.Tensor:
            return mirrored(draw(*args, **options))

        pipeline.prepare_latents = prepare_latents
    else:
        add = pipeline.scheduler.add_noise

        def add_noise(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
            noisy: torch.Tensor = add(latents, mirrored(noise), timesteps)
            return noisy

        pipeline.scheduler.add_noise = add_noise
