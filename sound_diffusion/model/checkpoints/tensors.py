"""Tensors in a file: where each one is, and reading it from there into memory of its own.

Every tensor is checked to lie inside the file before any of it is read, so that a file of n bytes never
asks for much more than n bytes of memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sound_diffusion.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = [
    "DOWNLOAD",
    "ITEM_SIZES",
    "MAX_DIMENSIONS",
    "TensorFile",
    "TensorRecord",
    "checked_record",
    "read_tensors",
]

ITEM_SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of an element, by the dtype's name in safetensors."""

TORCH_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
LARGEST_NUMBER = 2**63
MAX_DIMENSIONS = 8
DOWNLOAD = "download the file again"
"""Remedy for a file that did not arrive as it was sent."""


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """Where a tensor is.

    Attributes
    ----------
    dtype : str
        A key of :data:`ITEM_SIZES`.
    shape, strides : tuple of int
        In elements.
    position : int
        Byte of the file at which its first element starts.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    position: int

    @property
    def n_bytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * ITEM_SIZES[self.dtype]

    @property
    def extent(self) -> int:
        """Bytes from its first element to the end of its last one."""
        if 0 in self.shape:
            return 0
        last = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        return (last + 1) * ITEM_SIZES[self.dtype]


@dataclass(frozen=True)
class TensorFile:
    """The table of contents of a file of tensors.

    Attributes
    ----------
    path : Path
        The file.
    records : mapping of str to TensorRecord
        Names as the file has them.
    notes : mapping of str to (str or int)
        What else the file says: the metadata of safetensors, the numbers and words beside a .ckpt's tensors.
    """

    path: Path
    records: Mapping[str, TensorRecord]
    notes: Mapping[str, str | int] = field(default_factory=dict)


def checked_record(
    layout: tuple[str, int, tuple[int, ...], tuple[int, ...]], start: int, length: int, size: int, name: str
) -> TensorRecord:
    """Check that a tensor lies inside its bytes, and those inside the file.

    Parameters
    ----------
    layout : tuple
        Name of the dtype, elements before the first one, shape, strides.
    start, length : int
        The bytes that it may use.
    size : int
        Of the file.
    name : str
        What error messages call it.

    Returns
    -------
    record : TensorRecord

    Raises
    ------
    ModelError
        If it does not.
    """
    dtype, offset, shape, strides = layout
    if dtype not in ITEM_SIZES:
        raise ModelError(f"{name}: elements of type {ascii(dtype)[1:21]}", f"one of {', '.join(ITEM_SIZES)}")
    numbers = (offset, start, length, *shape, *strides)
    if not all(type(n) is int and 0 <= n < LARGEST_NUMBER for n in numbers):
        raise ModelError(f"{name}: damaged: its shape or place is not made of counts", remedy=DOWNLOAD)
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise ModelError(f"{name}: damaged: shape and strides do not fit", remedy=DOWNLOAD)
    record = TensorRecord(dtype, shape, strides, start + offset * ITEM_SIZES[dtype])
    if start + length > size:
        raise ModelError(f"{name}: the file is cut short", f"at least {start + length} bytes", DOWNLOAD)
    if offset * ITEM_SIZES[dtype] + record.extent > length or record.n_bytes > length:
        raise ModelError(f"{name}: damaged: shape {shape} in {length} bytes", remedy=DOWNLOAD)
    return record


def read_tensors(file: TensorFile, names: Iterable[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Read some tensors of a file into memory of their own.

    Parameters
    ----------
    file : TensorFile
        From :func:`open_tensor_file`.
    names : iterable of str
        Keys of ``file.records``.
    dtype : torch.dtype
        What every tensor is converted to as soon as it is read.

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

    tensors = {}
    with file.path.open("rb") as stream:
        for name in sorted(names, key=lambda name: file.records[name].position):
            record = file.records[name]
            data = torch.empty(record.extent, dtype=torch.uint8)
            stream.seek(record.position)
            if stream.readinto(data.numpy().data) != record.extent:
                raise ModelError(f"{file.path}: cut short while it was read", remedy=DOWNLOAD)
            values = data.view(getattr(torch, TORCH_DTYPES[record.dtype]))
            tensors[name] = values.as_strided(record.shape, record.strides).to(dtype).contiguous()
    return tensors
