"""The options of audio2img."""
# ruff: noqa: RUF009  (option declares a field)

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sound_diffusion.constants import LARGEST_SEED
from sound_diffusion.errors import ParameterError
from sound_diffusion.options.common import (
    Options,
    count_option,
    paths_option,
    picture_option,
    scale_option,
    seed_option,
    share_option,
)
from sound_diffusion.options.declaration import finite, option, within

MATRIX_SUFFIX = ".npy"
MOST_PICTURES = 1_000_000  # of a sound


def _ends_in_npy(path: Path) -> tuple[str, ...]:
    return () if path.suffix == MATRIX_SUFFIX else (f"a name that ends in {MATRIX_SUFFIX}",)


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """What audio2img takes."""

    script: ClassVar[str] = "audio2img.py"

    paths: tuple[Path, ...] = paths_option("sounds, or .npy embeddings", "--prompt")
    recipe: Path | None = option(
        None, "print the command that makes it again", metavar="PICTURE", reads="file"
    )
    inspect: bool = option(False, "print statistics of sound and text instead")
    outdir: Path | None = option(
        None,
        "folder for results (default: outputs/audio2img-samples, or txt2img-samples for words alone)",
        metavar="FOLDER",
    )
    seed: int = seed_option(42, "seed of the noise that becomes the picture", entry="first_seed")
    n_samples: int = count_option(1, "pictures in a batch, seeds ascending", "--n_samples")
    n_iter: int = count_option(1, "batches of every sound", "--n_iter")
    fixed_code: bool = picture_option(False, "start all batches from the same noise", "--fixed_code")
    text_weight: float | None = share_option(check=within(0, 1))
    guidance: float | None = scale_option(check=finite)
    strength: float | None = picture_option(
        None,
        "how much of --init-img is forgotten, in [0, 1] (default: 0.75)",
        check=within(0, 1),
        needs=("init_image",),
    )
    skip_grid: bool = option(False, "save no grid of several pictures", "--skip_grid")
    skip_save: bool = option(False, "save the grid alone", "--skip_save")
    save_embedding: Path | None = option(
        None, "save the matrix that is painted", metavar="FILE.npy", check=_ends_in_npy
    )
    plot: bool = option(False, "save a plot of sound, embedding and picture as well")

    def __post_init__(self) -> None:
        super().__post_init__()
        last = self.seed + self.n_samples * (1 if self.fixed_code else self.n_iter) - 1
        if last > LARGEST_SEED:
            raise ParameterError(f"the last seed {last}", f"at most {LARGEST_SEED}")
        if (count := self.n_samples * self.n_iter) > MOST_PICTURES:
            raise ParameterError(f"{count} pictures (--n_samples, --n_iter)", f"at most {MOST_PICTURES}")
        if self.skip_save and self.skip_grid and self.save_embedding is None:
            raise ParameterError("--skip_save with --skip_grid: nothing is saved", "one of them")
        if self.plot and self.skip_save:
            raise ParameterError(
                "--plot with --skip_save", "a picture that the plot goes beside", "leave out one of them"
            )

    @property
    def words_alone(self) -> bool:
        """Whether there are words and no sound."""
        return self.textprompt is not None and not (self.paths or self.input_folder or self.from_file)

    @property
    def folder(self) -> Path:
        """Where results go."""
        name = "txt2img-samples" if self.words_alone else "audio2img-samples"
        return self.outdir or Path("outputs") / name

    def batches(self) -> list[list[int]]:
        """Seeds of the pictures of every batch. With a fixed code, all batches start from the same noise."""
        starts = [self.seed + (0 if self.fixed_code else i * self.n_samples) for i in range(self.n_iter)]
        return [list(range(start, start + self.n_samples)) for start in starts]
