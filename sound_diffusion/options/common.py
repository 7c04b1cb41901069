"""The options that all scripts take, and what the declarations of the others are made with.

None stands for what the model declares, or for nothing at all. What differs between the scripts, though it
has the same flag, is declared in the class of each.
"""
# ruff: noqa: RUF009  (option declares a field)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sound_diffusion.bending import OPERATORS, Bend, parse_bend
from sound_diffusion.constants import DEVICES, LARGEST_SEED, PRECISIONS, RUNTIMES
from sound_diffusion.errors import ParameterError
from sound_diffusion.formulas.schedules import Limits, Schedule, Scheduled, parse_schedule
from sound_diffusion.model.defaults import SAMPLERS, ModelDefaults
from sound_diffusion.model.folders import chosen_weights
from sound_diffusion.options.declaration import (
    FORMULA,
    above,
    at_least,
    finite,
    fraction,
    option,
    options_of,
    within,
)
from sound_diffusion.shards import Shard
from sound_diffusion.sound.embeddings import SCALINGS
from sound_diffusion.sound.features import FEATURES

FEATURES_HELP = "; ".join(f"{feature.name}: {feature.description}" for feature in FEATURES.values())


def vae_file(folder: Path) -> Path:
    """Return the file of weights of a VAE in a folder of diffusers; the folder itself where there is none."""
    chosen = chosen_weights(path.name for path in folder.iterdir())
    return folder / chosen[0] if len(chosen) == 1 else folder


def _is_size(pixels: int) -> tuple[str, ...]:
    fits = pixels >= 8 and pixels % 8 == 0
    return () if fits else ("a multiple of 8", f"{max(8, pixels // 8 * 8)} would do")


def scheduled(declare: Callable[..., Any], flag: str, limits: Limits, *said: Any) -> Any:
    """Declare a number that may change over a film; a plain number is read as it is."""

    def check(value: Scheduled) -> tuple[str, ...]:
        fits = isinstance(value, Schedule) or bool(limits.contain(np.array([value], dtype=np.float64))[0])
        return () if fits else (str(limits),)

    def parse(text: str) -> Scheduled:
        try:
            return float(text)
        except ValueError:
            return parse_schedule(text, flag, limits)

    flags = () if flag == "--scale" else (flag,)  # its declaration names it
    return declare(*said, *flags, parse=parse, check=check, metavar=FORMULA)


picture_option = partial(option, decides="picture")
_sound_option = partial(picture_option, group="sound")
_seconds_option = partial(_sound_option, metavar="SECONDS")
text_option = partial(picture_option, group="text", metavar="TEXT")
beside_option = partial(picture_option, group="text", needs=("textprompt|prompts", "sound"))
share_option = partial(
    beside_option, None, "0: the sound alone; 1: the text alone (default: 0.5 beside a sound)"
)
model_option = partial(picture_option, group="model")
scale_option = partial(
    model_option, None, "scale of classifier-free guidance (default: the model's)", "--scale"
)
fps_option = partial(picture_option, parse=fraction, label="{} frames a second (--fps)")
_file_option = partial(model_option, metavar="FILE", reads="file")
_pixels_option = partial(model_option, metavar="PIXELS", check=_is_size)
_bytes_option = partial(option, group="model", decides="bytes")
count_option = partial(picture_option, metavar="N", check=at_least(1))
seed_option = partial(model_option, check=within(0, LARGEST_SEED, "whole number"))
paths_option = partial(picture_option, (), metavar="PATH", entry="sound")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What all scripts take."""

    script: ClassVar[str]
    left_out: ClassVar[frozenset[str]] = frozenset()  # options of a base that it does not take

    paths: tuple[Path, ...]
    input_folder: Path | None = option(None, "use every sound in it", "--input_folder", metavar="FOLDER")
    from_file: Path | None = option(None, "use the sounds that it lists, one a line", metavar="FILE")
    skip_existing: bool = option(False, "leave out what is there already")

    feature: str = _sound_option("fft", FEATURES_HELP, choices=tuple(FEATURES))
    scaling: str = _sound_option("auto", "of the feature; auto: the model's", choices=("auto", *SCALINGS))
    offset: float = _seconds_option(0.0, "skip the beginning", check=at_least(0))
    duration: float | None = _seconds_option(None, "use no more than this (default: all)", check=above(0))

    textprompt: str | None = text_option(None, "words beside the sound, or alone for a picture")
    text_weight: Scheduled | None
    textstrength: float | None = beside_option(
        None, "instead: text + sound / this, the sound on the range of the text", check=above(0)
    )
    negative_prompt: str | None = text_option(
        None, "words that --scale leads away from (default: nothing)", since="0.2.0"
    )

    model: str = model_option(
        "auto",
        "a name in models/, a diffusers folder, a .ckpt or .safetensors file, a hub id",
        "--model",
        "--ckpt",
    )
    vae: Path | None = _file_option(
        None,
        "a VAE, or a tiny autoencoder such as taesd, instead of the model's own; a file or its folder",
    )
    lora: Path | None = _file_option(None, "a LoRA that is added to the model")
    lora_strength: float = model_option(1.0, "how much of the LoRA is added", check=finite, needs=("lora",))
    low_memory: bool = _bytes_option(False, "trade speed for memory")
    safety_checker: bool = model_option(False, "make pictures black that it flags")
    device: str = _bytes_option("auto", "where it runs", choices=DEVICES)
    precision: str = _bytes_option(
        "auto",
        "full: float32; mixed: bfloat16 for decoding on a CPU; autocast: half precision; auto: what suits "
        "device and model",
        choices=PRECISIONS,
    )
    runtime: str = _bytes_option(
        "auto",
        "onnx: ONNX Runtime, for the embedded model on a CPU; auto: that where it is installed",
        choices=RUNTIMES,
        since="0.2.0",
    )
    compile: bool = _bytes_option(
        False, "make kernels for this model first, once for each size; for many pictures", since="0.2.0"
    )
    steps: int | None = count_option(
        None,
        "denoising steps (default: the model's)",
        "--ddim_steps",
        group="model",
        label="{} steps (--ddim_steps)",
    )
    sampler: str | None = model_option(
        None,
        "how noise is removed (default: the model's, mostly ddim)",
        "--scheduler",
        choices=tuple(SAMPLERS),
        constants=(("--plms", "plms"),),
    )
    eta: float = model_option(0.0, "0: deterministic DDIM; 1: DDPM", "--ddim_eta", check=within(0, 1))
    guidance: Scheduled | None
    local_contrast: float | None = model_option(
        None,
        "how much contrast with what is around is raised in what is painted (default: the model's, mostly 0)",
        check=within(0, 10),
        since="0.2.0",
    )
    height: int | None = _pixels_option(None, "height (default: the model's)", "--H")
    width: int | None = _pixels_option(None, "width (default: the model's)", "--W")
    init_image: Path | None = model_option(None, "a picture to start from", "--init-img", metavar="PICTURE")
    bend: tuple[Bend, ...] = model_option(
        (),
        "change the latents after a step, by a number or a formula: rotate@3: 6.28*centroid; operators: "
        + ", ".join(OPERATORS),
        parse=parse_bend,
        metavar="OPERATOR@STEP:AMOUNT",
        since="0.2.0",
    )

    strength: Scheduled | None
    seed: int
    outdir: Path | None

    shard: Shard = option(
        Shard(),
        "do the i-th of n shares of the work; n such commands, on machines that share a disk, do all of it",
        parse=Shard.parse,
        metavar="i/n",
    )
    quiet: bool = option(False, "print no progress and no warnings", group="messages")
    debug: bool = option(False, "show tracebacks and library messages", group="messages")

    def __post_init__(self) -> None:
        if self.vae is not None and self.vae.is_dir():
            object.__setattr__(self, "vae", vae_file(self.vae))
        for each in options_of(type(self)):
            each.verify(getattr(self, each.name))
        if self.text_weight is not None and self.textstrength is not None:
            raise ParameterError("--text-weight together with --textstrength", "one of them")

    @classmethod
    def expand(cls, words: Sequence[str]) -> list[str]:
        """Write the words of a command line out, where some of them stand for others."""
        return list(words)

    @property
    def texts(self) -> list[str]:
        """All words that the model would have to read."""
        return [text for text in (self.textprompt, self.negative_prompt) if text]

    @property
    def folder(self) -> Path:
        """Where results go."""
        assert self.outdir is not None
        return self.outdir

    @property
    def over_pictures(self) -> bool:
        """Whether pictures are painted over others, so that the strength has to give a step."""
        return self.init_image is not None

    def with_declared(self, defaults: ModelDefaults) -> Self:
        """Fill in what a model declares for this script in particular."""
        return self

    def completed(self, settings: Mapping[str, Any], defaults: ModelDefaults) -> Self:
        """Fill in how the model paints, and what else it declares, for a recipe that leaves nothing open."""
        return replace(self, **settings)
