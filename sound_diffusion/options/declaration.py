"""What an option is: one declaration, from which the flag, the checks and the recipe's entry follow.

An option is a field of a frozen dataclass; the
type of the field says how a flag's text is read:

    steps: int | None = option(None, "denoising steps", "--ddim_steps", check=at_least(1))
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from sound_diffusion.errors import ParameterError, reason_of

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Takes a value and returns what was expected, and perhaps what would help; nothing where the value will do.
Check = Callable[[Any], tuple[str, ...]]
METADATA = "option"
FORMULA = "FORMULA"  # metavar of a number that may change over a film


@dataclass(frozen=True)
class Option:
    """A value that the user may set.

    Attributes
    ----------
    name : str
        The field that holds it.
    flags : tuple of str
        On the command line; messages name the first one.
    kind : callable
        ``bool``: a switch. Otherwise it makes a value of a flag's text, or raises ValueError.
    many : bool
        Whether it takes several values, each of `kind`, and may be repeated. Its value is a tuple.
    default : object
        None stands for what the model declares.
    description : str
        For the help text.
    group : str
        Heading in the help text; empty for what a script is about.
    metavar : str
        What stands for the value in the help text.
    choices : tuple of str
        All that it may be; empty where it may be anything.
    check : callable or None
        Says what is wrong with a value.
    reads : {"file", "folder", ""}
        What has to be there under the path that it names.
    label : str
        How messages name a value.
    decides : {"picture", "bytes", ""}
        ``picture``: it decides what a picture looks like. ``bytes``: it does not, but may change the last
        bits, as another device does. Both go into the recipe. Empty: neither.
    entry : str
        Its key in a recipe.
    needs : tuple of str
        Entries without which it means nothing; ``a|b`` where either of two will do.
    since : str
        The version that brought it. A recipe of an older one does without it; empty: every recipe has it.
    constants : tuple of (str, object)
        Flags without a value, such as ``--plms``, and the value that each stands for.
    """

    name: str
    flags: tuple[str, ...]
    kind: Callable[[str], Any]
    many: bool
    default: Any
    description: str
    group: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    check: Check | None = None
    reads: str = ""
    label: str = ""
    decides: str = ""
    entry: str = ""
    needs: tuple[str, ...] = ()
    since: str = ""
    constants: tuple[tuple[str, Any], ...] = ()

    @property
    def flag(self) -> str:
        """The flag by which messages name it."""
        return self.flags[0]

    @property
    def takes(self) -> str:
        """What messages say that it takes."""
        return "|".join(choice for choice in self.choices if choice != self.default) or self.metavar

    @property
    def is_file(self) -> bool:
        """Whether it names a file, which a recipe knows by its contents."""
        return self.kind is Path and not self.many

    @property
    def may_be_empty(self) -> bool:
        """Whether an empty text says something: no words. A path would be the current folder."""
        return self.metavar == "TEXT" or self.kind not in (str, Path) or bool(self.choices)

    def verify(self, value: Any) -> None:
        """Raise ParameterError unless `value` will do."""
        if value is None:
            return
        if self.choices and value not in self.choices:
            raise ParameterError(
                f"unknown {self.name.replace('_', ' ')} {value!r} ({self.flag})",
                f"one of {', '.join(self.choices)}",
            )
        if self.reads:
            check_there(value, self.reads, self.flag)
        if self.check is not None and (problem := self.check(value)):
            raise ParameterError(self.label.format(value), *problem)

    def words(self, value: Any) -> list[str]:
        """Write a value of a recipe as words of a command line; none where they would say nothing."""
        if value is None or (value == self.default and not value):
            return []
        if self.kind is bool:
            return [self.flag if value else "--no-" + self.flag.removeprefix("--")]
        if self.choices and value not in self.choices:
            return []
        # A value that begins with a dash would pass for a flag.
        texts = map(str, value if isinstance(value, list) else [value])
        pairs = ([f"{self.flag}={t}"] if t.startswith("-") else [self.flag, t] for t in texts)
        return [word for pair in pairs for word in pair]


def option(default: Any, description: str, *flags: str, **details: Any) -> Any:
    """Declare a field of a dataclass as an option.

    Parameters
    ----------
    default : object
    description : str
        For the help text.
    *flags : str
        If there is none, it is the field's name with dashes.
    **details
        Further attributes of :class:`Option`. ``parse`` replaces what the type of the field would read.
    """
    said = {"description": description, "flags": flags, **details}
    return dataclasses.field(default=default, metadata={METADATA: said})


def options_of(declared: type[DataclassInstance]) -> tuple[Option, ...]:
    """Return the options that a dataclass declares, those that it inherits among them."""
    types_ = typing.get_type_hints(declared)
    left_out: frozenset[str] = getattr(declared, "left_out", frozenset())
    return tuple(
        _complete(field, types_[field.name], **field.metadata[METADATA])
        for field in dataclasses.fields(declared)
        if METADATA in field.metadata and field.name not in left_out
    )


def _complete(
    field: dataclasses.Field[Any], type_: Any, flags: tuple[str, ...], parse: Any = None, **details: Any
) -> Option:
    """Add what the field itself says."""
    parts = [part for part in typing.get_args(type_) if part not in (types.NoneType, Ellipsis)]
    many = typing.get_origin(type_) is tuple
    kind = parse or (parts[0] if parts else type_)
    flags = flags or ("--" + field.name.replace("_", "-"),)
    flag_name = flags[0].removeprefix("--").replace("-", "_")
    name = field.name.replace("_", " ")
    label = flags[0] + " {}" if flag_name == field.name else name + " {} (" + flags[0] + ")"
    said = {"label": label, "entry": field.name, "metavar": flag_name.upper()}
    return Option(field.name, flags, kind, many, field.default, **(said | details))


def check_needs(values: DataclassInstance) -> None:
    """Raise ParameterError where one of the options that a user has set needs another that is not set."""
    declared = {each.name: each for each in options_of(type(values))}
    for each in declared.values():
        value = getattr(values, each.name)
        for names in each.needs:
            needed = [declared[name] for name in names.split("|") if name in declared]
            lacking = needed and all(getattr(values, other.name) == other.default for other in needed)
            if value != each.default and lacking:
                either = " or ".join(f"{other.flag} {other.takes}" for other in needed)
                raise ParameterError(f"{each.flag} {value} alone", f"{either} as well")


def values_of(flag: str, words: Sequence[str]) -> list[str]:
    """Return what a flag is given in the words of a command line, ``FLAG VALUE`` or ``FLAG=VALUE``."""
    values = []
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == flag:
            following = "".join(words[number + 1 : number + 2])
            values.append(value if equals else "" if following.startswith("--") else following)
    return [value for value in values if value]


# --- checks, and readers of text


def check_there(path: Path, kind: str, flag: str) -> None:
    """Raise ParameterError unless the path that a flag names is one of a file, or of a folder."""
    try:
        is_there, is_folder = path.exists(), path.is_dir()
    except OSError as error:
        raise ParameterError(f"{flag} {path}: cannot be read ({reason_of(error)})", f"a {kind}") from error
    if not is_there:
        raise ParameterError(f"{flag} {path}: no such {kind}", remedy="check the path")
    if is_folder != (kind == "folder"):
        raise ParameterError(f"{flag} {path}: a {'folder' if is_folder else 'file'}", f"a {kind}")


def at_least(lowest: float) -> Check:
    """Check that a number is not less than `lowest`."""
    return lambda value: () if value >= lowest else (f"at least {lowest}",)


def within(lowest: float, highest: float, what: str = "number") -> Check:
    """Check that a number lies in a closed range."""
    return lambda value: () if lowest <= value <= highest else (f"a {what} in [{lowest}, {highest}]",)


def above(lowest: float, highest: float = math.inf) -> Check:
    """Check that a number lies above `lowest`, is finite, and not more than `highest`."""
    expected = f"more than {lowest}" + ("" if highest == math.inf else f", at most {highest}")
    return lambda value: () if lowest < value <= highest and value < math.inf else (expected,)


def finite(value: float) -> tuple[str, ...]:
    """Check that a number is finite."""
    return () if math.isfinite(value) else ("a finite number",)


def fraction(text: str) -> Fraction:
    """Read an exact number: an integer, a decimal, or a fraction such as ``24000/1001``.

    Raises
    ------
    ParameterError
        If `text` is none of these.
    """
    try:
        # A power of ten goes by way of a float, since exactly it could fill the memory.
        return Fraction(str(float(text)) if "e" in text.lower() else text)
    except (ValueError, ZeroDivisionError):
        raise ParameterError(repr(text), "a number or a fraction such as 24000/1001") from None
