"""Embeddings: matrices of shape (77, D) that take the place of an encoded prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sound_diffusion.constants import N_ROWS, SD1_WIDTH
from sound_diffusion.errors import EmbeddingError, ParameterError
from sound_diffusion.sound.features import extract
from sound_diffusion.sound.whitening import compress, whiten
from sound_diffusion.typing import DoubleArray, FloatArray

SCALINGS = ("none", "log", "range", "clip", "whiten")


class PaintingModel(Protocol):
    """What an embedding has to know of the model that will paint it."""

    @property
    def width(self) -> int:
        """Columns D: the width of the model's cross-attention."""

    @property
    def empty_prompt(self) -> FloatArray | None:
        """The model's embedding of the empty prompt, (77, D), or None without a text encoder."""

    def scaling_for(self, feature: str, scaling: str = "auto") -> str:
        """Resolve ``auto`` to the scaling that the model declares for a feature."""


def embed(
    y: npt.ArrayLike,
    feature: str = "fft",
    *,
    model: PaintingModel | None = None,
    scaling: str = "auto",
    width: int = SD1_WIDTH,
) -> FloatArray:
    """Turn a sound into a matrix that a Stable Diffusion model can paint.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), real floating]
        Mono samples at 44,100 Hz, in [-1, 1].
    feature : str
        A key of :data:`sound_diffusion.sound.features.FEATURES`.
    model : sound_diffusion.Model, optional
        The model that will paint it: gives `width`, what ``auto`` means, and the empty prompt's embedding.
    scaling : str
        ``auto`` or one of :data:`SCALINGS`, see :func:`scale`. ``auto`` is what `model` declares for
        `feature`; without a model, ``none``.
    width : int
        Columns D where no model is given.

    Returns
    -------
    embedding : np.ndarray [shape=(77, D), dtype=float32]
        Finite values; row 0 is the beginning of the sound.

    Raises
    ------
    AudioError
        If the samples are not finite or far outside [-1, 1].
    ParameterError
        If an argument is not one of those above.

    Examples
    --------
    >>> import numpy as np, sound_diffusion as sd
    >>> sd.embed(np.zeros(1000, dtype=np.float32), feature="fft").shape
    (77, 768)
    """
    if model is None:
        return scale(extract(y, feature, width), "none" if scaling == "auto" else scaling, None, feature)
    matrix = extract(y, feature, model.width)
    return scale(matrix, model.scaling_for(feature, scaling), model.empty_prompt, feature)


def scale(
    matrix: FloatArray, scaling: str, empty_prompt: FloatArray | None = None, feature: str = "embedding"
) -> FloatArray:
    """Bring a feature to the numbers that a model is used to.

    Parameters
    ----------
    matrix : np.ndarray [shape=(77, D), dtype=float32]
        A feature.
    scaling : str
        ``none``: as it is. ``log``: log(1 + x), odd about zero for features with negative values.
        ``range``: linear onto [min, max] of `empty_prompt`. ``clip``: row 0 is the model's own start
        token, rows 1 to 76 are standardised together and given the mean and the standard deviation
        of the same rows of `empty_prompt`. ``whiten``: log(1 + x) less its mean over music, divided by its
        deviation (:func:`sound_diffusion.sound.whitening.whiten`), then as ``clip``.
    empty_prompt : np.ndarray [shape=(77, D), dtype=float32], optional
        The model's embedding of the empty prompt.
    feature : str
        What `matrix` is; only ``whiten`` has to know. ``embedding`` is a matrix from elsewhere.

    Returns
    -------
    scaled : np.ndarray [shape=(77, D), dtype=float32]
        A matrix without contrast, such as silence, becomes the lowest value (``range``) or the mean
        (``clip``) of the empty prompt; whitened, silence is the mean spectrum of music, upside down.

    Raises
    ------
    ParameterError
        If `scaling` is unknown, or needs an `empty_prompt` of the same shape and gets none; ``whiten`` of
        what is no feature.
    """
    if scaling == "none":
        return matrix
    if scaling == "log":
        return compress(matrix)
    if scaling not in SCALINGS:
        raise ParameterError(f"unknown scaling {scaling!r}", f"one of {', '.join(SCALINGS)}")
    if empty_prompt is None:
        raise ParameterError(
            f"scaling {scaling!r} needs the embedding of the empty prompt",
            "a model with a text encoder",
            "use --scaling none or log",
        )
    if empty_prompt.shape != matrix.shape:
        raise ParameterError(f"empty prompt of shape {empty_prompt.shape}", f"{matrix.shape}")
    if scaling == "range":
        low, high = float(empty_prompt.min()), float(empty_prompt.max())
        return (low + (high - low) * _unit_range(matrix)).astype(np.float32)
    if scaling == "whiten":
        matrix = whiten(matrix, feature)
    body = empty_prompt[1:]
    rows = float(body.mean()) + float(body.std()) * _standardised(matrix[1:])
    return np.concatenate([empty_prompt[:1], rows]).astype(np.float32)


def mix(sound: FloatArray, text: FloatArray, weight: float) -> FloatArray:
    """Mix the embedding of a sound with that of a text.

    Parameters
    ----------
    sound, text : np.ndarray [shape=(77, D), dtype=float32]
        Embeddings for the same model.
    weight : float
        Of the text, in [0, 1]: 0 is the sound alone, 1 the text alone.

    Returns
    -------
    mixed : np.ndarray [shape=(77, D), dtype=float32]

    Raises
    ------
    ParameterError
        If `weight` is out of range or the shapes differ.
    """
    if not 0 <= weight <= 1:
        raise ParameterError(f"weight {weight} of the text (--text-weight)", "a number in [0, 1]")
    _check_same_shape(sound, text)
    return ((1 - weight) * sound + weight * text).astype(np.float32)


def add_to_text(sound: FloatArray, text: FloatArray, strength: float) -> FloatArray:
    """Add a sound to a text: text + the sound, scaled linearly onto the range of the text, / strength.

    Parameters
    ----------
    sound, text : np.ndarray [shape=(77, D), dtype=float32]
        A feature, and an embedding for the same model.
    strength : float
        Of the text, above 0: the larger, the less the sound is heard.

    Returns
    -------
    total : np.ndarray [shape=(77, D), dtype=float32]

    Raises
    ------
    ParameterError
        If `strength` is not above 0 or the shapes differ.
    """
    if not 0 < strength < np.inf:
        raise ParameterError(f"strength {strength} of the text (--textstrength)", "a number above 0")
    _check_same_shape(sound, text)
    low, high = float(text.min()), float(text.max())
    return (text + (low + (high - low) * _unit_range(sound)) / strength).astype(np.float32)


def _check_same_shape(sound: FloatArray, text: FloatArray) -> None:
    if sound.shape != text.shape:
        raise ParameterError(f"embeddings of shapes {sound.shape} and {text.shape}", "the same shape")


def _unit_range(matrix: FloatArray) -> DoubleArray:
    values = matrix.astype(np.float64)
    values -= values.min()
    spread = values.max()
    return values / spread if spread > 0 else values


def _standardised(matrix: FloatArray) -> DoubleArray:
    values = matrix.astype(np.float64)
    values -= values.mean()
    deviation = values.std()
    return values / deviation if deviation > 0 else values


def check_embedding(matrix: npt.ArrayLike, width: int, name: str = "embedding") -> FloatArray:
    """Return `matrix` as float32 of shape (77, width), or say why it cannot be painted.

    Parameters
    ----------
    matrix : array_like [shape=(77, width)]
        Real and finite values. A leading axis of length 1 is dropped.
    width : int
        Columns that the model expects.
    name : str
        What the error message calls it.

    Returns
    -------
    embedding : np.ndarray [shape=(77, width), dtype=float32]

    Raises
    ------
    EmbeddingError
        If shape, dtype or values are wrong.
    """
    values = np.asarray(matrix)
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.shape != (N_ROWS, width):
        raise EmbeddingError(
            f"{name}: a matrix of shape {values.shape}", f"({N_ROWS}, {width})", "use one made for this model"
        )
    if not (np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)):
        raise EmbeddingError(f"{name}: values of dtype {values.dtype}", "real numbers")
    with np.errstate(over="ignore"):
        embedding = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(embedding).all():
        raise EmbeddingError(f"{name}: NaN or infinite values", "finite numbers in the range of float32")
    return embedding


def load_embedding(path: Path, width: int | None = None) -> FloatArray:
    """Read a matrix that this or another program saved with ``numpy.save``.

    Parameters
    ----------
    path : Path
        A .npy file. Pickled objects inside it are refused.
    width : int, optional
        Columns that the model expects. If None, any width passes.

    Returns
    -------
    embedding : np.ndarray [shape=(77, width), dtype=float32]

    Raises
    ------
    EmbeddingError
        If the file is missing, is not a .npy file, or its matrix does not fit.
    """
    try:
        # Mapped rather than read, so that a header cannot ask for more memory than the file fills.
        matrix = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise EmbeddingError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise EmbeddingError(f"{path}: a folder", "a .npy file") from None
    except Exception as error:
        raise EmbeddingError(f"{path}: cannot be read as .npy ({error})", "a file of numpy.save") from error
    if width is None:
        width = matrix.shape[-1] if matrix.ndim else SD1_WIDTH
    return check_embedding(matrix, width, str(path)).copy()
