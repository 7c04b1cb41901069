"""All that only the embedded model, models/cymatics, needs: an encoder of sounds, and mirrored noise.

Any model whose sound_diffusion.json declares ``sound_encoder`` or ``mirrored_noise`` is loaded as a
:class:`CymaticsModel`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerOutput
from torch.nn import functional

from sound_diffusion.constants import N_ROWS, SD1_WIDTH
from sound_diffusion.errors import ModelError
from sound_diffusion.model.find import DEFAULTS_FILE, settings_folder
from sound_diffusion.model.hub import fetch_parts
from sound_diffusion.model.model import Model
from sound_diffusion.model.picture_language import GROUPS, listen
from sound_diffusion.typing import FloatArray

SOUND_ENCODER = "sound_encoder"
"""Folder of the sound encoder in that of its model."""
FAINT = 1000.0  # one over what is faint


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

    def pipeline_class(self, task: str) -> Any:
        """Return the class of a task's pipeline: see :meth:`Model.pipeline_class`."""
        plain = super().pipeline_class(task)
        return mirrored_pipeline(plain) if self.defaults.mirrored_noise and task == "txt2img" else plain

    def scheduler_class(self, sampler: str) -> Any:
        """Return the class of a sampler's scheduler: see :meth:`Model.scheduler_class`."""
        plain = super().scheduler_class(sampler)
        return mirrored_scheduler(plain) if self.defaults.mirrored_noise else plain


def as_cymatics(model: Model, location: Path | str) -> CymaticsModel:
    """Give the loaded model at a location what its declaration asks for.

    A sound encoder that is on the hub and not in the cache is downloaded.

    Raises
    ------
    ModelError
        If the sound encoder cannot be loaded.
    """
    encoder = None
    if model.defaults.sound_encoder:
        folder = settings_folder(location)
        if isinstance(location, str):
            fetch_parts(location, folder, [SOUND_ENCODER])
        encoder = load_sound_encoder(folder / SOUND_ENCODER, model.width)
    same = {field.name: getattr(model, field.name) for field in fields(model)}
    return CymaticsModel(**same, sound_encoder=encoder)


class SoundEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Writes into each row of an embedding where it stands and what is heard in it.

    Cross-attention reads the rows with linear maps, as a set. That suits the states of a text encoder; but
    whether a spectrum is a tone or noise, or how loud it is, is no linear function of it. A small
    convolutional network over the columns (frequencies, or samples) says it, and is added to the row:

        x = [embeddings, sign(embeddings) * log(1 + FAINT * |embeddings|)]
        states = embeddings + row_positions + expand(gelu(neighbours(gelu(reduce(filters(x)))))) + meaning

    What the picture language says of a spectrum or of samples needs no guessing: it is computed by its own
    definition (:mod:`sound_diffusion.model.picture_language`), and `meaning` says it, with what was heard in
    the mean of all rows, in every row. Of the other features the network knows what it has learnt.

    Parameters
    ----------
    width : int
        Columns D.
    channels, kernels, strides : sequence of int
        Of the convolutions over the columns, each followed by GELU. All rows share them.
    hidden : int
        Numbers that are kept of a row.
    reach : int
        Rows, an odd number, over which each of these numbers may be smoothed or compared.
    meaning : int
        Numbers between the descriptors and what each row says of them.

    Notes
    -----
    Its weights begin so that nothing is heard.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        width: int = SD1_WIDTH,
        channels: Sequence[int] = (32, 64),
        kernels: Sequence[int] = (16, 5),
        strides: Sequence[int] = (8, 3),
        hidden: int = 192,
        reach: int = 9,
        meaning: int = 112,
    ):
        super().__init__()
        layers: list[torch.nn.Module] = []
        inputs, length = 2, width
        for outputs, kernel, stride in zip(channels, kernels, strides, strict=True):
            layers += [torch.nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2), torch.nn.GELU()]
            inputs, length = outputs, (length + 2 * (kernel // 2) - kernel) // stride + 1
        self.filters = torch.nn.Sequential(*layers)
        self.reduce = torch.nn.Linear(inputs * length, hidden)
        self.neighbours = torch.nn.Conv1d(hidden, hidden, reach, padding=reach // 2, groups=hidden)
        self.expand = torch.nn.Linear(hidden, width)
        self.weigh = torch.nn.Linear(sum(GROUPS) + hidden, meaning)
        self.tell = torch.nn.Linear(meaning, width)
        for layer in (self.expand, self.tell):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        self.register_buffer("positions", row_positions(width), persistent=False)

    def forward(self, embeddings: torch.Tensor, descriptors: torch.Tensor | None = None) -> torch.Tensor:
        """Encode sounds.

        Parameters
        ----------
        embeddings : torch.Tensor [shape=(n, 77, width)]
            Scaled features.
        descriptors : torch.Tensor [shape=(n, 71)], optional
            What :func:`sound_diffusion.model.picture_language.listen` says of each; computed where it is not
            given.

        Returns
        -------
        states : torch.Tensor [shape=(n, 77, width)]
            What the UNet's cross-attention reads.
        """
        count, rows, width = embeddings.shape
        if descriptors is None:
            told = np.stack([listen(embedding) for embedding in embeddings.float().cpu().numpy()])
            descriptors = torch.from_numpy(told).to(embeddings)
        # What is faint, such as the samples of a quiet sound, can be told apart on a logarithmic scale alone.
        compressed = embeddings.sign() * torch.log1p(FAINT * embeddings.abs())
        both = torch.stack([embeddings, compressed], dim=2).view(count * rows, 2, width)
        heard = self.filters(both).flatten(1)
        heard = functional.gelu(self.reduce(heard)).view(count, rows, -1)
        heard = heard + self.neighbours(heard.mT).mT
        meaning = self.tell(functional.gelu(self.weigh(torch.cat([descriptors, heard.mean(1)], dim=1))))
        states: torch.Tensor = (
            embeddings + self.positions + self.expand(functional.gelu(heard)) + meaning[:, None]
        )
        return states


def load_sound_encoder(folder: Path, width: int) -> SoundEncoder:
    """Load the sound encoder of a model.

    Parameters
    ----------
    folder : Path
        Of the encoder alone.
    width : int
        Columns D of its UNet's cross-attention.

    Returns
    -------
    encoder : SoundEncoder
        On the CPU, in float32.

    Raises
    ------
    ModelError
        If it is missing, broken or made for another width.
    """
    try:
        encoder: SoundEncoder = SoundEncoder.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{folder}: the sound encoder cannot be loaded ({reason})",
            f"what {DEFAULTS_FILE} declares in {SOUND_ENCODER}/",
            "copy the whole folder of the model",
        ) from error
    columns = encoder.config.width
    if columns != width:
        raise ModelError(f"{folder}: a sound encoder of {columns} columns", f"{width}, as its UNet has")
    encoder.requires_grad_(False).eval()
    return encoder


def row_positions(width: int) -> torch.Tensor:
    """Sinusoidal code of the row numbers.

    Parameters
    ----------
    width : int
        Columns D.

    Returns
    -------
    code : torch.Tensor [shape=(77, width), dtype=float32]
        Values in [-1, 1]: sines in the even columns, cosines in the odd ones.

    References
    ----------
    Vaswani et al., Attention Is All You Need, 2017, section 3.5.
    """
    columns = torch.arange(width, dtype=torch.float64)
    rates = 10_000 ** (-2 * (columns // 2) / width)
    angles = torch.arange(N_ROWS, dtype=torch.float64)[:, None] * rates
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos()).float()


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
