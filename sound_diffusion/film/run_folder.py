"""The run folder of a film: its manifest and its frames, from which interrupted runs go on."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sound_diffusion.errors import OutputError, RunFolderError
from sound_diffusion.files import make_folder, remove_file, write_array, write_atomically, write_png
from sound_diffusion.film.flashes import relative_luminance
from sound_diffusion.film.video import CHUNK, FILM_SUFFIXES
from sound_diffusion.recipe import read_recipe
from sound_diffusion.starting_pictures import load_picture
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one film.

    Attributes
    ----------
    path : Path
    """

    path: Path

    @property
    def frames(self) -> Path:
        """Folder of the frames."""
        return self.path / "frames"

    @property
    def manifest(self) -> Path:
        """The file that says which request the frames belong to."""
        return self.path / "manifest.json"

    @property
    def in_progress(self) -> Path:
        """The film so far, to be watched while the rest is made."""
        return self.path / f"{self.path.name}.in-progress.mp4"

    def frame(self, index: int) -> Path:
        """File of a frame."""
        return self.frames / f"{index:05d}.png"

    @property
    def places(self) -> Path:
        """Where the frames of a film with even steps are along its way, in JSON."""
        return self.path / "places.json"

    @property
    def trials(self) -> Path:
        """Folder of the pictures by which even steps are found."""
        return self.path / "trials"

    def trial(self, place: float) -> Path:
        """File of a picture that is painted to see how far the way goes to a place."""
        return self.trials / f"{place:012.6f}.png"

    def latents(self, index: int) -> Path:
        """File of the latents of a frame, in the format of NumPy."""
        return self.path / "latents" / f"{index:05d}.npy"

    @property
    def chunks(self) -> Path:
        """Folder of stretches of the film that are encoded already."""
        return self.path / "chunks"

    def film_entry(self) -> dict[str, Any] | None:
        """Return what :meth:`finish` wrote, if the film was finished."""
        film: dict[str, Any] | None = (self.read_manifest() or {}).get("film")
        return film

    def clear(self) -> None:
        """Remove the frames, the films made from them, and the manifest."""
        self.remove_frames()
        name = self.path.name
        for path in (
            self.in_progress,
            *(self.path / f"{name}{suffix}" for suffix in (*FILM_SUFFIXES, ".png")),
        ):
            remove_file(path)
        remove_file(self.manifest)

    def remove_frames(self) -> None:
        """Remove the frames, and what they are made with."""
        remove_file(self.places)
        for folder in self.folders:
            _remove_files(folder)

    def remove_trials(self) -> None:
        """Remove the pictures by which even steps are found."""
        _remove_files(self.trials)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of the frames, and of what they are made with and become."""
        return self.frames, self.latents(0).parent, self.trials, self.chunks

    @property
    def has_frames(self) -> bool:
        """Whether there is any frame."""
        return any(self.frames.glob("*.png"))

    def has(self, index: int) -> bool:
        """Whether a frame is there, and whole."""
        return _is_whole(self.frame(index))

    def missing(self, indices: Iterable[int]) -> Iterator[int]:
        """Yield the frames that are not there, or not whole."""
        return (index for index in indices if not self.has(index))

    def save_frame(self, index: int, picture: Image.Image, recipe: Mapping[str, Any]) -> None:
        """Save a frame with its recipe inside."""
        with write_atomically(self.frame(index)) as file:
            write_png(picture, file, recipe)

    def luminance(self, index: int) -> float:
        """Return the relative luminance of a frame: as its recipe says where it has one."""
        with contextlib.suppress(OutputError):
            if isinstance(noted := read_recipe(self.frame(index)).get("luminance"), float):
                return noted
        return relative_luminance(load_picture(self.frame(index)))

    def remove_chunks(self, missing: Iterable[int]) -> None:
        """Remove the encoded stretches of frames that are missing: these will be others."""
        for number in {index // CHUNK for index in missing}:
            for path in self.chunks.glob(f"{number:05d}-*"):
                remove_file(path)

    def save_latents(self, index: int, latents: FloatArray) -> None:
        """Save the latents of a frame, of any shape."""
        make_folder(self.latents(index).parent)
        with write_atomically(self.latents(index)) as file:
            write_array(latents, file)

    def load_latents(self, index: int) -> FloatArray | None:
        """Return the latents of a frame; None where they are not there."""
        with contextlib.suppress(OSError, ValueError, EOFError):
            latents: FloatArray = np.load(self.latents(index), allow_pickle=False)
            return latents
        return None

    def finish(self, manifest: Mapping[str, Any], film: Mapping[str, Any]) -> None:
        """Note that the film is done, with what it depends on beside its frames."""
        with contextlib.suppress(OSError):  # a player may hold it open
            self.in_progress.unlink(missing_ok=True)
        self.write_manifest({**manifest, "film": film})
        for folder in (self.latents(0).parent, self.chunks):
            _remove_files(folder)

    def read_manifest(self) -> dict[str, Any] | None:
        """Return what says which request the frames belong to; None where nothing does."""
        try:
            manifest = json.loads(self.manifest.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):  # the latter is met again when it is written
            return None
        except (OSError, ValueError) as error:
            raise RunFolderError(
                f"{self.manifest}: cannot be read ({error})", "JSON", "use --force to start over"
            ) from error
        if not (isinstance(manifest, dict) and isinstance(manifest.get("request"), dict)):
            raise RunFolderError(
                f"{self.manifest}: no manifest of a film", remedy="use --force to start over"
            )
        return manifest

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, in JSON types; what decides about the frames is its entry ``request``."""
        with write_atomically(self.manifest) as file:
            file.write((json.dumps(manifest, indent=2) + "\n").encode())


def compare_arithmetic(frame: Path, recipe: dict[str, Any]) -> None:
    """Say so where a frame was painted otherwise than the next ones: device, precision, runtime."""
    names = ("device", "precision", "runtime")  # earlier versions knew torch alone
    was, now = ([made.get(name, "torch") for name in names] for made in (read_recipe(frame), recipe))
    if was != now:
        logger.warning(
            "%s was painted on %s in precision %s by %s, what follows on %s in %s by %s: the film will not "
            "be the same to the byte (--force starts over)", frame, *was, *now,
        )  # fmt: skip


def _remove_files(folder: Path) -> None:
    for path in folder.glob("*"):
        remove_file(path)
    with contextlib.suppress(OSError):  # it may hold something of the user's
        folder.rmdir()


def _is_whole(path: Path) -> bool:
    """Whether a PNG file goes on to its last chunk."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(-len(PNG_END), 2)
        return file.read() == PNG_END
    return False
