"""The table of contents of a file of tensors: .safetensors, and .ckpt of any version of PyTorch.

What a file is, is read from its bytes, not from its name.

References
----------
safetensors: https://huggingface.co/docs/safetensors. Both formats of PyTorch: ``torch.serialization``.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from sound_diffusion.errors import ModelError
from sound_diffusion.model.checkpoints.names import Storage, StoredTensor
from sound_diffusion.model.checkpoints.tensors import (
    DOWNLOAD,
    ITEM_SIZES,
    MAX_DIMENSIONS,
    TensorFile,
    checked_record,
)
from sound_diffusion.model.checkpoints.unpickling import printable, read_pickle

__all__ = ["open_tensor_file"]

MAX_PICKLE = 8 * 2**20  # bytes; that of Stable Diffusion 1.4 with its moving averages has 0.5 MB
MAX_JSON = 100 * 2**20  # bytes; the limit of safetensors itself
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
A_CHECKPOINT = "a .safetensors or .ckpt file"


def open_tensor_file(path: Path) -> TensorFile:
    """Find out what tensors a file holds.

    Parameters
    ----------
    path : Path
        A .safetensors or .ckpt file, whatever its name.

    Returns
    -------
    file : TensorFile
        Every record lies inside the file.

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
    total = sum(record.n_bytes for record in file.records.values())
    if total > 2 * size:
        raise ModelError(
            f"{path}: refused: it declares {total} bytes of tensors in {size} bytes", remedy=DOWNLOAD
        )
    return file


def _reader(stream: IO[bytes], path: Path) -> Callable[[IO[bytes], int, Path], TensorFile]:
    """Return the function that reads this kind of file, by its first bytes."""
    head = stream.read(512)
    stream.seek(0)
    if not head:
        raise ModelError(f"{path}: an empty file", remedy=DOWNLOAD)
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path}: a Git LFS pointer, not the model", remedy="run `git lfs pull` where it is")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise ModelError(
            f"{path}: a web page that was saved in the place of a model",
            remedy=f"{DOWNLOAD} (a login or a licence may be asked for first)",
        )
    if head.startswith(b"PK"):
        return _read_zip
    if head.startswith(b"\x80"):
        return _read_legacy
    if len(head) > 8 and head[8:9] == b"{":
        return _read_safetensors
    raise ModelError(f"{path}: not a file of tensors", A_CHECKPOINT, DOWNLOAD)


def _read_safetensors(stream: IO[bytes], size: int, path: Path) -> TensorFile:
    length = int.from_bytes(stream.read(8), "little")
    if length > min(size - 8, MAX_JSON):
        raise ModelError(f"{path}: cut short: a header of {length} bytes in {size}", remedy=DOWNLOAD)
    records = {}
    try:
        header = json.loads(stream.read(length))
        notes = header.pop("__metadata__", {})
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            shape = tuple(entry["shape"][: MAX_DIMENSIONS + 1])
            strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
            layout = (entry["dtype"], 0, shape, strides)
            label = f"{path}: {printable(name)}"
            records[name] = checked_record(layout, 8 + length + begin, end - begin, size, label)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        reason = printable(repr(error))
        raise ModelError(f"{path}: damaged: unreadable header ({reason})", remedy=DOWNLOAD) from error
    return TensorFile(path, records, {key: value for key, value in notes.items() if isinstance(value, str)})


def _read_zip(stream: IO[bytes], size: int, path: Path) -> TensorFile:
    positions: dict[str, tuple[int, int]] = {}
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise ModelError(f"{path}: refused: compressed inside, as no checkpoint is", remedy=DOWNLOAD)
            stream.seek(entry.header_offset)
            local = stream.read(30)
            name_and_extra = sum(int.from_bytes(local[at : at + 2], "little") for at in (26, 28))
            start = entry.header_offset + 30 + name_and_extra
            if len(local) < 30 or start + entry.file_size > size:
                raise ModelError(f"{path}: cut short or damaged", remedy=DOWNLOAD)
            positions[entry.filename.partition("/")[2]] = start, entry.file_size
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: cut short or damaged ({error})", remedy=DOWNLOAD) from error
    if sum(entry.file_size for entry in entries) > size:
        raise ModelError(f"{path}: refused: its parts overlap", remedy=DOWNLOAD)
    if "data.pkl" not in positions or "constants.pkl" in positions:
        raise ModelError(f"{path}: an archive, but not of weights", A_CHECKPOINT)
    start, length = positions["data.pkl"]
    if length > MAX_PICKLE:
        raise ModelError(f"{path}: refused: a pickle of {length} bytes", f"at most {MAX_PICKLE}")
    stream.seek(start)
    content = read_pickle(io.BytesIO(stream.read(length)), str(path))
    storages = {name.removeprefix("data/"): place for name, place in positions.items()}
    return _table(content, storages, size, path)


def _read_legacy(stream: IO[bytes], size: int, path: Path) -> TensorFile:
    """Read the format of PyTorch before 1.6: five pickles, then the storages, each after its length."""
    head = io.BytesIO(stream.read(MAX_PICKLE))
    if read_pickle(head, str(path)) != LEGACY_MAGIC:
        raise ModelError(f"{path}: a pickle, but not of weights", A_CHECKPOINT)
    described: dict[str, Storage] = {}
    _protocol, _system, content, keys = (read_pickle(head, str(path), described) for _ in range(4))
    storages = {}
    position = head.tell()
    for key in keys if isinstance(keys, list) else ():
        stream.seek(position)
        storage = described.get(key) if isinstance(key, str) else None
        if storage is None or int.from_bytes(stream.read(8), "little") != storage.length:
            raise ModelError(f"{path}: cut short or damaged", remedy=DOWNLOAD)
        storages[key] = position + 8, storage.length * ITEM_SIZES[storage.dtype]
        position += 8 + storages[key][1]
    return _table(content, storages, size, path)


def _state(content: Any) -> dict[str, Any]:
    """Return the dictionary of tensors inside what a checkpoint's pickle describes."""
    for _ in range(3):
        if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
            content = content["state_dict"]
    return content if isinstance(content, dict) else {}


def _stored_tensors(content: Any) -> dict[str, StoredTensor]:
    return {name: value for name, value in _state(content).items() if isinstance(value, StoredTensor)}


def _table(content: Any, storages: Mapping[str, tuple[int, int]], size: int, path: Path) -> TensorFile:
    records = {}
    for name, stored in _stored_tensors(content).items():
        if stored.storage.key not in storages:
            raise ModelError(f"{path}: {printable(name)}: its data is missing", remedy=DOWNLOAD)
        start, length = storages[stored.storage.key]
        layout = (stored.storage.dtype, stored.offset, stored.shape, stored.strides)
        records[name] = checked_record(layout, start, length, size, f"{path}: {printable(name)}")
    entries = content.items() if isinstance(content, dict) else ()
    return TensorFile(path, records, {key: value for key, value in entries if isinstance(value, str | int)})
