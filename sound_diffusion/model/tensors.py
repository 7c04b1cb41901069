"""Files of tensors: .safetensors, and .ckpt of any version of PyTorch; what is in them, and reading it.

What a file is, is read from its bytes, not from its name. Every tensor is checked to lie inside the file
before any of it is read, so that a file of n bytes never asks for much more than n bytes of memory. Tensors
are read into memory of their own: in a mapped file they lie at any address, and the last bits of a matrix
product on a CPU depend on how its operands are aligned.

References
----------
safetensors: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import IO, TYPE_CHECKING, Any

from sound_diffusion.errors import ModelError

if TYPE_CHECKING:
    import torch

DTYPES = {
    "F64": ("float64", 8), "F32": ("float32", 4), "F16": ("float16", 2), "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1), "F8_E5M2": ("float8_e5m2", 1), "BOOL": ("bool", 1),
    "I64": ("int64", 8), "I32": ("int32", 4), "I16": ("int16", 2), "I8": ("int8", 1),
    "U64": ("uint64", 8), "U32": ("uint32", 4), "U16": ("uint16", 2), "U8": ("uint8", 1),
}  # fmt: skip
"""Names that torch has for the dtypes of safetensors, and bytes of an element."""

MAX_HEADER = 100 * 2**20  # bytes; the limit of safetensors itself
MAX_DIMENSIONS = 8
LARGEST_NUMBER = 2**63
A_CHECKPOINT = "a .safetensors or .ckpt file"
DOWNLOAD = "download the file again"
"""Remedy for a file that did not arrive as it was sent."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor is.

    Attributes
    ----------
    dtype : str
        As torch calls it.
    item_size : int
        Bytes of an element.
    shape, strides : tuple of int
        In elements.
    position : int
        Byte of the file at which its first element starts.
    """

    dtype: str
    item_size: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    position: int

    @property
    def n_bytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * self.item_size

    @property
    def extent(self) -> int:
        """Bytes from its first element to the end of its last one."""
        if 0 in self.shape:
            return 0
        last = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * self.item_size


@dataclass(frozen=True)
class TensorFile:
    """The table of contents of a file of tensors.

    Attributes
    ----------
    path : Path
        The file.
    tensors : mapping of str to StoredTensor
        Names as the file has them.
    notes : mapping of str to (str or int)
        What else the file says: the metadata of safetensors, the numbers and words beside a .ckpt's tensors.
    load : callable, optional
        Reads all tensors at once, for the kind of file of which nothing else can be done.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    notes: Mapping[str, str | int] = field(default_factory=dict)
    load: Callable[[], dict[str, torch.Tensor]] | None = None

    @cached_property
    def loaded(self) -> dict[str, torch.Tensor]:
        """What :attr:`load` has read and no one has taken yet."""
        return {} if self.load is None else self.load()

    def under(self, prefix: str) -> list[str]:
        """Names that begin with `prefix`."""
        return [name for name in self.tensors if name.startswith(prefix)]


def printable(text: str) -> str:
    """Return `text` from a file as a message may show it: short, and without control characters."""
    return shorten(ascii(text)[1:-1], 100)


def open_tensor_file(path: Path) -> TensorFile:
    """Find out what tensors a file holds.

    Parameters
    ----------
    path : Path
        A .safetensors or .ckpt file, whatever its name.

    Returns
    -------
    file : TensorFile
        Every tensor lies inside the file.

    Raises
    ------
    ModelError
        If the file is missing, unsafe, damaged, or not a file of tensors.
    """
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            file = _reader(stream, path)(stream, size, path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file", A_CHECKPOINT) from None
    except IsADirectoryError:
        raise ModelError(f"{path}: a folder", A_CHECKPOINT) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    for name, tensor in file.tensors.items():
        _check(tensor, size, f"{path}: {printable(name)}")
    total = sum(tensor.n_bytes for tensor in file.tensors.values())
    if total > 2 * size:
        raise ModelError(
            f"{path}: refused: it declares {total} bytes of tensors in {size} bytes", remedy=DOWNLOAD
        )
    return file


def read_tensors(
    file: TensorFile, dtype: torch.dtype, names: Iterable[str] | None = None
) -> dict[str, torch.Tensor]:
    """Read tensors of a file, one by one, into memory of their own.

    Parameters
    ----------
    file : TensorFile
        From :func:`open_tensor_file`.
    dtype : torch.dtype
        What every tensor is converted to as soon as it is read.
    names : iterable of str, optional
        Keys of ``file.tensors``; all of them if None.

    Returns
    -------
    tensors : dict of str to torch.Tensor
        Contiguous, on the CPU.

    Raises
    ------
    ModelError
        If the file has changed and is shorter than it was.
    """
    import torch

    wanted = file.tensors if names is None else names
    if file.load is not None:  # each is taken, so that what is converted does not lie in memory twice
        return {name: file.loaded.pop(name).to(dtype).contiguous() for name in wanted}
    tensors = {}
    with file.path.open("rb") as stream:
        for name in sorted(wanted, key=lambda name: file.tensors[name].position):
            stored = file.tensors[name]
            data = torch.empty(stored.extent, dtype=torch.uint8)
            stream.seek(stored.position)
            if stream.readinto(data.numpy().data) != stored.extent:
                raise ModelError(f"{file.path}: cut short while it was read", remedy=DOWNLOAD)
            values = data.view(getattr(torch, stored.dtype))
            tensors[name] = values.as_strided(stored.shape, stored.strides).to(dtype).contiguous()
    return tensors


def _check(tensor: StoredTensor, size: int, name: str) -> None:
    """Raise ModelError unless a tensor is one, and lies inside a file of `size` bytes."""
    _check_counts(tensor, name)
    end = tensor.position + tensor.extent
    if end > size:
        raise ModelError(f"{name}: the file is cut short at {size} bytes", f"{end} or more", DOWNLOAD)


def _check_counts(tensor: StoredTensor, name: str) -> None:
    numbers = (tensor.position, *tensor.shape, *tensor.strides)
    if not all(type(n) is int and 0 <= n < LARGEST_NUMBER for n in numbers):
        raise ModelError(f"{name}: damaged: its shape or place is not made of counts", remedy=DOWNLOAD)
    if len(tensor.shape) > MAX_DIMENSIONS:
        raise ModelError(f"{name}: of {len(tensor.shape)} dimensions", f"at most {MAX_DIMENSIONS}")


def _reader(stream: IO[bytes], path: Path) -> Callable[[IO[bytes], int, Path], TensorFile]:
    """Return the function that reads this kind of file, by its first bytes."""
    from sound_diffusion.model.pickles import read_legacy, read_zip

    head = stream.read(512)
    stream.seek(0)
    if not head:
        raise ModelError(f"{path}: an empty file", remedy=DOWNLOAD)
    # First of all: the length that these files begin with may look like the beginning of any other kind.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER:
        return _read_safetensors
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path}: a Git LFS pointer, not the model", remedy="run `git lfs pull` where it is")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise ModelError(
            f"{path}: a web page that was saved in the place of a model",
            remedy=f"{DOWNLOAD} (a login or a licence may be asked for first)",
        )
    if head.startswith(b"GGUF"):
        raise ModelError(f"{path}: a GGUF file", A_CHECKPOINT, "take a version that is not quantised")
    if head.startswith(b"PK"):
        return read_zip
    if head.startswith(b"\x80"):
        return read_legacy
    if head[8:9] == b"{":
        length = int.from_bytes(head[:8], "little")
        raise ModelError(f"{path}: cut short or damaged: a header of {length} bytes", remedy=DOWNLOAD)
    raise ModelError(f"{path}: not a file of tensors", A_CHECKPOINT, DOWNLOAD)


def _read_safetensors(stream: IO[bytes], size: int, path: Path) -> TensorFile:
    length = int.from_bytes(stream.read(8), "little")
    if length > size - 8:
        raise ModelError(f"{path}: cut short: a header of {length} bytes in {size}", remedy=DOWNLOAD)
    try:
        header = json.loads(stream.read(length))
        notes = header.pop("__metadata__", None) or {}
        tensors = {name: _entry(name, entry, 8 + length, path) for name, entry in header.items()}
    except ModelError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        reason = printable(repr(error))
        raise ModelError(f"{path}: damaged: unreadable header ({reason})", remedy=DOWNLOAD) from error
    notes = notes if isinstance(notes, dict) else {}
    return TensorFile(path, tensors, {key: value for key, value in notes.items() if isinstance(value, str)})


def _entry(name: str, entry: Mapping[str, Any], start: int, path: Path) -> StoredTensor:
    """Read one tensor's entry in the header of a .safetensors file; it is checked later."""
    label = f"{path}: {printable(name)}"
    if entry["dtype"] not in DTYPES:
        raise ModelError(f"{label}: elements of type {printable(str(entry['dtype']))}", ", ".join(DTYPES))
    dtype, item_size = DTYPES[str(entry["dtype"])]
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape[: MAX_DIMENSIONS + 1])))
    tensor = StoredTensor(dtype, item_size, shape[: MAX_DIMENSIONS + 1], strides, start + begin)
    _check_counts(tensor, label)
    if tensor.n_bytes != end - begin:
        raise ModelError(f"{label}: damaged: shape {shape} in {end - begin} bytes", remedy=DOWNLOAD)
    return tensor
