"""The standard streams and Ctrl-C: how a script behaves among other programs, however it was started."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from typing import NoReturn, TextIO

from sound_diffusion.errors import OutputError

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_READER_GONE = 141  # 128 + SIGPIPE


def prepare_streams() -> None:
    """Make stdin, stdout and stderr fit to be used, before any other file is opened.

    A stream that is closed becomes the null device: the next file that is opened would take its number, and
    messages would land in that file. What cannot be written to stderr, on a full disk, is dropped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # as Python leaves it where it was closed, and under pythonw
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path goes out as the bytes that it is on disk
        encoding = "utf-8" if os.name == "nt" else None  # where the console's own cannot write every name
        sys.stdout.reconfigure(encoding=encoding, errors="surrogateescape")
    if os.name == "posix" and isinstance(sys.stderr, io.TextIOWrapper) and _number_of(sys.stderr) == 2:
        sys.stderr = io.TextIOWrapper(
            _Messages(2, "w", closefd=False),
            encoding=sys.stderr.encoding,
            errors="backslashreplace",
            write_through=True,
        )


class _Messages(io.FileIO):
    """Standard error: a message that cannot be written is no reason to lose a picture."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return len(data)


class Results:
    """The lines for stdout: where it takes no more, the work goes on, and the error comes at the end."""

    def __init__(self) -> None:
        self._error: OSError | None = None

    def write(self, line: str = "") -> None:
        """Print a line, or, without one, what is still held back.

        Raises
        ------
        BrokenPipeError
            If the reader has gone, as in ``... | head -1``.
        """
        if self._error is not None:
            return
        try:
            print(line, end="\n" if line else "", flush=True)  # noqa: T201
        except OSError as error:
            _send_stdout_nowhere()
            if isinstance(error, BrokenPipeError):
                raise
            self._error = error

    def check(self) -> None:
        """Raise OutputError if a line was lost."""
        if self._error is not None:
            raise OutputError(
                f"stdout cannot be written ({self._error.strerror})",
                remedy="what it would have named is done and saved",
            )


def _send_stdout_nowhere() -> None:
    """Let what stdout still holds back go to the null device, so that the end of the process is quiet."""
    number = _number_of(sys.stdout)
    if number is not None:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), number)


def _number_of(stream: TextIO | None) -> int | None:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return None if stream is None else stream.fileno()
    return None


class Interruption:
    """Whether Ctrl-C was pressed.

    Attributes
    ----------
    came : bool
    """

    came = False

    def handle(self, _: int, frame: types.FrameType | None) -> None:
        """Raise KeyboardInterrupt; but end the process where it is when it is pressed again, or in an import.

        Extension modules that are interrupted while they are set up abort, or say that they are damaged.
        """
        if self.came or _is_importing(frame):
            os._exit(EXIT_INTERRUPTED)
        self.came = True
        signal.default_int_handler(signal.SIGINT, frame)

    def handle_lost(self, lost: sys.UnraisableHookArgs) -> None:
        """Interrupt once more where a destructor or a callback of C has met the exception and lost it."""
        if lost.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(lost)
            return
        self.came = False
        again = threading.Timer(0.02, signal.raise_signal, [signal.SIGINT])  # here it would be lost again
        again.daemon = True
        again.start()


def _is_importing(frame: types.FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let Ctrl-C raise KeyboardInterrupt in the block, and end the process if it is pressed again.

    Yields
    ------
    interruption : Interruption
        Says afterwards whether an error came from Ctrl-C: some libraries turn it into one of their own.

    Where the process ignores SIGINT, as in the background of a shell script, or has a handler of its own,
    that stays.
    """
    interruption = Interruption()
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, interruption.handle)
    except ValueError:  # in a thread, which no signal reaches
        yield interruption
        return
    hook, sys.unraisablehook = sys.unraisablehook, interruption.handle_lost
    try:
        yield interruption
    finally:
        sys.unraisablehook = hook
        if signal.getsignal(signal.SIGINT) == interruption.handle:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def leave(code: int) -> NoReturn:
    """End the process when all is done; Ctrl-C while libraries are put away changes nothing any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)
