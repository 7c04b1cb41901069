"""Measure how fast films are painted, against plain diffusers and against the clock.

    python -m benchmarks.film
    python -m benchmarks.film --slow-model FOLDER

The program makes films of two lengths, and what a frame costs is the difference of their times: start-up is
not in it, all else is, from reading the sound to the mp4. Plain diffusers paints frames over frames with its
img2img pipeline in 15 steps with guidance 3 and strength 0.4, from embeddings that are ready, and saves
each as PNG. Both take turns. `--slow-model` is what plain diffusers paints with (default: the same model);
`python -m training.export --slow --model FOLDER` writes the one that the embedded model has learnt from.
`--busy` has another program compute on every core meanwhile. At last, what the parts of a frame take.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image

import audio2video
import sound_diffusion as sd
from benchmarks.busy import load, processors
from sound_diffusion.film.timeline import Timeline, features_at
from sound_diffusion.latents import decode_latents, encode_pictures, latent_noise
from sound_diffusion.model.model import Model
from sound_diffusion.painting import paint_latents
from sound_diffusion.settings import settings_for

ROOT = Path(__file__).resolve().parent.parent
FPS = 12
PLAIN = {"num_inference_steps": 15, "guidance_scale": 3.0, "strength": 0.4}
OFFSET = 4.0  # seconds: where the piece is in full swing


def film_seconds(options: argparse.Namespace, seconds: float) -> float:
    """Make a film of so many seconds of sound, and return the time that it took."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        status = audio2video.main(
            [
                *("--path", str(options.sound), "--offset", str(OFFSET), "--duration", str(seconds)),
                *("--fps", str(FPS), "--model", options.model, "--outdir", folder, "--quiet"),
                *options.flags.split(),
            ]
        )
        if status:
            raise SystemExit(status)
        return time.perf_counter() - began


def shipped(options: argparse.Namespace) -> float:
    """Frames a second of the program: those by which a film is longer, by the time that they take longer."""
    short, long = (film_seconds(options, seconds) for seconds in (1.0, 1.0 + options.seconds))
    return FPS * options.seconds / (long - short)


def embeddings_of(model: Model, sound: Path, count: int) -> list[np.ndarray]:
    """Embeddings of the first frames of a film."""
    window = model.defaults.window or 1 / FPS
    y = sd.load_audio(sound, offset=OFFSET, duration=count / FPS)
    timeline = Timeline(n_samples=len(y), fps=Fraction(FPS), window=Fraction(str(window)), feature="fft")
    scaling = model.scaling_for("fft")
    return [sd.scale(matrix, scaling) for _, matrix in features_at(iter([y]), timeline, "fft", model.width)][
        :count
    ]


def plain(options: argparse.Namespace, model: Model) -> float:
    """Frames a second of plain diffusers, each painted over the picture before."""
    pipeline = StableDiffusionImg2ImgPipeline(**model.pipeline.components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    embeddings = embeddings_of(model, options.sound, options.frames)
    picture = Image.new("RGB", (model.defaults.width, model.defaults.height))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        began = time.perf_counter()
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
        return len(embeddings) / (time.perf_counter() - began)


def parts(options: argparse.Namespace, model: Model) -> dict[str, Callable[[], object]]:
    """Return what a frame is made of, each to be called by itself."""
    film = {name: value for name, value in model.defaults.film.items() if name in ("steps", "strength")}
    settings = settings_for(model.defaults, **film)
    [embedding] = embeddings_of(model, options.sound, 1)
    noise = latent_noise(model, [0], settings)
    latents = paint_latents(model, [embedding], [0], settings)
    [picture] = decode_latents(model, latents)
    unet, states = model.pipeline.unet, model.encode_sounds(embedding[None])

    def call_unet() -> object:
        with torch.inference_mode():
            return unet(noise, 500, encoder_hidden_states=states)

    return {
        "embedding of a frame": lambda: embeddings_of(model, options.sound, 1),
        "sound encoder": lambda: model.encode_sounds(embedding[None]),
        "UNet, one call": call_unet,
        f"painting over, {settings.steps} steps": lambda: paint_latents(
            model, [embedding], [0], settings, latents
        ),
        "decoder": lambda: decode_latents(model, latents),
        "encoder, where a picture is painted over": lambda: encode_pictures(model, [picture], settings, [0]),
        "PNG, in its thread": lambda: picture.save(io.BytesIO(), "png"),
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
    slow = sd.load_model(options.slow_model or options.model, device="cpu")
    rates: dict[str, list[float]] = {"plain diffusers": [], "sound_diffusion": []}
    with load(processors() if options.busy else 0):
        for _ in range(options.repeats):
            rates["plain diffusers"].append(plain(options, slow))
            rates["sound_diffusion"].append(shipped(options))
        for name, values in rates.items():
            spread = f"{min(values):.2f} to {max(values):.2f}"
            print(f"{name:<42} {statistics.median(values):7.2f} frames a second ({spread})", flush=True)
        medians = [statistics.median(values) for values in rates.values()]
        print(f"{'ratio':<42} {medians[1] / medians[0]:7.2f}")
        print(f"{f'real-time factor at {FPS} frames a second':<42} {medians[1] / FPS:7.2f}")
        for name, call in parts(options, model).items():
            print(f"{name:<42} {milliseconds(call):7.1f} ms", flush=True)


if __name__ == "__main__":
    main()
