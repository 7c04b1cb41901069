"""The work of audio2img: sounds become numbered pictures on disk, each with its recipe inside."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.batches import Batches
from sound_diffusion.bending import Bending
from sound_diffusion.conditioning import Conditioning, condition
from sound_diffusion.errors import PaintingError, ParameterError
from sound_diffusion.files import (
    check_name,
    check_place,
    recipes_in,
    save_picture,
    write_array,
    write_atomically,
)
from sound_diffusion.inputs import each_input
from sound_diffusion.inspection import compare, statistics_table
from sound_diffusion.job import Job
from sound_diffusion.options import PictureOptions, all_options
from sound_diffusion.painting import paint_batch
from sound_diffusion.picture_bends import check_names, followed, picture_amounts
from sound_diffusion.progress import ProgressBar, progress_bar
from sound_diffusion.recipe import differences, prompt_text, versions
from sound_diffusion.settings import steps_to_run
from sound_diffusion.shards import Shard
from sound_diffusion.sound.description import describe_whole
from sound_diffusion.sources import Source, find_sources
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.typing import DoubleArray, FloatArray

if TYPE_CHECKING:
    from PIL import Image

PictureJob = Job[PictureOptions]


def paint_pictures(options: PictureOptions) -> Iterator[Path]:
    """Paint every source that the options name, and save the pictures.

    Parameters
    ----------
    options : PictureOptions

    Yields
    ------
    path : Path
        Every file, as soon as it is written.

    Raises
    ------
    FailedInputsError
        At the end, if some of the sources could not be used.
    ModelError, OutputError, ParameterError
        If nothing can be painted in this way.
    """
    sources = find_sources(options)
    _check(options, sources)
    job = Job.plan(options)
    own = _share(sources, options.shard)
    n_steps = _count_steps(job) * len(own)
    with progress_bar(n_steps, "step", quiet=options.quiet or not n_steps, shard=options.shard) as bar:
        yield from each_input(own, lambda source: paint_source(source, job, bar))


def paint_source(source: Source, job: PictureJob, bar: ProgressBar) -> Iterator[Path]:
    """Paint one source, and save its pictures; yield the path of every file."""
    options, recipe = job.options, job.recipe | source.entries(job.defaults)
    folder = options.folder / source.name
    there = _painted(folder, recipe, options) if options.skip_existing else {}
    missing = [[seed for seed in seeds if seed not in there] for seeds in options.batches()]
    unplotted = [path for path in there.values() if options.plot and not _plot_path(path).exists()]
    matrix_path = options.save_embedding
    if matrix_path is not None and matrix_path.exists() and not any(missing):
        matrix_path = None
    if not (any(missing) or unplotted or matrix_path):
        return
    if any(missing) and not (options.skip_save and options.skip_grid):
        check_place(folder)
    heard = source.read(job.columns)
    levels = describe_whole(heard.samples) if heard.samples is not None and followed(options.bend) else None
    amounts = picture_amounts(options.bend, levels, options.seed)
    bar()
    model = job.model
    bar().unpause()
    matrix = None if heard.matrix is None else heard.matrix(model.width)
    conditioning = condition(model, matrix, recipe["scaling"], job.words, feature=recipe["feature"])
    if matrix_path is not None:
        with write_atomically(matrix_path) as file:
            write_array(conditioning.embedding, file)
        yield matrix_path
    if options.skip_save and options.skip_grid:
        return
    plots = Plots(heard.samples, conditioning.embedding, prompt_text(recipe))
    for path in unplotted:
        yield from plots.save(path, load_picture(path))
    if options.bend:
        recipe["values"] = {"bend": amounts[0].tolist()}
    recipe |= model.arithmetic | {"versions": versions()}
    pictures = []
    for picture, own in _paint(job, conditioning, amounts, missing, bar):
        pictures.append(picture)
        if not options.skip_save:
            path = save_picture(picture, folder, recipe | own)
            yield path
            if options.plot:
                yield from plots.save(path, picture)
    # A grid shows a whole request; where every picture is saved, that of a single one would be a copy.
    whole = missing == options.batches() and (len(pictures) > 1 or options.skip_save)
    if whole and not options.skip_grid:
        yield save_picture(_grid(pictures, options), folder, recipe | {"seed": options.seed}, prefix="grid-")
    plots.check()


def inspect_sounds(options: PictureOptions) -> Iterator[str]:
    """Compare the numbers of sounds with those of a text, see :mod:`sound_diffusion.inspection`.

    Parameters
    ----------
    options : PictureOptions

    Yields
    ------
    line : str
        Of a table.

    Raises
    ------
    FailedInputsError, ModelError, OutputError, ParameterError
        As :func:`paint_pictures`.
    """
    sources = find_sources(options)
    _check(options, sources)
    if options.words_alone:
        raise ParameterError("--inspect without a sound", "--prompt PATH as well")
    job = Job.plan(options)

    def inspect(source: Source) -> Iterator[str]:
        recipe = job.recipe | source.entries(job.defaults)
        matrix = source.read(job.columns).matrix
        assert matrix is not None
        yield f"{recipe['sound']}, model {recipe['model']}"
        model = job.model
        how = recipe["feature"], recipe["scaling"]
        yield from statistics_table(compare(matrix(model.width), *how, model, job.words))

    yield from each_input(sources, inspect)


def _check(options: PictureOptions, sources: list[Source]) -> None:
    """Refuse what cannot be told from the options alone."""
    if options.save_embedding is not None:
        if len(sources) != 1:
            raise ParameterError(f"--save-embedding with {len(sources)} sounds", "one sound")
        check_name(options.save_embedding, "--save-embedding")
    check_names(options.bend)
    for option in all_options().values():
        value = getattr(options, option.name, None)
        if options.words_alone and "sound" in option.needs and value is not None:
            raise ParameterError(
                f"{option.flag} {value} for words alone",
                "a sound beside the words",
                f"add --prompt PATH or leave out {option.flag}",
            )


def _share(sources: list[Source], shard: Shard) -> list[Source]:
    """Return the sources of a share. Those of one name share a folder, whose pictures one process numbers."""
    names = list(dict.fromkeys(source.name.casefold() for source in sources))
    own = {names[item] for item in shard.share([1.0] * len(names))}
    return [source for source in sources if source.name.casefold() in own]


def _count_steps(job: PictureJob) -> int:
    """Count the denoising steps of one source."""
    steps = job.settings.steps if job.init_image is None else steps_to_run(job.settings)
    if steps:
        steps += job.settings.sampler == "plms"  # which calls the model twice at its first step
    return steps * job.options.n_samples * job.options.n_iter


def _paint(
    job: PictureJob,
    conditioning: Conditioning,
    amounts: DoubleArray,
    batches: list[list[int]],
    bar: ProgressBar,
) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    """Yield every picture with the entries of its recipe that are its own."""

    def paint(group: Sequence[int]) -> list[Image.Image]:
        count = len(group)
        starts = None if job.init_image is None else [job.init_image] * count
        bending = Bending(
            job.options.bend,
            amounts.repeat(count, axis=0),
            group,
            job.settings.steps if starts is None else steps_to_run(job.settings),
            job.defaults.mirrored_noise,
        )
        on_step = partial(bar().update, count)
        return paint_batch(job.model, [conditioning] * count, group, job.settings, starts, on_step, bending)

    painter = Batches(job.options.n_samples)
    for seeds in (group for wanted in batches for group in _groups(wanted, job.options.n_samples)):
        for group, pictures in painter.paint(job.model.device, seeds, paint):
            own = {"first_seed": group[0], "n_samples": len(group), "n_iter": 1, "fixed_code": False}
            for seed, picture in zip(group, pictures, strict=True):
                yield picture, own | {"seed": seed}


def _groups(seeds: list[int], size: int) -> list[list[int]]:
    """Divide ascending seeds into runs without a gap, of at most `size`: what a recipe can name."""
    groups: list[list[int]] = []
    for seed in seeds:
        if groups and seed == groups[-1][-1] + 1 and len(groups[-1]) < size:
            groups[-1].append(seed)
        else:
            groups.append([seed])
    return groups


def _painted(folder: Path, recipe: dict[str, Any], options: PictureOptions) -> dict[int, Path]:
    """Find the pictures of the options that were painted by the same recipe, by their seeds."""
    wanted = {seed for seeds in options.batches() for seed in seeds}
    one = recipe | {"fixed_code": False}
    for entry in ("first_seed", "n_samples", "n_iter"):  # of the batch that a picture was painted in
        del one[entry]
    return {
        done["seed"]: path
        for path, done in recipes_in(folder).items()
        if done.get("seed") in wanted and not differences(done, one, in_bytes=False)
    }


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


def _grid(pictures: list[Image.Image], options: PictureOptions) -> Image.Image:
    from diffusers.utils import make_image_grid

    grid: Image.Image = make_image_grid(pictures, options.n_iter, options.n_samples)
    return grid
