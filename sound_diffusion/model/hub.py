"""Models on the Hugging Face hub: what of them is in the cache, and fetching what is not.

Settings are fetched when a request is checked, weights when the model is loaded: those of the same commit,
though the hub may have a newer one by then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sound_diffusion.errors import ModelError, reason_of
from sound_diffusion.model.defaults import SETTINGS_FILES
from sound_diffusion.model.folders import INDEX_FILE, LIBRARIES, chosen_weights, read_index

WEIGHT_SUFFIXES = (".safetensors", ".bin", ".msgpack", ".h5", ".onnx", ".onnx_data", ".pb", ".xml", ".ckpt")
"""Of files that are large; of these only the chosen ones are fetched."""


@dataclass(frozen=True)
class OnHub:
    """A model on the hub, by its id."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        """Its folder in the hub's cache, named after the commit; settings that are not there are downloaded.

        Raises
        ------
        ModelError
            If there is no such model, or the hub cannot be reached.
        """
        folder = self._cached() or _download(self.name, SETTINGS_FILES)
        if not (folder / INDEX_FILE).is_file():
            raise ModelError(
                f"model {self.name}: no {INDEX_FILE} in it", "a Stable Diffusion model in diffusers format"
            )
        return folder

    def fetch(self, parts: Iterable[str]) -> None:
        """Download what is not in the cache of some parts; ModelError if the hub cannot be reached."""
        folder = self.path
        absent = [part for part in parts if not _is_whole(folder, part)]
        if not absent:
            return
        logger = logging.getLogger(__name__)
        logger.warning("downloading %s", self.name)
        files = _listing(self.name, folder.name)
        wanted = []
        for part in absent:
            names = [name.removeprefix(f"{part}/") for name in files if name.startswith(f"{part}/")]
            chosen = chosen_weights(names)
            wanted += [f"{part}/{n}" for n in names if n in chosen or not n.endswith(WEIGHT_SUFFIXES)]
        _download(self.name, wanted, folder.name, progress=logger.isEnabledFor(logging.WARNING))

    def fingerprint(self) -> str | None:
        """Return its commit; None where it is not in the cache."""
        folder = self._cached()
        return None if folder is None else folder.name

    def _cached(self) -> Path | None:
        """Return its folder in the hub's cache, if at least its settings are there."""
        from huggingface_hub import snapshot_download

        try:
            # Without the patterns, a snapshot counts only with every file that the hub has, used or not.
            patterns = list(SETTINGS_FILES)
            folder = Path(snapshot_download(self.name, allow_patterns=patterns, local_files_only=True))
        except (OSError, ValueError):
            return None
        return folder if (folder / INDEX_FILE).is_file() else None


def _is_whole(folder: Path, part: str) -> bool:
    names = [path.name for path in (folder / part).glob("*")]
    has_weights = read_index(folder).get(part, ["", part])[1] in {*LIBRARIES, "sound_encoder"}
    return bool(chosen_weights(names)) if has_weights else bool(names)


def _listing(hub_id: str, commit: str) -> list[str]:
    """List the files of a commit."""
    import huggingface_hub

    try:
        return list(huggingface_hub.list_repo_files(hub_id, revision=commit))
    except Exception as error:  # as in _download
        raise _unreachable(hub_id, error) from error


def _download(
    hub_id: str, files: Sequence[str], commit: str | None = None, *, progress: bool = False
) -> Path:
    """Download files of a model, and return its folder in the cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    (enable_progress_bars if progress else disable_progress_bars)()
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(files), revision=commit))
    except Exception as error:  # of the hub's library, and of the one beneath it that speaks HTTP
        raise _unreachable(hub_id, error) from error


def _unreachable(hub_id: str, error: Exception) -> ModelError:
    return ModelError(
        f"model {hub_id}: not in the hub's cache, and cannot be downloaded ({reason_of(error)})",
        remedy="check the name and the network, or give the path of a model",
    )
