"""The UNet: learns to paint latents from embeddings (v-prediction, zero terminal signal-to-noise ratio).

The embedding enters twice: row by row through cross-attention, and pooled through the time embedding (the
"ear", diffusers' `addition_embed_type="text"`). The ear is first taught alone to read the descriptors, and
goes on listening to more sounds than are painted, which costs little: what it does not hear, it cannot paint.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        Weight in the loss of reading the descriptors from the cross-attention of what is painted.
    hear : float
        Weight of the ear's reading them.
    heard : int
        Sounds that the ear hears for each one that is painted.
    listen_share : float
        Share of the time in which the ear learns alone.
    """

    channels: tuple[int, ...] = (64, 96, 160, 160)
    attention: tuple[bool, ...] = (False, False, True, False)
    time_width: int = 256
    drop: float = 0.1
    listen: float = 0.05
    hear: float = 0.3
    heard: int = 4
    listen_share: float = 0.06


class Painter(torch.nn.Module):
    """The UNet, and the probes that read the descriptors from its conditioning during training.

    One probe listens to the ear, the others to the outcome of cross-attention, where the rows of the
    embedding meet the picture.
    """

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
        self.attentions = [
            f"down_blocks.{i}.attentions.0" for i, attends in enumerate(options.attention) if attends
        ] + ["mid_block.attentions.0"]
        for name in ("time_embedding", "add_embedding", *self.attentions):
            self.unet.get_submodule(name).register_forward_hook(partial(self._keep, name))
        widths = [c for c, attends in zip(options.channels, options.attention, strict=True) if attends]
        self.attention_probes = torch.nn.ModuleList(
            torch.nn.Linear(width, TARGETS) for width in (*widths, options.channels[-1])
        )

    def _keep(self, name: str, module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        self.seen[name] = output[0] if isinstance(output, tuple) else output

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
        """Predict v, and the descriptors as read after each cross-attention [shape=(probes, n, 48)]."""
        painted = self.unet(latents, timesteps, encoder_hidden_states=embeddings).sample
        tokens = [self.seen[name].float().mean((2, 3)) for name in self.attentions]
        heard = [probe(seen) for probe, seen in zip(self.attention_probes, tokens, strict=True)]
        return painted, torch.stack(heard)


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
    embeddings : torch.Tensor [shape=(m, 77, 768), dtype=float16]
        Without the rows' positions; those after the first n are only heard.
    targets : torch.Tensor [shape=(m, 48), dtype=float32]
        Descriptors, standardised.
    """

    latents: torch.Tensor
    embeddings: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def read(cls, folder: Path) -> Examples:
        """Read the shards of a work folder whose latents have been made."""
        names = [p for p in dataset.shards(folder / "shards") if latents_of(p).exists()]
        latents = np.concatenate([np.load(latents_of(p)) for p in names])
        names += dataset.shards(folder / dataset.SOUNDS)
        targets = dataset.load(names, "targets")
        few = np.arange(len(targets)) % KEEP_SILENCE == 0
        kept = (targets[:, 0] > 0) | few
        latents = latents[kept[: len(latents)]].astype(np.float32)
        embeddings = dataset.load(names, "embeddings")[kept]
        targets = (targets[kept] - targets[kept].mean(0)) / targets[kept].std(0)
        latents = (latents * scaling_factor(folder)).astype(np.float16)
        return cls(torch.from_numpy(latents), torch.from_numpy(embeddings), torch.from_numpy(targets))

    def sounds(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw sounds to hear: embeddings with the rows' positions, in float32, and targets."""
        index = torch.randint(len(self.embeddings), (count,), generator=generator)
        return self._positioned(index), self.targets[index]

    def pairs(
        self, count: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw pictures to paint: latents in float32, embeddings and targets."""
        index = torch.randint(len(self.latents), (count,), generator=generator)
        return self.latents[index].float(), self._positioned(index), self.targets[index]

    def _positioned(self, index: torch.Tensor) -> torch.Tensor:
        return self.embeddings[index].float() + torch.from_numpy(row_positions(dataset.WIDTH).copy())


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


def ear_loss(model: Painter, batch: Sequence[torch.Tensor], timesteps: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the descriptors as read from the conditioning."""
    embeddings, targets = batch
    return functional.mse_loss(model.listen(embeddings, timesteps).float(), targets)


def paint_loss(
    model: Painter, batch: Sequence[torch.Tensor], timesteps: torch.Tensor, options: UNetOptions,
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
    reading = ((heard.float() - targets).square().mean((0, 2)) * kept).sum() / kept.sum().clamp(min=1)
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

        def place(*batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
            timesteps = draw_timesteps(len(batch[0]), generator)
            return tuple(part.to(accelerator.device) for part in (timesteps, *batch))

        def step(clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
            timesteps, *sounds = place(*examples.sounds(options.heard * loop.batch, generator))
            hearing = ear_loss(model, sounds, timesteps)
            if clock.now < options.listen_share:
                return hearing, hearing.detach()
            timesteps, *batch = place(*examples.pairs(loop.batch, generator))
            painting, error = paint_loss(model, batch, timesteps, options, scheduler, generator)
            return painting + options.hear * hearing, error

        return step

    return fit(accelerator, model, folder / "unet.pt", loop, start)


def load_trained(folder: Path, options: UNetOptions | None = None) -> UNet2DConditionModel:
    """Read the averaged UNet of a work folder, in float32, ready to use."""
    model = Painter(options or UNetOptions())
    load_average(folder / "unet.pt", model)
    return model.unet.eval()
