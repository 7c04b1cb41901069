"""The autoencoder: pictures of 256 x 256 to latents of 4 x 32 x 32 and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from training import dataset
from training.loop import Clock, LoopOptions, Step, fit, load_average, make_accelerator, take_over


@dataclass(frozen=True)
class AutoencoderOptions:
    """Size of the network and weights of its loss.

    Attributes
    ----------
    channels : tuple of int
        Channels at full size, 1/2, 1/4 and 1/8.
    crop : int
        Side of the training crops in pixels.
    kl : float
        Weight of the divergence from a normal distribution, a latent value.
    gradient : float
        Weight of the error of differences between neighbouring pixels.
    tint : float
        Weight of the squared error of colour apart from light.
    hint : float
        Weight of the wish that the last two latent channels are the mean colour of their 8 x 8 pixels,
        without which the network attends to light alone for a long time.
    shards : int
        At most so many shards are held in memory.
    """

    channels: tuple[int, ...] = (16, 32, 64, 96)
    crop: int = 96
    kl: float = 1e-3
    gradient: float = 0.3
    tint: float = 10.0
    hint: float = 0.3
    shards: int = 16


def build(options: AutoencoderOptions) -> AutoencoderKL:
    """Make the network with new weights; the latents begin with little chance in them."""
    model = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * len(options.channels),
        up_block_types=["UpDecoderBlock2D"] * len(options.channels),
        block_out_channels=list(options.channels),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=256,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        model.quant_conv.bias[4:] = -5.0  # logarithm of the variance
    return model


def to_tensor(pictures: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """Turn uint8 pictures [shape=(n, h, w, 3)] into floats in [-1, 1] [shape=(n, 3, h, w)]."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def crops(pictures: np.ndarray, count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw square crops, few of them black, turned and mirrored at random [shape=(count, side, side, 3)]."""
    out: list[np.ndarray] = []
    while len(out) < count:
        top, left = rng.integers(0, pictures.shape[1] - side + 1, 2)
        crop = pictures[rng.integers(len(pictures)), top : top + side, left : left + side]
        if crop.mean() < 8 and rng.random() < 0.8:
            continue
        crop = np.rot90(crop, rng.integers(4))
        out.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(out)


def chroma(x: torch.Tensor) -> torch.Tensor:
    """Mean colour, apart from light, of every 8 x 8 pixels: two opponent channels of deviation near 1."""
    red, green, blue = functional.avg_pool2d(x.float(), 8).unbind(1)
    return 3 * torch.stack([red - (green + blue) / 2, (green - blue) * 0.75**0.5], 1)


def turned(x: torch.Tensor, turns: int, mirror: int) -> torch.Tensor:
    """Turn by quarters, and mirror if `mirror` is 1 [x: shape=(n, c, side, side)]."""
    x = x.rot90(turns, (2, 3))
    return (x.flip(3) if mirror else x).contiguous()


def loss_of(
    model: torch.nn.Module, x: torch.Tensor, options: AutoencoderOptions
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss, and the PSNR for the log.

    The latents are turned and mirrored before they are decoded, so that the latents of a symmetric picture
    are symmetric (Kouzelis et al. 2025, EQ-VAE, where they also prove easier to paint).
    """
    posterior = model.encode(x).latent_dist
    hint = functional.mse_loss(posterior.mean[:, 2:].float(), chroma(x))
    turns, mirror = (int(torch.randint(n, ())) for n in (4, 2))
    latents, x = (turned(part, turns, mirror) for part in (posterior.sample(), x))
    kl = posterior.kl().float().mean() / np.prod(posterior.mean.shape[1:])
    loss, psnr = decoding_loss(model.decode(latents).sample, x, options)
    return loss + options.hint * hint + options.kl * kl, psnr


def decoding_loss(
    y: torch.Tensor, x: torch.Tensor, options: AutoencoderOptions
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of decoding `y` where `x` was encoded, and the PSNR for the log."""
    error = (y - x).float()
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    square = error.square().mean()
    tint = (error - error.mean(1, keepdim=True)).square().mean()
    loss = 0.3 * error.abs().mean() + 4 * square + options.tint * tint + options.gradient * edges
    return loss, 10 * torch.log10(4 / square.detach())


def train(
    folder: Path, loop: LoopOptions, options: AutoencoderOptions | None = None, begin: Path | None = None
) -> Path:
    """Train until the time is up, continuing from the folder's checkpoint.

    Parameters
    ----------
    folder : Path
        Work folder: `shards/` with pictures, and where `autoencoder.pt` is kept.
    loop : LoopOptions
        Time, rate and batch.
    options : AutoencoderOptions, optional
        Size and loss.
    begin : Path, optional
        A model folder whose weights training begins with, as far as they fit.

    Returns
    -------
    Path
        The checkpoint.
    """
    options = options or AutoencoderOptions()
    accelerator = make_accelerator()
    torch.manual_seed(0)
    model = build(options)
    if begin is not None:
        take_over(model, begin / "vae")
    model.to(accelerator.device)

    def start(clock: Clock) -> Step:
        pictures = dataset.load(dataset.shards(folder / "shards")[: options.shards], "pictures")
        rng = np.random.default_rng([clock.steps, accelerator.process_index])

        def step(clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
            x = to_tensor(crops(pictures, loop.batch, options.crop, rng), accelerator.device)
            return loss_of(model, x.contiguous(), options)

        return step

    return fit(accelerator, model, folder / "autoencoder.pt", loop, start)


def load_trained(folder: Path, options: AutoencoderOptions | None = None) -> AutoencoderKL:
    """Read the trained autoencoder of a work folder, in float32, ready to use."""
    model = build(options or AutoencoderOptions())
    load_average(folder / "autoencoder.pt", model)
    return model.eval()
