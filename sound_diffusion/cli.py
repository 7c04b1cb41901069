"""What the scripts share: from flags to options, from an error to a line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from sound_diffusion import __version__
from sound_diffusion.errors import FailedInputsError, OutOfMemoryError, ParameterError, SoundDiffusionError
from sound_diffusion.formulas.expressions import nearest
from sound_diffusion.installation import as_typed
from sound_diffusion.options import SCRIPTS, Option, Options, options_of, path_flag
from sound_diffusion.options.declaration import FORMULA, check_needs
from sound_diffusion.options.reading import read_text
from sound_diffusion.processes import Processes, join, warn_of_lone_launch
from sound_diffusion.streams import (
    EXIT_INTERRUPTED,
    EXIT_READER_GONE,
    Results,
    interruptible,
    prepare_streams,
)

WRONG_PATHS = {errno.ENAMETOOLONG: "the path of a file", errno.EACCES: "a path that may be read"}
AnyOptions = TypeVar("AnyOptions", bound=Options)


class Parser(argparse.ArgumentParser, Generic[AnyOptions]):
    """A parser of the options that a dataclass declares. ``-`` and ``_`` are the same; errors are exceptions.

    Parameters
    ----------
    declared : type
        A subclass of :class:`~sound_diffusion.options.Options`.
    description : str, optional
    """

    def __init__(self, declared: type[AnyOptions], description: str | None = None) -> None:
        super().__init__(
            prog=as_typed(declared.script),
            description=None if description is None else as_typed(description),
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version=f"Sound Diffusion {__version__}")
        self.declared = declared
        self._words: list[str] = []
        formulas = (each.flags for each in options_of(declared) if each.metavar == FORMULA)
        self._formulas = {flag for flags in formulas for flag in flags}
        groups: dict[str, Any] = {"": self}
        for option in options_of(declared):
            if option.group not in groups:
                groups[option.group] = self.add_argument_group(option.group)
            _add_flags(groups[option.group], option)

    def read(self, words: Sequence[str]) -> AnyOptions:
        """Read the words of a command line; ParameterError where they cannot be options."""
        self._words = self._as_declared(words)
        known, unknown = self.parse_known_args(self._words)
        if unknown:
            whose = _whose(unknown) or self._meant(unknown[0].partition("=")[0])
            self.error(f"unrecognized arguments: {' '.join(unknown)}{whose}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in vars(known).items()
        }
        options = self.declared(**values)
        check_needs(options)
        return options

    def _meant(self, word: str) -> str:
        """Say which flag a wrong word may have meant: by what it sets, by its spelling, or that of a file."""
        if not word.startswith("-"):
            flag = path_flag(self.declared)
            return f" (write {flag} {word})" if flag and Path(word).exists() else ""
        bare = _dashed(word).lstrip("-").lower()
        declared = options_of(self.declared)
        named = [each.flag for each in declared if bare in (_dashed(each.name), each.entry)]
        within = [flag for each in declared for flag in each.flags if len(bare) > 2 and bare in _dashed(flag)]
        flags = named or within
        like = f"did you mean {flags[0]}?" if flags else nearest(word, list(self._option_string_actions))
        return f" ({like})" if like else ""

    def _as_declared(self, words: Sequence[str]) -> list[str]:
        """Write every flag as it was declared."""
        declared = {_dashed(name): name for name in self._option_string_actions}
        written: list[str] = []
        for word in words:
            flag, equals, value = word.partition("=")
            if written and written[-1] in self._formulas and re.match(r"-(?!-)", word):
                written[-1] += f"={word}"  # -2*sin(t) is no flag
            else:
                is_flag = flag.startswith("--")
                written.append(declared.get(_dashed(flag), flag) + equals + value if is_flag else word)
        return written

    def error(self, message: str) -> NoReturn:
        """Raise ParameterError instead of printing the usage and leaving the process."""
        message = message.replace("ignored explicit argument", "it takes no value, and was given")
        # As from a glob: `--prompt *.wav` in a folder that has a `-intro.wav`.
        dashed = next((word for word in self._words if word.startswith("-") and Path(word).is_file()), None)
        flag = path_flag(self.declared)
        if dashed is None or not flag:
            raise ParameterError(message, remedy=f"see {self.prog} --help")
        raise ParameterError(
            f"{dashed}: a file whose name begins with a dash is taken for a flag",
            remedy=f"write ./{dashed} or {flag}={dashed}",
        )


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults where there are any, and the description as it was written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or isinstance(action.default, bool | list):
            return action.help
        return super()._get_help_string(action)


def _add_flags(group: Any, option: Option) -> None:
    """Add the flags of an option to a parser or a group of it."""
    details: dict[str, Any] = {"dest": option.name, "default": option.default, "help": option.description}
    if option.kind is bool:
        details["action"] = argparse.BooleanOptionalAction if option.default else "store_true"
    else:
        details["type"] = _reader(option)
        details |= {"choices": option.choices} if option.choices else {"metavar": option.metavar}
        details |= {"nargs": "+", "action": "extend", "default": []} if option.many else {}
    group.add_argument(*option.flags, **details)
    for flag, value in option.constants:
        meaning = f"{option.flag} {value}"
        group.add_argument(
            flag, dest=option.name, action="store_const", const=value, default=argparse.SUPPRESS, help=meaning
        )


def _reader(option: Option) -> Callable[[str], Any]:
    """Let argparse name the flag beside what is wrong with its text."""

    @functools.wraps(option.kind)
    def read(text: str) -> Any:
        try:
            return read_text(option, text)
        except ParameterError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(option.flag).lstrip(": ")) from error

    return read


def _dashed(flag: str) -> str:
    return flag.replace("_", "-")


def _whose(words: Sequence[str]) -> str:
    """Say which script would know the first of the words, if another one does."""
    first = _dashed(words[0].partition("=")[0])
    scripts = [
        as_typed(declared.script)
        for declared in SCRIPTS
        if any(first == _dashed(flag) for option in options_of(declared) for flag in option.flags)
    ]
    return f" (a flag of {' and '.join(scripts)})" if scripts else ""


def run(
    work: Callable[[AnyOptions], Iterator[str]],
    declared: type[AnyOptions],
    description: str | None,
    argv: Sequence[str] | None,
) -> int:
    """Run a script: print what it yields to stdout, turn errors into one line on stderr and an exit status.

    Parameters
    ----------
    work : callable
        Takes the options and yields lines for stdout.
    declared : type
        The options: a subclass of :class:`~sound_diffusion.options.Options`.
    description : str
        For the help text.
    argv : sequence of str, optional
        The words after the script's name. If None, those of the process.

    Returns
    -------
    exit_code : int
        0 done; 1 something failed; 2 the request or its input is wrong; 130 interrupted; 141 the reader of
        stdout has gone.
    """
    with interruptible() as interruption:
        words = list(sys.argv[1:] if argv is None else argv)
        prog, debug, results = as_typed(declared.script), "--debug" in words, Results()
        processes = Processes()
        try:
            prepare_streams()
            processes = join()
            options = _read(Parser(declared, description), words, results)
            options = replace(
                options,
                shard=options.shard.divided(processes.index, processes.count),
                quiet=options.quiet or not processes.is_main,
            )
            with _messages(prog, processes, debug=debug, quiet="--quiet" in words):
                warn_of_lone_launch()
                for line in work(options):
                    if processes.first_to_say(line):
                        _write_beside_bar(results, line)
                    if interruption.came:  # and a library has swallowed it
                        raise KeyboardInterrupt
            results.check()
            code = 0
        except KeyboardInterrupt as interrupt:
            return _report_interruption(prog, processes, str(interrupt))
        except BrokenPipeError:
            return EXIT_READER_GONE
        except Exception as error:
            if interruption.came:
                return _report_interruption(prog, processes)
            if debug:
                raise
            code = _report_error(prog, error, processes)
        return code if processes.wait() else EXIT_INTERRUPTED


def _report_interruption(prog: str, processes: Processes, words: str = "") -> int:
    if processes.is_main:
        _report(prog, words or "interrupted")
    return EXIT_INTERRUPTED


def _read(parser: Parser[AnyOptions], words: Sequence[str], results: Results) -> AnyOptions:
    try:
        return parser.read(parser.declared.expand(words))
    except SystemExit:  # --help or --version has been printed, maybe not to its end
        results.write()
        results.check()
        raise


def _write_beside_bar(results: Results, line: str) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stdout):  # a bar on the same terminal makes way for the line
        results.write(line)


def _report_error(prog: str, error: Exception, processes: Processes) -> int:
    """Write an error to stderr and return its exit status."""
    if isinstance(error, OSError) and error.filename and error.errno in WRONG_PATHS:  # of whatever flag
        error = ParameterError(f"{error.filename}: {error.strerror}", WRONG_PATHS[error.errno])
    if isinstance(error, MemoryError):
        error = OutOfMemoryError("the memory of this machine does not suffice", remedy="ask for less at once")
    if not isinstance(error, SoundDiffusionError):
        _report(prog, f"{type(error).__name__}: {error} (a defect of the program; --debug shows where)")
        return 1
    for each in error.errors if isinstance(error, FailedInputsError) else [error]:
        if processes.first_to_say(str(each)):
            _report(prog, str(each))
    return error.exit_code


def _report(prog: str, message: str) -> None:
    print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


@contextlib.contextmanager
def _messages(prog: str, processes: Processes, *, debug: bool, quiet: bool) -> Iterator[None]:
    """Show this program's warnings on stderr, and those of the libraries only for debugging."""
    logger = logging.getLogger("sound_diffusion")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{prog}: %(levelname)s: %(message)s"))
    handler.addFilter(lambda record: processes.first_to_say(record.getMessage()))
    level = logger.level
    logger.addHandler(handler)
    # Where no handler is, Python writes what any library logs to stderr by itself.
    nothing = logging.NullHandler()
    logging.root.addHandler(nothing)
    logger.setLevel(logging.DEBUG if debug else logging.ERROR if quiet else logging.WARNING)
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(handler)
        logging.root.removeHandler(nothing)
        logger.setLevel(level)
