"""Measure Stable Diffusion at full size against plain diffusers, on a GPU.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --no-compile

A UNet and a VAE of Stable Diffusion 1.5 with random weights, built from their configurations: nothing is
downloaded. "Plain" are the pipelines of diffusers as they come, in the same precision, to pictures that can
be saved; they take turns with the program. Pictures and independent frames have 20 guided steps; chained
frames are painted over the one before with strength 0.4 of 50 steps, 20 as well, or with a single step
without guidance, as turbo models are. Plain diffusers chains pictures, the program latents. At last the same
with ``--compile``, with the seconds that compiling takes. Without a GPU it runs in miniature, which says no
more than that it runs.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from sound_diffusion.latents import decode_latents, encode_pictures
from sound_diffusion.model.acceleration import speed_up
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.model.families import CONFIGS
from sound_diffusion.model.libraries import quiet_libraries
from sound_diffusion.model.model import Model
from sound_diffusion.painting import paint_batch, paint_latents
from sound_diffusion.settings import PaintSettings, settings_for

Pictures = list[Image.Image]
STRENGTH = 0.4
MINIATURE: dict[str, dict[str, Any]] = {
    "unet": {
        "block_out_channels": [32, 64],
        "layers_per_block": 1,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    },
    "vae": {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1},
}


@dataclass(frozen=True)
class Work:
    """What is painted: size in pixels, steps of a schedule, frames of a film, pictures at once."""

    size: int
    schedule: int
    frames: int
    batch: int

    def settings(self, **own: Any) -> PaintSettings:
        """Return the settings of what has this size."""
        return settings_for(ModelDefaults(), height=self.size, width=self.size, **own)

    @property
    def picture(self) -> PaintSettings:
        """Of pictures and of independent frames, which have as many steps as a chained one."""
        return self.settings(steps=int(STRENGTH * self.schedule))

    @property
    def chained(self) -> PaintSettings:
        """Of frames that are painted over the one before."""
        return self.settings(steps=self.schedule, strength=STRENGTH)

    @property
    def single_step(self) -> PaintSettings:
        """Of frames that are chained with a single step."""
        return self.settings(steps=2, guidance=1.0, strength=0.5)


def build(device: str, *, miniature: bool) -> Any:
    """Build a pipeline of diffusers with random weights on its device, in half precision on a GPU."""
    import diffusers

    def configuration(part: str, file: str = "config.json") -> dict[str, Any]:
        text = (CONFIGS / "sd1" / part / file).read_text(encoding="utf-8")
        return json.loads(text) | (MINIATURE.get(part, {}) if miniature else {})

    torch.manual_seed(0)
    with torch.device(device):
        unet = diffusers.UNet2DConditionModel.from_config(configuration("unet"))
        vae = diffusers.AutoencoderKL.from_config(configuration("vae"))
    schedule = configuration("scheduler", "scheduler_config.json") | {"clip_sample": False}
    dtype = torch.float16 if device == "cuda" else torch.float32
    pipeline = diffusers.StableDiffusionPipeline(
        unet=unet.eval().to(dtype),
        vae=vae.eval().to(dtype),
        scheduler=diffusers.DDIMScheduler.from_config(schedule),
        text_encoder=None,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def of_program(pipeline: Any, device: str, *, compiled: bool) -> Model:
    """Return a model of the program with a copy of the weights of a pipeline."""
    parts = {name: copy.deepcopy(part) for name, part in pipeline.components.items()}
    own = type(pipeline)(**parts, requires_safety_checker=False)
    speed_up(own, device, compiled=compiled)
    return Model("random", own, ModelDefaults(), device, "autocast" if device == "cuda" else "full")


class Plain:
    """The pipelines of diffusers as they come."""

    def __init__(self, pipeline: Any, embeddings: np.ndarray) -> None:
        from diffusers import StableDiffusionImg2ImgPipeline

        self._txt2img = pipeline
        self._img2img = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
        self._img2img.set_progress_bar_config(disable=True)
        self._states = torch.from_numpy(embeddings).to(pipeline.device, pipeline.unet.dtype)

    def _prompt(self, numbers: range, guidance: float) -> dict[str, Any]:
        states = self._states[list(numbers)]
        seeds = [torch.Generator().manual_seed(number) for number in numbers]
        negative = {"negative_prompt_embeds": torch.zeros_like(states)}
        return {"prompt_embeds": states, "generator": seeds, "guidance_scale": guidance} | negative

    def paint(self, numbers: range, settings: PaintSettings) -> Pictures:
        """Paint pictures at once."""
        size = {"height": settings.height, "width": settings.width}
        given = self._prompt(numbers, settings.guidance)
        return list(self._txt2img(num_inference_steps=settings.steps, **size, **given).images)

    def chain(self, count: int, settings: PaintSettings) -> Pictures:
        """Paint frames, each over the picture before."""
        pictures = [gray(settings)]
        steps = {"num_inference_steps": settings.steps, "strength": settings.strength}
        for number in range(count):
            given = self._prompt(range(number, number + 1), settings.guidance)
            pictures += self._img2img(image=pictures[-1], **steps, **given).images
        return pictures[1:]


class Program:
    """The program's own way to the same pictures."""

    def __init__(self, model: Model, embeddings: np.ndarray) -> None:
        self._model, self._embeddings = model, embeddings

    def paint(self, numbers: range, settings: PaintSettings) -> Pictures:
        """Paint pictures at once."""
        return paint_batch(self._model, [self._embeddings[each] for each in numbers], numbers, settings)

    def chain(self, count: int, settings: PaintSettings) -> Pictures:
        """Paint frames, each over the latents of the one before."""
        latents, pictures = encode_pictures(self._model, [gray(settings)], settings, [0]), []
        for number in range(count):
            embedding = self._embeddings[number]
            latents = paint_latents(self._model, [embedding], [number], settings, latents)
            pictures += decode_latents(self._model, latents, [number])
        return pictures


def gray(settings: PaintSettings) -> Image.Image:
    """Return what the first of chained frames is painted over."""
    return Image.new("RGB", (settings.width, settings.height), "gray")


def seconds(call: Callable[[], Pictures]) -> float:
    """Return the seconds of a call, which ends with pictures in the memory of the CPU."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def tasks(work: Work) -> dict[str, tuple[float, str, Callable[[Any], Pictures]]]:
    """Return how much is done, in which unit, and the call that does it, by what is measured."""
    one, frames = range(1), range(work.frames)

    def one_by_one(painter: Any) -> Pictures:
        return [painter.paint(range(each, each + 1), work.picture)[0] for each in frames]

    def at_once(painter: Any) -> Pictures:
        batches = (frames[first : first + work.batch] for first in frames[:: work.batch])
        return [picture for batch in batches for picture in painter.paint(batch, work.picture)]

    def independent(painter: Any) -> Pictures:
        return one_by_one(painter) if isinstance(painter, Plain) else at_once(painter)

    few = work.frames // 2
    return {
        "a picture": (work.picture.steps, "steps", lambda each: each.paint(one, work.picture)),
        "chained frames": (few, "frames", lambda each: each.chain(few, work.chained)),
        "chained, one step": (work.frames, "frames", lambda each: each.chain(work.frames, work.single_step)),
        "independent frames": (work.frames, "frames", independent),
        f"independent, both by {work.batch}": (work.frames, "frames", at_once),
    }


def compare(name: str, plain: Plain, program: Program, work: Work, repeats: int) -> None:
    """Print the rates of plain diffusers and the program, in turn, and how many times as fast it is."""
    for what, (amount, unit, call) in tasks(work).items():
        for painter in (plain, program):  # the first calls of a shape are slower
            call(painter)
        taken = [(seconds(lambda: call(plain)), seconds(lambda: call(program))) for _ in range(repeats)]  # noqa: B023
        rates = [amount / statistics.median(each) for each in zip(*taken, strict=True)]
        print(
            f"{name:<12} {what:<26} plain {rates[0]:8.2f}  program {rates[1]:8.2f} {unit} a second "
            f"{rates[1] / rates[0]:6.2f} x",
            flush=True,
        )


def difference(plain: Plain, program: Program, work: Work) -> float:
    """Return by how much a picture differs, of 255, in the mean."""
    pictures = [np.asarray(each.paint(range(1), work.picture)[0], dtype=float) for each in (plain, program)]
    return float(np.abs(pictures[0] - pictures[1]).mean())


def main(argv: list[str] | None = None) -> None:
    """Measure, and print the figures."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--repeats", type=int, default=2, help="turns (default: 2)")
    flags.add_argument("--batch", type=int, default=8, help="independent frames at once (default: 8)")
    flags.add_argument("--no-compile", action="store_true")
    options = flags.parse_args(argv)
    quiet_libraries()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = Work(512, 50, 8, options.batch) if device == "cuda" else Work(64, 5, 4, 2)
    print(torch.cuda.get_device_name() if device == "cuda" else "miniature on a CPU", torch.__version__)
    began = time.perf_counter()
    pipeline = build(device, miniature=device == "cpu")
    embeddings = np.random.default_rng(0).standard_normal((work.frames, 77, 768)).astype(np.float32)
    plain = Plain(pipeline, embeddings)
    print(f"built in {time.perf_counter() - began:.1f} s", flush=True)
    for name in ("", "--compile")[: 1 if options.no_compile else 2]:
        program = Program(of_program(pipeline, device, compiled=bool(name)), embeddings)
        began = time.perf_counter()
        far = difference(plain, program, work)
        print(
            f"{name:<12} first picture {time.perf_counter() - began:.1f} s, {far:.3f} of 255 apart",
            flush=True,
        )
        compare(name, plain, program, work, options.repeats)
    if device == "cuda":
        print(f"peak of memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
