"""The run folder of a film: its manifest and its frames, from which interrupted runs go on.

Whoever works in it holds a lock of the share, which the operating system takes from a process that dies. The
lock for entering is held while it is decided who may work, so that of two that come at once one is first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sound_diffusion.errors import RunFolderError
from sound_diffusion.files import make_folder, remove_file, remove_parts, write_atomically, write_png
from sound_diffusion.film.video import FILM_SUFFIXES
from sound_diffusion.locks import LOCK_NAME, POLL_SECONDS, at_work, hold, holder
from sound_diffusion.recipe import differences
from sound_diffusion.shards import Shard
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

PNG_END = b"IEND\xaeB`\x82"
ENTERING, FINISHING = f"{LOCK_NAME}-entering", f"{LOCK_NAME}-finishing"
SHARD_LOCK = re.compile(rf"{re.escape(LOCK_NAME)}(?:-\d+-of-(\d+))?")


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

    @contextlib.contextmanager
    def entered(
        self, manifest: Mapping[str, Any], shard: Shard, *, wait: bool, force: bool
    ) -> Iterator[dict[str, Any] | None]:
        """Work on a share of a request, for the length of a block; others may work on the other shares.

        Parameters
        ----------
        manifest : mapping
            In JSON types; what decides about the frames is its entry ``request``.
        shard : Shard
        wait : bool
            Whether to wait for a run that is in the way: with the same share, with another division, or,
            where `force` would clear the folder, any.
        force : bool
            Whether what another request has left is removed.

        Yields
        ------
        film : dict or None
            The entry ``film`` of the manifest on disk, which :meth:`finish` wrote.

        Raises
        ------
        RunFolderError
            If the folder holds frames of another request, with what differs, or another run is in the way
            and `wait` is False.
        OutputError
            If it cannot be written.
        """
        make_folder(self.path)
        announced = False
        with contextlib.ExitStack() as working:
            while True:
                with hold(self.path, wait=True, announce=False, name=ENTERING):
                    clear = force and not self._belongs_to(manifest)
                    others = self._at_work(shard)
                    in_the_way = next((owner for owner, beside in others if clear or not beside), None)
                    if in_the_way is None:
                        if clear:
                            self.clear()
                        film = self._claim(manifest, alone=not others)
                        working.enter_context(hold(self.path, wait=False, name=_lock_name(shard)))
                        break
                if not wait:
                    raise at_work(self.path, in_the_way)
                if not announced:
                    logger.warning("%s: waiting for %s", self.path, in_the_way)
                    announced = True
                time.sleep(POLL_SECONDS)
            yield film

    def _at_work(self, shard: Shard) -> list[tuple[str, bool]]:
        """Return who is at work here, and whether it is with another share of the same division."""
        owners = []
        for path in sorted(self.path.glob(f"{LOCK_NAME}*")):
            if (match := SHARD_LOCK.fullmatch(path.name)) and (owner := holder(path)):
                beside = int(match[1] or 1) == shard.count and path.name != _lock_name(shard)
                owners.append((owner, beside))
        return owners

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Be the only one that puts the film together, for the length of a block."""
        with hold(self.path, wait=True, announce=False, name=FINISHING):
            yield

    def _belongs_to(self, manifest: Mapping[str, Any]) -> bool:
        """Whether :meth:`_claim` would not refuse a request."""
        try:
            old = self._read_manifest()
        except RunFolderError:
            return False
        return not self._has_frames() if old is None else not _changes(old, manifest)

    def _claim(self, manifest: Mapping[str, Any], *, alone: bool) -> dict[str, Any] | None:
        """Make the folder the one of a request, or find that it is; return the entry ``film`` on disk.

        A request that came to nothing, with neither a frame nor a film, leaves the folder free, unless others
        are at work on it.
        """
        for folder in (self.path, *self._folders) if alone else ():
            remove_parts(folder)
        old = self._read_manifest()
        if old is None:
            if self._has_frames():
                raise RunFolderError(
                    f"{self.frames}: frames without a manifest that says what they are",
                    remedy="use --force to start over, or another --outdir",
                )
            self._write_manifest(manifest)
            return None
        changes = _changes(old, manifest)
        for package, version in manifest["versions"].items():
            if (used := old.get("versions", {}).get(package)) != version:
                logger.warning("%s: begun with %s %s, goes on with %s", self.path, package, used, version)
        has_results = self._has_frames() or old.get("film") is not None
        if not has_results and alone:
            self._write_manifest(manifest)
            return None
        if changes:
            raise RunFolderError(
                f"{self.path} holds another film: {', '.join(changes)}",
                remedy="use --force to start over, or another --outdir",
            )
        return _film_entry(old)

    def film_entry(self) -> dict[str, Any] | None:
        """Return what :meth:`finish` wrote, if the film was finished."""
        return _film_entry(self._read_manifest() or {})

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
        for folder in self._folders:
            _remove_files(folder)

    def remove_trials(self) -> None:
        """Remove the pictures by which even steps are found."""
        _remove_files(self.trials)

    @property
    def _folders(self) -> tuple[Path, ...]:
        return self.frames, self.latents(0).parent, self.trials

    def _has_frames(self) -> bool:
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

    def save_latents(self, index: int, latents: FloatArray) -> None:
        """Save the latents of a frame, of any shape."""
        make_folder(self.latents(index).parent)
        with write_atomically(self.latents(index)) as file:
            np.save(file, latents)

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
        self._write_manifest({**manifest, "film": film})

    def _read_manifest(self) -> dict[str, Any] | None:
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

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        with write_atomically(self.manifest) as file:
            file.write((json.dumps(manifest, indent=2) + "\n").encode())


def _lock_name(shard: Shard) -> str:
    return LOCK_NAME if shard.count == 1 else f"{LOCK_NAME}-{shard.index + 1}-of-{shard.count}"


def _film_entry(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    film: dict[str, Any] | None = manifest.get("film")
    return film


def _remove_files(folder: Path) -> None:
    for path in folder.glob("*"):
        remove_file(path)
    with contextlib.suppress(OSError):  # it may hold something of the user's
        folder.rmdir()


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say how the requests of two manifests differ."""
    return differences(old["request"], new["request"], in_bytes=True)


def _is_whole(path: Path) -> bool:
    """Whether a PNG file goes on to its last chunk."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(-len(PNG_END), 2)
        return file.read() == PNG_END
    return False
