"""Timesteps of one's own for the scheduler that is usual here, as most others of diffusers take them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import torch


@functools.cache
def taking_timesteps(scheduler_class: Any) -> Any:
    """Derive a DDIM scheduler whose ``set_timesteps`` takes timesteps, from the noisiest to the clearest.

    Each step leads from its timestep to the next one, and the last one to the picture. Without timesteps of
    one's own, all is as it was.
    """

    class TakingTimesteps(scheduler_class):  # type: ignore[misc]
        # Others that take its configuration: asked for warnings alone, for which all would be imported.
        _compatibles: ClassVar[list[str]] = []
        chosen: list[int] | None = None
        num_inference_steps: Any

        def set_timesteps(
            self,
            num_inference_steps: int | None = None,
            device: Any = None,
            timesteps: Sequence[int] | None = None,
        ) -> None:
            self.chosen = None if timesteps is None else list(timesteps)
            if self.chosen is None:
                super().set_timesteps(num_inference_steps, device)
            else:
                self.num_inference_steps = len(self.chosen)
                self.timesteps = torch.tensor(self.chosen, device=device)

        @functools.wraps(scheduler_class.step)  # pipelines look up which options it takes
        def step(self, model_output: Any, timestep: Any, *args: Any, **options: Any) -> Any:
            if self.chosen is None:
                return super().step(model_output, timestep, *args, **options)
            now, count = int(timestep), self.num_inference_steps
            following = [*self.chosen[1:], -1][self.chosen.index(now)]
            # The scheduler goes on by so many of all timesteps as there are for one of its count.
            self.num_inference_steps = Fraction(self.config.num_train_timesteps, now - following)
            try:
                return super().step(model_output, timestep, *args, **options)
            finally:
                self.num_inference_steps = count

    TakingTimesteps.__name__ = scheduler_class.__name__  # which diffusers writes into configurations
    return TakingTimesteps
