"""A first look: the numbers of a sound beside those that a model is used to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sound_diffusion.conditioning import SOUND_ALONE, Words
from sound_diffusion.model.model import Model
from sound_diffusion.sound.embeddings import scale
from sound_diffusion.typing import FloatArray


def compare(
    matrix: FloatArray, feature: str, scaling: str, model: Model, words: Words = SOUND_ALONE
) -> dict[str, FloatArray]:
    """Gather what is worth comparing.

    Parameters
    ----------
    matrix : np.ndarray [shape=(77, D), dtype=float32]
        The feature of a sound, unscaled.
    feature, scaling : str
        Their names.
    model : sound_diffusion.Model
    words : Words
        Without a text it is the empty prompt. A model without a text encoder has neither.

    Returns
    -------
    matrices : dict of str to np.ndarray [shape=(77, D), dtype=float32]
        The text where there is one, the feature, and the feature scaled, by what they are.
    """
    matrices: dict[str, FloatArray] = {}
    if words.prompt is not None:
        matrices[f"text {words.prompt!r}"] = words.encode(model)[0]
    elif model.empty_prompt is not None:
        matrices["text ''"] = model.empty_prompt
    matrices[f"sound, {feature}"] = matrix
    if scaling != "none":
        matrices[f"sound, {feature}, scaling {scaling}"] = scale(matrix, scaling, model.empty_prompt, feature)
    return matrices


def statistics_table(matrices: Mapping[str, FloatArray]) -> Iterator[str]:
    """Write minimum, maximum, mean and standard deviation of row 0 and of rows 1 to 76, side by side.

    Parameters
    ----------
    matrices : mapping of str to np.ndarray [shape=(77, D)]

    Yields
    ------
    line : str
        Columns are separated by spaces, the first one is the name.
    """
    width = max(map(len, matrices), default=0)
    yield " " * width + "   rows       min       max      mean       std"
    for name, matrix in matrices.items():
        for rows, part in (("0", matrix[:1]), ("1..76", matrix[1:])):
            numbers = (part.min(), part.max(), part.mean(), part.std())
            yield f"{name:{width}}  {rows:>5}" + "".join(f"{float(number):10.4f}" for number in numbers)
