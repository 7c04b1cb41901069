"""A film in the making: its frames, each made where it is missing, and the film that they become."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

from sound_diffusion.errors import OutputError, RunFolderError, VideoError
from sound_diffusion.files import make_folder, write_atomically
from sound_diffusion.film.controls import Controls
from sound_diffusion.film.flashes import MOST_FLASHES, flashing_times
from sound_diffusion.film.making import FrameMaker
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.film.video import Film, SoundTrack, chunks_of, encode_chunk, encode_film
from sound_diffusion.job import Job
from sound_diffusion.locks import LOCK_NAME, hold
from sound_diffusion.options import FilmOptions
from sound_diffusion.progress import ProgressBar, extend
from sound_diffusion.sources import SoundSource

logger = logging.getLogger(__name__)

FilmJob = Job[FilmOptions]
FINISHING = f"{LOCK_NAME}-finishing"
# The film so far is made again after this much work, and never takes more than a tenth of the time.
IN_PROGRESS_SECONDS = 180.0
IN_PROGRESS_SHARE = 0.1


@dataclass(frozen=True)
class FilmRun:
    """A film in the making: what it is made of, its frames and what they follow, its folder, its recipe.

    Attributes
    ----------
    segments : list of range
        Those that this process paints.
    """

    sound: SoundSource
    job: FilmJob
    timeline: Timeline
    controls: Controls
    folder: RunFolder
    recipe: dict[str, Any]
    segments: list[range]

    def paint(self, bar: ProgressBar) -> None:
        """Paint what is missing of the segments of this process."""
        from sound_diffusion.model.acceleration import one_core_left

        make_folder(self.folder.frames)
        n_frames = len(self.timeline)
        absent = set(self.folder.missing(range(n_frames)))
        self.folder.remove_chunks(absent)
        there = set(range(n_frames)) - absent
        missing = self._own - there
        extend(bar(), len(self._own), len(self._own) - len(missing))
        if not missing:
            return
        refresh_at, began = IN_PROGRESS_SECONDS, time.monotonic()
        parts = (self.job, self.timeline, self.controls, self.folder, self.recipe)
        maker = FrameMaker(partial(self.sound.stream, warn=False), *parts)
        bar().unpause()
        # Closing saves what is painted, also on Ctrl-C.
        with one_core_left(self.job.model), contextlib.closing(maker.make(self.segments, there)) as frames:
            for frame in frames:
                if frame.index in missing:
                    missing.remove(frame.index)
                    bar().update()
                elapsed = time.monotonic() - began
                if elapsed >= refresh_at and missing and self.job.options.shard.index == 0:
                    maker.flush()
                    self._encode_draft()
                    cost = time.monotonic() - began - elapsed
                    refresh_at = elapsed + cost + max(IN_PROGRESS_SECONDS, cost / IN_PROGRESS_SHARE)

    def finish(self, path: Path, manifest: dict[str, Any], film: dict[str, Any]) -> bool:
        """Put the film together, if all frames are there and nobody has; say whether that was done.

        Parameters
        ----------
        path : Path
        manifest, film : dict
            As for :meth:`RunFolder.finish`.
        """
        n_frames = len(self.timeline)
        self._encode_chunks(path, film, wait=False)
        with hold(self.folder.path, wait=True, announce=False, name=FINISHING):
            if self.folder.film_entry() == film and path.exists():
                return False
            n_missing = sum(1 for _ in self.folder.missing(set(range(n_frames)) - self._own))
            if n_missing:
                logger.warning(
                    "%s: %d of %d frames are left to other shards; the last one puts the film together",
                    self.folder.path.name, n_missing, n_frames,
                )  # fmt: skip
                return False
            self.warn_of_flashes()
            self._encode_chunks(path, film, wait=True)
            encode_film(self._film(n_frames), path, self.folder.chunks)
            self.save_contact_sheet()
            self.folder.finish(manifest, film)
            if not self.job.options.keep_frames:
                self.folder.remove_frames()
        return True

    @cached_property
    def _own(self) -> set[int]:
        """The frames of the segments of this process."""
        return set(chain.from_iterable(self.segments))

    def n_done(self) -> int:
        """Count the frames that are there."""
        return len(self.timeline) - sum(1 for _ in self.folder.missing(range(len(self.timeline))))

    def warn_of_flashes(self) -> None:
        """Say so where the film flashes more often than is safe."""
        if self.job.options.allow_flashing:
            return
        luminances = [self.folder.luminance(index) for index in range(len(self.timeline))]
        if times := flashing_times(luminances, self.timeline.shown_fps):
            shown = ", ".join(f"{time:.1f} s" for time in times[:10]) + (", ..." if len(times) > 10 else "")
            logger.warning(
                "%s flashes more than %d times a second, which can set off epileptic fits, at %s "
                "(--allow-flashing says that you know)", self.folder.path.name, MOST_FLASHES, shown,
            )  # fmt: skip

    def _film(self, n_frames: int, *, draft: bool = False) -> Film:
        """Return what goes into the film of the first frames."""
        options = self.job.options
        track = SoundTrack(self.sound.path, options.offset, options.duration) if options.audio else None
        comment = json.dumps(self.recipe, sort_keys=True, ensure_ascii=False)
        comment = comment.encode(errors="backslashreplace").decode()  # names that are no text, as JSON says
        return Film(self.folder.frames, n_frames, self.timeline.shown_fps, track, comment, draft)

    def _encode_chunks(self, path: Path, film: dict[str, Any], *, wait: bool) -> None:
        """Encode the stretches whose frames are there, unless the film is done.

        Without `wait`, those that another process encodes now are left to it.
        """
        for name, frames in chunks_of(len(self.timeline), path).items():
            chunk = self.folder.chunks / name
            if chunk.exists() or any(not self.folder.has(index) for index in frames):
                continue
            lock = hold(self.folder.path, wait=wait, announce=False, name=f"{LOCK_NAME}-{name}")
            with contextlib.suppress(RunFolderError), lock:
                if not chunk.exists() and self.folder.film_entry() != film:
                    encode_chunk(self._film(len(self.timeline)), path, frames, chunk)

    def _encode_draft(self) -> None:
        """Make the film so far; that it fails is no reason to stop painting."""
        n_frames = len(self.timeline)
        done = next(self.folder.missing(range(n_frames)), n_frames)
        try:
            encode_film(self._film(done, draft=True), self.folder.in_progress)
        except (VideoError, OutputError) as error:
            logger.warning("%s", error)

    def save_contact_sheet(self) -> None:
        """Plot some of the frames over the sound; a plot that fails is no reason to withhold the film."""
        from sound_diffusion.plots import contact_sheet, sound_overview

        path, sheet = self.folder.path / f"{self.folder.path.name}.png", io.BytesIO()
        ends = [self.timeline[index].end for index in range(len(self.timeline))]
        frames = [(self.folder.frame(index), end) for index, end in enumerate(ends)]
        try:
            overview = sound_overview(self.sound.stream(warn=False), self.timeline.n_samples)
            contact_sheet(frames, overview, sheet)
        except Exception as error:  # whatever matplotlib meets in fonts and caches
            logger.warning("%s: no contact sheet (%s: %s)", path, type(error).__name__, error)
        else:
            with write_atomically(path) as file:
                file.write(sheet.getbuffer())
