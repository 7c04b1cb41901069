"""The work of audio2video: a sound becomes frames in a run folder, and the frames a film."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sound_diffusion.errors import OutputError, ParameterError, VideoError
from sound_diffusion.files import check_name, make_folder, run_name, write_atomically
from sound_diffusion.film.controls import Controls, check_controls, work_out
from sound_diffusion.film.flashes import MOST_FLASHES, flashing_times, relative_luminance
from sound_diffusion.film.making import FrameMaker
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.film.video import FILM_SUFFIXES, Film, SoundTrack, encode_film
from sound_diffusion.inputs import each_input, find_sounds
from sound_diffusion.job import Job
from sound_diffusion.locks import hold
from sound_diffusion.options import FilmOptions
from sound_diffusion.progress import ProgressBar, extend, progress_bar
from sound_diffusion.recipe import versions
from sound_diffusion.sources import SoundSource
from sound_diffusion.starting_pictures import load_picture

logger = logging.getLogger(__name__)

FilmJob = Job[FilmOptions]
# The film so far is made again after this much work, and never takes more than a tenth of the time.
IN_PROGRESS_SECONDS = 180.0
IN_PROGRESS_SHARE = 0.1


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
    paths = find_sounds(options.paths, options.input_folder, options.from_file)
    _check(options, paths)
    check_controls(options)
    job = Job.plan(options)
    sounds = [SoundSource(path, job.options) for path in paths]
    with progress_bar(0, "frame", quiet=options.quiet) as bar:
        yield from each_input(sounds, lambda sound: make_film(sound, job, bar))


def make_film(sound: SoundSource, job: FilmJob, bar: ProgressBar) -> Iterator[Path]:
    """Make the film of a sound, or go on where an earlier run of the same options stopped; yield its path."""
    options = job.options
    folder = RunFolder(options.folder / _run_name(sound.path, options))
    film = _film_path(folder, options)
    _check_overwrites(sound.path, film, options)
    if options.skip_existing and film.exists():
        return
    timeline = _timeline(sum(map(len, sound.stream())), options)
    timeline.check_length()
    controls = work_out(options, sound, timeline)
    controls.check_steps(job.settings)
    run = FilmRun(sound, job, timeline, controls, folder, job.recipe | sound.entries(job.defaults))
    manifest = {
        "request": run.recipe,
        "n_samples": timeline.n_samples,
        "n_frames": len(timeline),
        "versions": versions(),
    }
    film_entry = {"path": str(film), "audio": options.audio}  # what it depends on beside its frames
    make_folder(folder.path)
    with hold(folder.path, wait=options.wait):
        if options.force and not folder.belongs_to(manifest):
            folder.clear()
        try:
            if folder.claim(manifest) != film_entry or not film.exists():
                run.paint(bar)
                run.warn_of_flashes()
                run.encode(film, len(timeline))
                run.save_contact_sheet()
                folder.finish(manifest, film_entry)
        except KeyboardInterrupt:
            done, n_frames = folder.count_frames(len(timeline)), len(timeline)
            raise KeyboardInterrupt(
                f"{done} of {n_frames} frames of {folder.path.name} are done; the same command continues"
            ) from None
        if not options.keep_frames:
            folder.remove_frames()
    yield film


@dataclass(frozen=True)
class FilmRun:
    """A film in the making: what it is made of, its frames and what they follow, its folder, its recipe."""

    sound: SoundSource
    job: FilmJob
    timeline: Timeline
    controls: Controls
    folder: RunFolder
    recipe: dict[str, Any]

    def paint(self, bar: ProgressBar) -> None:
        """Paint from the first missing frame to the end."""
        make_folder(self.folder.frames)
        n_frames = len(self.timeline)
        done = self.folder.count_frames(n_frames)
        extend(bar(), n_frames, done)
        if done == n_frames:
            return
        refresh_at, began = IN_PROGRESS_SECONDS, time.monotonic()
        parts = (self.job, self.timeline, self.controls, self.folder, self.recipe)
        maker = FrameMaker(partial(self.sound.stream, warn=False), *parts)
        bar().unpause()
        for frame in maker.make(done):
            if frame.index >= done:
                done = frame.index + 1
                bar().update()
            elapsed = time.monotonic() - began
            if elapsed >= refresh_at and done < n_frames:
                self._encode_draft(done)
                cost = time.monotonic() - began - elapsed
                refresh_at = elapsed + cost + max(IN_PROGRESS_SECONDS, cost / IN_PROGRESS_SHARE)

    def warn_of_flashes(self) -> None:
        """Say so where the film flashes more often than is safe."""
        if self.job.options.allow_flashing:
            return
        luminances = [
            relative_luminance(load_picture(self.folder.frame(index))) for index in range(len(self.timeline))
        ]
        if times := flashing_times(luminances, self.timeline.shown_fps):
            shown = ", ".join(f"{time:.1f} s" for time in times[:10]) + (", ..." if len(times) > 10 else "")
            logger.warning(
                "%s flashes more than %d times a second, which can set off epileptic fits, at %s "
                "(--allow-flashing says that you know)", self.folder.path.name, MOST_FLASHES, shown,
            )  # fmt: skip

    def encode(self, path: Path, n_frames: int, *, draft: bool = False) -> None:
        """Make a film of the first frames."""
        options = self.job.options
        track = SoundTrack(self.sound.path, options.offset, options.duration) if options.audio else None
        comment = json.dumps(self.recipe, sort_keys=True, ensure_ascii=False)
        comment = comment.encode(errors="backslashreplace").decode()  # names that are no text, as JSON says
        encode_film(Film(self.folder.frames, n_frames, self.timeline.shown_fps, track, comment, draft), path)

    def _encode_draft(self, n_frames: int) -> None:
        """Make the film so far; that it fails is no reason to stop painting."""
        try:
            self.encode(self.folder.in_progress, n_frames, draft=True)
        except (VideoError, OutputError) as error:
            logger.warning("%s", error)

    def save_contact_sheet(self) -> None:
        """Plot some of the frames over the sound; a plot that fails is no reason to withhold the film."""
        from sound_diffusion.plots import contact_sheet, sound_overview

        path, sheet = self.folder.path / f"{self.folder.path.name}.png", io.BytesIO()
        ends = [self.timeline[index].end for index in range(len(self.timeline))]
        frames = [(self.folder.frame(index), end) for index, end in enumerate(ends)]
        try:
            contact_sheet(
                frames, sound_overview(self.sound.stream(warn=False), self.timeline.n_samples), sheet
            )
        except Exception as error:  # whatever matplotlib meets in fonts and caches
            logger.warning("%s: no contact sheet (%s: %s)", path, type(error).__name__, error)
        else:
            with write_atomically(path) as file:
                file.write(sheet.getbuffer())


def _check(options: FilmOptions, paths: list[Path]) -> None:
    """Refuse what cannot be told from one option alone."""
    output = options.output
    if output is not None and _suffix(options) not in FILM_SUFFIXES:
        raise ParameterError(f"--output {output}", f"a name that ends in {', '.join(FILM_SUFFIXES)}")
    if output is not None and output.suffix:
        if len(paths) != 1:
            remedy = f"use --output {_suffix(options)}"
            raise ParameterError(f"--output {output} with {len(paths)} sounds", "one sound", remedy)
        check_name(output)
        if output.is_dir():
            raise ParameterError(f"--output {output}: a folder", "the name of a film")
    by_name: dict[str, Path] = {}
    for path in paths:  # names that differ in case alone are one on some file systems
        other = by_name.setdefault(_run_name(path, options).casefold(), path)
        if other != path:
            raise ParameterError(f"{other} and {path} would share a run folder", "different file names")
    _timeline(1, options)  # checks that the last seed is one


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


def _timeline(n_samples: int, options: FilmOptions) -> Timeline:
    """Lay out the frames over a sound of `n_samples` at 44,100 Hz."""
    return Timeline(
        n_samples=n_samples,
        fps=options.fps,
        window=options.window,
        feature=options.feature,
        seed=options.seed,
        seed_mode=options.seed_mode or "increment",
        stride=options.preview or 1,
        cadence=options.cadence,
        interpolate=options.interpolate,
        loop=options.loop,
    )
