"""Locks of folders that several runs may want at once; a run that dies lets go of its own."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sound_diffusion.errors import RunFolderError

if TYPE_CHECKING:
    from filelock import FileLock

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"
LONGEST_NOTE = 4096  # bytes
POLL_SECONDS = 0.5
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # of some network drives


@contextlib.contextmanager
def hold(folder: Path, *, wait: bool, announce: bool = True, name: str = LOCK_NAME) -> Iterator[None]:
    """Keep other runs out of a folder for the length of a block.

    Parameters
    ----------
    folder : Path
        It exists. The lock is one of the operating system on a file in it, which also holds on network drives
        that know locks; the file goes when the block is done.
    wait : bool
        Whether to wait for a run that is at work there.
    announce : bool
        Whether to say so when it waits, and when the folder cannot be locked: for what takes its time.
    name : str
        Of the file: several things in a folder may have locks of their own.

    Raises
    ------
    RunFolderError
        If another run is at work there and `wait` is False, with its process, host and beginning.
    """
    from filelock import Timeout

    path = folder / name
    lock = _lock(path)
    try:
        lock.acquire()
    except Timeout:
        if not wait:
            raise at_work(folder, _owner(path)) from None
        if announce:
            logger.warning("%s: waiting for %s", folder, _owner(path))
        lock.acquire(timeout=-1)
    except OSError as error:  # a folder that cannot be written is met again when the first file is
        if announce and error.errno in NO_LOCKS:
            logger.warning("%s: cannot be locked; do not start the same film twice at once", folder)
    try:
        yield
    finally:
        _release(lock, path)


def holder(path: Path) -> str | None:
    """Say which other process holds the lock of a file; None where none does, and the file goes."""
    from filelock import Timeout

    lock = _lock(path)
    try:
        lock.acquire()
    except Timeout:
        return _owner(path)
    except OSError:
        return None
    _release(lock, path)
    return None


def at_work(folder: Path, owner: str) -> RunFolderError:
    """Make the error of a folder in which another run is at work."""
    return RunFolderError(
        f"{folder}: {owner} is at work there",
        remedy="use --wait to begin when it is done, or another --outdir",
    )


def _lock(path: Path) -> FileLock:
    from filelock import FileLock

    return FileLock(path, timeout=0, poll_interval=POLL_SECONDS, fallback_to_soft=False, on_acquired=_sign)


def _release(lock: FileLock, path: Path) -> None:
    """Let go of a lock and remove its file; a run that has opened the file meanwhile opens a new one."""
    if not lock.is_locked:
        return
    if os.name == "posix":
        path.unlink(missing_ok=True)
        lock.release()
    else:  # a file that is open cannot be removed
        lock.release()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _sign(number: int) -> None:
    """Write into the lock's file who holds it."""
    import socket

    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):  # the lock holds without it
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        os.write(number, json.dumps(note).encode())


def _owner(path: Path) -> str:
    """Say who holds a lock."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        with path.open("rb") as file:
            note = json.loads(file.read(LONGEST_NOTE))
        return f"process {note['pid']} on {note['host']} (since {note['since']})"
    return "another run"
