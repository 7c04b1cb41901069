"""The small autoencoder: the same latents as the large one's, at an eighth of its cost.

Its decoder is taught from what the large one has made of the pictures, so that a painter of latents need not
know which of the two decodes them. Its encoder is held near those latents, and beyond that looks for the ones
from which its own decoder gives the picture back best.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional

from training import autoencoder, dataset
from training.autoencoder import AutoencoderOptions
from training.examples import latents_of
from training.loop import Clock, LoopOptions, Step, fit, load_average, make_accelerator, take_over

PIXELS = 8  # a side of what one latent stands for


@dataclass(frozen=True)
class TinyOptions:
    """Size of the network and of what it is shown.

    Attributes
    ----------
    decoder_channels, encoder_channels : int
        At every resolution.
    decoder_blocks, encoder_blocks : tuple of int
        Blocks of three convolutions, from the latents' resolution to the picture's and the other way round.
    crop : int
        Side of the training crops in latents.
    nearness : float
        Weight of the squared distance of what the encoder makes from the large one's latents.
    edge : int
        Latents at the rim of a crop that the encoder is not asked for, since it cannot see what was beside;
        at the rim of the picture there was nothing.
    shards : int
        At most so many shards are held in memory.
    """

    decoder_channels: int = 16
    encoder_channels: int = 24
    decoder_blocks: tuple[int, ...] = (4, 4, 2, 0)
    encoder_blocks: tuple[int, ...] = (0, 0, 4, 5)
    crop: int = 16
    nearness: float = 0.05
    edge: int = 2
    shards: int = 24


def build(options: TinyOptions) -> AutoencoderTiny:
    """Make the network with new weights."""
    return AutoencoderTiny(
        encoder_block_out_channels=(options.encoder_channels,) * len(options.encoder_blocks),
        decoder_block_out_channels=(options.decoder_channels,) * len(options.decoder_blocks),
        num_decoder_blocks=options.decoder_blocks,
        num_encoder_blocks=options.encoder_blocks,
    )


class Crops:
    """Draws parts of pictures with their latents, turned and mirrored at random, few of them black.

    Parameters
    ----------
    folder : Path
        Work folder with `shards/` and `latents/`.
    options : TinyOptions
    seed : sequence of int
        Of what is drawn.
    """

    def __init__(self, folder: Path, options: TinyOptions, seed: list[int]):
        shards = [shard for shard in dataset.shards(folder / "shards") if latents_of(shard).exists()]
        shards = shards[-options.shards :]
        self.pictures = dataset.load(shards, "pictures")
        self.latents = np.concatenate([np.load(latents_of(shard)) for shard in shards])
        self.side, self.edge = options.crop, options.edge
        self.rng = np.random.default_rng(seed)

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return pictures, their latents, and which latents can be told from the crop alone.

        Returns
        -------
        pictures : torch.Tensor [shape=(n, 3, 8 * crop, 8 * crop)]
        latents : torch.Tensor [shape=(n, 4, crop, crop)]
        told : torch.Tensor [shape=(n, 1, crop, crop)]
            1 or 0.
        """
        pictures, latents, told = [], [], []
        while len(pictures) < count:
            index, side = self.rng.integers(len(self.pictures)), self.side
            # Beyond the last place, so that the rim of the picture is drawn more often than by chance.
            last = self.latents.shape[-1] - side
            top, left = np.clip(self.rng.integers(-2, last + 3, 2), 0, last)
            rows, columns = (slice(start, start + side) for start in (top, left))
            high, wide = (slice(PIXELS * start, PIXELS * (start + side)) for start in (top, left))
            picture = self.pictures[index, high, wide]
            if picture.mean() < 8 and self.rng.random() < 0.8:
                continue
            pictures.append(picture)
            latents.append(self.latents[index, :, rows, columns])
            told.append(np.outer(self._inside(top), self._inside(left))[None])
        turns, mirror = (int(self.rng.integers(n)) for n in (4, 2))
        parts = autoencoder.to_tensor(np.stack(pictures)), np.stack(latents), np.stack(told)
        x, z, seen = (autoencoder.turned(torch.as_tensor(part).float(), turns, mirror) for part in parts)
        return x, z, seen

    def _inside(self, start: int) -> np.ndarray:
        """Say which latents of a side are in the middle of the crop, or at the rim of the picture."""
        place = np.arange(self.side)
        after = (place >= self.edge) | (start == 0)
        before = (place < self.side - self.edge) | (start + self.side == self.latents.shape[-1])
        return after & before


def loss_of(
    model: AutoencoderTiny, x: torch.Tensor, z: torch.Tensor, told: torch.Tensor, nearness: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of decoding latents and of encoding pictures, and the PSNR there and back for the log.

    What the encoder makes of a crop's rim is replaced by the latents themselves before it is decoded.
    """
    own = model.encoder(x)
    encoding = functional.mse_loss(own * told, z * told)
    of_latents, there_and_back = model.decoder(torch.cat([z, torch.lerp(z, own, told)])).chunk(2)
    decoding, _ = autoencoder.decoding_loss(of_latents, x, AutoencoderOptions())
    round_trip, psnr = autoencoder.decoding_loss(there_and_back, x, AutoencoderOptions())
    return decoding + round_trip + nearness * encoding, psnr


def train(
    folder: Path, loop: LoopOptions, options: TinyOptions | None = None, begin: Path | None = None
) -> Path:
    """Train until the time is up, continuing from the folder's checkpoint.

    Parameters
    ----------
    folder : Path
        Work folder: `shards/`, `latents/`, and where `tiny_autoencoder.pt` is kept.
    loop : LoopOptions
        Time, rate and batch.
    options : TinyOptions, optional
        Size of the network.
    begin : Path, optional
        A model folder whose weights training begins with, as far as they fit.

    Returns
    -------
    Path
        The checkpoint.
    """
    options = options or TinyOptions()
    accelerator = make_accelerator()
    torch.manual_seed(0)
    model = build(options)
    if begin is not None:
        take_over(model, begin / "vae")
    model.to(accelerator.device)

    def start(clock: Clock) -> Step:
        crops = Crops(folder, options, [clock.steps, accelerator.process_index])

        def step(clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
            x, z, told = (part.to(accelerator.device) for part in crops.draw(loop.batch))
            return loss_of(model, x, z, told, options.nearness)

        return step

    return fit(accelerator, model, folder / "tiny_autoencoder.pt", loop, start)


def load_trained(folder: Path, options: TinyOptions | None = None) -> AutoencoderTiny:
    """Read the trained small autoencoder of a work folder, in float32, ready to use."""
    model = build(options or TinyOptions())
    load_average(folder / "tiny_autoencoder.pt", model)
    return model.eval()
