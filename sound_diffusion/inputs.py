"""What a run works on: the sounds that it is given, one after the other, also when some of them are bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from sound_diffusion.errors import (
    AudioError,
    EmbeddingError,
    FailedInputsError,
    PaintingError,
    ParameterError,
    RunFolderError,
    SoundDiffusionError,
    VideoError,
)

__all__ = ["each_input", "find_sounds"]

SOUND_SUFFIXES = frozenset(
    {".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mka", ".mkv", ".mov", ".mp3", ".mp4"}
    | {".mpeg", ".mpg", ".oga", ".ogg", ".opus", ".w64", ".wav", ".webm", ".wma"}
)
Input = TypeVar("Input")
Output = TypeVar("Output")


def find_sounds(
    paths: Iterable[Path], folder: Path | None = None, list_file: Path | None = None
) -> list[Path]:
    """Gather sounds from the command line, a folder and a list.

    Parameters
    ----------
    paths : iterable of Path
        Files that were named.
    folder : Path, optional
        Its files with the suffix of a sound, in alphabetical order.
    list_file : Path, optional
        A text file with a path on each line.

    Returns
    -------
    sounds : list of Path
        At least one.

    Raises
    ------
    ParameterError
        If there is none, or folder or list cannot be read.
    """
    sounds = list(paths)
    if folder is not None:
        if not folder.is_dir():
            raise ParameterError(f"--input_folder {folder}: not a folder", "a folder of sounds")
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SOUND_SUFFIXES and p.is_file())
        if not found:
            raise ParameterError(
                f"--input_folder {folder}: no sound in it", "files such as .wav, .flac or .mp3"
            )
        sounds += found
    if list_file is not None:
        try:
            lines = list_file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(
                f"--from-file {list_file}: cannot be read ({error})", "a text file"
            ) from error
        sounds += [Path(line.strip()) for line in lines if line.strip()]
    if not sounds:
        raise ParameterError("no sound was given", "the path of at least one")
    return sounds


def each_input(inputs: Sequence[Input], work: Callable[[Input], Iterator[Output]]) -> Iterator[Output]:
    """Work on every input, and name those that failed at the end.

    Parameters
    ----------
    inputs : sequence
    work : callable
        Yields the results of one input.

    Yields
    ------
    result
        What `work` yields.

    Raises
    ------
    FailedInputsError
        At the end, if some inputs could not be used. Errors that would meet the other inputs too, such as a
        missing model or a full disk, are raised at once.
    """
    failures: list[SoundDiffusionError] = []
    for each in inputs:
        try:
            yield from work(each)
        except (AudioError, EmbeddingError, PaintingError, RunFolderError, VideoError) as error:
            failures.append(error)
    if failures:
        raise FailedInputsError(failures)
