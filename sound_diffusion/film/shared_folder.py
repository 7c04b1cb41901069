"""Who works in the run folder of a film, and at which request.

Whoever works in it holds a lock of the share, which the operating system takes from a process that dies. The
lock for entering is held while it is decided who may work, so that of two that come at once one is first.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from sound_diffusion.errors import RunFolderError
from sound_diffusion.files import make_folder, remove_parts
from sound_diffusion.film.run_folder import RunFolder
from sound_diffusion.locks import LOCK_NAME, POLL_SECONDS, at_work, hold, holder
from sound_diffusion.recipe import differences
from sound_diffusion.shards import Shard

logger = logging.getLogger(__name__)

ENTERING = f"{LOCK_NAME}-entering"
SHARD_LOCK = re.compile(rf"{re.escape(LOCK_NAME)}(?:-\d+-of-(\d+))?")


@contextlib.contextmanager
def entered(
    folder: RunFolder, manifest: Mapping[str, Any], shard: Shard, *, wait: bool, force: bool
) -> Iterator[dict[str, Any] | None]:
    """Work on a share of a request, for the length of a block; others may work on the other shares.

    Parameters
    ----------
    folder : RunFolder
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
        The entry ``film`` of the manifest on disk, which :meth:`RunFolder.finish` wrote.

    Raises
    ------
    RunFolderError
        If the folder holds frames of another request, with what differs, or another run is in the way
        and `wait` is False.
    OutputError
        If it cannot be written.
    """
    make_folder(folder.path)
    announced = False
    with contextlib.ExitStack() as working:
        while True:
            with hold(folder.path, wait=True, announce=False, name=ENTERING):
                clear = force and not _belongs_to(folder, manifest)
                others = _at_work(folder, shard)
                in_the_way = next((owner for owner, beside in others if clear or not beside), None)
                if in_the_way is None:
                    if clear:
                        folder.clear()
                    film = _claim(folder, manifest, alone=not others)
                    working.enter_context(hold(folder.path, wait=False, name=_lock_name(shard)))
                    break
            if not wait:
                raise at_work(folder.path, in_the_way)
            if not announced:
                logger.warning("%s: waiting for %s", folder.path, in_the_way)
                announced = True
            time.sleep(POLL_SECONDS)
        yield film


def _at_work(folder: RunFolder, shard: Shard) -> list[tuple[str, bool]]:
    """Return who is at work here, and whether it is with another share of the same division."""
    owners = []
    for path in sorted(folder.path.glob(f"{LOCK_NAME}*")):
        if (match := SHARD_LOCK.fullmatch(path.name)) and (owner := holder(path)):
            beside = int(match[1] or 1) == shard.count and path.name != _lock_name(shard)
            owners.append((owner, beside))
    return owners


def _belongs_to(folder: RunFolder, manifest: Mapping[str, Any]) -> bool:
    """Whether :func:`_claim` would not refuse a request."""
    try:
        old = folder.read_manifest()
    except RunFolderError:
        return False
    return not folder.has_frames if old is None else not _changes(old, manifest)


def _claim(folder: RunFolder, manifest: Mapping[str, Any], *, alone: bool) -> dict[str, Any] | None:
    """Make the folder the one of a request, or find that it is; return the entry ``film`` on disk.

    A request that came to nothing, with neither a frame nor a film, leaves the folder free, unless others
    are at work on it.
    """
    for path in (folder.path, *folder.folders) if alone else ():
        remove_parts(path)
    old = folder.read_manifest()
    if old is None:
        if folder.has_frames:
            raise RunFolderError(
                f"{folder.frames}: frames without a manifest that says what they are",
                remedy="use --force to start over, or another --outdir",
            )
        folder.write_manifest(manifest)
        return None
    changes = _changes(old, manifest)
    for package, version in manifest["versions"].items():
        if (used := old.get("versions", {}).get(package)) != version:
            logger.warning("%s: begun with %s %s, goes on with %s", folder.path, package, used, version)
    has_results = folder.has_frames or old.get("film") is not None
    if not has_results and alone:
        folder.write_manifest(manifest)
        return None
    if changes:
        raise RunFolderError(
            f"{folder.path} holds another film: {', '.join(changes)}",
            remedy="use --force to start over, or another --outdir",
        )
    film: dict[str, Any] | None = old.get("film")
    return film


def _lock_name(shard: Shard) -> str:
    return LOCK_NAME if shard.count == 1 else f"{LOCK_NAME}-{shard.index + 1}-of-{shard.count}"


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say how the requests of two manifests differ."""
    return differences(old["request"], new["request"], in_bytes=True)
