"""A film described before it is painted: its sound by numbers, and what follows it, as a plot and a table."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import IO

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.files import make_folder, run_name, write_atomically
from sound_diffusion.film.controls import check_controls, hear, known_names, variables_of
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.formulas.expressions import nearest
from sound_diffusion.formulas.schedules import Schedule, parse_schedule
from sound_diffusion.formulas.variables import Variables
from sound_diffusion.inputs import each_input, find_sounds
from sound_diffusion.job import Job
from sound_diffusion.model.defaults import read_defaults
from sound_diffusion.model.find import find_model
from sound_diffusion.options import FilmOptions, options_of, path_flag
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
        Of the file of the preset where one is described; the path of every file; the keyframes that are
        wanted, which by themselves take no model.
    """
    preset = options.preset if options.describe else None
    lines = [] if preset is None else read_preset(preset).text.splitlines()
    has_sounds = options.paths or options.input_folder or options.from_file
    if lines and not has_sounds and options.export_schedule is None:
        yield from lines
        return
    flag = path_flag(type(options))
    paths = find_sounds(options.paths, options.input_folder, options.from_file, flag=flag)
    yield from lines
    # What is only printed may be for another program: whether this model could paint it does not matter.
    if options.describe:
        own = Job.plan(options).options
    else:
        own = options.with_declared(read_defaults(find_model(options.model).path))
    export = None if own.export_schedule is None else _named(own.export_schedule, own)
    numbers = _set_numbers(own) if options.describe else {}
    check_controls(options, *numbers.values(), *([] if export is None else [export]))
    sounds = [SoundSource(path, own) for path in paths]
    yield from each_input(sounds, lambda sound: _describe_film(sound, own, numbers, export))


def _describe_film(
    sound: SoundSource, options: FilmOptions, numbers: dict[str, Schedule], export: Schedule | None
) -> Iterator[str]:
    timeline = Timeline(n_samples=sum(map(len, sound.stream())), fps=options.fps)
    variables = variables_of(options, timeline, hear(sound, timeline))
    values = {name: schedule.evaluate(variables) for name, schedule in numbers.items()}
    exported = None if export is None else export_schedule(export.evaluate(variables))
    if options.describe:
        yield from _save(sound, options, timeline, variables, numbers, values)
    if exported is not None:
        yield exported


def _save(
    sound: SoundSource,
    options: FilmOptions,
    timeline: Timeline,
    variables: Variables,
    numbers: dict[str, Schedule],
    values: dict[str, DoubleArray],
) -> Iterator[str]:
    """Save the plot and the table, and yield their paths."""
    if options.prompts is not None:
        options.prompts.steps(variables)
    name = run_name(sound.path)
    plot, table = io.BytesIO(), io.BytesIO()
    heard, beats = variables.descriptors, variables.find_beats()
    overview = sound_overview(sound.stream(warn=False), timeline.n_samples)
    shown = {each: (schedule.text, values[each]) for each, schedule in numbers.items()}
    plot_schedules(overview, options.fps, heard, beats, shown, plot)
    columns = {**heard, **({"beats": variables["beats"]} if len(beats) > 1 else {}), **values}
    write_table(options.fps, columns, table)
    make_folder(options.folder / name)
    for suffix, contents in ((".schedules.png", plot), (".schedules.csv", table)):
        path = options.folder / name / f"{name}{suffix}"
        with write_atomically(path) as file:
            file.write(contents.getbuffer())
        yield str(path)


def _named(text: str, options: FilmOptions) -> Schedule:
    """Return the schedule of an option that is named by its flag, or read a formula or keyframes."""
    declared = {each.flag.removeprefix("--"): each for each in options_of(FilmOptions)}
    flags = [flag for flag, each in declared.items() if each.name in SCHEDULED]
    expected = f"one of {', '.join(flags)}, or a formula"
    by_name = {flag.replace("_", "-"): each for flag, each in declared.items()}
    option = by_name.get(text.removeprefix("--").replace("_", "-").lower())
    if option is None:
        known = known_names(options)
        if text.isidentifier() and text not in known:
            remedy = nearest(text, [*flags, *known])
            raise ParameterError(f"--export-schedule {text}: no such option or variable", expected, remedy)
        return parse_schedule(text, "--export-schedule")
    value = getattr(options, option.name)
    if isinstance(value, Schedule):
        return value
    if value is None and option.name in SCHEDULED:
        needed = f"{option.flag} {option.metavar} as well"
        raise ParameterError(f"--export-schedule {text}: it is not set", needed)
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = "not a number that may change over a film"
        raise ParameterError(f"--export-schedule {text}: {what}", expected)
    return parse_schedule(str(value), option.flag)


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
