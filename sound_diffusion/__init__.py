"""Sound Diffusion: paint sounds with Stable Diffusion.

>>> import sound_diffusion as sd
>>> y = sd.load_audio("examples/bell.wav")  # doctest: +SKIP
>>> model = sd.load_model("auto")  # doctest: +SKIP
>>> embedding = sd.embed(y, feature="fft", model=model)  # doctest: +SKIP
>>> picture = sd.paint(model, embedding, seed=0)  # doctest: +SKIP

Names are imported when they are first used, so that ``import sound_diffusion`` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sound_diffusion.errors import SoundDiffusionError

if TYPE_CHECKING:
    from sound_diffusion.model.model import Model, load_model
    from sound_diffusion.painting import PaintSettings, paint, paint_batch
    from sound_diffusion.sound.audio import load_audio, stream_audio
    from sound_diffusion.sound.descriptors import DESCRIPTORS, Descriptors, describe
    from sound_diffusion.sound.embeddings import embed, load_embedding, scale
    from sound_diffusion.sound.features import FEATURES, extract, extract_at

__version__ = "0.1.0"

__all__ = [
    "DESCRIPTORS",
    "FEATURES",
    "Descriptors",
    "Model",
    "PaintSettings",
    "SoundDiffusionError",
    "describe",
    "embed",
    "extract",
    "extract_at",
    "load_audio",
    "load_embedding",
    "load_model",
    "paint",
    "paint_batch",
    "scale",
    "stream_audio",
]

_MODULE_OF = {
    "DESCRIPTORS": "sound.descriptors",
    "Descriptors": "sound.descriptors",
    "describe": "sound.descriptors",
    "FEATURES": "sound.features",
    "Model": "model.model",
    "PaintSettings": "painting",
    "embed": "sound.embeddings",
    "extract": "sound.features",
    "extract_at": "sound.features",
    "load_audio": "sound.audio",
    "load_embedding": "sound.embeddings",
    "load_model": "model.model",
    "paint": "painting",
    "paint_batch": "painting",
    "scale": "sound.embeddings",
    "stream_audio": "sound.audio",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
