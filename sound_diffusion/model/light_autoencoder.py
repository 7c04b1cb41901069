"""The autoencoder of the embedded model; why it is not the class of diffusers, light_unet.py says."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from diffusers.configuration_utils import FrozenDict

from sound_diffusion.model.light_unet import fits

AS_IT_IS = {"act_fn": "relu", "force_upcast": False, "shift_factor": 0.0, "upsample_fn": "nearest"}
"""What is fixed. Sizes may be others."""
FACTOR = 2
"""By which a decoder's last stage makes pictures larger, if it is to be folded."""
SIZES = frozenset({
    "block_out_channels", "decoder_block_out_channels", "encoder_block_out_channels", "in_channels",
    "latent_channels", "latent_magnitude", "latent_shift", "num_decoder_blocks", "num_encoder_blocks",
    "out_channels", "scaling_factor", "upsampling_scaling_factor",
})  # fmt: skip


def is_light_autoencoder(config: Mapping[str, Any]) -> bool:
    """Say whether a configuration of AutoencoderTiny is one of a :class:`LightAutoencoder`."""
    return fits({"block_out_channels": None, **config}, AS_IT_IS, SIZES)


class Encoded(NamedTuple):
    """What an autoencoder makes of pictures."""

    latents: torch.Tensor


class LightAutoencoder(torch.nn.Module):
    """AutoencoderTiny, as far as the embedded model has it.

    Parameters
    ----------
    config : mapping from str to Any
        Of AutoencoderTiny; see :func:`is_light_autoencoder`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = FrozenDict(config)
        self.encoder = _Encoder(config)
        self.decoder = _Decoder(config)

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        return next(self.parameters()).dtype

    def encode(self, pixels: torch.Tensor) -> Encoded:
        """Make latents (n, 4, height / 8, width / 8) of pixels (n, 3, height, width) in [-1, 1]."""
        return Encoded(self.encoder(pixels))

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        """Make pixels of latents; a tuple, whatever `return_dict` says."""
        return (self.decoder(latents),)


class _Encoder(torch.nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        widths, before = config["encoder_block_out_channels"], config["in_channels"]
        for number, (n_blocks, width) in enumerate(zip(config["num_encoder_blocks"], widths, strict=True)):
            halved: dict[str, Any] = {"stride": 2, "bias": False} if number else {}
            layers += [torch.nn.Conv2d(width if number else before, width, 3, padding=1, **halved)]
            layers += [_Block(width) for _ in range(n_blocks)]
        layers += [torch.nn.Conv2d(widths[-1], config["latent_channels"], 3, padding=1)]
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = self.layers(pixels.add(1).div(2))
        return latents


class _Decoder(torch.nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        widths = config["decoder_block_out_channels"]
        layers: list[torch.nn.Module] = [torch.nn.Conv2d(config["latent_channels"], widths[0], 3, padding=1)]
        layers += [torch.nn.ReLU()]
        for number, (n_blocks, width) in enumerate(zip(config["num_decoder_blocks"], widths, strict=True)):
            layers += [_Block(width) for _ in range(n_blocks)]
            if number < len(widths) - 1:
                layers += [torch.nn.Upsample(scale_factor=config["upsampling_scaling_factor"])]
                layers += [torch.nn.Conv2d(width, width, 3, padding=1, bias=False)]
        layers += [torch.nn.Conv2d(widths[-1], config["out_channels"], 3, padding=1)]
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        pixels: torch.Tensor = self.layers(torch.tanh(latents / 3) * 3)
        return pixels.mul_(2).sub_(1)

    def fold(self) -> None:
        """Make one convolution of the last upsampling and the two after it, if nothing else is there.

        The weights must have been loaded; their names are others afterwards.
        """
        *before, upsample, first, second = self.layers
        if (
            isinstance(upsample, torch.nn.Upsample)
            and upsample.scale_factor == FACTOR
            and isinstance(first, torch.nn.Conv2d)
            and isinstance(second, torch.nn.Conv2d)
        ):
            self.layers = torch.nn.Sequential(*before, _Folded(upsample, first, second))


class _Folded(torch.nn.Module):
    """Upsampling and two convolutions, as one convolution of what comes before the upsampling.

    Each of the four pixels that a pixel becomes is a sum over its neighbours; but for those at the edges, as
    the second convolution takes what the first would give beyond them for zero: they are computed step by
    step. What is spared is writing and reading full-sized pictures of many channels more than arithmetic.
    """

    def __init__(self, upsample: torch.nn.Upsample, first: torch.nn.Conv2d, second: torch.nn.Conv2d) -> None:
        super().__init__()
        self.steps = torch.nn.Sequential(upsample, first, second)
        assert second.bias is not None
        width, channels = first.in_channels, second.out_channels
        self.folded = torch.nn.Conv2d(width, channels * FACTOR**2, 3, padding=1)
        assert self.folded.bias is not None
        with torch.no_grad():
            impulses = torch.zeros(width, width, 5, 5)
            impulses[range(width), range(width), 2, 2] = 1
            # Of every impulse, what it adds: a square of 2 x 2 for each of the 3 x 3 pixels that read it.
            response = copy.deepcopy(self.steps).float()(impulses) - second.bias.float().view(-1, 1, 1)
            parts = response.view(width, channels, 5, FACTOR, 5, FACTOR)[:, :, 1:-1, :, 1:-1].flip(2, 4)
            weight = parts.permute(1, 3, 5, 0, 2, 4).reshape(-1, width, 3, 3)
            self.folded.weight.copy_(weight)
            self.folded.bias.copy_(second.bias.repeat_interleave(FACTOR**2))
        self.folded.to(first.weight.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = torch.nn.functional.pixel_shuffle(self.folded(x), FACTOR)
        top, bottom = self.steps(torch.cat([x[:, :, :2], x[:, :, -2:]])).chunk(2)
        left, right = self.steps(torch.cat([x[..., :2], x[..., -2:]])).chunk(2)
        pixels[:, :, 0], pixels[:, :, -1] = top[:, :, 0], bottom[:, :, -1]
        pixels[..., 0], pixels[..., -1] = left[..., 0], right[..., -1]
        return pixels


class _Block(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers = [torch.nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = torch.nn.Sequential(
            layers[0], torch.nn.ReLU(inplace=True), layers[1], torch.nn.ReLU(inplace=True), layers[2]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.relu(self.conv(x) + x, inplace=True)
