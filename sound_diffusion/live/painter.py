"""The painter: a thread that paints the newest frame of what is heard, and drops those it has no time for."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import SoundDiffusionError
from sound_diffusion.live.chain import Chain, LiveJob, Painted, samples_needed
from sound_diffusion.live.hearing import Moment, Take
from sound_diffusion.model.model import Model
from sound_diffusion.options import LiveOptions

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)
PATIENCE = 0.25  # seconds after which it looks whether there is something else to do
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Shown:
    """A picture on its way to the pages.

    Attributes
    ----------
    take : Take
        Of which it is.
    options : LiveOptions
        How it was painted.
    painted : Painted
    heard : Moment
        When its newest sample came.
    seconds : float
        That painting and encoding took.
    dropped : int
        Frames before it that there was no time for.
    encoded : bytes
        As JPEG.
    """

    take: Take
    options: LiveOptions
    painted: Painted
    heard: Moment
    seconds: float
    dropped: int
    encoded: bytes


class Painter(threading.Thread):
    """Loads the model, then paints.

    Parameters
    ----------
    load : callable
        Returns the model.
    on_ready : callable
        Called with None, or with the error that loading has met.
    on_picture : callable
        Called with every :class:`Shown`.
    on_error : callable
        Called with the line of an error that painting has met; the take ends with it.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        on_ready: Callable[[Exception | None], object],
        on_picture: Callable[[Shown], object],
        on_error: Callable[[str], object],
    ) -> None:
        super().__init__(name="painter", daemon=True)
        self._load, self._on_ready, self._on_picture, self._on_error = load, on_ready, on_picture, on_error
        self._changed = threading.Condition()
        self._work: tuple[Take, LiveJob] | None = None
        self._stopped = False

    def set_work(self, take: Take | None, job: LiveJob) -> None:
        """Say what is heard, None for nothing, and how it is painted, from the next frame on."""
        with self._changed:
            self._work = None if take is None else (take, job)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the thread after the picture that it paints now."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run(self) -> None:
        """Load the model and paint until :meth:`stop`."""
        try:
            model = self._load()
        except Exception as error:
            if not isinstance(error, SoundDiffusionError):
                logger.exception("the model cannot be loaded")
            self._on_ready(error)
            return
        self._on_ready(None)
        from sound_diffusion.model.acceleration import one_core_left

        with one_core_left(model):
            while (work := self._wait_for_work()) is not None:
                self._paint_or_report(model, work[0])

    def _paint_or_report(self, model: Model, take: Take) -> None:
        try:
            self._paint_take(model, take)
        except Exception as error:
            if not isinstance(error, SoundDiffusionError):
                logger.exception("painting failed")
            self._drop(take)
            self._on_error(str(error) or type(error).__name__)

    def _wait_for_work(self) -> tuple[Take, LiveJob] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._work is not None)
            return None if self._stopped else self._work

    def _job_of(self, take: Take) -> LiveJob | None:
        """Return how a take is painted now, None where something else is heard or nothing."""
        with self._changed:
            return self._work[1] if self._work and self._work[0] is take and not self._stopped else None

    def _drop(self, take: Take) -> None:
        with self._changed:
            if self._work is not None and self._work[0] is take:
                self._work = None

    def _paint_take(self, model: Model, take: Take) -> None:
        """Paint the newest frame that is heard, and the newest again, until the take ends."""
        chain, last = None, -1
        while (job := self._job_of(take)) is not None:
            if chain is None:
                chain = Chain(model, take.sound, job.options.fps)
            index = max(newest_frame(job, take, model.width), last + 1)
            if not take.sound.wait(samples_needed(job.options, index, model.width), PATIENCE):
                continue
            began = time.monotonic()
            painted = chain.paint(index, job)
            encoded = encode(painted.picture)
            heard = take.moment(int(painted.frame.end * SAMPLE_RATE))
            seconds, dropped = time.monotonic() - began, index - last - 1
            self._on_picture(Shown(take, job.options, painted, heard, seconds, dropped, encoded))
            last = index


def newest_frame(job: LiveJob, take: Take, width: int) -> int:
    """Return the number of the newest frame all of whose samples are there; -1 where none is."""
    options = job.options
    index = int(take.sound.n_written * options.fps / SAMPLE_RATE) - 1
    while index >= 0 and samples_needed(options, index, width) > take.sound.n_written:
        index -= 1
    return index


def encode(picture: Image.Image) -> bytes:
    """Encode a picture for the page; WebP takes ten times as long, to save a few per cent."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
