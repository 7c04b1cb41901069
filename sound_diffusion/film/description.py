"""A film described before it is painted: its sound by numbers, and what follows it, as a plot and a table."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import IO

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.files import make_folder, run_name, write_atomically
from sound_diffusion.film.controls import check_controls, hear, schedules_of, variables_of
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.formulas.schedules import Schedule, parse_schedule
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.inputs import each_input, find_sounds
from sound_diffusion.job import Job
from sound_diffusion.model.defaults import read_defaults
from sound_diffusion.model.find import find_model
from sound_diffusion.options import FilmOptions, options_of
from sound_diffusion.options.films import SCHEDULED
from sound_diffusion.plots import plot_schedules, sound_overview
from sound_diffusion.presets import read_preset
from sound_diffusion.sources import SoundSource
from sound_diffusion.typing import DoubleArray


def describe_films(options: FilmOptions) -> Iterator[str]:
    """Describe the film of every sound that the options name, without painting it.

    Parameters
    ----------
    options : FilmOptions

    Yields
    ------
    line : str
        Of the file of the preset where one is described; the path of every file; or the keyframes that are
        wanted, which take no model.
    """
    if options.preset is not None and options.describe:
        yield from read_preset(options.preset).text.splitlines()
        if not (options.paths or options.input_folder or options.from_file):
            return
    paths = find_sounds(options.paths, options.input_folder, options.from_file)
    is_export = options.export_schedule is not None
    # What is only printed may be for another program: whether this model could paint it does not matter.
    if is_export:
        own = options.with_declared(read_defaults(find_model(options.model).path))
    else:
        own = Job.plan(options).options
    wanted = _wanted(own) if is_export else _set_numbers(own)
    check_controls(options, *wanted.values())
    describe = _export if is_export else _describe
    sounds = [SoundSource(path, own) for path in paths]
    yield from each_input(sounds, lambda sound: describe(sound, own, wanted))


def _export(sound: SoundSource, options: FilmOptions, wanted: dict[str, Schedule]) -> Iterator[str]:
    _, _, values = _hear(sound, options, wanted)
    yield from map(export_schedule, values.values())


def _hear(
    sound: SoundSource, options: FilmOptions, wanted: dict[str, Schedule]
) -> tuple[Timeline, Variables, dict[str, DoubleArray]]:
    """Return the frames of a film, what formulas can speak of, and what the schedules come to."""
    timeline = Timeline(n_samples=sum(map(len, sound.stream())), fps=options.fps)
    variables = variables_of(options, timeline, hear(sound, timeline))
    return timeline, variables, {name: schedule.evaluate(variables) for name, schedule in wanted.items()}


def _describe(sound: SoundSource, options: FilmOptions, wanted: dict[str, Schedule]) -> Iterator[str]:
    timeline, variables, values = _hear(sound, options, wanted)
    if options.prompts is not None:
        options.prompts.steps(variables)
    name = run_name(sound.path)
    plot, table = io.BytesIO(), io.BytesIO()
    heard, beats = variables.descriptors, variables.find_beats()
    overview = sound_overview(sound.stream(warn=False), timeline.n_samples)
    shown = {each: (schedule.text, values[each]) for each, schedule in wanted.items()}
    plot_schedules(overview, options.fps, heard, beats, shown, plot)
    columns = {**heard, **({"beats": variables["beats"]} if len(beats) > 1 else {}), **values}
    write_table(options.fps, columns, table)
    make_folder(options.folder / name)
    for suffix, contents in ((".schedules.png", plot), (".schedules.csv", table)):
        path = options.folder / name / f"{name}{suffix}"
        with write_atomically(path) as file:
            file.write(contents.getbuffer())
        yield str(path)


def _wanted(options: FilmOptions) -> dict[str, Schedule]:
    """Return the schedule to be exported."""
    own = schedules_of(options)
    export = options.export_schedule
    assert export is not None
    flags = {each.flag.removeprefix("--").replace("-", "_"): each.name for each in options_of(FilmOptions)}
    name = flags.get(export.removeprefix("--").replace("-", "_"), export)
    if name in own:
        return {name: own[name]}
    value = getattr(options, name, None) if name.isidentifier() else None
    if name in flags.values() and not isinstance(value, int | float | np.number):
        raise ParameterError(f"--export-schedule {export}", f"an option that is a number, as --{export} 0.4")
    text = export if value is None else str(value)
    return {"exported": parse_schedule(text, "--export-schedule")}


def _set_numbers(options: FilmOptions) -> dict[str, Schedule]:
    """Return what may change over a film and is a number, by flag: what does not change is a level line."""
    declared = {each.name: each for each in options_of(FilmOptions)}
    numbers = {name: getattr(options, name) for name in SCHEDULED}
    return {
        declared[name].flag.removeprefix("--"): value
        if isinstance(value, Schedule)
        else parse_schedule(str(value), declared[name].flag)
        for name, value in numbers.items()
        if value is not None and value != declared[name].default
    }


def export_schedule(values: DoubleArray) -> str:
    """Write numbers as keyframes that Deforum, Parseq and ComfyUI read: ``0:(0.1200), 1:(0.4000)``.

    Parameters
    ----------
    values : np.ndarray [shape=(n,), dtype=float64]

    Returns
    -------
    text : str
        A key for every frame, with four decimals.
    """
    return ", ".join(f"{frame}:({value + 0.0:.4f})" for frame, value in enumerate(values.tolist()))


def write_table(fps: Fraction, columns: Mapping[str, DoubleArray], file: IO[bytes]) -> None:
    """Write numbers over time as CSV: ``seconds``, ``frame``, and a column for each name.

    Parameters
    ----------
    fps : Fraction
        Frames a second.
    columns : mapping from str to np.ndarray [shape=(n,), dtype=float64]
        At least one.
    file : binary file
    """
    frames = range(len(next(iter(columns.values()))))
    table = np.column_stack([[float(frame / fps) for frame in frames], frames, *columns.values()])
    formats = ["%.6f", "%d", *["%.6g"] * len(columns)]
    np.savetxt(file, table, formats, ",", header=",".join(["seconds", "frame", *columns]), comments="")
