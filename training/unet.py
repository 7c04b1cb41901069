"""The UNet: learns to paint latents from embeddings (v-prediction, zero terminal signal-to-noise ratio).

The embedding enters twice: row by row through cross-attention, and pooled through the time embedding (the
"ear", diffusers' `addition_embed_type="text"`). The ear is first taught alone to read the descriptors, which
takes minutes, and the descriptors stay a small part of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch.nn import functional

from sound_diffusion.embeddings import row_positions
from sound_diffusion.symmetry import mirrored
from training import dataset
from training.loop import Clock, LoopOptions, Step, fit, load_average, make_accelerator

KEEP_SILENCE = 4  # of so many black pictures, one is learnt
TARGETS = 48  # numbers in `descriptors.targets`


@dataclass(frozen=True)
class UNetOptions:
    """Size of the network and details of its training.

    Attributes
    ----------
    channels : tuple of int
        Channels at 32, 16, 8 and 4 latent pixels a side.
    attention : tuple of bool
        Levels with attention.
    time_width : int
        Width of the time embedding.
    drop : float
        Share of examples with the unconditional embedding, zeros.
    listen : float
        Weight of reading the descriptors in the loss.
    listen_share : float
        Share of the time in which the ear learns alone.
    """

    channels: tuple[int, ...] = (64, 96, 160, 160)
    attention: tuple[bool, ...] = (False, False, True, False)
    time_width: int = 256
    drop: float = 0.1
    listen: float = 0.05
    listen_share: float = 0.06


class Painter(torch.nn.Module):
    """The UNet, and the probe that reads the descriptors from its conditioning during training."""

    def __init__(self, options: UNetOptions):
        super().__init__()
        down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in options.attention]
        up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(options.attention)]
        self.unet = UNet2DConditionModel(
            sample_size=32,
            in_channels=4,
            out_channels=4,
            block_out_channels=list(options.channels),
            down_block_types=down,
            up_block_types=up,
            layers_per_block=1,
            cross_attention_dim=dataset.WIDTH,
            attention_head_dim=32,
            norm_num_groups=16,
            use_linear_projection=True,
            resnet_time_scale_shift="scale_shift",
            time_embedding_dim=options.time_width,
            addition_embed_type="text",
            addition_embed_type_num_heads=64,
        )
        self.probe = torch.nn.Linear(options.time_width, TARGETS)
        torch.nn.init.zeros_(self.unet.conv_out.weight)
        torch.nn.init.zeros_(self.unet.conv_out.bias)
        self.seen: dict[str, torch.Tensor] = {}
        for name in ("time_embedding", "add_embedding"):
            getattr(self.unet, name).register_forward_hook(partial(self._keep, name))

    def _keep(self, name: str, module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        self.seen[name] = output

    def read(self) -> torch.Tensor:
        """Read descriptors from the conditioning that the residual blocks have just seen [shape=(n, 48)]."""
        return self.probe(functional.silu(self.seen["time_embedding"] + self.seen["add_embedding"]))

    def listen(self, embeddings: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Run the ear alone, and read the descriptors [shape=(n, 48)]."""
        self.unet.time_embedding(self.unet.time_proj(timesteps).to(embeddings.dtype))
        self.unet.add_embedding(embeddings)
        return self.read()

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, embeddings: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict v, and the descriptors."""
        painted = self.unet(latents, timesteps, encoder_hidden_states=embeddings).sample
        return painted, self.read()


def make_scheduler() -> DDIMScheduler:
    """The noise schedule, for training and painting."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


@dataclass
class Examples:
    """Everything that training reads, in memory.

    Attributes
    ----------
    latents : torch.Tensor [shape=(n, 4, 32, 32), dtype=float16]
        Scaled to deviation 1.
    embeddings : torch.Tensor [shape=(n, 77, 768), dtype=float16]
        Without the rows' positions.
    targets : torch.Tensor [shape=(n, 48), dtype=float32]
        Descriptors, standardised.
    """

    latents: torch.Tensor
    embeddings: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def read(cls, folder: Path) -> Examples:
        """Read the shards of a work folder whose latents have been made."""
        names = [p for p in dataset.shards(folder / "shards") if latents_of(p).exists()]
        targets = dataset.load(names, "targets")
        few = np.arange(len(targets)) % KEEP_SILENCE == 0
        kept = (targets[:, 0] > 0) | few
        latents = np.concatenate([np.load(latents_of(p)) for p in names])[kept].astype(np.float32)
        embeddings = dataset.load(names, "embeddings")[kept]
        targets = (targets[kept] - targets[kept].mean(0)) / targets[kept].std(0)
        latents = (latents * scaling_factor(folder)).astype(np.float16)
        return cls(torch.from_numpy(latents), torch.from_numpy(embeddings), torch.from_numpy(targets))

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw a batch, in float32, the positions added to the embeddings."""
        index = torch.randint(len(self.latents), (count,), generator=generator)
        positions = torch.from_numpy(row_positions(dataset.WIDTH).copy())
        return self.latents[index].float(), self.embeddings[index].float() + positions, self.targets[index]


def latents_of(shard: Path) -> Path:
    """Name of the file that keeps a shard's latents."""
    return shard.parent.parent / "latents" / (shard.stem + ".npy")


def scaling_factor(folder: Path) -> float:
    """One over the deviation of the latents, from the first shards."""
    files = sorted((folder / "latents").glob("shard_*.npy"))[:8]
    return float(1 / np.concatenate([np.load(f) for f in files]).astype(np.float32).std())


def draw_timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw timesteps that cover 0..999 evenly within the batch."""
    return ((torch.arange(count) + torch.rand(count, generator=generator)) * 1000 / count).long()


def ear_loss(model: Painter, batch: tuple[torch.Tensor, ...], timesteps: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the descriptors as read from the conditioning."""
    _, embeddings, targets = batch
    return functional.mse_loss(model.listen(embeddings, timesteps).float(), targets)


def paint_loss(
    model: Painter, batch: tuple[torch.Tensor, ...], timesteps: torch.Tensor, options: UNetOptions,
    scheduler: DDIMScheduler, generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return the loss of a step, and the error of v alone."""
    latents, embeddings, targets = batch
    device = latents.device
    noise = mirrored(torch.randn(latents.shape, generator=generator)).to(device)
    kept = (torch.rand(len(latents), generator=generator) >= options.drop).to(device)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    goal = scheduler.get_velocity(latents, noise, timesteps)
    painted, heard = model(noisy, timesteps, embeddings * kept[:, None, None])
    error = functional.mse_loss(painted.float(), goal)
    reading = ((heard.float() - targets).square().mean(1) * kept).sum() / kept.sum().clamp(min=1)
    return error + options.listen * reading, error.detach()


def train(folder: Path, loop: LoopOptions, options: UNetOptions | None = None) -> Path:
    """Train until the time is up, continuing from the folder's checkpoint.

    Parameters
    ----------
    folder : Path
        Work folder: `shards/`, `latents/`, and where `unet.pt` is kept.
    loop : LoopOptions
        Time, rate and batch.
    options : UNetOptions, optional
        Size and details.

    Returns
    -------
    Path
        The checkpoint.
    """
    options = options or UNetOptions()
    accelerator = make_accelerator()
    torch.manual_seed(0)
    model = Painter(options).to(accelerator.device)

    def start(clock: Clock) -> Step:
        examples, scheduler = Examples.read(folder), make_scheduler()
        generator = torch.Generator().manual_seed(1000 * clock.steps + accelerator.process_index)

        def step(clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
            alone = clock.now < options.listen_share
            count = loop.batch * (4 if alone else 1)
            batch = tuple(part.to(accelerator.device) for part in examples.draw(count, generator))
            timesteps = draw_timesteps(count, generator).to(accelerator.device)
            if alone:
                loss = ear_loss(model, batch, timesteps)
                return loss, loss.detach()
            return paint_loss(model, batch, timesteps, options, scheduler, generator)

        return step

    return fit(accelerator, model, folder / "unet.pt", loop, start)


def load_trained(folder: Path, options: UNetOptions | None = None) -> UNet2DConditionModel:
    """Read the averaged UNet of a work folder, in float32, ready to use."""
    model = Painter(options or UNetOptions())
    load_average(folder / "unet.pt", model)
    return model.unet.eval()
