"""The UNet: learns to paint latents from embeddings (v-prediction, zero terminal signal-to-noise ratio).

A sound encoder reads the embedding; what it writes enters the UNet twice: row by row through cross-attention,
and pooled through the time embedding (diffusers' `addition_embed_type="text"`). Encoder and pooling are the
ear. It is taught first, and alone, to tell the descriptors, and goes on hearing more sounds than are painted,
which costs little: what it does not hear, the UNet cannot paint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch.nn import functional

from sound_diffusion.model.mirrored import mirrored
from sound_diffusion.model.picture_language import GROUPS
from sound_diffusion.model.sound_encoder import SOUND_ENCODER, SoundEncoder
from training import dataset
from training.examples import Examples
from training.loop import Clock, LoopOptions, Step, fit, load_average, make_accelerator, take_over

TARGETS = sum(GROUPS)


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
        Weight in the loss of telling the descriptors of what is painted, after each cross-attention.
    hear : float
        Weight of the ear's telling those of the sounds that are only heard.
    heard : int
        Sounds that are heard for each one that is painted.
    lesson : int
        Sounds for each that a batch of painting holds, while the ear learns alone.
    """

    channels: tuple[int, ...] = (64, 96, 160, 160)
    attention: tuple[bool, ...] = (False, False, True, False)
    time_width: int = 256
    drop: float = 0.1
    listen: float = 0.02
    hear: float = 0.05
    heard: int = 1
    lesson: int = 8


class Painter(torch.nn.Module):
    """The sound encoder, the UNet, and the probes that read the descriptors from its conditioning.

    One probe listens to the ear, the others to the outcome of cross-attention, where the rows of the
    embedding meet the picture. They serve training alone.
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
        self.encoder = SoundEncoder(dataset.WIDTH)

    def _keep(self, name: str, module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        self.seen[name] = output[0] if isinstance(output, tuple) else output

    def read(self) -> torch.Tensor:
        """Read descriptors from the conditioning that the residual blocks have just seen [shape=(n, 71)]."""
        return self.probe(functional.silu(self.seen["time_embedding"] + self.seen["add_embedding"]))

    def listen(self, embeddings: torch.Tensor, told: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Run the ear alone, and read the descriptors [shape=(n, 71)]."""
        self.unet.time_embedding(self.unet.time_proj(timesteps).to(embeddings.dtype))
        self.unet.add_embedding(self.encoder(embeddings, told))
        return self.read()

    def forward(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        embeddings: torch.Tensor,
        told: torch.Tensor,
        kept: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict v, and the descriptors as read after each cross-attention [shape=(probes, n, 71)].

        Where `kept` [shape=(n,)] is 0, the UNet gets the zeros of the unconditional embedding.
        """
        states = self.encoder(embeddings, told) * kept[:, None, None]
        painted = self.unet(latents, timesteps, encoder_hidden_states=states).sample
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


@torch.no_grad()
def speak_up(encoder: SoundEncoder, folder: Path) -> None:
    """Let a new encoder say what it is told as strongly as the rows say what they are, at random at first.

    From zero it takes the UNet many steps to notice. What is told is standardised over the sounds of a work
    folder.
    """
    if encoder.tell.weight.any():
        return
    told = dataset.load(dataset.shards(folder / "shards")[:20], "told")
    mean, deviation = torch.from_numpy(told.mean(0)), torch.from_numpy(told.std(0) + 0.02)
    inputs, hidden = len(mean), encoder.weigh.out_features
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(hidden, inputs, generator=generator) / inputs**0.5 / deviation
    encoder.weigh.weight.zero_()
    encoder.weigh.weight[:, :inputs] = weights
    encoder.weigh.bias.copy_(-weights @ mean)
    encoder.tell.weight.copy_(torch.randn(encoder.tell.weight.shape, generator=generator) * 2 / hidden**0.5)


def telling(told: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared error of the descriptors as told by a probe [shape=(..., n)].

    Every descriptor counts the same, however many numbers it takes.
    """
    weights = torch.cat([told.new_full((size,), 1 / (size * len(GROUPS))) for size in GROUPS])
    return (told.float() - targets).square() @ weights.float()


def ear_loss(model: Painter, examples: Examples, count: int) -> torch.Tensor:
    """Mean error of the descriptors as the ear tells them, of so many sounds."""
    timesteps, embeddings, heard, targets = examples.sounds(count)
    return telling(model.listen(embeddings, heard, timesteps), targets).mean()


def paint_loss(
    model: Painter, examples: Examples, count: int, options: UNetOptions, scheduler: DDIMScheduler
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of painting so many pictures, and the error of v alone."""
    timesteps, embeddings, heard, targets, latents = examples.pairs(count)
    generator, device = examples.generator, latents.device
    noise = mirrored(torch.randn(latents.shape, generator=generator, device=device))
    kept = torch.rand(count, generator=generator, device=device) >= options.drop
    noisy = scheduler.add_noise(latents, noise, timesteps)
    goal = scheduler.get_velocity(latents, noise, timesteps)
    painted, told = model(noisy, timesteps, embeddings, heard, kept)
    error = functional.mse_loss(painted.float(), goal)
    reading = (telling(told, targets).mean(0) * kept).sum() / kept.sum().clamp(min=1)
    return error + options.listen * reading, error.detach()


def train_ear(folder: Path, loop: LoopOptions, options: UNetOptions | None = None) -> Path:
    """Teach the ear alone to tell the descriptors, continuing from the folder's `ear.pt`.

    Parameters
    ----------
    folder : Path
        Work folder: `shards/`, `latents/`, `sounds/`, and where `ear.pt` is kept.
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
    model = Painter(options)
    speak_up(model.encoder, folder)
    model.to(accelerator.device)

    def start(clock: Clock) -> Step:
        examples = Examples(folder, accelerator, clock.steps)

        def step(clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
            loss = ear_loss(model, examples, options.lesson * loop.batch)
            return loss, loss.detach()

        return step

    return fit(accelerator, model, folder / "ear.pt", loop, start)


def train(
    folder: Path, loop: LoopOptions, options: UNetOptions | None = None, begin: Path | None = None
) -> Path:
    """Train the UNet, and its ear with it, continuing from the folder's `unet.pt`.

    Parameters
    ----------
    folder : Path
        Work folder: as for :func:`train_ear`, with whose `ear.pt` training begins where there is one.
    loop : LoopOptions
        Time, rate and batch.
    options : UNetOptions, optional
        Size and details.
    begin : Path, optional
        A model folder whose weights training begins with.

    Returns
    -------
    Path
        The checkpoint.
    """
    options = options or UNetOptions()
    accelerator = make_accelerator()
    model = Painter(options)
    if begin is not None:
        take_over(model.unet, begin / "unet")
        take_over(model.encoder, begin / SOUND_ENCODER)
    elif (folder / "ear.pt").exists():
        load_average(folder / "ear.pt", model)
    speak_up(model.encoder, folder)
    model.to(accelerator.device)

    def start(clock: Clock) -> Step:
        examples, scheduler = Examples(folder, accelerator, clock.steps), make_scheduler()

        def step(clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
            hearing = ear_loss(model, examples, options.heard * loop.batch)
            painting, error = paint_loss(model, examples, loop.batch, options, scheduler)
            return painting + options.hear * hearing, error

        return step

    return fit(accelerator, model, folder / "unet.pt", loop, start)


def load_trained(folder: Path, options: UNetOptions | None = None, checkpoint: str = "unet.pt") -> Painter:
    """Read the averaged weights of a checkpoint in a work folder, in float32, ready to use."""
    model = Painter(options or UNetOptions())
    load_average(folder / checkpoint, model)
    return model.eval()
