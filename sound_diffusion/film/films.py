"""The work of audio2video: a sound becomes frames in a run folder, and the frames a film."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sound_diffusion.errors import OutputError, ParameterError, VideoError
from sound_diffusion.files import check_name, make_folder, run_name, write_atomically
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.film.timeline import Frame, Timeline, frame_features
from sound_diffusion.film.video import FILM_SUFFIXES, Film, SoundTrack, encode_film
from sound_diffusion.locks import hold
from sound_diffusion.model.model import Model
from sound_diffusion.painting import paint_batch
from sound_diffusion.recipe import read_recipe, versions
from sound_diffusion.requests import Plan, Request
from sound_diffusion.sound.audio import stream_audio
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.typing import FloatArray
from sound_diffusion.words import finish_embedding, pooled_words

if TYPE_CHECKING:
    from sound_diffusion.cli import ProgressBar

__all__ = ["MODES", "FilmPlan", "FilmRequest", "make_film", "plan_films"]

logger = logging.getLogger(__name__)

MODES = ("img2img", "txt2img")
DEFAULT_SEED_MODES = {"img2img": "increment", "txt2img": "fixed"}
# The film so far is made again after this much work, and never takes more than a tenth of the time.
IN_PROGRESS_SECONDS = 180.0
IN_PROGRESS_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class FilmRequest(Request):
    """What the user wants of every sound.

    Attributes
    ----------
    fps : Fraction
        Frames a second.
    window : Fraction or None
        Seconds of sound in a frame. None: what the model declares, else the duration of one frame.
    mode : {"img2img", "txt2img"}
        Each frame painted over the one before, or each from its own slice of the sound alone.
    seed_mode : str or None
        See :class:`~sound_diffusion.film.timeline.Timeline`. None: ``increment`` for img2img, since a fixed
        seed makes chained pictures bloom, and ``fixed`` for txt2img.
    batch_size : int
        Frames painted at once with txt2img.
    preview : int or None
        Make a film of every n-th frame, in a run folder of its own.
    keep_frames, audio, force, wait, skip_existing : bool
        Keep the frames when the film is done; put the sound into it; start over where the run folder holds
        another request; wait where another run is at work in it; leave out sounds whose film is there.
    output : Path or None
        The film, or only its suffix. None: NAME.mp4 in the run folder.
    """

    outdir: Path = Path("outputs/audio2video-samples")
    strength: float = 0.4
    fps: Fraction = Fraction(12)
    window: Fraction | None = None
    mode: str = "img2img"
    seed_mode: str | None = None
    batch_size: int = 1
    preview: int | None = None
    keep_frames: bool = True
    audio: bool = True
    output: Path | None = None
    force: bool = False
    wait: bool = False
    skip_existing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise ParameterError(f"unknown mode {self.mode!r}", f"one of {', '.join(MODES)}")
        if self.batch_size < 1:
            raise ParameterError(f"--batch-size {self.batch_size}", "at least 1")
        if self.mode == "img2img" and self.batch_size > 1:
            raise ParameterError(
                f"--batch-size {self.batch_size} with --mode img2img", "1: each frame needs the one before"
            )
        if self.mode == "txt2img" and self.init_image is not None:
            raise ParameterError("--init-img with --mode txt2img", "--mode img2img")
        if self.output is not None and self.film_suffix not in FILM_SUFFIXES:
            raise ParameterError(f"--output {self.output}", f"a name that ends in {', '.join(FILM_SUFFIXES)}")
        self.timeline(n_samples=1, declared_window=None)  # checks fps, window, preview and seed mode

    @property
    def over_pictures(self) -> bool:
        """Whether each frame is painted over the one before."""
        return self.mode == "img2img"

    @property
    def film_suffix(self) -> str:
        """Suffix of the film, with its dot."""
        if self.output is None:
            return ".mp4"
        return (self.output.suffix or self.output.name).lower()

    def run_name(self, sound: Path) -> str:
        """Name of the run folder of a sound."""
        return run_name(sound) + ("" if self.preview is None else "-preview")

    def film_path(self, folder: RunFolder) -> Path:
        """Where the finished film of a run folder goes."""
        if self.output is not None and self.output.suffix:
            return self.output
        return folder.path / f"{folder.path.name}{self.film_suffix}"

    def timeline(self, n_samples: int, declared_window: float | None) -> Timeline:
        """Lay out the frames over a sound of `n_samples` at 44,100 Hz."""
        window = self.window
        if window is None and declared_window is not None:
            window = Fraction(str(declared_window))
        return Timeline(
            n_samples=n_samples,
            fps=self.fps,
            window=window,
            feature=self.feature,
            seed=self.seed,
            seed_mode=self.seed_mode or DEFAULT_SEED_MODES[self.mode],
            strength=self.strength,
            stride=1 if self.preview is None else self.preview,
        )


FilmPlan: TypeAlias = Plan[FilmRequest]


@dataclass(frozen=True)
class Run:
    """A film in the making: the sound, its frames in time, and the folder on disk."""

    sound: Path
    plan: FilmPlan
    timeline: Timeline
    folder: RunFolder

    @property
    def film(self) -> Path:
        """Where the finished film goes."""
        return self.plan.request.film_path(self.folder)

    @property
    def contact_sheet(self) -> Path:
        """Where the contact sheet goes."""
        return self.folder.path / f"{self.folder.path.name}.png"

    @property
    def film_entry(self) -> dict[str, Any]:
        """What the finished film depends on beside its frames."""
        return {"path": str(self.film), "audio": self.plan.request.audio}

    def blocks(self) -> Iterator[FloatArray]:
        """Stream the sound again, after it was read to the end once."""
        request = self.plan.request
        return stream_audio(self.sound, offset=request.offset, duration=request.duration, warn=False)


def plan_films(request: FilmRequest, sounds: Sequence[Path]) -> FilmPlan:
    """Check a request against the model that it names, without loading the model.

    Parameters
    ----------
    request : FilmRequest
    sounds : sequence of Path
        What films will be made of.

    Returns
    -------
    plan : FilmPlan

    Raises
    ------
    ModelError
        If there is no such model.
    OutputError
        If results cannot be written where they are wanted.
    ParameterError
        If settings of the request and the model do not go together, if two sounds would share a run folder,
        or if the picture to start from cannot be read.
    """
    if request.output is not None and request.output.suffix and len(sounds) != 1:
        raise ParameterError(
            f"--output {request.output} with {len(sounds)} sounds",
            "one sound",
            f"use --output {request.film_suffix}",
        )
    by_name: dict[str, Path] = {}
    for sound in sounds:  # names that differ in case alone are one on some file systems
        other = by_name.setdefault(request.run_name(sound).casefold(), sound)
        if other != sound:
            raise ParameterError(f"{other} and {sound} would share a run folder", "different file names")
    if request.output is not None and request.output.suffix:
        check_name(request.output)
        if request.output.is_dir():
            raise ParameterError(f"--output {request.output}: a folder", "the name of a film")
    return FilmPlan.of(request)


def make_film(sound: Path, plan: FilmPlan, load: Callable[[], Model], bar: ProgressBar) -> Iterator[Path]:
    """Make the film of one sound, or go on where an earlier run of the same request stopped.

    Parameters
    ----------
    sound : Path
    plan : FilmPlan
    load : callable
        Returns the model; called when the sound is known to be good and frames are missing.
    bar : ProgressBar
        Counts frames.

    Yields
    ------
    path : Path
        The film.

    Raises
    ------
    AudioError
        If the sound cannot be used.
    RunFolderError
        If the run folder holds frames of another request, or another run is at work in it.
    PaintingError, VideoError, OutputError
        If painting, encoding or saving fails; the frames that are done stay.
    KeyboardInterrupt
        With the number of frames that are done.
    """
    request = plan.request
    folder = RunFolder(request.outdir / request.run_name(sound))
    film = request.film_path(folder)
    _check_overwrites(sound, film, request)
    if request.skip_existing and film.exists():
        return
    n_samples = sum(map(len, stream_audio(sound, offset=request.offset, duration=request.duration)))
    run = Run(sound, plan, request.timeline(n_samples, plan.defaults.window), folder)
    manifest = _manifest(run)
    make_folder(folder.path)
    with hold(folder.path, wait=request.wait):
        if request.force and not folder.belongs_to(manifest):
            folder.clear()
        try:
            if folder.claim(manifest) != run.film_entry or not film.exists():
                _paint_missing_frames(run, manifest["request"], load, bar)
                _finish(run, manifest)
        except KeyboardInterrupt:
            done, n_frames = folder.count_frames(len(run.timeline)), len(run.timeline)
            raise KeyboardInterrupt(
                f"{done} of {n_frames} frames of {folder.path.name} are done; the same command continues"
            ) from None
        if not request.keep_frames:
            folder.remove_frames()
    yield film


def _check_overwrites(sound: Path, film: Path, request: FilmRequest) -> None:
    """Refuse a film that would take the place of what it is made from."""
    for source in (sound, request.init_image):
        if source is not None and source.resolve() == film.resolve():
            raise ParameterError(
                f"the film would replace {source}", "another name", "use --output or --outdir"
            )


def _manifest(run: Run) -> dict[str, Any]:
    """Everything that decides what the frames look like, in JSON types."""
    plan, timeline = run.plan, run.timeline
    request = plan.recipe(run.sound) | {
        "fps": str(timeline.fps),
        "window": None if timeline.window is None else str(timeline.window),
        "preview": plan.request.preview,
        "mode": plan.request.mode,
        "film_seed": timeline.seed,
        "seed_mode": timeline.seed_mode,
        "batch_size": plan.request.batch_size,
    }
    return {
        "request": request,
        "n_samples": timeline.n_samples,
        "n_frames": len(timeline),
        "versions": versions(),
    }


def _paint_missing_frames(
    run: Run, recipe: dict[str, Any], load: Callable[[], Model], bar: ProgressBar
) -> None:
    """Paint from the first missing frame to the end."""
    make_folder(run.folder.frames)
    n_frames = len(run.timeline)
    done = run.folder.count_frames(n_frames)
    bar.extend(n_frames, done)
    if done == n_frames:
        return
    # Whole batches are painted again, so that every frame is made in the same company as in one go.
    start = done - done % run.plan.request.batch_size
    refresh_at, began = IN_PROGRESS_SECONDS, time.monotonic()
    bar.update(0)
    model = load()
    bar.update(0)
    for frame in _paint_frames(run, model, recipe, start):
        if frame.index >= done:
            done = frame.index + 1
            bar.update()
        elapsed = time.monotonic() - began
        if elapsed >= refresh_at and done < n_frames:
            _encode_draft(run, recipe, done)
            cost = time.monotonic() - began - elapsed
            refresh_at = elapsed + cost + max(IN_PROGRESS_SECONDS, cost / IN_PROGRESS_SHARE)


def _encode_draft(run: Run, recipe: dict[str, Any], n_frames: int) -> None:
    """Make the film so far; that it fails is no reason to stop painting."""
    try:
        _encode(run, run.folder.in_progress, recipe, n_frames=n_frames, draft=True)
    except (VideoError, OutputError) as error:
        logger.warning("%s", error)


def _paint_frames(run: Run, model: Model, recipe: dict[str, Any], start: int) -> Iterator[Frame]:
    """Paint and save frame after frame; the previous picture is the state."""
    plan = run.plan
    recipe = recipe | {"device": model.device, "precision": model.precision, "versions": versions()}
    if start:
        _compare_arithmetic(run.folder.frame(start - 1), recipe)
    previous = plan.init_image
    if start and plan.request.mode == "img2img":
        previous = load_picture(run.folder.frame(start - 1))
    features = frame_features(run.blocks(), run.timeline, model.width, start)
    while batch := list(islice(features, plan.request.batch_size)):
        pictures = paint_batch(
            model,
            [_embed_frame(run, model, frame, matrix) for frame, matrix in batch],
            [frame.seed for frame, _ in batch],
            replace(plan.settings, strength=batch[0][0].strength),
            None if previous is None else [previous],
            pooled=pooled_words(plan.request.words, model, _position(run, batch[0][0])),
        )
        for (frame, _), picture in zip(batch, pictures, strict=True):
            run.folder.save_frame(frame.index, picture, recipe | {"frame": frame.index, "seed": frame.seed})
            yield frame
        if plan.request.mode == "img2img":
            previous = pictures[-1]


def _compare_arithmetic(frame: Path, recipe: dict[str, Any]) -> None:
    """Say so where a frame was painted on another device or in another precision than the next ones."""
    earlier = read_recipe(frame)
    was, now = (tuple(made.get(entry) for entry in ("device", "precision")) for made in (earlier, recipe))
    if was != now:
        logger.warning(
            "%s was painted on %s in precision %s, what follows on %s in %s: the film will not be the same "
            "to the byte (--force starts over)", frame, *was, *now,
        )  # fmt: skip


def _embed_frame(run: Run, model: Model, frame: Frame, matrix: FloatArray) -> FloatArray:
    """Scale the feature of a frame, and bring in the words that belong to its place in the film."""
    request = run.plan.request
    scaling, position = run.plan.defaults.scaling_for(request.feature, request.scaling), _position(run, frame)
    return finish_embedding(matrix, request.feature, scaling, model, request.words, position)


def _position(run: Run, frame: Frame) -> float:
    """Place of a frame in the film, from 0 to 1."""
    return frame.index / max(len(run.timeline) - 1, 1)


def _encode(run: Run, path: Path, recipe: dict[str, Any], *, n_frames: int, draft: bool = False) -> None:
    request = run.plan.request
    sound = SoundTrack(run.sound, request.offset, request.duration) if request.audio else None
    comment = json.dumps(recipe, sort_keys=True, ensure_ascii=False)
    comment = comment.encode(errors="backslashreplace").decode()  # names that are no text, as JSON says them
    encode_film(Film(run.folder.frames, n_frames, run.timeline.shown_fps, sound, comment, draft), path)


def _finish(run: Run, manifest: dict[str, Any]) -> None:
    """Make film and contact sheet; a sheet that fails is no reason to withhold the film."""
    _encode(run, run.film, manifest["request"], n_frames=len(run.timeline))
    try:
        sheet = _contact_sheet(run)
    except Exception as error:  # whatever matplotlib meets in fonts and caches
        logger.warning("%s: no contact sheet (%s: %s)", run.film, type(error).__name__, error)
    else:
        with write_atomically(run.contact_sheet) as file:
            file.write(sheet)
    run.folder.finish(manifest, run.film_entry)


def _contact_sheet(run: Run) -> bytes:
    from sound_diffusion.plots import contact_sheet, sound_overview

    overview = sound_overview(run.blocks(), run.timeline.n_samples)
    frames = [(run.folder.frame(index), run.timeline[index].end) for index in range(len(run.timeline))]
    sheet = io.BytesIO()
    contact_sheet(frames, overview, sheet)
    return sheet.getvalue()
