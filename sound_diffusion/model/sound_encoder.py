"""The encoder of sounds: what the embedded model's UNet reads in the place of an encoded prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from sound_diffusion.constants import N_ROWS, SD1_WIDTH
from sound_diffusion.errors import ModelError
from sound_diffusion.model.checkpoint import filled
from sound_diffusion.model.defaults import DEFAULTS_FILE
from sound_diffusion.model.folders import read_json, read_weights
from sound_diffusion.model.picture_language import GROUPS, listen

SOUND_ENCODER = "sound_encoder"
"""Folder of the sound encoder in that of its model."""
FAINT = 1000.0  # one over what is faint


class SoundEncoder(torch.nn.Module):
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
        self.config: dict[str, Any] = {
            "width": width, "channels": channels, "kernels": kernels, "strides": strides, "hidden": hidden,
            "reach": reach, "meaning": meaning,
        }  # fmt: skip
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
        self.positions: torch.Tensor
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

    def save_pretrained(self, folder: Path) -> None:
        """Save configuration and weights as diffusers' models do, in a folder that may not be there yet."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=2, sort_keys=True) + "\n")
        save_file(self.state_dict(), folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})


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
        config = read_json(folder / "config.json")
        config = {name: value for name, value in config.items() if not name.startswith("_")}
        encoder: SoundEncoder = filled(lambda: SoundEncoder(**config), *read_weights(folder, torch.float32))
    except ModelError as error:
        raise ModelError(
            f"{folder}: the sound encoder cannot be loaded ({error.found})",
            f"what {DEFAULTS_FILE} declares in {SOUND_ENCODER}/",
            "copy the whole folder of the model, of this version of the program",
        ) from error
    columns = encoder.config["width"]
    if columns != width:
        raise ModelError(f"{folder}: a sound encoder of {columns} columns", f"{width}, as its UNet has")
    return encoder.requires_grad_(False)


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
