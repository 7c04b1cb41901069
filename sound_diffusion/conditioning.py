"""Conditioning: what a model is given in the place of an encoded prompt, made of sound, of words, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from sound_diffusion.errors import ParameterError
from sound_diffusion.formulas.schedules import plain_number
from sound_diffusion.interpolation import interpolate
from sound_diffusion.options import Options, verify
from sound_diffusion.sound.embeddings import add_to_text, check_embedding, mix, scale
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    from sound_diffusion.model.model import Model

Encoded: TypeAlias = tuple[FloatArray, FloatArray | None]
"""Embedding and pooled embedding of a prompt; the latter None but for XL."""


@dataclass(frozen=True)
class Conditioning:
    """What the UNet gets, for one picture or stacked for several.

    Attributes
    ----------
    embedding : np.ndarray [shape=(77, D), dtype=float32]
        What the cross-attention reads, before the model's sound encoder where it has one.
    negative : np.ndarray [shape=(77, D), dtype=float32]
        What guidance leads away from.
    pooled, negative_pooled : np.ndarray [shape=(P,), dtype=float32] or None
        The same as single vectors, which Stable Diffusion XL takes as well.
    states : np.ndarray [shape=(77, D), dtype=float32] or None
        What the model's sound encoder makes of `embedding`, see :meth:`encoded`. None: it is encoded when it
        is painted.
    """

    embedding: FloatArray
    negative: FloatArray
    pooled: FloatArray | None = None
    negative_pooled: FloatArray | None = None
    states: FloatArray | None = None

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """Stack the conditionings of several pictures for one model: every array gets a first axis."""
        stacked: dict[str, Any] = {}
        for name in (field.name for field in fields(cls)):
            values = [getattr(part, name) for part in parts]
            stacked[name] = None if values[0] is None else np.stack(values)
        return cls(**stacked)

    def encoded(self, model: Model) -> Self:
        """Encode the sound now, for what is not to be encoded again when it is painted."""
        return replace(self, states=model.encode_sounds(self.embedding[None])[0].numpy())

    def towards(self, other: Self, share: float, how: str = "slerp") -> Self:
        """Go some of the way to another conditioning of the same model, as :func:`interpolate` does.

        A sound encoder hears the logarithm of what is faint, so that between embeddings pictures change at
        once at the ends. Between two that are :meth:`encoded` they change evenly.
        """

        def between(one: FloatArray | None, end: FloatArray | None) -> FloatArray | None:
            return None if one is None or end is None else interpolate(one, end, share, how)

        parts: dict[str, Any] = {
            each.name: between(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)
        }
        return type(self)(**parts)


@dataclass(frozen=True)
class Words:
    """Text prompts and their part in a conditioning.

    Attributes
    ----------
    prompt : str or None
        The text, at the beginning of a film. None: a sound alone.
    end_prompt : str or None
        The text at the end of a film; in between, the embeddings are interpolated.
    weight : float or None
        Weight of the text in a linear mix, in [0, 1]. None where there is a strength; else 0.5.
    strength : float or None
        Above 0: the sum text + sound / strength instead, the sound being scaled linearly onto the range of
        the text.
    negative : str
        What guidance leads away from, at the beginning of a film.
    end_negative : str or None
        The same at its end. None: `negative`.
    interpolation : {"lerp", "slerp", "none"}
        The way between beginning and end.
    """

    prompt: str | None = None
    end_prompt: str | None = None
    weight: float | None = None
    strength: float | None = None
    negative: str = ""
    end_negative: str | None = None
    interpolation: str = "lerp"

    def __post_init__(self) -> None:
        if self.weight is not None and self.strength is not None:
            raise ParameterError("--text-weight together with --textstrength", "one of them")
        verify(text_weight=self.weight, textstrength=self.strength)

    @classmethod
    def of(cls, options: Options) -> Self:
        """Gather what the user has said."""
        end = getattr(options, "textpromptend", None)
        negative = options.negative_prompt or ""
        weight = plain_number(options.text_weight)
        return cls(options.textprompt, end, weight, options.textstrength, negative)

    @property
    def share(self) -> float:
        """Weight of the text in a mix."""
        return 0.5 if self.weight is None else self.weight

    def encode(self, model: Model, position: float = 0.0) -> Encoded:
        """Return embedding and pooled embedding of the text at a position in the film, from 0 to 1."""
        assert self.prompt is not None

        def read(text: str) -> Encoded:
            return model.encode_prompt(text), model.pooled_prompt(text)

        return self._on_the_way(read, self.prompt, self.end_prompt, position)

    def encode_negative(self, model: Model, position: float = 0.0) -> Encoded:
        """Return embedding and pooled embedding of what guidance leads away from, as :meth:`encode`."""
        end = None if self.end_negative == self.negative else self.end_negative
        return self._on_the_way(model.encode_negative, self.negative, end, position)

    def _on_the_way(
        self, read: Callable[[str], Encoded], start: str, end: str | None, position: float
    ) -> Encoded:
        embedding, pooled = read(start)
        if end is None:
            return embedding, pooled
        other, other_pooled = read(end)
        if pooled is not None and other_pooled is not None:
            pooled = interpolate(pooled, other_pooled, position, self.interpolation)
        return interpolate(embedding, other, position, self.interpolation), pooled


SOUND_ALONE = Words()


def condition(
    model: Model,
    matrix: FloatArray | None,
    scaling: str = "none",
    words: Words = SOUND_ALONE,
    position: float = 0.0,
    gain: float = 1.0,
    feature: str = "embedding",
) -> Conditioning:
    """Scale a feature for a model, and bring words in.

    Parameters
    ----------
    model : sound_diffusion.Model
    matrix : np.ndarray [shape=(77, D), dtype=float32] or None
        A feature, unscaled. None: the words alone.
    scaling : str
        One of :data:`sound_diffusion.sound.embeddings.SCALINGS`. The sum with a text has its own.
    words : Words
    position : float
        In the film, from 0 to 1.
    gain : float
        What the scaled sound is multiplied by.
    feature : str
        What `matrix` is, as :func:`sound_diffusion.scale` has to know; ``embedding``: one from elsewhere.

    Returns
    -------
    conditioning : Conditioning
        A sound has no pooled embedding of its own: the empty prompt's stands for it.

    Raises
    ------
    ModelError
        If there are words and the model has no text encoder.
    ParameterError
        If the scaling needs a text encoder and there is none.
    """
    negative, negative_pooled = words.encode_negative(model, position)
    if words.prompt is None:
        assert matrix is not None
        embedding = _amplified(scale(matrix, scaling, model.empty_prompt, feature), gain)
        pooled = model.pooled_prompt("")
        return Conditioning(embedding, negative, pooled, negative_pooled)
    text, text_pooled = words.encode(model, position)
    if matrix is None:
        return Conditioning(text, negative, text_pooled, negative_pooled)
    if words.strength is not None:
        embedding = add_to_text(matrix, text, words.strength)
        if gain != 1:
            embedding = text + _amplified(embedding - text, gain)
        return Conditioning(embedding, negative, text_pooled, negative_pooled)
    embedding = mix(_amplified(scale(matrix, scaling, model.empty_prompt, feature), gain), text, words.share)
    nothing = model.pooled_prompt("")
    pooled = None if nothing is None or text_pooled is None else mix(nothing, text_pooled, words.share)
    return Conditioning(embedding, negative, pooled, negative_pooled)


def _amplified(embedding: FloatArray, gain: float) -> FloatArray:
    return embedding if gain == 1 else embedding * np.float32(gain)


def condition_embedding(model: Model, embedding: npt.ArrayLike) -> Conditioning:
    """Condition a model with a matrix as it is.

    Parameters
    ----------
    model : sound_diffusion.Model
    embedding : array_like [shape=(77, D)]
        From :func:`sound_diffusion.embed`, or any real and finite matrix.

    Returns
    -------
    conditioning : Conditioning

    Raises
    ------
    EmbeddingError
        If the embedding has not the shape that the model expects.
    """
    return condition(model, check_embedding(embedding, model.width))
