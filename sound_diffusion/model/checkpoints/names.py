"""What the pickle of a checkpoint may name and call, and the values that stand for it here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DESCRIBED",
    "DICTIONARIES",
    "KNOWN",
    "NAMED_ONLY",
    "REBUILT",
    "STORAGE_DTYPES",
    "Inert",
    "Name",
    "Storage",
    "StoredTensor",
]

STORAGE_DTYPES = {
    "torch.DoubleStorage": "F64",
    "torch.FloatStorage": "F32",
    "torch.HalfStorage": "F16",
    "torch.BFloat16Storage": "BF16",
    "torch.LongStorage": "I64",
    "torch.IntStorage": "I32",
    "torch.ShortStorage": "I16",
    "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8",
    "torch.BoolStorage": "BOOL",
}
"""Storage classes and the dtypes of their elements, named as safetensors names them."""

NAMED_ONLY = frozenset(
    f"{package}.callbacks.{name}"
    for package in ("pytorch_lightning", "lightning.pytorch")
    for name in (
        "model_checkpoint.ModelCheckpoint",
        "early_stopping.EarlyStopping",
        "lr_monitor.LearningRateMonitor",
    )
) | {f"torch.{dtype}" for dtype in ("float16", "bfloat16", "float32", "float64", "int32", "int64")}
"""Harmless names that checkpoints mention, as keys of a dictionary for example, and never call."""

DESCRIBED = frozenset(
    {
        "_codecs.encode",
        "argparse.Namespace",
        "builtins.list",
        "builtins.set",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.dtype",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "torch.device",
    }
)
"""Calls whose results no picture needs: an :class:`Inert` value takes their place."""

DICTIONARIES = frozenset(
    {"builtins.dict", "collections.OrderedDict", "collections.defaultdict"}
    | {"pytorch_lightning.utilities.parsing.AttributeDict"}
)
REBUILT = frozenset(
    {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"}
)
KNOWN = NAMED_ONLY | DESCRIBED | DICTIONARIES | REBUILT | STORAGE_DTYPES.keys() | {"torch.Size"}


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the pickle names; never looked up."""

    path: str


@dataclass(frozen=True, slots=True)
class Inert:
    """Stands for the result of a call that was not made."""

    path: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of bytes elsewhere in the file, and what its elements are."""

    dtype: str
    key: str
    length: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as the pickle describes it. Nothing of it has been checked yet.

    Attributes
    ----------
    storage : Storage
        Where its elements are.
    offset : int
        Elements before the first one.
    shape, strides : tuple of int
        In elements.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
