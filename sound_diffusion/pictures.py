"""The work of audio2img: sounds become numbered pictures on disk, each with its recipe inside."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sound_diffusion.errors import PaintingError, ParameterError
from sound_diffusion.files import (
    check_name,
    recipes_in,
    run_name,
    save_picture,
    text_name,
    write_atomically,
)
from sound_diffusion.inspection import compare, statistics_table
from sound_diffusion.model.find import find_model, read_width
from sound_diffusion.model.model import Model
from sound_diffusion.painting import check_seeds, paint_batch, steps_to_run
from sound_diffusion.recipe import prompt_text, versions
from sound_diffusion.requests import Plan, Request
from sound_diffusion.sound.audio import check_sound_file, load_audio
from sound_diffusion.sound.embeddings import check_embedding, load_embedding
from sound_diffusion.sound.features import extract
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.typing import FloatArray
from sound_diffusion.words import Words, finish_embedding, pooled_words

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PicturePlan", "PictureRequest", "inspect_sound", "paint_sound", "plan_pictures"]

EMBEDDING_SUFFIX = ".npy"
# Entries of a recipe that may differ where a picture counts as there already: files are known by their
# contents, and where it was painted does not matter.
NOT_IDENTITY = ("sound", "init_image", "vae", "lora", "device", "precision", "low_memory")


@dataclass(frozen=True, kw_only=True)
class PictureRequest(Request):
    """What the user wants of every sound.

    Attributes
    ----------
    n_samples, n_iter : int
        Pictures in a batch, and batches.
    fixed_code : bool
        Whether all batches start from the same noise.
    grid, save_samples, plot : bool
        What is saved: all pictures in one, each of them, and a plot beside each.
    save_embedding : Path or None
        A .npy file for the matrix that is painted.
    skip_existing : bool
        Whether pictures that are there already are left out. A plot or an embedding that is missing is made.
    """

    outdir: Path = Path("outputs/audio2img-samples")
    n_samples: int = 1
    n_iter: int = 1
    fixed_code: bool = False
    grid: bool = True
    save_samples: bool = True
    plot: bool = False
    save_embedding: Path | None = None
    skip_existing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for flag, value in (("--n_samples", self.n_samples), ("--n_iter", self.n_iter)):
            if value < 1:
                raise ParameterError(f"{flag} {value}", "at least 1")
        check_seeds([self.seed + self.n_samples * (1 if self.fixed_code else self.n_iter) - 1])
        if self.strength is not None and self.init_image is None:
            raise ParameterError(
                f"--strength {self.strength} without a picture", "--init-img PICTURE as well"
            )
        if self.words is not None and self.words.end_prompt is not None:
            raise ParameterError("--textpromptend for a picture", "a film: audio2video")
        if not (self.grid or self.save_samples or self.save_embedding):
            raise ParameterError("--skip_save with --skip_grid: nothing is saved", "one of them")
        if self.plot and not self.save_samples:
            raise ParameterError(
                "--plot with --skip_save", "a picture that the plot goes beside", "leave out one of them"
            )
        if self.save_embedding is not None and self.save_embedding.suffix != EMBEDDING_SUFFIX:
            raise ParameterError(f"--save-embedding {self.save_embedding}", "a name that ends in .npy")

    def batches(self) -> list[list[int]]:
        """Seeds of the pictures of every batch. With a fixed code, all batches start from the same noise."""
        starts = [self.seed + (0 if self.fixed_code else i * self.n_samples) for i in range(self.n_iter)]
        return [list(range(start, start + self.n_samples)) for start in starts]


@dataclass(frozen=True)
class PicturePlan(Plan[PictureRequest]):
    """What is painted of every sound."""

    @functools.cached_property
    def embedding_width(self) -> int | None:
        """Columns D of the model's embeddings, if they can be told before it is loaded."""
        return read_width(find_model(self.request.model))

    @property
    def n_steps(self) -> int:
        """Denoising steps for one sound."""
        steps = self.settings.steps if self.init_image is None else steps_to_run(self.settings)
        steps += self.settings.sampler == "plms"  # which calls the model twice at its first step
        return steps * self.request.n_samples * self.request.n_iter


def plan_pictures(request: PictureRequest, sounds: Sequence[Path | None]) -> PicturePlan:
    """Check a request against the model that it names, without loading the model.

    Parameters
    ----------
    request : PictureRequest
    sounds : sequence of Path or None
        What will be painted; None stands for the words of the request alone.

    Returns
    -------
    plan : PicturePlan

    Raises
    ------
    ModelError
        If there is no such model.
    OutputError
        If results cannot be written where they are wanted.
    ParameterError
        If settings of the request and the model do not go together, or the picture to start from cannot be
        read.
    """
    if request.save_embedding is not None and len(sounds) != 1:
        raise ParameterError(f"--save-embedding with {len(sounds)} sounds", "one sound")
    if request.words is not None and None in sounds:
        for flag, value in (
            ("--text-weight", request.words.weight),
            ("--textstrength", request.words.strength),
        ):
            if value is not None:
                raise ParameterError(
                    f"{flag} {value} for words alone",
                    "a sound beside the words",
                    f"add --prompt PATH or leave out {flag}",
                )
    if request.save_embedding is not None:
        check_name(request.save_embedding)
    return PicturePlan.of(request)


def paint_sound(
    sound: Path | None,
    plan: PicturePlan,
    load: Callable[[], Model],
    on_step: Callable[[int], None] = lambda n: None,
) -> Iterator[Path]:
    """Paint one sound, or words alone, and save the pictures.

    Parameters
    ----------
    sound : Path or None
        A sound file, or a .npy file with an embedding of shape (77, D). None paints the words of the request.
    plan : PicturePlan
    load : callable
        Returns the model; called when the sound has been read and is known to be good.
    on_step : callable
        Called with the number of denoising steps that are done since the last call, 0 at the beginning.

    Yields
    ------
    path : Path
        Every file, as soon as it is written.

    Raises
    ------
    AudioError, EmbeddingError
        If the sound cannot be used.
    PaintingError, ParameterError, ModelError, OutputError
        If painting or saving fails.
    """
    request = plan.request
    recipe = _recipe(sound, plan)
    folder = request.outdir / (run_name(sound) if sound is not None else text_name(recipe["textprompt"]))
    there = _painted(folder, recipe, request) if request.skip_existing else {}
    missing = [[seed for seed in seeds if seed not in there] for seeds in request.batches()]
    unplotted = [path for path in there.values() if request.plot and not _plot_path(path).exists()]
    embedding_path = request.save_embedding
    if embedding_path is not None and embedding_path.exists() and not any(missing):
        embedding_path = None
    if not (any(missing) or unplotted or embedding_path):
        return
    source = _read(sound, plan)
    on_step(0)
    model = load()
    on_step(0)
    embedding = _embed(source, sound, recipe, model, request.words)
    if embedding_path is not None:
        yield _save_embedding(embedding_path, embedding)
    if not (request.save_samples or request.grid):
        return
    plots = Plots(source.samples, embedding, prompt_text(recipe))
    for path in unplotted:
        yield from plots.save(path, load_picture(path))
    recipe |= {"device": model.device, "precision": model.precision, "versions": versions()}
    pictures = []
    pooled = pooled_words(request.words, model, alone=sound is None)
    for picture, own in _paint(model, plan, embedding, pooled, missing, on_step):
        pictures.append(picture)
        if request.save_samples:
            path = save_picture(picture, folder, recipe | own)
            yield path
            if request.plot:
                yield from plots.save(path, picture)
    # A grid shows a whole request; where every picture is saved, that of a single one would be a copy.
    if request.grid and missing == request.batches() and (len(pictures) > 1 or not request.save_samples):
        yield _save_grid(pictures, folder, request, recipe)
    plots.check()


def inspect_sound(sound: Path | None, plan: PicturePlan, load: Callable[[], Model]) -> Iterator[str]:
    """Compare the numbers of a sound with those of a text, see :mod:`sound_diffusion.inspection`.

    Parameters
    ----------
    sound, plan, load
        As for :func:`paint_sound`.

    Yields
    ------
    line : str
        Of a table.

    Raises
    ------
    AudioError, EmbeddingError, ParameterError, ModelError
        As :func:`paint_sound`.
    """
    if sound is None:
        raise ParameterError("--inspect without a sound", "--prompt PATH as well")
    recipe = _recipe(sound, plan)
    source = _read(sound, plan)
    model = load()
    matrix = _matrix(source, sound, recipe, model)
    yield f"{sound}, model {recipe['model']}"
    yield from statistics_table(
        compare(matrix, recipe["feature"], recipe["scaling"], model, plan.request.words)
    )


@dataclass(frozen=True)
class Source:
    """What a picture is made of: the samples of a sound, or a matrix from a file, or words alone."""

    samples: FloatArray | None = None
    matrix: FloatArray | None = None


def _is_embedding(sound: Path | None) -> bool:
    return sound is not None and sound.suffix.lower() == EMBEDDING_SUFFIX


def _read(sound: Path | None, plan: PicturePlan) -> Source:
    if sound is None:
        return Source()
    if _is_embedding(sound):
        return Source(matrix=load_embedding(sound, plan.embedding_width))
    return Source(samples=load_audio(sound, offset=plan.request.offset, duration=plan.request.duration))


def _matrix(source: Source, sound: Path, recipe: dict[str, Any], model: Model) -> FloatArray:
    if source.samples is not None:
        return extract(source.samples, recipe["feature"], model.width)
    assert source.matrix is not None
    return check_embedding(source.matrix, model.width, str(sound))


def _embed(
    source: Source, sound: Path | None, recipe: dict[str, Any], model: Model, words: Words | None
) -> FloatArray:
    if sound is None:
        assert words is not None
        return words.encode(model)
    matrix = _matrix(source, sound, recipe, model)
    return finish_embedding(matrix, recipe["feature"], recipe["scaling"], model, words)


def _paint(
    model: Model,
    plan: PicturePlan,
    embedding: FloatArray,
    pooled: FloatArray | None,
    batches: list[list[int]],
    on_step: Callable[[int], None],
) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    """Yield every picture with the entries of its recipe that are its own."""
    # Batches gain nothing on a CPU, and a picture that was painted alone is made again alone, to the byte.
    size = 1 if model.device == "cpu" else plan.request.n_samples
    for seeds in batches:
        for group in _groups(seeds, size):
            init_images = None if plan.init_image is None else [plan.init_image] * len(group)
            on_group_step = functools.partial(on_step, len(group))
            pictures = paint_batch(
                model,
                [embedding] * len(group),
                group,
                plan.settings,
                init_images,
                on_group_step,
                pooled,
            )
            for seed, picture in zip(group, pictures, strict=True):
                yield picture, {"seed": seed, "first_seed": group[0], "n_samples": len(group), "n_iter": 1}


def _recipe(sound: Path | None, plan: PicturePlan) -> dict[str, Any]:
    """Everything that the pictures of a sound have in common, in JSON types."""
    if sound is not None:
        check_sound_file(sound)
    recipe = plan.recipe(sound) | {"fixed_code": False}
    if _is_embedding(sound):
        # A matrix that somebody made is painted as it is, unless it is asked otherwise.
        scaling = "none" if plan.request.scaling == "auto" else plan.request.scaling
        recipe |= {"feature": "embedding", "scaling": scaling}
    return recipe


def _groups(seeds: list[int], size: int) -> list[list[int]]:
    """Divide ascending seeds into runs without a gap, of at most `size`: what a recipe can name."""
    groups: list[list[int]] = []
    for seed in seeds:
        if groups and seed == groups[-1][-1] + 1 and len(groups[-1]) < size:
            groups[-1].append(seed)
        else:
            groups.append([seed])
    return groups


def _painted(folder: Path, recipe: dict[str, Any], request: PictureRequest) -> dict[int, Path]:
    """Find the pictures of a request that were painted by the same recipe, by their seeds."""
    identity = recipe.keys() - set(NOT_IDENTITY)
    wanted = {seed for seeds in request.batches() for seed in seeds}
    return {
        done["seed"]: path
        for path, done in recipes_in(folder).items()
        if done.get("seed") in wanted and all(done.get(key) == recipe[key] for key in identity)
    }


def _save_embedding(path: Path, embedding: FloatArray) -> Path:
    with write_atomically(path) as file:
        np.save(file, embedding)
    return path


def _plot_path(picture: Path) -> Path:
    return picture.with_name(f"plot-{picture.name}")


class Plots:
    """The plots of a sound's pictures. One that fails stops nothing; :meth:`check` tells at the end."""

    def __init__(self, samples: FloatArray | None, embedding: FloatArray, title: str) -> None:
        self._samples, self._embedding, self._title = samples, embedding, title
        self._failure: PaintingError | None = None

    def save(self, path: Path, picture: Image.Image) -> Iterator[Path]:
        """Save the plot of the picture at `path` beside it, and yield its path if that succeeds."""
        from sound_diffusion.plots import plot_picture

        plot = io.BytesIO()
        try:
            plot_picture(picture, self._samples, self._embedding, self._title, plot)
        except Exception as error:  # whatever matplotlib meets in fonts, names and caches
            self._failure = PaintingError(f"{path}: no plot of it ({type(error).__name__}: {error})")
            self._failure.__cause__ = error
            return
        with write_atomically(_plot_path(path)) as file:
            file.write(plot.getbuffer())
        yield _plot_path(path)

    def check(self) -> None:
        """Raise PaintingError if a plot is missing."""
        if self._failure is not None:
            raise self._failure


def _save_grid(
    pictures: list[Image.Image], folder: Path, request: PictureRequest, recipe: dict[str, Any]
) -> Path:
    from diffusers.utils import make_image_grid

    columns, rows = request.n_samples, request.n_iter
    own = {
        "seed": request.seed,
        "first_seed": request.seed,
        "n_samples": columns,
        "n_iter": rows,
        "fixed_code": request.fixed_code,
    }
    return save_picture(make_image_grid(pictures, rows, columns), folder, recipe | own, prefix="grid-")
