"""What both scripts share: flags, messages, and the way from an error to an exit status."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from sound_diffusion.errors import FailedInputsError, ParameterError, SoundDiffusionError
from sound_diffusion.installation import as_typed
from sound_diffusion.streams import (
    EXIT_INTERRUPTED,
    EXIT_READER_GONE,
    Results,
    interruptible,
    leave,
    prepare_streams,
)

if TYPE_CHECKING:
    from tqdm import tqdm

    from sound_diffusion.words import Words

__all__ = ["Parser", "ProgressBar", "add_shared_flags", "leave", "run", "shared_options"]


class Parser(argparse.ArgumentParser):
    """An argument parser in which ``-`` and ``_`` are the same, and whose errors are exceptions."""

    def __init__(self, description: str | None, script: str | None = None) -> None:
        super().__init__(
            prog=None if script is None else as_typed(Path(script).name),
            description=None if description is None else as_typed(description),
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        self._words: list[str] = []

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse `args` after writing every flag as it was declared."""
        declared = {name.replace("_", "-"): name for name in self._option_string_actions}
        words = list(sys.argv[1:] if args is None else args)
        for index, word in enumerate(words):
            if word == "--":
                break
            flag, equals, value = word.partition("=")
            if flag.startswith("--"):
                words[index] = declared.get(flag.replace("_", "-"), flag) + equals + value
        self._words = words
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise ParameterError instead of printing the usage and leaving the process."""
        # As from a glob: `--prompt *.wav` in a folder that has a `-intro.wav`.
        dashed = next((word for word in self._words if word.startswith("-") and Path(word).is_file()), None)
        if dashed is None:
            raise ParameterError(message, remedy=f"see {self.prog} --help")
        flag = next(action.option_strings[0] for action in self._actions if action.nargs == "+")
        raise ParameterError(
            f"{dashed}: a file whose name begins with a dash is taken for a flag",
            remedy=f"write ./{dashed} or {flag}={dashed}",
        )


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults where there are any, and the description as it was written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default is True:
            return action.help
        return super()._get_help_string(action)


def add_shared_flags(parser: Parser) -> None:
    """Declare the flags that :func:`shared_options` reads, and those about messages."""
    _add_sound_flags(parser)
    _add_text_flags(parser)
    _add_model_flags(parser)
    messages = parser.add_argument_group("messages")
    messages.add_argument("--quiet", action="store_true", help="print no progress and no warnings")
    messages.add_argument("--debug", action="store_true", help="show tracebacks and library messages")


def _add_sound_flags(parser: Parser) -> None:
    """Declare the flags that say which part of a sound is used, and how."""
    from sound_diffusion.sound.embeddings import SCALINGS
    from sound_diffusion.sound.features import FEATURES

    group = parser.add_argument_group("sound")
    described = "; ".join(f"{feature.name}: {feature.description}" for feature in FEATURES.values())
    group.add_argument("--feature", choices=list(FEATURES), default="fft", help=described)
    group.add_argument(
        "--scaling",
        choices=["auto", *SCALINGS],
        default="auto",
        help="scaling of the feature; auto: the model's",
    )
    group.add_argument("--offset", type=float, default=0.0, metavar="SECONDS", help="skip the beginning")
    group.add_argument(
        "--duration", type=float, metavar="SECONDS", help="use no more than this (default: all)"
    )


def _add_text_flags(parser: Parser) -> None:
    """Declare the flags that bring words in."""
    group = parser.add_argument_group("text")
    group.add_argument("--textprompt", metavar="TEXT", help="words beside the sound, or alone for a picture")
    group.add_argument("--textpromptend", metavar="TEXT", help="the words at the end of a film")
    group.add_argument(
        "--text-weight",
        type=float,
        help="0: the sound alone; 1: the text alone (default: 0.5 beside a sound)",
    )
    group.add_argument(
        "--textstrength", type=float, help="instead: text + sound / this, the sound on the range of the text"
    )


def _add_model_flags(parser: Parser) -> None:
    """Declare the flags that choose the model and how it paints."""
    from sound_diffusion.model.find import DEVICES, PRECISIONS, SAMPLERS

    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        "--ckpt",
        default="auto",
        help="a folder in models/, a diffusers folder, a .ckpt or .safetensors file, or a hub id",
    )
    group.add_argument("--vae", type=Path, metavar="FILE", help="a VAE that replaces the model's own")
    group.add_argument("--lora", type=Path, metavar="FILE", help="a LoRA that is added to the model")
    group.add_argument("--lora-strength", type=float, default=1.0, help="how much of the LoRA is added")
    group.add_argument("--low-memory", action="store_true", help="trade speed for memory")
    group.add_argument("--safety-checker", action="store_true", help="make pictures black that it flags")
    group.add_argument("--device", choices=DEVICES, default="auto", help="where it runs")
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="full: float32; autocast: half precision; auto: what suits device and model",
    )
    group.add_argument("--ddim_steps", type=int, metavar="N", help="denoising steps (default: the model's)")
    group.add_argument(
        "--scheduler",
        choices=list(SAMPLERS),
        help="how noise is removed (default: the model's, mostly ddim)",
    )
    group.add_argument(
        "--plms", dest="scheduler", action="store_const", const="plms", help="--scheduler plms"
    )
    group.add_argument("--ddim_eta", type=float, default=0.0, help="0: deterministic DDIM; 1: DDPM")
    group.add_argument("--scale", type=float, help="scale of classifier-free guidance (default: the model's)")
    group.add_argument("--H", type=int, metavar="PIXELS", help="height (default: the model's)")
    group.add_argument("--W", type=int, metavar="PIXELS", help="width (default: the model's)")
    group.add_argument("--seed", type=int, default=42, help="seed of the noise that becomes the picture")
    group.add_argument("--init-img", type=Path, metavar="PICTURE", help="a picture to start from")


def shared_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the flags that both scripts have as fields of :class:`sound_diffusion.requests.Request`."""
    return {
        "feature": args.feature,
        "scaling": args.scaling,
        "offset": args.offset,
        "duration": args.duration,
        "model": args.model,
        "device": args.device,
        "precision": args.precision,
        "steps": args.ddim_steps,
        "guidance": args.scale,
        "height": args.H,
        "width": args.W,
        "vae": args.vae,
        "lora": args.lora,
        "lora_strength": args.lora_strength,
        "low_memory": args.low_memory,
        "safety_checker": args.safety_checker,
        "words": _words(args),
        "sampler": args.scheduler,
        "eta": args.ddim_eta,
        "strength": args.strength,
        "seed": args.seed,
        "init_image": args.init_img,
    }


def _words(args: argparse.Namespace) -> Words | None:
    from sound_diffusion.words import Words

    if args.textprompt is not None:
        return Words(args.textprompt, args.textpromptend, args.text_weight, args.textstrength)
    for flag in ("textpromptend", "text_weight", "textstrength"):
        if getattr(args, flag) is not None:
            raise ParameterError(f"--{flag.replace('_', '-')} alone", "--textprompt as well")
    return None


def run(
    work: Callable[[argparse.Namespace], Iterator[str]],
    build_parser: Callable[[], Parser],
    argv: Sequence[str] | None,
) -> int:
    """Run a script: print what it yields to stdout, turn errors into one line on stderr and an exit status.

    Parameters
    ----------
    work : callable
        Takes the parsed flags and yields lines for stdout.
    build_parser : callable
        Declares the flags.
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
        prog, debug, results = Path(sys.argv[0]).name, "--debug" in words, Results()
        try:
            prepare_streams()
            parser = build_parser()
            prog = parser.prog
            args = _parse(parser, words, results)
            with _messages(prog, debug=debug, quiet="--quiet" in words):
                for line in work(args):
                    _write_beside_bar(results, line)
                    if interruption.came:  # and a library has swallowed it
                        raise KeyboardInterrupt
            results.check()
        except KeyboardInterrupt as interrupt:
            _report(prog, str(interrupt) or "interrupted")
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            return EXIT_READER_GONE
        except Exception as error:
            if interruption.came:
                _report(prog, "interrupted")
                return EXIT_INTERRUPTED
            if debug:
                raise
            return _report_error(prog, error)
    return 0


class ProgressBar:
    """One bar on stderr that appears with the first work, so that an early error stands alone.

    Parameters
    ----------
    total : int
        Units of work.
    unit : str
        What one of them is called.
    quiet : bool
        Whether no bar is shown at all.
    """

    def __init__(self, total: int, unit: str, *, quiet: bool) -> None:
        self._total, self._earlier, self._unit, self._quiet = total, 0, unit, quiet
        self._bar: tqdm[NoReturn] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def extend(self, total: int, done: int) -> None:
        """Add `total` units to the work ahead, of which `done` were done in an earlier run."""
        self._total += total
        self._earlier += done
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.initial += done
            self._bar.update(done)

    def update(self, n: int = 1) -> None:
        """Show `n` more units as done; with 0 the bar appears, or starts its clock again before the first."""
        if self._quiet:
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, initial=self._earlier, unit=self._unit, dynamic_ncols=True)
        elif n == 0 and self._bar.n == self._bar.initial:
            self._bar.unpause()
        self._bar.update(n)


def _parse(parser: Parser, words: Sequence[str], results: Results) -> argparse.Namespace:
    try:
        return parser.parse_args(words)
    except SystemExit:  # --help has been printed, maybe not to its end
        results.write()
        results.check()
        raise


def _write_beside_bar(results: Results, line: str) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stdout):  # a bar on the same terminal makes way for the line
        results.write(line)


def _report_error(prog: str, error: Exception) -> int:
    """Write an error to stderr and return its exit status."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # of whatever flag
        error = ParameterError(f"{error.filename}: {error.strerror}", "the path of a file")
    if not isinstance(error, SoundDiffusionError):
        _report(prog, f"{type(error).__name__}: {error} (a defect of the program; --debug shows where)")
        return 1
    for each in error.errors if isinstance(error, FailedInputsError) else [error]:
        _report(prog, str(each))
    return error.exit_code


def _report(prog: str, message: str) -> None:
    print(f"{prog}: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


@contextlib.contextmanager
def _messages(prog: str, *, debug: bool, quiet: bool) -> Iterator[None]:
    """Show this program's warnings on stderr, and those of the libraries only for debugging."""
    logger = logging.getLogger("sound_diffusion")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{prog}: %(levelname)s: %(message)s"))
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
