"""Where models are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sound_diffusion.errors import ModelError
from sound_diffusion.installation import MODELS_FOLDER
from sound_diffusion.model.folders import INDEX_FILE
from sound_diffusion.model.hub import OnHub

STABLE_DIFFUSION_CHECKPOINT = Path("ldm") / "stable-diffusion-v1" / "model.ckpt"
EMBEDDED_MODEL = "cymatics"
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
CHECKPOINT_SUFFIXES = (".ckpt", ".safetensors")
FINGERPRINT_BYTES = 1 << 16


@dataclass(frozen=True)
class OnDisk:
    """A model on disk; what a model elsewhere has, too, is listed here. As text, it is what messages call it.

    Attributes
    ----------
    name : str
        That finds it again, from any folder where that can be done.
    path : Path
        A checkpoint, or a folder in diffusers format: with its settings, if not with its weights yet.
    """

    name: str
    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def fetch(self, parts: Iterable[str]) -> None:
        """See to it that parts have their weights, by the names of their folders; here they do."""

    def fingerprint(self) -> str:
        """Identify the weights without reading gigabytes; None, elsewhere, where they are not there.

        Returns
        -------
        fingerprint : str
            16 hexadecimal digits of a SHA-256 over the names, sizes, beginnings and ends of its files.
        """
        digest = hashlib.sha256()
        for path in sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]:
            if path.is_file():
                size = path.stat().st_size
                digest.update(f"{path.relative_to(self.path.parent).as_posix()} {size}".encode())
                with path.open("rb") as file:
                    digest.update(file.read(FINGERPRINT_BYTES))
                    file.seek(max(size - FINGERPRINT_BYTES, 0))
                    digest.update(file.read())
        return digest.hexdigest()[:16]


Location: TypeAlias = OnDisk | OnHub


def find_model(name: str = "auto") -> Location:
    """Say where a model is, without loading it.

    Parameters
    ----------
    name : str
        ``auto``, the name of a folder in models/, a diffusers folder, a .ckpt or .safetensors file, or a
        hub id. Besides the program's own models/, one in the current folder is looked into.

    Returns
    -------
    location : Location

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if name == "auto":
        checkpoints = (folder / STABLE_DIFFUSION_CHECKPOINT for folder in _models_folders())
        checkpoint = next(filter(Path.exists, checkpoints), None)
        return find_model(EMBEDDED_MODEL) if checkpoint is None else OnDisk(_name(checkpoint), checkpoint)
    try:
        for path in (Path(name), *(folder / name for folder in _models_folders())):
            if path.is_file() or (path / INDEX_FILE).is_file():
                return OnDisk(_name(path) or name, path)
        is_folder, beside = Path(name).is_dir(), "/" in name and Path(name).parent.is_dir()
    except (OSError, ValueError) as error:  # a name that no file system takes
        raise ModelError(f"model {name!r}: cannot be read ({error})") from error
    if is_folder:
        raise ModelError(f"model {name}: not a diffusers folder", f"a folder with {INDEX_FILE}")
    # What could be a file in a folder that is there is taken for a mistyped path, not for the hub's.
    if HUB_ID.fullmatch(name) and not beside and not name.endswith(CHECKPOINT_SUFFIXES):
        return OnHub(name)
    raise ModelError(
        f"no model {name!r}",
        "auto, a folder in models/, a diffusers folder, a .ckpt or .safetensors file, or a hub id",
        f"download a checkpoint such as sd-v1-4.ckpt and save it as models/{STABLE_DIFFUSION_CHECKPOINT}",
    )


def _models_folders() -> tuple[Path, Path]:
    """Return the folders whose models have names: the program's own, and that of the current folder."""
    return MODELS_FOLDER, Path("models")


def _name(path: Path) -> str:
    """Name what lies in a folder of models; empty for what lies elsewhere."""
    folders = (folder for folder in _models_folders() if path.is_relative_to(folder))
    return next((path.relative_to(folder).as_posix() for folder in folders), "")
