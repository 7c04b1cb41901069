"""What both networks' training shares: the clock, the schedule, averaged weights and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file

Step = Callable[["Clock"], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class LoopOptions:
    """How a network is trained.

    Attributes
    ----------
    minutes : float
        Time in all, over every run that was resumed. The learning rate falls to zero at its end.
    rate : float
        Highest learning rate.
    warmup : int
        Steps until it is reached.
    batch : int
        Examples a step.
    ema : float
        Decay of the averaged weights, which are the result.
    save_every : float
        Seconds between checkpoints.
    max_steps : int, optional
        Stop after so many steps.
    """

    minutes: float
    rate: float
    warmup: int = 100
    batch: int = 16
    ema: float = 0.997
    save_every: float = 180.0
    max_steps: int | None = None


@dataclass
class Clock:
    """Steps and seconds, counted over all runs."""

    options: LoopOptions
    steps: int = 0
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)
    agreed: float | None = None  # share of the time, when several processes train together

    @property
    def elapsed(self) -> float:
        """Seconds of training, earlier runs included."""
        return self.seconds + time.monotonic() - self.began

    @property
    def share(self) -> float:
        """How much of the time is over, 0 to 1."""
        part = self.elapsed / (60 * self.options.minutes) if self.options.minutes > 0 else 1.0
        if self.options.max_steps:
            part = max(part, self.steps / self.options.max_steps)
        return min(part, 1.0)

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.now >= 1

    @property
    def now(self) -> float:
        """How much of the time is over, the same for all processes."""
        return self.share if self.agreed is None else self.agreed

    def rate(self) -> float:
        """Learning rate: a linear start, then half a cosine over time."""
        start = min(1.0, (self.steps + 1) / self.options.warmup)
        return self.options.rate * start * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * self.now)))

    def due(self) -> bool:
        """Whether a checkpoint should be written now."""
        if time.monotonic() - self.saved < self.options.save_every:
            return False
        self.saved = time.monotonic()
        return True


def save_checkpoint(
    path: Path, clock: Clock, model: torch.nn.Module, optimizer: torch.optim.Optimizer, average: EMAModel
) -> None:
    """Write everything that a later run needs; the file appears under its name only when whole."""
    state = {
        "steps": clock.steps,
        "seconds": clock.elapsed,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.shadow_params,
    }
    beside = path.with_suffix(".part")
    torch.save(state, beside)
    beside.rename(path)


def load_checkpoint(
    path: Path, clock: Clock, model: torch.nn.Module, optimizer: torch.optim.Optimizer, average: EMAModel
) -> bool:
    """Continue from a checkpoint, if there is one.

    Returns
    -------
    bool
        Whether there was.
    """
    if not path.exists():
        return False
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    clock.steps, clock.seconds = state["steps"], state["seconds"]
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    for mine, saved in zip(average.shadow_params, state["average"], strict=True):
        mine.copy_(saved)
    average.optimization_step = clock.steps  # the first steps have a shorter memory
    return True


def load_average(path: Path, model: torch.nn.Module) -> int:
    """Give a model the averaged weights of a checkpoint, and return the number of its steps."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    with torch.no_grad():
        for weight, average in zip(model.parameters(), state["average"], strict=True):
            weight.copy_(average)
    return int(state["steps"])


def take_over(model: torch.nn.Module, folder: Path) -> None:
    """Give a model the weights of a folder of diffusers where both have one of the same name and shape."""
    there, own = load_file(folder / "diffusion_pytorch_model.safetensors"), model.state_dict()
    fitting = {name: there[name] for name in own if name in there and there[name].shape == own[name].shape}
    model.load_state_dict(own | fitting)


def make_accelerator() -> Accelerator:
    """Set up the device: bfloat16 on a GPU, or on a CPU with tiles that multiply it.

    Without those, float32 takes half the time of bfloat16, though the CPU has instructions for it.
    """
    tiles = torch.cpu.get_capabilities().get("amx_bf16", False)
    return Accelerator(mixed_precision="bf16" if torch.cuda.is_available() or tiles else "no")


def share_gradients(accelerator: Accelerator, model: torch.nn.Module, clock: Clock) -> None:
    """Average gradients and clocks over all processes: they take the same step and stop together."""
    if accelerator.num_processes == 1:
        return
    parameters = [p for p in model.parameters() if p.grad is not None]
    clock_now = torch.tensor([clock.share], device=accelerator.device)
    flat = torch.cat([p.grad.reshape(-1) for p in parameters] + [clock_now])
    flat = accelerator.reduce(flat, reduction="mean")
    clock.agreed = float(flat[-1])
    start = 0
    for p in parameters:
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()


def fit(
    accelerator: Accelerator,
    model: torch.nn.Module,
    path: Path,
    options: LoopOptions,
    start: Callable[[Clock], Step],
) -> Path:
    """Train a model until the time is up, continuing from its checkpoint.

    Parameters
    ----------
    accelerator : Accelerator
        Device and precision.
    model : torch.nn.Module
        On the accelerator's device.
    path : Path
        The checkpoint; its name stands in the log.
    options : LoopOptions
        Time, rate and batch.
    start : callable
        Reads the data and returns a function that computes the loss of one step and a figure for the log.

    Returns
    -------
    Path
        The checkpoint.
    """
    if accelerator.device.type == "cuda":
        model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=1e-2, betas=(0.9, 0.99))
    average = EMAModel(model.parameters(), decay=options.ema, foreach=True)
    clock, first = Clock(options), accelerator.is_main_process
    load_checkpoint(path, clock, model, optimizer, average)
    if clock.over:
        return path
    step = start(clock)
    recent: float | None = None
    while not clock.over:
        for group in optimizer.param_groups:
            group["lr"] = clock.rate()
        with accelerator.autocast():
            loss, figure = step(clock)
        accelerator.backward(loss)
        share_gradients(accelerator, model, clock)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.steps += 1
        average.step(model.parameters())
        if clock.steps % 25 == 0 and first:
            value = float(figure)
            recent = value if recent is None else recent + 0.2 * (value - recent)
            print(
                f"{path.stem} {clock.steps} steps {clock.elapsed:.0f} s {value:.4f} {recent:.4f}", flush=True
            )
        if first and clock.due():
            save_checkpoint(path, clock, model, optimizer, average)
    if first:
        save_checkpoint(path, clock, model, optimizer, average)
    accelerator.wait_for_everyone()
    return path
