"""Words beside a sound: a text prompt, and how the two are brought together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sound_diffusion.errors import ParameterError
from sound_diffusion.sound.embeddings import Painter, add_to_text, mix, scale
from sound_diffusion.typing import FloatArray

__all__ = ["Reader", "Words", "finish_embedding", "pooled_words"]


class Reader(Painter, Protocol):
    """A model that can also encode prompts."""

    def encode_prompt(self, prompt: str) -> FloatArray:
        """Return the embedding of a prompt, (77, D); a ModelError without a text encoder."""

    def pooled_prompt(self, prompt: str) -> FloatArray | None:
        """Return the pooled embedding of a prompt; None for a model that takes none."""


@dataclass(frozen=True)
class Words:
    """A text prompt and its part in the embedding.

    Attributes
    ----------
    prompt : str
        The text, at the beginning of a film.
    end_prompt : str or None
        The text at the end of a film; in between, the embeddings are interpolated linearly.
    weight : float or None
        Weight of the text in a linear mix, in [0, 1]. None where there is a strength; else 0.5.
    strength : float or None
        Above 0: the sum text + sound / strength instead, the sound being scaled linearly onto the range of
        the text.
    """

    prompt: str
    end_prompt: str | None = None
    weight: float | None = None
    strength: float | None = None

    def __post_init__(self) -> None:
        if self.weight is not None and self.strength is not None:
            raise ParameterError("--text-weight together with --textstrength", "one of them")
        if self.weight is not None and not 0 <= self.weight <= 1:
            raise ParameterError(f"--text-weight {self.weight}", "a number in [0, 1]")
        if self.strength is not None and not 0 < self.strength < float("inf"):
            raise ParameterError(f"--textstrength {self.strength}", "a number above 0")

    @property
    def share(self) -> float:
        """Weight of the text in a mix."""
        return 0.5 if self.weight is None else self.weight

    def encode(self, model: Reader, position: float = 0.0) -> FloatArray:
        """Return the embedding of the text at a position in the film, from 0 to 1: (77, D) float32."""
        start = model.encode_prompt(self.prompt)
        if self.end_prompt is None:
            return start
        return mix(start, model.encode_prompt(self.end_prompt), position)


def pooled_words(
    words: Words | None, model: Reader, position: float = 0.0, *, alone: bool = False
) -> FloatArray | None:
    """Bring words into the pooled embedding as well, for models that take one.

    Parameters
    ----------
    words : Words or None
    model : sound_diffusion.Model
    position : float
        In the film, from 0 to 1.
    alone : bool
        Whether there is no sound beside the words. A sound has no pooled embedding of its own: the empty
        prompt's stands for it.

    Returns
    -------
    pooled : np.ndarray [shape=(pooled width,), dtype=float32] or None
    """
    nothing = model.pooled_prompt("")
    if words is None or nothing is None:
        return None
    start = model.pooled_prompt(words.prompt)
    end = start if words.end_prompt is None else model.pooled_prompt(words.end_prompt)
    assert start is not None
    assert end is not None
    text = mix(start, end, position)
    return text if alone or words.strength is not None else mix(nothing, text, words.share)


def finish_embedding(
    matrix: FloatArray,
    feature: str,
    scaling: str,
    model: Reader,
    words: Words | None = None,
    position: float = 0.0,
) -> FloatArray:
    """Scale a feature for a model, and bring words in.

    Parameters
    ----------
    matrix : np.ndarray [shape=(77, D), dtype=float32]
        A feature, unscaled.
    feature : str
        Its name.
    scaling : str
        One of :data:`sound_diffusion.sound.embeddings.SCALINGS`. The sum with a text has its own.
    model : sound_diffusion.Model
    words : Words, optional
    position : float
        In the film, from 0 to 1.

    Returns
    -------
    embedding : np.ndarray [shape=(77, D), dtype=float32]

    Raises
    ------
    ModelError
        If there are words and the model has no text encoder.
    ParameterError
        If the scaling needs a text encoder and there is none.
    """
    if words is None:
        return scale(matrix, scaling, model.empty_prompt, feature)
    text = words.encode(model, position)
    if words.strength is not None:
        return add_to_text(matrix, text, words.strength)
    return mix(scale(matrix, scaling, model.empty_prompt, feature), text, words.share)
