"""Errors that reach the user: what was found, what was expected, what to do.

Every error of this package derives from :class:`SoundDiffusionError`. A kind of error is also
the builtin exception it resembles, so that ``except ValueError`` works as a reader would guess.
"""

from __future__ import annotations


class SoundDiffusionError(Exception):
    """Root of all errors of this package.

    Parameters
    ----------
    found : str
        The value that was met, with the name of the flag or file it belongs to.
    expected : str, optional
        What would have been right.
    remedy : str, optional
        What the user can do about it.
    exit_code : int, optional
        If it is another one than that of its kind.

    Attributes
    ----------
    exit_code : int
        Exit status of a script that ends with this error: 1, something failed while running;
        2, the request or its input is wrong, or names a place that cannot be read or written.
    """

    exit_code = 1

    def __init__(
        self, found: str, expected: str = "", remedy: str = "", *, exit_code: int | None = None
    ) -> None:
        super().__init__(found, expected, remedy)
        self.exit_code = exit_code or self.exit_code
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        message = self.found
        if self.expected:
            message += f" (expected {self.expected})"
        if self.remedy:
            message += f"; {self.remedy}"
        return " ".join(message.split())


def shorten(text: str) -> str:
    """Return a text as an error message shows it, on one line and with 50 characters at most."""
    words = " ".join(text.split()) if len(text) < 1000 else text[:60]
    return words if len(words) <= 50 else f"{words[:47]}..."


def reason_of(error: BaseException) -> str:
    """Say in one line what an error of another library or of the system says, without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


class ParameterError(SoundDiffusionError, ValueError):
    """A flag or an argument has a value that cannot be used."""

    exit_code = 2


class AudioError(SoundDiffusionError, ValueError):
    """A sound cannot be read, or holds nothing that can be painted."""

    exit_code = 2


class EmbeddingError(SoundDiffusionError, ValueError):
    """A matrix cannot stand in for an encoded prompt: wrong shape, dtype or values."""

    exit_code = 2


class ModelError(SoundDiffusionError, ValueError):
    """A model cannot be found, is not of a kind that can be used, or is refused as unsafe."""

    exit_code = 2


class PaintingError(SoundDiffusionError, RuntimeError):
    """The model ran and gave no usable picture."""


class OutOfMemoryError(PaintingError):
    """The memory of the device does not suffice."""


class VideoError(SoundDiffusionError, RuntimeError):
    """A film could not be written."""


class OutputError(SoundDiffusionError, OSError):
    """A result could not be written, or a run folder holds something else."""


class RunFolderError(OutputError):
    """The run folder of a film holds the frames of another request."""

    exit_code = 2


class FailedInputsError(SoundDiffusionError, ValueError):
    """Some of several inputs failed; the others are done.

    Parameters
    ----------
    errors : list of SoundDiffusionError
        One for each input that failed, at least one.
    """

    def __init__(self, errors: list[SoundDiffusionError]) -> None:
        super().__init__("; ".join(map(str, errors)), exit_code=errors[0].exit_code)
        self.errors = errors
