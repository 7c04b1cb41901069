"""What a run works on: the sounds that it is given, one after the other, also when some of them are bad."""

from __future__ import annotations

import logging
from collections import Counter
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
    reason_of,
)
from sound_diffusion.options.declaration import check_there

logger = logging.getLogger(__name__)

# Of sounds, and of films with a sound track, that the bundled ffmpeg reads.
SOUND_NAMES = """
8svx aac ac3 adts aif aifc aiff amr ape au avr awb bwf caf dsf dts eac3 flac gsm iff m4a m4b m4r mka mlp mp1
mp2 mp3 mpa mpc nist oga ogg oma opus pvf ra rf64 sds sf snd sph spx svx tak thd tta voc w64 wav wave weba
wma wv 3g2 3ga 3gp 3gpp asf avi f4v flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf nut ogm ogv ogx qt rm rmvb
ts vob webm wmv
"""
SOUND_SUFFIXES = frozenset(f".{name}" for name in SOUND_NAMES.split())
SHADOW = "._"  # what a Mac writes beside a file on a foreign disk, under the file's own suffix
Input = TypeVar("Input")
Output = TypeVar("Output")


def find_sounds(
    paths: Iterable[Path], folder: Path | None = None, list_file: Path | None = None, *, flag: str = ""
) -> list[Path]:
    """Gather sounds from the command line, a folder and a list.

    Parameters
    ----------
    paths : iterable of Path
        Files that were named.
    folder : Path, optional
        Its files with the suffix of a sound, in alphabetical order. A warning counts those that are left out.
    list_file : Path, optional
        A text file with a path on each line.
    flag : str
        That of `paths`.

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
        check_there(folder, "folder", "--input_folder")
        sounds += _sounds_in(folder)
    if list_file is not None:
        check_there(list_file, "file", "--from-file")
        try:
            lines = list_file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(
                f"--from-file {list_file}: cannot be read ({reason_of(error)})", "a text file"
            ) from error
        sounds += [Path(line.strip()) for line in lines if line.strip()]
    if not sounds:
        raise ParameterError("no sound was given", f"{flag} and the path of at least one".lstrip())
    return sounds


def _sounds_in(folder: Path) -> list[Path]:
    """Return the sounds of a folder, and say how many files are none by their names."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    named = [path for path in files if path.suffix.lower() in SOUND_SUFFIXES]
    sounds = [path for path in named if not path.name.startswith(SHADOW)]
    if not sounds:
        raise ParameterError(f"--input_folder {folder}: no sound in it", "files such as .wav, .flac or .mp3")
    left_out = Counter(
        "shadow of a Mac" if path.name.startswith(SHADOW) else path.suffix.lower() or "no suffix"
        for path in files
        if path not in set(sounds)
    )
    if left_out:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(left_out.items()))
        counts = left_out.total(), len(files)
        logger.warning("--input_folder %s: %d of %d files left out (%s)", folder, *counts, kinds)
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
