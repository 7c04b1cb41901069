"""The work of audio2video: a sound becomes frames in a run folder, and the frames a film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sound_diffusion.errors import ParameterError
from sound_diffusion.files import check_name, run_name
from sound_diffusion.film.controls import check_controls, work_out
from sound_diffusion.film.run import FilmJob, FilmRun
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.film.segments import divide
from sound_diffusion.film.shared_folder import entered
from sound_diffusion.film.timeline import timeline_of
from sound_diffusion.film.video import FILM_SUFFIXES
from sound_diffusion.inputs import each_input, find_sounds
from sound_diffusion.job import Job
from sound_diffusion.options import FilmOptions, path_flag
from sound_diffusion.progress import ProgressBar, progress_bar
from sound_diffusion.recipe import versions
from sound_diffusion.sources import SoundSource


def make_films(options: FilmOptions) -> Iterator[Path]:
    """Make a film of every sound that the options name.

    Parameters
    ----------
    options : FilmOptions

    Yields
    ------
    path : Path
        Every film, as soon as it is written.

    Raises
    ------
    FailedInputsError
        At the end, if some of the sounds gave no film; the frames that are done stay.
    ModelError, OutputError, ParameterError
        If no film can be made in this way.
    KeyboardInterrupt
        With the number of frames that are done.
    """
    paths = find_sounds(options.paths, options.input_folder, options.from_file, flag=path_flag(type(options)))
    _check(options, paths)
    check_controls(options)
    job = Job.plan(options)
    sounds = [SoundSource(path, job.options) for path in paths]
    with progress_bar(0, "frame", quiet=options.quiet, shard=options.shard) as bar:
        numbered = list(enumerate(sounds))
        yield from each_input(numbered, lambda each: make_film(each[1], job, bar, each[0]))


def make_film(sound: SoundSource, job: FilmJob, bar: ProgressBar, number: int = 0) -> Iterator[Path]:
    """Do this process' share of the film of a sound, from where an earlier run of the same options stopped.

    Parameters
    ----------
    sound : SoundSource
    job : FilmJob
    bar : ProgressBar
    number : int
        Of the film, which decides whose share its first segment is.

    Yields
    ------
    path : Path
        The film, if it was done before or all its frames are there now.
    """
    options = job.options
    folder = RunFolder(options.folder / _run_name(sound.path, options))
    film = _film_path(folder, options)
    _check_overwrites(sound.path, film, options)
    if options.skip_existing and film.exists():
        return
    timeline = timeline_of(sum(map(len, sound.stream())), options)
    timeline.check_length()
    controls = work_out(options, sound, timeline)
    controls.check_steps(job.settings)
    segments = divide(controls, timeline)
    own = [segments[item].frames for item in options.shard.share([each.cost for each in segments], number)]
    run = FilmRun(sound, job, timeline, controls, folder, job.recipe | sound.entries(job.defaults), own)
    manifest = {"request": run.recipe, "n_samples": timeline.n_samples, "n_frames": len(timeline)}
    manifest["versions"] = versions()
    film_entry = {"path": str(film), "audio": options.audio}  # what it depends on beside its frames
    with entered(folder, manifest, options.shard, wait=options.wait, force=options.force) as finished:
        try:
            if finished == film_entry and film.exists():
                if not options.keep_frames:
                    folder.remove_frames()
            else:
                run.paint(bar)
                if not run.finish(film, manifest, film_entry):
                    return
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{run.n_done()} of {len(timeline)} frames of {folder.path.name} are done; "
                "the same command continues"
            ) from None
    yield film


def _check(options: FilmOptions, paths: list[Path]) -> None:
    """Refuse what cannot be told from one option alone."""
    output = options.output
    if output is not None and _suffix(options) not in FILM_SUFFIXES:
        raise ParameterError(f"--output {output}", f"a name that ends in {', '.join(FILM_SUFFIXES)}")
    if output is not None and output.suffix:
        if len(paths) != 1:
            remedy = f"use --output {_suffix(options)}"
            raise ParameterError(f"--output {output} with {len(paths)} sounds", "one sound", remedy)
        check_name(output, "--output")
    by_name: dict[str, Path] = {}
    for path in paths:  # names that differ in case alone are one on some file systems
        other = by_name.setdefault(_run_name(path, options).casefold(), path)
        if other != path:
            raise ParameterError(f"{other} and {path} would share a run folder", "different file names")
    timeline_of(1, options)  # checks that the last seed is one


def _check_overwrites(sound: Path, film: Path, options: FilmOptions) -> None:
    """Refuse a film that would take the place of what it is made from."""
    for source in (sound, options.init_image):
        if source is not None and source.resolve() == film.resolve():
            raise ParameterError(
                f"the film would replace {source}", "another name", "use --output or --outdir"
            )


def _run_name(sound: Path, options: FilmOptions) -> str:
    """Name the run folder of a sound."""
    return run_name(sound) + ("" if options.preview is None else "-preview")


def _suffix(options: FilmOptions) -> str:
    """Return the suffix of the film, with its dot."""
    return ".mp4" if options.output is None else (options.output.suffix or options.output.name).lower()


def _film_path(folder: RunFolder, options: FilmOptions) -> Path:
    """Say where the finished film of a run folder goes."""
    if options.output is not None and options.output.suffix:
        return options.output
    return folder.path / f"{folder.path.name}{_suffix(options)}"
