"""Sources: what a picture is made of. A sound, a matrix from a file, or words alone; decided once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from sound_diffusion.files import run_name, text_name
from sound_diffusion.inputs import find_sounds
from sound_diffusion.model.defaults import ModelDefaults
from sound_diffusion.options import MATRIX_SUFFIX, Options, PictureOptions, path_flag
from sound_diffusion.recipe import file_entries
from sound_diffusion.sound.audio import check_sound_file, load_audio, stream_audio
from sound_diffusion.sound.embeddings import check_embedding, load_embedding
from sound_diffusion.sound.features import extract
from sound_diffusion.typing import FloatArray


@dataclass(frozen=True)
class Heard:
    """What was read of a source, before a model is loaded.

    Attributes
    ----------
    samples : np.ndarray [shape=(n,), dtype=float32] or None
        At 44,100 Hz. None where there is no sound.
    matrix : callable or None
        ``matrix(columns)`` gives the feature, unscaled: (77, columns). None for words alone.
    """

    samples: FloatArray | None = None
    matrix: Callable[[int], FloatArray] | None = None


@dataclass(frozen=True)
class FileSource:
    """A file that stands for a sound. All sources have these methods.

    ``name`` is that of the folder of its pictures. ``entries`` returns its part of a recipe, in JSON types,
    and is an error if there is no such file. ``read`` takes the columns that the model expects, where that
    is known.
    """

    path: Path
    options: Options

    @property
    def name(self) -> str:
        """Its file name without the suffix."""
        return run_name(self.path)


class SoundSource(FileSource):
    """A sound file, and how it is heard."""

    def entries(self, defaults: ModelDefaults) -> dict[str, Any]:
        """Return the file, and the scaling of its feature."""
        check_sound_file(self.path)
        scaling = defaults.scaling_for(self.options.feature, self.options.scaling)
        return file_entries("sound", self.path) | {"scaling": scaling}

    def read(self, columns: int | None = None) -> Heard:
        """Read all of it into memory."""
        samples = load_audio(self.path, offset=self.options.offset, duration=self.options.duration)
        return Heard(samples, partial(extract, samples, self.options.feature))

    def stream(self, *, warn: bool = True) -> Iterator[FloatArray]:
        """Read it block by block; with `warn`, say what is missing of it."""
        options = self.options
        return stream_audio(self.path, offset=options.offset, duration=options.duration, warn=warn)


class MatrixSource(FileSource):
    """A .npy file with an embedding, (77, D). It is painted as it is, unless a scaling is asked for."""

    def entries(self, defaults: ModelDefaults) -> dict[str, Any]:
        """Return the file, which stands in the place of a sound and its feature."""
        check_sound_file(self.path)
        scaling = "none" if self.options.scaling == "auto" else self.options.scaling
        return file_entries("sound", self.path) | {"feature": "embedding", "scaling": scaling}

    def read(self, columns: int | None) -> Heard:
        """Read it, and check that it suits the model."""
        matrix = load_embedding(self.path, columns)
        return Heard(None, partial(check_embedding, matrix, name=str(self.path)))


@dataclass(frozen=True)
class TextSource:
    """The words of the options alone."""

    options: Options

    @property
    def name(self) -> str:
        """The first words."""
        return text_name(self.options.textprompt or "")

    def entries(self, defaults: ModelDefaults) -> dict[str, Any]:
        """Return that there is no sound."""
        scaling = defaults.scaling_for(self.options.feature, self.options.scaling)
        return file_entries("sound", None) | {"feature": "text", "scaling": scaling}

    def read(self, columns: int | None) -> Heard:
        """There is nothing to read."""
        return Heard()


Source: TypeAlias = SoundSource | MatrixSource | TextSource
"""What a picture is made of."""


def find_sources(options: PictureOptions) -> list[Source]:
    """Gather what the options name, at least one; words alone where there are words and nothing else."""
    if options.words_alone:
        return [TextSource(options)]
    paths = find_sounds(options.paths, options.input_folder, options.from_file, flag=path_flag(type(options)))
    return [
        MatrixSource(path, options) if path.suffix.lower() == MATRIX_SUFFIX else SoundSource(path, options)
        for path in paths
    ]
