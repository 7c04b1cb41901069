"""Measure how fast films are painted, against plain diffusers and against the clock.

    python -m benchmarks.film
    python -m benchmarks.film --slow-model FOLDER

The program makes films of two lengths, and what a frame costs is the difference of their times: start-up is
not in it, all else is, from reading the sound to the mp4. Plain diffusers paints frames over frames with its
img2img pipeline in 15 steps with guidance 3 and strength 0.4, from embeddings that are ready, and saves
each as PNG. Both take turns. `--slow-model` is what plain diffusers paints with (default: the same model);
`python -m training.export --slow --model FOLDER` writes the one that the embedded model has learnt from.
`--busy` has another program compute on every core meanwhile. The time of the processors, which includes that
of ffmpeg, is disturbed less by what else a machine does than a clock. At last, what the parts of a frame
take.
"""

from __future__ import annotations

import argparse
import functools
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image

import sound_diffusion as sd
from benchmarks.busy import load, processors
from benchmarks.made import make_film
from sound_diffusion.files import COMPRESSION
from sound_diffusion.film.path import features_at
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.latents import decode_latents, encode_pictures, latent_noise
from sound_diffusion.model.find import find_model
from sound_diffusion.model.folders import read_index
from sound_diffusion.model.model import Model
from sound_diffusion.painting import paint_latents
from sound_diffusion.settings import settings_for

ROOT = Path(__file__).resolve().parent.parent
FPS = 12
PLAIN = {"num_inference_steps": 15, "guidance_scale": 3.0, "strength": 0.4}
OFFSET = 4.0  # seconds: where the piece is in full swing


class Moment(NamedTuple):
    """Seconds of a clock, and of the processors for this process and those that it has waited for."""

    clock: float
    processors: float

    @classmethod
    def now(cls) -> Self:
        """Read both."""
        times = os.times()
        return cls(time.perf_counter(), sum(times[:4]))

    def since(self, other: Self) -> Self:
        """Return what has passed."""
        return type(self)(self.clock - other.clock, self.processors - other.processors)


class Cost(NamedTuple):
    """Frames a second, and milliseconds of the processors for each."""

    rate: float
    processors: float

    @classmethod
    def of(cls, frames: float, taken: Moment) -> Self:
        """Divide what was taken by the frames."""
        return cls(frames / taken.clock, 1000 * taken.processors / frames)


def film_taken(options: argparse.Namespace, seconds: float) -> Moment:
    """Make a film of so many seconds of sound, and return the time that it took."""
    with tempfile.TemporaryDirectory() as folder:
        began = Moment.now()
        words = ["--path", str(options.sound), "--offset", str(OFFSET), "--duration", str(seconds)]
        words += ["--fps", str(FPS), "--model", options.model, "--outdir", folder, "--quiet"]
        make_film([*words, *options.flags.split()])
        return Moment.now().since(began)


def shipped(options: argparse.Namespace) -> Cost:
    """Return what a frame of the program costs, by what a longer film takes longer than a short one."""
    short, long = (film_taken(options, seconds) for seconds in (1.0, 1.0 + options.seconds))
    return Cost.of(FPS * options.seconds, long.since(short))


def embeddings_of(model: Model, y: np.ndarray) -> list[np.ndarray]:
    """Embeddings of the frames of a film of some samples."""
    window = model.defaults.window or 1 / FPS
    timeline = Timeline(n_samples=len(y), fps=Fraction(FPS), window=Fraction(str(window)), feature="fft")
    scaling = model.scaling_for("fft")
    return [sd.scale(matrix, scaling) for _, matrix in features_at(iter([y]), timeline, "fft", model.width)]


def plain(options: argparse.Namespace, model: Model, pipeline: StableDiffusionImg2ImgPipeline) -> Cost:
    """Return what a frame of plain diffusers costs, each painted over the picture before."""
    y = sd.load_audio(options.sound, offset=OFFSET, duration=options.frames / FPS)
    embeddings = embeddings_of(model, y)[: options.frames]
    picture = Image.new("RGB", (model.defaults.width, model.defaults.height))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        began = Moment.now()
        for index, embedding in enumerate(embeddings):
            states = model.encode_sounds(embedding[None])
            generator = torch.Generator().manual_seed(index)
            [picture] = pipeline(
                image=picture,
                prompt_embeds=states,
                negative_prompt_embeds=torch.zeros_like(states),
                generator=generator,
                **PLAIN,
            ).images
            picture.save(Path(folder) / f"{index}.png")
        return Cost.of(len(embeddings), Moment.now().since(began))


def parts(options: argparse.Namespace, model: Model) -> dict[str, Callable[[], object]]:
    """Return what a frame is made of, each to be called by itself."""
    # The strength of a film may be a formula; of few steps, each takes as long at any.
    film = {name: model.defaults.film.get(name) for name in ("steps", "local_contrast")}
    settings = settings_for(model.defaults, **film, strength=0.7)
    y = sd.load_audio(options.sound, offset=OFFSET, duration=1 / FPS)
    embedding = embeddings_of(model, y)[0]
    noise = latent_noise(model, [0], settings)
    latents = paint_latents(model, [embedding], [0], settings)
    decode = functools.partial(decode_latents, model, latents, [0], settings.local_contrast)
    [picture] = decode()
    unet, states = model.pipeline.unet, model.encode_sounds(embedding[None])

    def call_unet() -> object:
        with torch.inference_mode():
            return unet(noise, 500, encoder_hidden_states=states)

    return {
        "embedding of a frame": lambda: embeddings_of(model, y),
        "sound encoder": lambda: model.encode_sounds(embedding[None]),
        "UNet, one call": call_unet,
        f"painting over, {settings.steps} steps": lambda: paint_latents(
            model, [embedding], [0], settings, latents
        ),
        "decoder": decode,
        "encoder, where a picture is painted over": lambda: encode_pictures(model, [picture], settings, [0]),
        "PNG, in its thread": lambda: picture.save(io.BytesIO(), "png", **COMPRESSION),
    }


def milliseconds(call: Callable[[], object], repeats: int = 7) -> float:
    """Median time of a call, after a first one."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def parser() -> argparse.ArgumentParser:
    """Describe the flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--sound", type=Path, default=ROOT / "examples" / "song.ogg")
    flags.add_argument("--model", default="cymatics", help="whose films (default: %(default)s)")
    flags.add_argument("--slow-model", help="what plain diffusers paints with (default: the same)")
    flags.add_argument("--seconds", type=float, default=5.0, help="by which films are longer (default: 5)")
    flags.add_argument("--frames", type=int, default=8, help="of plain diffusers (default: 8)")
    flags.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    flags.add_argument("--flags", default="", help='more flags of audio2video: "--chain picture"')
    flags.add_argument("--busy", action="store_true", help="beside a program on every core")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Measure, and print the figures."""
    options = parser().parse_args(argv)
    model = sd.load_model(options.model, device="cpu")
    slow = sd.load_model(options.slow_model or options.model, device="cpu", runtime="torch")
    folder = find_model(options.slow_model or options.model).path
    absent = {part: None for part, (_, class_name) in read_index(folder).items() if class_name is None}
    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(folder, requires_safety_checker=False, **absent)
    pipeline.set_progress_bar_config(disable=True)
    costs: dict[str, list[Cost]] = {"plain diffusers": [], f"sound_diffusion ({model.runtime})": []}
    with load(processors() if options.busy else 0):
        for _ in range(options.repeats):
            now = plain(options, slow, pipeline), shipped(options)
            for way, cost in zip(costs.values(), now, strict=True):
                way.append(cost)
        medians = []
        for name, values in costs.items():
            rates, times = zip(*values, strict=True)
            medians.append(Cost(statistics.median(rates), statistics.median(times)))
            spread = f"({min(rates):.2f} to {max(rates):.2f}), {medians[-1].processors:.0f} ms of processors"
            print(f"{name:<42} {medians[-1].rate:7.2f} frames a second {spread}", flush=True)
        before, after = medians
        print(f"{'ratio of the clock':<42} {after.rate / before.rate:7.2f}")
        print(f"{'ratio of the processors':<42} {before.processors / after.processors:7.2f}")
        print(f"{f'real-time factor at {FPS} frames a second':<42} {after.rate / FPS:7.2f}")
        for name, call in parts(options, model).items():
            print(f"{name:<42} {milliseconds(call):7.1f} ms", flush=True)


if __name__ == "__main__":
    main()
