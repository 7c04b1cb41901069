"""Read the pickle inside a PyTorch checkpoint as data: nothing is imported, nothing is called.

A pickle is a program for a small stack machine, and running it with :mod:`pickle` can run anything.
This module follows the instructions that ``torch.save`` writes, with values of its own: a name stays a
name, a call of one of the few known functions becomes what it describes, and any other name or call
ends the reading. It is ``torch.load(weights_only=True)`` with a shorter list of names, and it needs no torch.

References
----------
The instructions: Python's ``pickletools``. The order of the arguments: ``torch._utils``.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from textwrap import shorten
from typing import IO, Any

from sound_diffusion.errors import ModelError
from sound_diffusion.model.checkpoints.names import (
    DESCRIBED,
    DICTIONARIES,
    KNOWN,
    REBUILT,
    STORAGE_DTYPES,
    Inert,
    Name,
    Storage,
    StoredTensor,
)

__all__ = ["printable", "read_pickle"]

LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "SHORT_BINSTRING", "BINSTRING"}
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
FIXED_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def printable(text: str) -> str:
    """Return `text` from a file as a message may show it: short, and without control characters."""
    return shorten(ascii(text)[1:-1], 100)


def read_pickle(stream: IO[bytes], name: str, storages: dict[str, Storage] | None = None) -> Any:
    """Follow one pickle up to its end and return what it describes.

    Parameters
    ----------
    stream : binary file
        At the beginning of the pickle. Afterwards it is behind the pickle's last byte.
    name : str
        What error messages call the file.
    storages : dict, optional
        Receives every storage that the pickle refers to, by its key.

    Returns
    -------
    value : object
        Dictionaries (entries whose keys are not str are left out), lists, tuples, str, bytes, numbers,
        None, and the values of :mod:`sound_diffusion.model.checkpoints.names`.

    Raises
    ------
    ModelError
        If the pickle names or calls what is not on the list, or is damaged.
    """
    machine = _StackMachine(name, {} if storages is None else storages)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of odd escapes in old kinds of strings
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "STOP":
                    return machine.stack.pop()
                machine.step(opcode.name, argument)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{name}: damaged: its pickle cannot be followed ({printable(str(error))})",
            remedy="download the file again",
        ) from error
    raise ModelError(f"{name}: damaged: its pickle has no end", remedy="download the file again")


class _StackMachine:
    """The stack, the marks in it and the memo of one pickle."""

    def __init__(self, name: str, storages: dict[str, Storage]) -> None:
        self.name = name
        self.storages = storages
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Follow one instruction."""
        if opcode in LITERALS:
            self.stack.append(argument)
        elif opcode in CONSTANTS:
            self.stack.append(CONSTANTS[opcode])
        elif opcode in FIXED_TUPLES:
            count = FIXED_TUPLES[opcode]
            if len(self.stack) < count:
                raise IndexError("stack underflow")
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif opcode in {"BINPUT", "LONG_BINPUT"}:
            self.memo[argument] = self.stack[-1]
        elif opcode in {"BINGET", "LONG_BINGET"}:
            self.stack.append(self.memo[argument])
        elif opcode == "GLOBAL":
            self.stack.append(self._name(*argument.split(" ", 1)))
        elif opcode in _STEPS:
            _STEPS[opcode](self)
        elif opcode not in {"PROTO", "FRAME"}:
            raise self._refusal(f"the pickle instruction {opcode}")

    def pop_marked(self) -> list[Any]:
        """Take what was pushed since the last mark."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def mark(self) -> None:
        """Start a group of values."""
        self.marked.append(self.stack)
        self.stack = []

    def tuple_of_marked(self) -> None:
        """Make a tuple of what was pushed since the last mark."""
        items = self.pop_marked()
        self.stack.append(tuple(items))

    def set_items(self, items: list[Any]) -> None:
        """Put keys and values, one after the other, into the dictionary on the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError(f"items for a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str):
                target[key] = value

    def append_items(self, items: list[Any]) -> None:
        """Append values to the list on the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError(f"elements for a {type(target).__name__}")
        target.extend(items)

    def call(self) -> None:
        """Replace a name and its arguments by what the call would describe."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise self._refusal("a call of something that is not a function")
        self.stack.append(self._described(function.path, arguments))

    def name_from_stack(self) -> None:
        """Replace a module and a qualified name by a name."""
        attribute, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._name(module, attribute))

    def storage(self) -> None:
        """Replace the description of a storage by a :class:`Storage`."""
        kind, dtype, key, _location, length, *view = self.stack.pop()
        if kind != "storage" or not isinstance(dtype, Name) or any(part is not None for part in view):
            raise self._refusal("a reference to something that is not a plain storage")
        if not isinstance(key, str):
            raise TypeError("a storage without a key")
        storage = Storage(STORAGE_DTYPES[dtype.path], key, _count(length))
        self.storages[storage.key] = storage
        self.stack.append(storage)

    def build(self) -> None:
        """Drop the state of a dictionary or of an inert value; nothing else may have one."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict | Inert):
            raise self._refusal("a state for something that has none")

    def _name(self, module: Any, attribute: Any) -> Name:
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise TypeError("a name that is not text")
        path = f"{module}.{attribute}"
        if path.startswith("__builtin__."):
            path = path.replace("__builtin__", "builtins", 1)
        if path not in KNOWN:
            raise self._refusal(path)
        return Name(path)

    def _described(self, path: str, arguments: tuple[Any, ...]) -> Any:
        if path == "torch._utils._rebuild_parameter":
            return arguments[0]
        if path in REBUILT:
            storage, offset, shape, strides = arguments[:4]
            if not isinstance(storage, Storage):
                raise TypeError("a tensor without a storage")
            return StoredTensor(storage, _count(offset), _counts(shape), _counts(strides))
        if path in DICTIONARIES:
            pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
            return {key: value for key, value in pairs if isinstance(key, str)}
        if path == "torch.Size":
            return _counts(arguments[0])
        if path in DESCRIBED:
            return Inert(path)
        raise self._refusal(f"a call of {path}")

    def _refusal(self, what: str) -> ModelError:
        return ModelError(
            f"{self.name}: refused as unsafe: it contains {printable(what)}, which no model needs",
            remedy="nothing of it was executed; use a .safetensors version from a source you trust",
        )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a {type(value).__name__} that is not a count")
    return value


def _counts(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list):
        raise TypeError(f"a {type(values).__name__} in the place of a shape")
    return tuple(_count(value) for value in values)


_STEPS: dict[str, Callable[[_StackMachine], object]] = {
    "MARK": _StackMachine.mark,
    "TUPLE": _StackMachine.tuple_of_marked,
    "EMPTY_DICT": lambda machine: machine.stack.append({}),
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "EMPTY_SET": lambda machine: machine.stack.append(Inert("builtins.set")),
    "ADDITEMS": _StackMachine.pop_marked,
    "SETITEM": lambda machine: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine: machine.set_items(machine.pop_marked()),
    "APPEND": lambda machine: machine.append_items([machine.stack.pop()]),
    "APPENDS": lambda machine: machine.append_items(machine.pop_marked()),
    "MEMOIZE": lambda machine: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),
    "BINPERSID": _StackMachine.storage,
    "STACK_GLOBAL": _StackMachine.name_from_stack,
    "REDUCE": _StackMachine.call,
    "NEWOBJ": _StackMachine.call,
    "BUILD": _StackMachine.build,
}
