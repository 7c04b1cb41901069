"""Recording: threads that write a take and its pictures into a folder, and make their film."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.errors import OutputError, SoundDiffusionError
from sound_diffusion.files import output_error, write_atomically, write_png
from sound_diffusion.film.video import Film, SoundTrack, encode_film
from sound_diffusion.live.chain import LiveJob, Painted
from sound_diffusion.live.hearing import FULL_SCALE
from sound_diffusion.live.recorded import SESSION, Recorded, film_command
from sound_diffusion.options import LiveOptions
from sound_diffusion.recipe import option_entries, versions
from sound_diffusion.typing import FloatArray

logger = logging.getLogger(__name__)
FRAMES = "frames"
WAITING = 2000  # blocks and pictures that may wait for the disk
LONGEST = 4 * 3600  # seconds of a recording


class Recorder(threading.Thread):
    """Writes what is heard and painted, in a thread of its own, until it is told that it ends.

    Parameters
    ----------
    job : Job
        How it is painted to begin with. In its folder one is made, named after the time.
    on_end : callable
        Called with what a page is told at the end: first when all is written but the film, then with that.

    Raises
    ------
    OutputError
        If the folder cannot be made.
    """

    def __init__(self, job: LiveJob, on_end: Callable[[dict[str, Any]], object]) -> None:
        super().__init__(name="recorder", daemon=True)
        self.folder = _new_folder(job.options.folder)
        self.sound = self.folder / f"{self.folder.name}.flac"
        self.is_full = False
        self._session = Recorded(job.options.fps)
        self._defaults, self._on_end = job.defaults, on_end
        self._queue: queue.Queue[FloatArray | tuple[Painted, LiveOptions]] = queue.Queue(WAITING)
        self._ended = threading.Event()
        self._recipe: dict[str, Any] = {}
        self._n_samples = 0

    def hear(self, samples: FloatArray) -> None:
        """Write samples; where the disk does not keep up, or after hours, the recording is full."""
        self._put(samples)
        self._n_samples += len(samples)
        self.is_full |= self._n_samples > LONGEST * SAMPLE_RATE

    def show(self, painted: Painted, options: LiveOptions) -> None:
        """Keep a picture, and how it was painted."""
        self._put((painted, options))

    def finish(self) -> None:
        """Write what is left, and the film."""
        self._ended.set()

    def _put(self, item: FloatArray | tuple[Painted, LiveOptions]) -> None:
        if not self.is_full:
            try:
                self._queue.put_nowait(item)
            except queue.Full:
                self.is_full = True

    def run(self) -> None:
        """Write until :meth:`finish`."""
        told = {"folder": str(self.folder), "command": "", "film": "", "message": "", "seconds": 0.0}
        try:
            (self.folder / FRAMES).mkdir()
            self._write()
            self._session.write(self.folder / SESSION)
            told["seconds"] = round(self._n_samples / SAMPLE_RATE, 2)
            if not self._session.frames:
                shutil.rmtree(self.folder)
                raise OutputError("nothing was painted while it was recorded", remedy="record for longer")
            told["command"], constant = film_command(self._session, self.sound, self._defaults)
            if constant:
                listed = ", ".join(constant)
                told["message"] = f"changed while it was heard, and one thing in the film: {listed}"
            self._on_end(dict(told))
            told["film"] = str(self._encode())
        except (OSError, SoundDiffusionError, RuntimeError) as error:
            logger.error("%s: %s", self.folder, error)
            self.is_full = True
            told["message"] = str(error)
        self._on_end(told)

    def _write(self) -> None:
        import soundfile

        with soundfile.SoundFile(self.sound, "w", SAMPLE_RATE, 1, subtype="PCM_24", format="FLAC") as file:
            for item in self._items():
                if isinstance(item, tuple):
                    self._keep(*item)
                else:
                    # As integers: libsndfile scales floats by one less than full scale.
                    file.write((item * FULL_SCALE).astype(np.int32) << 8)

    def _items(self) -> Iterator[FloatArray | tuple[Painted, LiveOptions]]:
        while not self._ended.is_set() or not self._queue.empty():
            with contextlib.suppress(queue.Empty):
                yield self._queue.get(timeout=0.1)

    def _keep(self, painted: Painted, options: LiveOptions) -> None:
        frame = painted.frame
        if self._session.add(frame.index, options):
            self._recipe = option_entries(options) | {"sound": str(self.sound), "versions": versions()}
        own = {"frame": frame.index, "seed": frame.seed, "values": painted.numbers}
        with write_atomically(self._frame(frame.index)) as file:
            write_png(painted.picture, file, self._recipe | own)

    def _frame(self, index: int) -> Path:
        return self.folder / FRAMES / f"{index:05d}.png"

    def _encode(self) -> Path:
        """Make the film of the pictures that were seen, each until the next one."""
        session, path = self._session, self.folder / f"{self.folder.name}.mp4"
        n_frames = max(int(self._n_samples * session.fps / SAMPLE_RATE), session.frames[-1] + 1)
        painted = set(session.frames)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".film-") as folder:
            source = self._frame(session.frames[0])
            for index in range(n_frames):
                source = self._frame(index) if index in painted else source
                _link(source, Path(folder) / f"{index:05d}.png")
            comment = json.dumps({"frames": len(painted), "sound": str(self.sound)})
            encode_film(Film(Path(folder), n_frames, session.fps, SoundTrack(self.sound), comment), path)
        return path


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, path)


def _new_folder(folder: Path) -> Path:
    """Make a folder for a recording, named after the time."""
    name = time.strftime("%Y-%m-%d-%H%M%S")
    for number in range(1, 1000):
        path = folder / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise output_error(path, error) from None
        return path
    raise OutputError(f"{folder / name}: there are a thousand already")
