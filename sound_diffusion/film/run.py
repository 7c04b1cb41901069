"""A film in the making: its frames, each painted where it is missing, and the film that they become."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sound_diffusion.batches import Batches
from sound_diffusion.conditioning import Conditioning, condition
from sound_diffusion.errors import OutputError, VideoError
from sound_diffusion.files import make_folder, write_atomically
from sound_diffusion.film.camera import feed_back
from sound_diffusion.film.controls import Controls
from sound_diffusion.film.flashes import MOST_FLASHES, flashing_times, relative_luminance
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.film.segments import LARGEST_BATCH, Segment
from sound_diffusion.film.timeline import Frame, Timeline, frame_features
from sound_diffusion.film.video import Film, SoundTrack, encode_film
from sound_diffusion.job import Job
from sound_diffusion.model.model import Model
from sound_diffusion.options import FilmOptions
from sound_diffusion.painting import paint_batch
from sound_diffusion.progress import ProgressBar, extend
from sound_diffusion.recipe import read_recipe, versions
from sound_diffusion.sources import SoundSource
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

FilmJob = Job[FilmOptions]
Features = Iterator[tuple[Frame, FloatArray]]
# The film so far is made again after this much work, and never takes more than a tenth of the time.
IN_PROGRESS_SECONDS = 180.0
IN_PROGRESS_SHARE = 0.1


@dataclass(frozen=True)
class FilmRun:
    """A film in the making: what it is made of, its frames and what they follow, its folder, its recipe.

    Attributes
    ----------
    segments : list of Segment
        Those that this process paints.
    """

    sound: SoundSource
    job: FilmJob
    timeline: Timeline
    controls: Controls
    folder: RunFolder
    recipe: dict[str, Any]
    segments: list[Segment]

    def paint(self, bar: ProgressBar) -> None:
        """Paint what is missing of the segments of this process."""
        make_folder(self.folder.frames)
        own = [segment.frames for segment in self.segments]
        missing = set(self.folder.missing(chain.from_iterable(own)))
        n_own = sum(map(len, own))
        extend(bar(), n_own, n_own - len(missing))
        if not missing:
            return
        refresh_at, began = IN_PROGRESS_SECONDS, time.monotonic()
        model = self.job.model
        bar().unpause()
        for frame in self._paint_frames(model, own, missing):
            if frame.index in missing:
                missing.remove(frame.index)
                bar().update()
            elapsed = time.monotonic() - began
            if elapsed >= refresh_at and missing and self.job.options.shard.index == 0:
                self._encode_draft()
                cost = time.monotonic() - began - elapsed
                refresh_at = elapsed + cost + max(IN_PROGRESS_SECONDS, cost / IN_PROGRESS_SHARE)

    def _paint_frames(self, model: Model, own: list[range], missing: set[int]) -> Iterator[Frame]:
        """Paint frame after frame, and save those that are missing."""
        chained = self.job.options.over_pictures
        parts = [part for frames in own if (part := _part_to_paint(frames, missing, model, chained=chained))]
        if self.controls.keeps_colors and 0 not in own[0] and not self.folder.has(0):
            parts.insert(0, range(1))  # all of them need it; whoever is first saves it
        recipe = self.recipe | {"device": model.device, "precision": model.precision, "versions": versions()}
        self._compare_arithmetic(recipe)
        features = frame_features(
            self.sound.stream(warn=False), self.timeline, model.width, chain.from_iterable(parts)
        )
        for part in parts:
            painted = self._paint_chain if chained else self._paint_batches
            for frame, picture in painted(model, part, islice(features, len(part))):
                if not self.folder.has(frame.index):
                    own_entries: dict[str, Any] = {"frame": frame.index, "seed": frame.seed}
                    if values := self.controls.values(frame):
                        own_entries["values"] = values
                    self.folder.save_frame(frame.index, picture, recipe | own_entries)
                yield frame

    def _paint_chain(
        self, model: Model, part: range, features: Features
    ) -> Iterator[tuple[Frame, Image.Image]]:
        """Paint each frame over the one before; the previous picture is the state."""
        previous = self.job.init_image
        if part.start:
            anew = self.controls.forgets_all(part.start)
            previous = None if anew else load_picture(self.folder.frame(part.start - 1))
        for frame, matrix in features:
            starts = None if previous is None else [self._fed_back(previous, frame)]
            settings = self.controls.settings(self.job.settings, frame)
            conditioning = self._condition(model, frame, matrix)
            previous = paint_batch(model, [conditioning], [frame.seed], settings, starts)[0]
            yield frame, previous

    def _paint_batches(
        self, model: Model, _part: range, features: Features
    ) -> Iterator[tuple[Frame, Image.Image]]:
        """Paint frames that owe nothing to each other."""
        frames, matrices = zip(*features, strict=True)
        conditionings = [
            self._condition(model, frame, matrix) for frame, matrix in zip(frames, matrices, strict=True)
        ]
        settings = self.controls.settings(self.job.settings, frames[0])
        batches = self._batches.paint(model, conditionings, [frame.seed for frame in frames], settings)
        yield from zip(frames, chain.from_iterable(batches), strict=True)

    @cached_property
    def _batches(self) -> Batches:
        wanted = self.job.options.batch_size
        return Batches(wanted or LARGEST_BATCH, announce=wanted is not None)

    def _condition(self, model: Model, frame: Frame, matrix: FloatArray) -> Conditioning:
        words, position = self.controls.words(self.job.words, frame, self.timeline.position(frame))
        scaling, feature = self.recipe["scaling"], self.recipe["feature"]
        return condition(model, matrix, scaling, words, position, self.controls.gain(frame), feature)

    def _fed_back(self, previous: Image.Image, frame: Frame) -> Image.Image:
        """Prepare the frame before for being painted over; a picture to start from stays as it is."""
        feedback = self.controls.feedback(frame)
        if frame.index == 0:
            return previous
        return feed_back(previous, feedback, self._first_frame if self.controls.keeps_colors else None)

    @cached_property
    def _first_frame(self) -> Image.Image:
        """The frame whose colours are kept; on disk, so that they are the same in a later run."""
        return load_picture(self.folder.frame(0))

    def _compare_arithmetic(self, recipe: dict[str, Any]) -> None:
        """Say so where frames were painted on another device or in another precision than the next ones."""
        whole = set(range(len(self.timeline))).difference(self.folder.missing(range(len(self.timeline))))
        if not whole:
            return
        frame = self.folder.frame(max(whole))
        earlier = read_recipe(frame)
        was, now = (tuple(made.get(entry) for entry in ("device", "precision")) for made in (earlier, recipe))
        if was != now:
            logger.warning(
                "%s was painted on %s in precision %s, what follows on %s in %s: the film will not be the "
                "same to the byte (--force starts over)", frame, *was, *now,
            )  # fmt: skip

    def finish(self, path: Path, manifest: dict[str, Any], film: dict[str, Any]) -> bool:
        """Put the film together, if all frames are there and nobody has; say whether that was done.

        Parameters
        ----------
        path : Path
        manifest, film : dict
            As for :meth:`RunFolder.finish`.
        """
        n_frames = len(self.timeline)
        with self.folder.finishing():
            if self.folder.film_entry() == film and path.exists():
                return False
            n_missing = sum(1 for _ in self.folder.missing(range(n_frames)))
            if n_missing:
                if self.job.options.shard.count > 1:
                    logger.warning(
                        "%s: %d of %d frames are left to other shards; the last one puts the film together",
                        self.folder.path.name, n_missing, n_frames,
                    )  # fmt: skip
                return False
            self.warn_of_flashes()
            self.encode(path, n_frames)
            self.save_contact_sheet()
            self.folder.finish(manifest, film)
            if not self.job.options.keep_frames:
                self.folder.remove_frames()
        return True

    def n_done(self) -> int:
        """Count the frames that are there."""
        return len(self.timeline) - sum(1 for _ in self.folder.missing(range(len(self.timeline))))

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

    def _encode_draft(self) -> None:
        """Make the film so far; that it fails is no reason to stop painting."""
        n_frames = len(self.timeline)
        done = next(self.folder.missing(range(n_frames)), n_frames)
        try:
            self.encode(self.folder.in_progress, done, draft=True)
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


def _part_to_paint(frames: range, missing: set[int], model: Model, *, chained: bool) -> range:
    """Return the frames of a segment that have to be painted for those that are missing.

    A chain goes on from the last frame before the gap. On a GPU a whole batch is painted again, so that every
    frame is made in the same company as in one go.
    """
    first = next((index for index in frames if index in missing), frames.stop)
    if first == frames.stop:
        return range(0)
    return range(first, frames.stop) if chained or model.device == "cpu" else frames
