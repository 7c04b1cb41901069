"""The few-step painter: learns to see at once where the slow one's steps lead.

The slow painter's way from noise to a picture is the path of an ordinary differential equation. Paths are
followed with it, guidance included, and kept; the few-step painter learns to tell from any point of a path
where it ends, which is what consistency models learn (Song et al. 2023), here from whole paths and without
a moving target. With that, one step from anywhere gives a picture, and further steps refine it.

Half of the paths begin with noise. The others begin, as the frames of a film do, with another picture that is
partly forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import DPMSolverMultistepScheduler
from torch.nn import functional

from sound_diffusion.model.mirrored import mirrored
from training.examples import Examples
from training.loop import Clock, LoopOptions, Step, fit, make_accelerator
from training.unet import Painter, UNetOptions, load_trained, make_scheduler

GUIDANCE = 2.5
"""Scale of classifier-free guidance at which the slow painter's pictures are recognised best."""


@dataclass(frozen=True)
class DistillationOptions:
    """Which paths are followed, and how their ends are learnt.

    Attributes
    ----------
    guidance : float
        Scale of classifier-free guidance on the paths; afterwards it is part of the weights.
    steps : int
        Of a path from noise.
    fresh : float
        Share of the paths that begin with noise.
    strengths : tuple of float
        The least and the most that is forgotten of the picture where another one begins.
    same : float
        Share of these whose picture is the sound's own.
    first : float
        Share of the training points that lie at the beginning of their path.
    huber : float
        Error, in units of a latent, up to which the loss is quadratic.
    """

    guidance: float = GUIDANCE
    steps: int = 10
    fresh: float = 0.5
    strengths: tuple[float, float] = (0.3, 0.9)
    same: float = 0.5
    first: float = 0.3
    huber: float = 0.1


@dataclass(frozen=True)
class Paths:
    """Paths that were followed, each padded at its end.

    Attributes
    ----------
    index : torch.Tensor [shape=(n,)]
        Which example of the work folder each is of.
    points : torch.Tensor [shape=(n, steps, 4, 32, 32), dtype=float16]
        Latents before each step.
    timesteps : torch.Tensor [shape=(n, steps)]
        Theirs; -1 before a path begins.
    ends : torch.Tensor [shape=(n, 4, 32, 32), dtype=float16]
    """

    index: torch.Tensor
    points: torch.Tensor
    timesteps: torch.Tensor
    ends: torch.Tensor


def make_solver(steps: int) -> DPMSolverMultistepScheduler:
    """Make the second-order solver that follows a path in so many steps, at the painter's own timesteps."""
    solver = DPMSolverMultistepScheduler.from_config(make_scheduler().config, final_sigmas_type="zero")
    solver.set_timesteps(steps)
    return solver


def guided(
    painter: Painter, latents: torch.Tensor, timestep: torch.Tensor, states: torch.Tensor, guidance: float
) -> torch.Tensor:
    """Predict v with classifier-free guidance [shape as of `latents`]."""
    if guidance == 1:
        told: torch.Tensor = painter.unet(latents, timestep, encoder_hidden_states=states).sample
        return told
    both = torch.cat([torch.zeros_like(states), states])
    without, told = painter.unet(torch.cat([latents] * 2), timestep, encoder_hidden_states=both).sample.chunk(
        2
    )
    return without + guidance * (told - without)


@torch.no_grad()
def follow(
    painter: Painter,
    states: torch.Tensor,
    start: torch.Tensor,
    noise: torch.Tensor,
    skipped: int,
    options: DistillationOptions,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Follow paths from pictures that are partly forgotten, or from noise if no step is skipped.

    Parameters
    ----------
    painter : Painter
    states : torch.Tensor [shape=(n, 77, 768)]
        What the sound encoder makes of the embeddings.
    start, noise : torch.Tensor [shape=(n, 4, 32, 32)]
    skipped : int
        Steps that are left out at the beginning.
    options : DistillationOptions

    Returns
    -------
    points : torch.Tensor [shape=(n, steps, 4, 32, 32)]
    timesteps : torch.Tensor [shape=(steps,)]
        -1 where a step was skipped.
    ends : torch.Tensor [shape=(n, 4, 32, 32)]
    """
    solver = make_solver(options.steps)
    solver.set_begin_index(skipped)
    latents = noise
    if skipped:
        latents = make_scheduler().add_noise(start, noise, solver.timesteps[skipped].expand(len(noise)))
    points, timesteps = [torch.zeros_like(noise)] * skipped, [-1] * skipped
    for timestep in solver.timesteps[skipped:]:
        points.append(latents)
        timesteps.append(int(timestep))
        predicted = guided(painter, latents, timestep, states, options.guidance)
        latents = mirrored(solver.step(predicted, timestep, latents).prev_sample)
    return torch.stack(points, 1), torch.tensor(timesteps), latents


class Batches:
    """Follows paths of examples of a work folder, batch after batch."""

    def __init__(self, folder: Path, accelerator: Accelerator, options: DistillationOptions, seed: int):
        self.painter = load_trained(folder).to(accelerator.device)
        self.examples = Examples(folder, accelerator, seed)
        self.options, self.rng = options, np.random.default_rng([seed, accelerator.process_index])

    @torch.no_grad()
    def follow(self, count: int) -> Paths:
        """Follow the paths of so many examples together."""
        examples, options, rng = self.examples, self.options, self.rng
        device, generator = examples.device, examples.generator
        drawn = torch.from_numpy(rng.integers(0, len(examples.painted), (2, count))).to(device)
        index, others = examples.painted[drawn]
        mine = torch.from_numpy(rng.random(count) < options.same).to(device)
        start = examples.latents[torch.where(mine, index, others)].float() * examples.scale
        skipped = 0
        if rng.random() >= options.fresh:
            skipped = options.steps - round(options.steps * rng.uniform(*options.strengths))
        noise = mirrored(torch.randn(start.shape, generator=generator, device=device))
        states = self.painter.encoder(examples.embeddings[index].float(), examples.told[index])
        points, timesteps, ends = follow(self.painter, states, start, noise, skipped, options)
        timesteps = timesteps.expand(count, -1).clone()
        return Paths(index.cpu(), points.half().cpu(), timesteps, ends.half().cpu())


def follow_paths(
    folder: Path, count: int, options: DistillationOptions | None = None, batch: int = 32
) -> Path:
    """Follow so many paths with the folder's trained painter, or what is missing of them; all processes do.

    Returns
    -------
    Path
        Folder of the paths, `paths/`.
    """
    options, accelerator = options or DistillationOptions(), make_accelerator()
    out = folder / "paths"
    out.mkdir(parents=True, exist_ok=True)
    batches = range(accelerator.process_index, -(-count // batch), accelerator.num_processes)
    missing = [number for number in batches if not (out / f"paths_{number:05d}.pt").exists()]
    if missing:
        follower = Batches(folder, accelerator, options, 10_000 + missing[0])
        for number in missing:
            path = out / f"paths_{number:05d}.pt"
            beside = path.with_suffix(".part")
            torch.save(vars(follower.follow(batch)), beside)
            beside.rename(path)
            print(f"paths {path.stem}", flush=True)
    accelerator.wait_for_everyone()
    return out


def load_paths(folder: Path, accelerator: Accelerator) -> Paths:
    """Read the paths that this process has followed to its device; only those fit its examples."""
    files = sorted((folder / "paths").glob("paths_*.pt"))
    mine = [
        torch.load(path, weights_only=True)
        for path in files
        if int(path.stem.rpartition("_")[2]) % accelerator.num_processes == accelerator.process_index
    ]
    device = accelerator.device
    return Paths(**{name: torch.cat([part[name] for part in mine]).to(device) for name in mine[0]})


def draw_points(
    paths: Paths, count: int, options: DistillationOptions, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw points of paths: which example, latents, timestep, and the end of the path."""

    def chance() -> torch.Tensor:
        return torch.rand(count, generator=generator, device=generator.device)

    which = (chance() * len(paths.index)).long()
    begins = (paths.timesteps[which] < 0).sum(1)
    length = paths.timesteps.shape[1] - begins
    place = begins + torch.where(chance() < options.first, 0, chance() * length).long()
    points, timesteps = paths.points[which, place].float(), paths.timesteps[which, place]
    return paths.index[which], points, timesteps, paths.ends[which].float()


def end_loss(predicted: torch.Tensor, ends: torch.Tensor, huber: float) -> torch.Tensor:
    """Pseudo-Huber distance of predicted ends from the true ones (Charbonnier et al. 1997)."""
    square = (predicted - ends).float().square()
    return ((square + huber**2).sqrt() - huber).mean()


def train(
    folder: Path,
    loop: LoopOptions,
    options: DistillationOptions | None = None,
    size: UNetOptions | None = None,
) -> Path:
    """Teach the few-step painter, continuing from the folder's `few_step.pt`.

    Parameters
    ----------
    folder : Path
        Work folder: what :func:`training.unet.train` reads, its `unet.pt`, and `paths/`.
    loop : LoopOptions
        Time, rate and batch.
    options : DistillationOptions, optional
    size : UNetOptions, optional
        Of the painter.

    Returns
    -------
    Path
        The checkpoint.
    """
    options = options or DistillationOptions()
    accelerator = make_accelerator()
    model = load_trained(folder, size).train().to(accelerator.device)

    def start(clock: Clock) -> Step:
        examples, paths = Examples(folder, accelerator, clock.steps), load_paths(folder, accelerator)
        alphas = make_scheduler().alphas_cumprod.to(accelerator.device)

        def step(clock: Clock) -> tuple[torch.Tensor, torch.Tensor]:
            index, latents, timesteps, ends = draw_points(paths, loop.batch, options, examples.generator)
            states = model.encoder(examples.embeddings[index].float(), examples.told[index])
            v = model.unet(latents, timesteps, encoder_hidden_states=states).sample
            signal = alphas[timesteps][:, None, None, None]
            predicted = signal.sqrt() * latents - (1 - signal).sqrt() * v
            loss = end_loss(predicted, ends, options.huber)
            return loss, functional.mse_loss(predicted, ends).detach()

        return step

    return fit(accelerator, model, folder / "few_step.pt", loop, start)
