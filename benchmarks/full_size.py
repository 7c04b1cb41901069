"""Stable Diffusion 1.4 at full size, with random weights: loading time, peak memory, seconds a step.

Builds the checkpoint in a temporary folder (4.3 GB on disk), loads it through the ordinary path and paints
one picture of 512 x 512, on a CPU in both precisions. On a GPU it compares with the diffusers pipeline called
directly, in float16.

    python -m benchmarks.full_size
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sound_diffusion.model.families import CONFIGS, SD1
from tests.original_layout import original_clip, original_unet, original_vae

GIGABYTE = 1e9
SIZE = 512
PRECISIONS = ("full", "autocast")  # on a CPU the weights are float32 in both
KILOBYTE = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def random_tensors() -> dict[str, Any]:
    """Return the tensors of Stable Diffusion 1.4 in their original layout, with random weights."""
    import torch
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    def config(name: str) -> dict[str, Any]:
        return dict(json.loads((CONFIGS / "sd1" / name / "config.json").read_text(encoding="utf-8")))

    with init_empty_weights():
        unet = UNet2DConditionModel.from_config(config("unet"))
        vae = AutoencoderKL.from_config(config("vae"))
        text_encoder = CLIPTextModel(CLIPTextConfig(**config("text_encoder")))
    shapes = original_unet(unet.state_dict(), unet.config.layers_per_block)
    shapes |= original_vae(vae.state_dict(), len(vae.config.block_out_channels))
    shapes |= original_clip(text_encoder.state_dict(), SD1.text_encoders[0].prefix)
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, empty in shapes.items():
        if empty.ndim > 1:
            scale = 1 / math.sqrt(math.prod(empty.shape[1:]))
            tensors[name] = torch.randn(empty.shape, generator=generator).mul_(scale)
        else:
            tensors[name] = torch.full(empty.shape, float(name.endswith("weight")))
    return tensors


def build(path: Path) -> None:
    """Save a checkpoint as the first Stable Diffusion ones were saved, with the notes of its training."""
    import torch

    torch.save({"epoch": 12, "global_step": 470_000, "state_dict": random_tensors()}, path)


def peak() -> float:
    """Peak memory of this process so far, in bytes."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE)


def measure_loading(name: str, path: Path, run: Callable[[], Any]) -> Any:
    """Run a loader and print its time, and its peak memory relative to the file."""
    import diffusers
    import transformers

    # What a loader imports when it first needs it is not its own memory.
    _ = diffusers.StableDiffusionPipeline, transformers.CLIPTextModel
    libraries, start, size = peak(), time.perf_counter(), path.stat().st_size
    loaded = run()
    seconds, memory = time.perf_counter() - start, peak()
    print(
        f"{name}: {seconds:.1f} s, peak {memory / GIGABYTE:.2f} GB, {memory / size:.2f} x the file "
        f"(libraries alone: {libraries / GIGABYTE:.2f} GB)"
    )
    return loaded


def load(path: Path) -> Any:
    """Load the checkpoint as the scripts do."""
    import sound_diffusion as sd

    model = measure_loading("load_model", path, lambda: sd.load_model(str(path)))
    print(f"device: {model.device}, precision: {model.precision}")
    return model


def load_plainly(path: Path) -> None:
    """Load the checkpoint with diffusers' own loader, for comparison.

    It maps the file and reads when the weights are first used, so they are copied here as well.
    """
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(CONFIGS / "clip", model_max_length=77)

    def run() -> None:
        pipeline = StableDiffusionPipeline.from_single_file(
            str(path), config=str(CONFIGS / "sd1"), local_files_only=True, tokenizer=tokenizer
        )
        for module in (pipeline.text_encoder, pipeline.vae, pipeline.unet):
            for parameter in module.parameters():
                parameter.data = parameter.data.clone()

    measure_loading("from_single_file of diffusers", path, run)


def paint(model: Any, steps: int) -> None:
    """Paint one picture and print seconds a step."""
    import sound_diffusion as sd
    from sound_diffusion.settings import settings_for

    noise = np.random.default_rng(0).standard_normal(77 * 768).astype(np.float32)
    embedding = sd.embed(noise / np.abs(noise).max(), feature="waveform")
    settings = settings_for(model.defaults, steps=steps, height=SIZE, width=SIZE)
    times: list[float] = []
    start = time.perf_counter()
    sd.paint_batch(model, [embedding], [0], settings, on_step=lambda: times.append(time.perf_counter()))
    total = time.perf_counter() - start
    print(f"picture of {SIZE} x {SIZE}, {steps} guided steps, precision {model.precision}: {total:.1f} s")
    print(f"seconds a step after the first: {np.median(np.diff(times)):.3f}")
    print(f"peak in all: {peak() / GIGABYTE:.2f} GB")


def compare_on_gpu(model: Any, steps: int) -> None:
    """Print steps a second of a whole picture, ours against the diffusers pipeline called directly."""
    import torch

    import sound_diffusion as sd
    from sound_diffusion.settings import settings_for

    embedding = np.zeros((77, 768), dtype=np.float32)
    settings = settings_for(model.defaults, steps=steps, height=SIZE, width=SIZE)
    pipeline = model.pipeline_for("txt2img", settings.sampler)
    prompt = torch.zeros(1, 77, 768, device=model.device, dtype=pipeline.unet.dtype)

    def ours() -> None:
        sd.paint_batch(model, [embedding], [0], settings)

    def plain() -> None:
        with torch.inference_mode():
            pipeline(
                prompt_embeds=prompt,
                negative_prompt_embeds=prompt,
                num_inference_steps=steps,
                guidance_scale=settings.guidance,
                height=SIZE,
                width=SIZE,
                generator=torch.Generator("cpu").manual_seed(0),
            )

    for name, run in (("ours", ours), ("diffusers", plain)):
        run()
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        print(f"{name}: {steps / (time.perf_counter() - start):.1f} steps a second, {pipeline.unet.dtype}")


def main(argv: Sequence[str] | None = None) -> None:
    """Build, load, paint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, default=2, help="denoising steps; 0 only loads (default: %(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--build", type=Path, metavar="FILE", help="only build the checkpoint")
    parser.add_argument("--plain", type=Path, metavar="FILE", help="only load FILE, with diffusers' loader")
    options = parser.parse_args(argv)
    if options.build:
        build(options.build)
        return
    if options.plain:
        load_plainly(options.plain)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "model.ckpt"
        # Each in a process of its own, so that its memory is not counted.
        itself = (sys.executable, "-m", "benchmarks.full_size")
        subprocess.run([*itself, "--build", str(path)], check=True)
        print(f"file: {path.stat().st_size / GIGABYTE:.2f} GB")
        subprocess.run([*itself, "--plain", str(path)], check=True)
        model = load(path)
        precisions = PRECISIONS if model.device == "cpu" else [model.precision]
        for precision in precisions if options.steps else ():
            paint(dataclasses.replace(model, precision=precision), options.steps)
        if model.device == "cuda":
            compare_on_gpu(model, max(options.steps, 20))


if __name__ == "__main__":
    main()
