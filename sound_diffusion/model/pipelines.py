"""Pipelines of diffusers that leave out what is done already when they are called."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@functools.cache
def from_noisy_latents(pipeline_class: Any) -> Any:
    """Derive an img2img pipeline of diffusers whose `image` is latents that noise has been added to.

    As it is, it encodes pictures, and draws noise that cannot be given to it.
    """

    class FromNoisyLatents(pipeline_class):  # type: ignore[misc]
        def prepare_latents(self, image: torch.Tensor, *_args: Any, **_options: Any) -> torch.Tensor:
            return image

    return FromNoisyLatents


@functools.cache
def from_embeddings(pipeline_class: Any) -> Any:
    """Derive a pipeline of diffusers that takes the embeddings that it is given as they are.

    As it is, it looks through all weights for device and precision, several times for every picture; where
    there are few steps that is a tenth of the time.
    """

    class FromEmbeddings(pipeline_class):  # type: ignore[misc]
        place: torch.device

        @property
        def _execution_device(self) -> torch.device:
            return self.place

        def encode_prompt(self, *_args: Any, **options: Any) -> tuple[torch.Tensor | None, ...]:
            names = ["prompt_embeds", "negative_prompt_embeds"]
            if "pooled_prompt_embeds" in options:
                names += ["pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
            return tuple(options.get(name) for name in names)

    return FromEmbeddings


def is_tiny(vae: Any) -> bool:
    """Say whether an autoencoder gives latents themselves, and no distribution of them: AutoencoderTiny."""
    return "latent_magnitude" in vae.config
