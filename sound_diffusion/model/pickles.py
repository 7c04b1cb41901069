"""The table of contents of a .ckpt: ``torch.load(weights_only=True)`` onto the device that has no memory.

A pickle is a program, and running it can run anything. torch reads it as data: a name in it is looked up in
a short list and nowhere else. Here a few names are added that checkpoints have and pictures do not need, such
as the callbacks of PyTorch Lightning; an inert class of this module takes the place of each.

References
----------
https://docs.pytorch.org/docs/stable/notes/serialization.html: both formats, and ``weights_only``.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from sound_diffusion.errors import ModelError
from sound_diffusion.model.tensors import A_CHECKPOINT, DOWNLOAD, StoredTensor, TensorFile, printable

if TYPE_CHECKING:
    import torch

MAX_PICKLE = 8 * 2**20  # bytes; that of Stable Diffusion 1.4 with its moving averages has 0.5 MB
NEWEST_PROTOCOL = 3  # that torch.load reads as data; torch.save writes 2 unless it is told otherwise


class _NamedOnly:
    """Stands for a class that a checkpoint may name, as a key of a dictionary, and never calls."""

    def __new__(cls, *_: object) -> NoReturn:
        raise ValueError(f"GLOBAL {cls.__qualname__} was called")


class _Inert:
    """Stands for a value that no picture needs."""

    def __new__(cls, *_: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None: ...


class _Dictionary:
    """Stands for other classes of dictionaries."""

    def __new__(cls, *_: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


LIGHTNING_CALLBACKS = [
    f"{package}.callbacks.{name}"
    for package in ("pytorch_lightning", "lightning.pytorch")
    for name in (
        "model_checkpoint.ModelCheckpoint",
        "early_stopping.EarlyStopping",
        "lr_monitor.LearningRateMonitor",
    )
]
INERT = (
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
)
ATTRIBUTES = "pytorch_lightning.utilities.parsing.AttributeDict"
DICTIONARIES = ("builtins.dict", "collections.defaultdict", ATTRIBUTES)
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((type(name, (_NamedOnly,), {}), name) for name in LIGHTNING_CALLBACKS),
    *((type(name, (_Inert,), {}), name) for name in INERT),
    *((type(name, (_Dictionary,), {}), name) for name in DICTIONARIES),
]


def read_zip(stream: IO[bytes], size: int, path: Path) -> TensorFile:
    """Read the table of contents of a .ckpt of PyTorch 1.6 or later, a zip archive.

    Parameters
    ----------
    stream : binary file
    size : int
        Bytes of the file.
    path : Path

    Returns
    -------
    file : TensorFile
        Of what the file declares, unchecked.

    Raises
    ------
    ModelError
        If it is unsafe, damaged, or no file of tensors.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            protocol = _check_archive(archive, size, path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: cut short or damaged ({error})", remedy=DOWNLOAD) from error
    stream.seek(0)
    content = _load(stream, path, protocol, "meta")
    tensors = {}
    for name, tensor in _plain_tensors(content, path).items():
        start = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
        tensors[name] = _stored(tensor, start, f"{path}: {printable(name)}")
    return TensorFile(path, tensors, _notes(content))


def read_legacy(stream: IO[bytes], size: int, path: Path) -> TensorFile:
    """Read the table of contents of a .ckpt of before PyTorch 1.6: as :func:`read_zip`.

    Where its tensors are, torch does not tell: the first one that is read brings all of them into memory.
    """
    import torch

    protocol = stream.read(2)[-1]
    stream.seek(0)
    # Not "meta": torch tells by its address which tensors of this format share memory. What nothing is read
    # into is only reserved.
    with torch.serialization.skip_data():
        content = _load(stream, path, protocol, "cpu")
    named = _plain_tensors(content, path)
    tensors = {
        name: _stored(tensor, None if tensor.is_meta else 0, f"{path}: {printable(name)}")
        for name, tensor in named.items()
    }
    storages = {storage._cdata: storage for storage in (t.untyped_storage() for t in named.values())}
    needed = stream.tell() + sum(8 + storage.nbytes() for storage in storages.values())
    if needed > size:
        raise ModelError(f"{path}: cut short at {size} bytes", f"{needed} or more", DOWNLOAD)

    def load() -> dict[str, torch.Tensor]:
        with path.open("rb") as again:
            return _plain_tensors(_load(again, path, protocol, "cpu"), path)

    return TensorFile(path, tensors, _notes(content), load)


def _check_archive(archive: zipfile.ZipFile, size: int, path: Path) -> int:
    """Refuse an archive that no checkpoint is, before torch reads it; return the protocol of its pickle."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelError(f"{path}: refused: compressed inside, as no checkpoint is", remedy=DOWNLOAD)
    if sum(entry.file_size for entry in entries) > size:
        raise ModelError(f"{path}: refused: its parts overlap", remedy=DOWNLOAD)
    names = {entry.filename.partition("/")[2]: entry for entry in entries}
    if "data.pkl" not in names or "constants.pkl" in names:
        raise ModelError(f"{path}: an archive, but not of weights", A_CHECKPOINT)
    if names["data.pkl"].file_size > MAX_PICKLE:
        length = names["data.pkl"].file_size
        raise ModelError(f"{path}: refused: a pickle of {length} bytes", f"at most {MAX_PICKLE}")
    return archive.read(names["data.pkl"])[1]


def _load(stream: IO[bytes], path: Path, protocol: int, device: str) -> Any:
    """Read a .ckpt as data, or say what keeps torch from doing so."""
    import torch

    if protocol > NEWEST_PROTOCOL:
        raise ModelError(
            f"{path}: refused: a pickle of protocol {protocol}, which torch cannot read without executing it",
            f"protocol {NEWEST_PROTOCOL} or less, as torch.save writes",
            "use a .safetensors version from a source you trust",
        )
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(STAND_INS):
            warnings.simplefilter("ignore")
            return torch.load(stream, map_location=device, weights_only=True)
    except Exception as error:  # of whatever kind a hostile or damaged file makes torch raise
        refused = re.search(r"GLOBAL (\S+)( was called)?", str(error))
        if refused:
            what = f"a call of {refused[1]}" if refused[2] else refused[1]
            raise _unsafe(path, printable(what)) from error
        if "Invalid magic number" in str(error):
            raise ModelError(f"{path}: a pickle, but not of weights", A_CHECKPOINT) from error
        if re.search("Can only|Trying to call|Unsupported operand|Only persistent_load", str(error)):
            raise _unsafe(path, "pickle instructions other than those of torch.save") from error
        reason = printable(str(error).partition("\n")[0] or type(error).__name__)
        raise ModelError(
            f"{path}: damaged: torch cannot follow its pickle ({reason})", remedy=DOWNLOAD
        ) from error


def _unsafe(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path}: refused as unsafe: it contains {what}, which no model needs",
        remedy="nothing of it was executed; use a .safetensors version from a source you trust",
    )


def _plain_tensors(content: Any, path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in the innermost ``state_dict`` of what a .ckpt holds."""
    import torch

    for _ in range(3):
        if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
            content = content["state_dict"]
    entries = content.items() if isinstance(content, dict) else ()
    tensors = {name: value for name, value in entries if isinstance(name, str) and torch.is_tensor(value)}
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
            raise ModelError(f"{path}: {printable(name)}: a sparse or quantised tensor", "plain tensors")
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _stored(tensor: torch.Tensor, start: int | None, label: str) -> StoredTensor:
    """Describe a tensor whose storage starts at byte `start` of the file, None if it is not in the file."""
    if start is None:
        raise ModelError(f"{label}: saved without its data", remedy="use a version with its weights")
    size, shape = tensor.element_size(), tuple(tensor.shape)
    offset = int(tensor.storage_offset()) * size
    dtype = str(tensor.dtype).removeprefix("torch.")
    stored = StoredTensor(dtype, size, shape, tensor.stride(), start + offset)
    length = tensor.untyped_storage().nbytes()
    if offset + stored.extent > length or stored.n_bytes > length:
        raise ModelError(f"{label}: damaged: shape {shape} in {length} bytes", remedy=DOWNLOAD)
    return stored


def _notes(content: Any) -> dict[str, str | int]:
    entries = content.items() if isinstance(content, dict) else ()
    return {key: value for key, value in entries if isinstance(key, str) and isinstance(value, str | int)}
