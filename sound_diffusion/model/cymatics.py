"""All that only the embedded model, models/cymatics, needs: an encoder of sounds, and mirrored noise.

Any model whose sound_diffusion.json declares ``sound_encoder`` or ``mirrored_noise`` is loaded as a
:class:`CymaticsModel`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch

from sound_diffusion.model.find import Location
from sound_diffusion.model.light_pipeline import LightPipeline
from sound_diffusion.model.mirrored import mirrored_pipeline, mirrored_scheduler
from sound_diffusion.model.model import Model
from sound_diffusion.model.onnx_runtime import take_over
from sound_diffusion.model.pipelines import is_tiny
from sound_diffusion.model.sound_encoder import SOUND_ENCODER, SoundEncoder, load_sound_encoder
from sound_diffusion.typing import FloatArray


@dataclass(frozen=True)
class CymaticsModel(Model):
    """A model that hears sounds with an encoder of its own, or paints from mirrored noise.

    Attributes
    ----------
    sound_encoder : SoundEncoder or None
        What reads embeddings before the UNet does, where the model has it; on the CPU, in float32.
    """

    sound_encoder: SoundEncoder | None = None

    def encode_sounds(self, embeddings: FloatArray) -> torch.Tensor:
        """Return what its sound encoder makes of embeddings: see :meth:`Model.encode_sounds`."""
        states = super().encode_sounds(embeddings)
        if self.sound_encoder is None:
            return states
        # In float32 on a CPU, as cheap as it is, so that the states are the same for every device.
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            encoded: torch.Tensor = self.sound_encoder(states)
        return encoded

    def encode_pixels(self, vae: Any, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Encode a picture: see :meth:`Model.encode_pixels`.

        What is lost there and back corrects the latents once, as in iterative back-projection (Irani and
        Peleg 1991), which takes a third of the squared error away.
        """
        latents = super().encode_pixels(vae, pixels, generator)
        if not is_tiny(vae):
            return latents
        [back] = vae.decode(latents, return_dict=False)
        return latents + latents - super().encode_pixels(vae, back, generator)

    def pipeline_class(self, task: str, *, mirrored: bool = True) -> Any:
        """Return the class of a task's pipeline: see :meth:`Model.pipeline_class`."""
        plain = super().pipeline_class(task)
        mirrored = mirrored and self.defaults.mirrored_noise and task == "txt2img"
        return mirrored_pipeline(plain) if mirrored else plain

    def scheduler_class(self, sampler: str, *, mirrored: bool = True) -> Any:
        """Return the class of a sampler's scheduler: see :meth:`Model.scheduler_class`."""
        plain = super().scheduler_class(sampler)
        return mirrored_scheduler(plain) if mirrored and self.defaults.mirrored_noise else plain

    def _build_pipeline(self, task: str, sampler: str, mirrored: bool) -> Any:
        if not isinstance(self.pipeline, LightPipeline):
            return super()._build_pipeline(task, sampler, mirrored)
        scheduler = self.build_scheduler(sampler, mirrored=mirrored)
        mirrors = mirrored and self.defaults.mirrored_noise
        return LightPipeline(self.pipeline.unet, self.pipeline.vae, scheduler, mirrors)


def as_cymatics(model: Model, location: Location) -> CymaticsModel:
    """Give the loaded model at a location what its declaration asks for.

    A sound encoder that is on the hub and not in the cache is downloaded.

    Raises
    ------
    ModelError
        If the sound encoder cannot be loaded.
    """
    encoder = None
    if model.defaults.sound_encoder:
        location.fetch([SOUND_ENCODER])
        encoder = load_sound_encoder(location.path / SOUND_ENCODER, model.width)
    if model.runtime == "onnx":
        take_over(model.pipeline, model.defaults.height, str(location.fingerprint()))
    same = {field.name: getattr(model, field.name) for field in fields(model)}
    return CymaticsModel(**same, sound_encoder=encoder)
