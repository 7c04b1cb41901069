"""Mirrored noise: what a model that was taught symmetric pictures paints from."""

from __future__ import annotations

import functools
from typing import Any

import torch
from diffusers.schedulers.scheduling_utils import SchedulerOutput


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
    height, width = noise.shape[-2:]
    rows, columns = (torch.arange(size, device=noise.device) for size in (height, width))
    rows = torch.minimum(rows, height - 1 - rows)[:, None]
    columns = torch.minimum(columns, width - 1 - columns)[None, :]
    if height == width:
        rows, columns = torch.minimum(rows, columns), torch.maximum(rows, columns)
    return noise[..., rows, columns]


@functools.cache
def mirrored_pipeline(pipeline_class: Any) -> Any:
    """Derive a txt2img pipeline of diffusers that begins with mirrored noise."""

    class MirroredPipeline(pipeline_class):  # type: ignore[misc]
        def prepare_latents(self, *args: Any, **options: Any) -> torch.Tensor:
            return mirrored(super().prepare_latents(*args, **options))

    return MirroredPipeline


@functools.cache
def mirrored_scheduler(scheduler_class: Any) -> Any:
    """Derive a scheduler of diffusers that adds mirrored noise to a picture, and mirrors what a step leaves.

    What is not quite symmetric would grow from step to step.
    """

    class MirroredScheduler(scheduler_class):  # type: ignore[misc]
        def add_noise(
            self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
        ) -> torch.Tensor:
            noisy: torch.Tensor = super().add_noise(original_samples, mirrored(noise), timesteps)
            return noisy

        @functools.wraps(scheduler_class.step)  # pipelines look up which options it takes
        def step(self, *args: Any, return_dict: bool = True, **options: Any) -> Any:
            sample, *others = super().step(*args, return_dict=False, **options)
            return SchedulerOutput(mirrored(sample)) if return_dict else (mirrored(sample), *others)

    return MirroredScheduler
