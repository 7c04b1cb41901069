"""The options of audio2video."""
# ruff: noqa: RUF009  (option declares a field)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

from sound_diffusion.errors import ParameterError
from sound_diffusion.model.find import ModelDefaults
from sound_diffusion.options.common import (
    Options,
    count_option,
    paths_option,
    picture_option,
    seed_option,
    text_option,
)
from sound_diffusion.options.declaration import above, fraction, option, within

__all__ = ["FilmOptions"]


@dataclass(frozen=True, kw_only=True)
class FilmOptions(Options):
    """What audio2video takes."""

    script: ClassVar[str] = "audio2video.py"

    paths: tuple[Path, ...] = paths_option("sounds", "--path")
    outdir: Path | None = option(Path("outputs/audio2video-samples"), "folder for runs", metavar="FOLDER")
    fps: Fraction = picture_option(
        Fraction(12),
        "frames a second: a number or a fraction such as 24000/1001",
        parse=fraction,
        check=above(0, 1000),
        label="{} frames a second (--fps)",
    )
    strength: float | None = picture_option(
        0.4, "how much of the last frame is forgotten", check=within(0, 1)
    )
    window: Fraction | None = picture_option(
        None,
        "sound in a frame (default: the model's, else 1/fps)",
        parse=fraction,
        metavar="SECONDS",
        check=above(0, 60),
        label="window of {} s (--window)",
    )
    mode: str = picture_option("img2img", "over the last frame or not", choices=("img2img", "txt2img"))
    seed: int = seed_option(42, "seed of the noise that becomes the first frame", entry="film_seed")
    seed_mode: str | None = picture_option(
        None,
        "seed of each frame (default: increment for img2img, fixed for txt2img)",
        choices=("increment", "fixed", "random"),
    )
    textpromptend: str | None = text_option(None, "the words at the end of a film", needs=("textprompt",))
    batch_size: int = count_option(1, "frames at once with --mode txt2img")
    preview: int | None = count_option(
        None, "make a film of every N-th frame, to judge by", label="every {}-th frame (--preview)"
    )
    output: Path | None = option(None, "the film, or only .mp4, .mkv, .webm or .gif", metavar="FILM")
    audio: bool = option(True, "put the sound into the film")
    keep_frames: bool = option(True, "keep the frames when the film is done")
    force: bool = option(False, "start over where the folder holds another film")
    wait: bool = option(False, "wait where another run makes the same film")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode == "img2img" and self.batch_size > 1:
            raise ParameterError(
                f"--batch-size {self.batch_size} with --mode img2img", "1: each frame needs the one before"
            )
        if self.mode == "txt2img" and self.init_image is not None:
            raise ParameterError("--init-img with --mode txt2img", "--mode img2img")

    @property
    def over_pictures(self) -> bool:
        """Whether each frame is painted over the one before."""
        return self.mode == "img2img"

    def completed(self, settings: Mapping[str, Any], defaults: ModelDefaults) -> Self:
        """Fill in the window and the mode of the seeds as well: a fixed seed makes chained pictures bloom."""
        window = Fraction(str(defaults.window)) if self.window is None and defaults.window else self.window
        seed_mode = self.seed_mode or ("increment" if self.over_pictures else "fixed")
        return replace(self, **settings, window=window, seed_mode=seed_mode)
