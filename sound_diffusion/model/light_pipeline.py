"""The pipeline of a model that needs no text encoder: the loop of diffusers' pipelines, and nothing else.

Their classes import the networks of all pipelines, and CLIP: longer than the embedded model takes to paint.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers.image_processor import VaeImageProcessor

from sound_diffusion.model.checkpoint import filled
from sound_diffusion.model.folders import read_index, read_json, read_weights
from sound_diffusion.model.light_autoencoder import LightAutoencoder, is_light_autoencoder
from sound_diffusion.model.light_unet import LightUNet, is_light_unet
from sound_diffusion.model.mirrored import mirrored

CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderTiny"}


class Painted(NamedTuple):
    """What a pipeline returns."""

    images: torch.Tensor


@dataclass
class LightPipeline:
    """Paints latents with diffusers' schedulers, called as StableDiffusionPipeline and its img2img form are.

    Attributes
    ----------
    unet : LightUNet
    vae : LightAutoencoder
    scheduler : diffusers.SchedulerMixin
    mirrors : bool
        Whether it begins with mirrored noise.
    """

    unet: LightUNet
    vae: LightAutoencoder
    scheduler: Any
    mirrors: bool = False

    @cached_property
    def vae_scale_factor(self) -> int:
        """Pixels to a latent, in height and in width."""
        n_levels = len(self.vae.config["decoder_block_out_channels"])
        return int(2 ** (n_levels - 1))

    @cached_property
    def image_processor(self) -> VaeImageProcessor:
        """What makes tensors of pictures."""
        return VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        return self.unet.device

    def to(self, device: str) -> None:
        """Move its networks to a device."""
        self.unet.to(device)
        self.vae.to(device)

    def get_timesteps(self, n_steps: int, strength: float, _device: Any) -> tuple[torch.Tensor, int]:
        """Return the last timesteps of a scheduler, a share `strength` of all, and how many they are."""
        first = max(n_steps - min(int(n_steps * strength), n_steps), 0)
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(first * self.scheduler.order)
        return self.scheduler.timesteps[first * self.scheduler.order :], n_steps - first

    def __call__(
        self,
        *,
        prompt_embeds: torch.Tensor,
        negative_prompt_embeds: torch.Tensor,
        guidance_scale: float,
        eta: float,
        generator: Sequence[torch.Generator],
        callback_on_step_end: Callable[..., Mapping[str, torch.Tensor]],
        latents: Any = None,
        image: Any = None,
        strength: float = 1.0,
        num_inference_steps: int | None = None,
        timesteps: Sequence[int] | None = None,
        **_size: Any,
    ) -> Painted:
        """Paint latents, from noise (`latents`) or from noisy ones (`image`): see diffusers' pipelines."""
        guided = guidance_scale > 1
        states = torch.cat([negative_prompt_embeds, prompt_embeds]) if guided else prompt_embeds
        n_steps: dict[str, Any] = {"num_inference_steps": num_inference_steps, "timesteps": timesteps}
        n_steps = {name: value for name, value in n_steps.items() if value is not None}
        self.scheduler.set_timesteps(**n_steps, device=self.device)
        moments = self.scheduler.timesteps
        if image is None:
            x = latents * self.scheduler.init_noise_sigma
            x = mirrored(x) if self.mirrors else x
        else:
            x = image
            moments, _ = self.get_timesteps(num_inference_steps or len(moments), strength, self.device)
        own = self._own_of_step(eta=eta, generator=generator)
        for index, moment in enumerate(moments):
            inputs = self.scheduler.scale_model_input(torch.cat([x, x]) if guided else x, moment)
            [predicted] = self.unet(inputs, moment, encoder_hidden_states=states, return_dict=False)
            if guided:
                away, towards = predicted.chunk(2)
                predicted = away + guidance_scale * (towards - away)
            x = self.scheduler.step(predicted, moment, x, return_dict=False, **own)[0]
            x = callback_on_step_end(self, index, moment, {"latents": x})["latents"]
        return Painted(x)

    def _own_of_step(self, **offered: Any) -> dict[str, Any]:
        """Choose what the scheduler's step takes of what it is offered."""
        taken = inspect.signature(self.scheduler.step).parameters
        return {name: value for name, value in offered.items() if name in taken}


def load_light_pipeline(folder: Path, dtype: torch.dtype) -> LightPipeline | None:
    """Load the pipeline of a diffusers folder, if its networks are of the kinds that the embedded model has.

    Parameters
    ----------
    folder : Path
        With model_index.json.
    dtype : torch.dtype
        Of the networks.

    Returns
    -------
    pipeline : LightPipeline or None
        None: it takes diffusers' own classes.

    Raises
    ------
    ModelError
        If weights are missing or damaged, or do not fit their configuration.
    """
    index = {part: class_name for part, (_, class_name) in read_index(folder).items() if class_name}
    scheduler = index.pop("scheduler", None)
    if index != CLASSES or scheduler is None:
        return None
    of_unet, of_vae = (read_json(folder / part / "config.json") for part in ("unet", "vae"))
    if not (is_light_unet(of_unet) and is_light_autoencoder(of_vae)):
        return None
    import diffusers

    levels = read_json(folder / "scheduler" / "scheduler_config.json")
    levels = {name: value for name, value in levels.items() if not name.startswith("_")}
    unet = filled(lambda: LightUNet(of_unet), *read_weights(folder / "unet", dtype))
    vae = filled(lambda: LightAutoencoder(of_vae), *read_weights(folder / "vae", dtype))
    vae.decoder.fold()
    return LightPipeline(unet, vae, getattr(diffusers, scheduler)(**levels))
