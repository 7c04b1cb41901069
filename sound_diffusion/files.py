"""Results on disk: names and numbers, and writes that are all or nothing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sound_diffusion.errors import OutputError, SoundDiffusionError, reason_of
from sound_diffusion.locks import hold
from sound_diffusion.recipe import png_chunks, read_recipe

if TYPE_CHECKING:
    from PIL import Image

PART_SUFFIX = ".part"  # of files that are not whole yet
# Bytes of a name; file systems take 255. What is added to it ("-preview", ".in-progress.mp4") has the rest.
LONGEST_NAME = 200
# What the system says of a place that was the wrong one to ask for; all else happened on the way.
WRONG_PLACES = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL),
}
PICTURE_NUMBER = re.compile(r"(\d{5,})\.png")
COMPRESSION = {"compress_level": 1, "compress_type": zlib.Z_HUFFMAN_ONLY}
"""Of PNG: what its filters leave of a picture hardly repeats, so that to look for repetitions is in vain."""


def run_name(path: Path) -> str:
    """Name the results of a sound: its file name without the suffix, shortened where it is very long."""
    return shortened(path.stem, LONGEST_NAME) if path.stem not in ("", ".", "..") else "sound"


def shortened(name: str, n_bytes: int) -> str:
    """Cut a name to a number of bytes, between letters; names that differ stay different.

    Parameters
    ----------
    name : str
        A file name, or the part of one; it may hold bytes that are no text, as Python reads them.
    n_bytes : int
        At least 10.

    Returns
    -------
    name : str
        `name` itself where it is short enough, else its beginning and eight digits that depend on all of it.
    """
    whole = os.fsencode(name)
    if len(whole) <= n_bytes:
        return name
    digest = hashlib.sha256(whole).hexdigest()[:8]
    return f"{whole[: n_bytes - 9].decode(errors='ignore').rstrip()}-{digest}"


def text_name(text: str) -> str:
    """Name the results of a text: its letters and digits, the first of them."""
    return re.sub(r"[\W_]+", "-", text).strip("-")[:60].strip("-") or "text"


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, or raise OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        is_file = isinstance(error, FileExistsError)
        raise output_error(folder, _refusal(errno.ENOTDIR) if is_file else error) from error


def check_place(folder: Path, flag: str = "--outdir") -> None:
    """Raise OutputError unless a folder, the value of a flag, can be written to, or made; nothing is made."""
    with _named(flag, folder):
        _try_to_write(folder)


def check_name(path: Path, flag: str) -> None:
    """Raise OutputError unless a file of this name, the value of a flag, can be written; nothing is made."""
    with _named(flag, path):
        _try_to_write(path.parent)
        _check_names(path)
        if path.is_dir():
            raise _refusal(errno.EISDIR)


def _try_to_write(folder: Path) -> None:
    """Raise OSError or ValueError where nothing can be written, whatever the permissions say."""
    there = _check_names(folder)
    if not there.is_dir():
        raise _refusal(errno.ENOTDIR)
    with tempfile.TemporaryFile(dir=there):
        pass


def _refusal(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _check_names(path: Path) -> Path:
    """Raise OSError or ValueError for names that the file system does not take; return what is there."""
    path = path.absolute()
    there = next((place for place in (path, *path.parents) if os.path.lexists(place)), path)
    for place in (path, *(there / name for name in path.relative_to(there).parts)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            place.lstat()
    return there


@contextlib.contextmanager
def _named(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise output_error(path, error, flag) from error


@contextlib.contextmanager
def write_atomically(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when it is whole.

    Parameters
    ----------
    path : Path
        The name it gets at the end. Its folder is made when it is missing.
    overwrite : bool
        Whether a file of that name is replaced. If not, FileExistsError is raised at the end.

    Yields
    ------
    file : binary file
        A hidden file beside `path`; it is removed if the block fails.

    Raises
    ------
    OutputError
        If the folder or the file cannot be written.
    FileExistsError
        If the file is there and `overwrite` is False.
    """
    with whole_file(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        yield file


@contextlib.contextmanager
def whole_file(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """As :func:`write_atomically`, for a program that wants a name to write to.

    Yields
    ------
    temporary : Path
        A hidden, empty file beside `path`.
    """
    make_folder(path.parent)
    name = f".{shortened(path.name, LONGEST_NAME)}.{secrets.token_hex(4)}{PART_SUFFIX}"
    temporary = path.with_name(name)
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        if overwrite:
            temporary.replace(path)
        else:
            _rename_to_new(temporary, path)
    except (FileExistsError, SoundDiffusionError):
        raise
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def remove_parts(folder: Path) -> None:
    """Remove what writes that were killed have left in a folder."""
    for path in folder.glob(f".*{PART_SUFFIX}"):
        remove_file(path)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error


def _rename_to_new(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: one after the other looks whether the name is free.
        with hold(path.parent, wait=True, announce=False):
            if path.exists():
                raise FileExistsError(path) from None
            temporary.replace(path)


def output_error(path: Path, error: OSError | ValueError, flag: str = "") -> OutputError:
    """Say that a path cannot be written; where it was the wrong one to ask for, the exit code is 2.

    Parameters
    ----------
    path : Path
    error : OSError or ValueError
        What was met.
    flag : str
        The one that has named the path, where that is known.
    """
    number = getattr(error, "errno", None) or 0
    remedies = {errno.ENOSPC: "free some space", errno.ENAMETOOLONG: "choose a shorter name"}
    remedy = f"choose another {flag}, or check" if flag else "check --outdir and"
    return OutputError(
        f"{flag} {path}: cannot be written ({reason_of(error)})".lstrip(),
        remedy=remedies.get(number, f"{remedy} its permissions"),
        exit_code=2 if number in WRONG_PLACES or isinstance(error, ValueError) else 1,
    )


def save_picture(picture: Image.Image, folder: Path, recipe: Mapping[str, Any], prefix: str = "") -> Path:
    """Save a picture as the next number in a folder, with its recipe inside.

    Parameters
    ----------
    picture : PIL.Image.Image
    folder : Path
        Made when it is missing. The number follows the highest one in it, also when several programs
        write to the same folder.
    recipe : mapping
        All that is needed to make the picture again, in JSON types.
    prefix : str
        Goes before the number, as in ``grid-00000.png``.

    Returns
    -------
    path : Path

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    make_folder(folder)
    numbered = re.compile(re.escape(prefix) + PICTURE_NUMBER.pattern)
    taken = [int(match[1]) for path in folder.iterdir() if (match := numbered.fullmatch(path.name))]
    number = max(taken, default=-1) + 1
    while True:
        path = folder / f"{prefix}{number:05d}.png"
        try:
            with write_atomically(path, overwrite=False) as file:
                write_png(picture, file, recipe)
        except FileExistsError:
            number += 1
        else:
            return path


def write_png(picture: Image.Image, file: IO[bytes], recipe: Mapping[str, Any]) -> None:
    """Write a picture as PNG with its recipe inside."""
    picture.save(file, format="PNG", pnginfo=png_chunks(recipe), **COMPRESSION)


def write_array(array: npt.NDArray[Any], file: IO[bytes]) -> None:
    """Write an array as numpy.save does, whose own errors in writing a file do not say why."""
    written = io.BytesIO()
    np.save(written, array)
    file.write(written.getbuffer())


def recipes_in(folder: Path) -> dict[Path, dict[str, Any]]:
    """Return the recipes of the numbered pictures in a folder; files without one are passed over."""
    recipes = {}
    for path in sorted(folder.glob("*.png")) if folder.is_dir() else []:
        if PICTURE_NUMBER.fullmatch(path.name):
            with contextlib.suppress(OutputError):
                recipes[path] = read_recipe(path)
    return recipes
