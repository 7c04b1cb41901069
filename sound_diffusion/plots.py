"""Plots that let people look at a sound, its embedding and its picture side by side."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.typing import FloatArray

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["plot_picture", "waveform_envelope"]


def waveform_envelope(y: FloatArray, n_columns: int) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest sample of each of `n_columns` equal stretches of a sound.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Samples.
    n_columns : int
        Fewer are returned for a sound with fewer samples.

    Returns
    -------
    low, high : np.ndarray [shape=(m,), dtype=float32], 1 <= m <= n_columns
    """
    if not len(y):
        return np.zeros(1, dtype=np.float32), np.zeros(1, dtype=np.float32)
    starts = np.unique(np.linspace(0, len(y), n_columns, endpoint=False).astype(np.int64))
    return np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)


def plot_picture(
    picture: Image.Image, samples: FloatArray | None, embedding: FloatArray, title: str, file: IO[bytes]
) -> None:
    """Plot waveform, embedding and picture side by side, as a PNG.

    Parameters
    ----------
    picture : PIL.Image.Image
    samples : np.ndarray [shape=(n,), dtype=float32] or None
        The sound at 44,100 Hz. None where the embedding came from a file.
    embedding : np.ndarray [shape=(77, D), dtype=float32]
        What the model was fed.
    title : str
    file : binary file
        Where the PNG goes.
    """
    import logging

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # speaks when it builds its cache
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    wave, heat, image = figure.subplots(1, 3, width_ratios=[1, 1.25, 1])
    figure.suptitle(title, fontsize=11)
    if samples is not None:
        low, high = waveform_envelope(samples, 1000)
        seconds = np.linspace(0, len(samples) / SAMPLE_RATE, len(low))
        wave.fill_between(seconds, low, high, color="#30508c", linewidth=0.4)
        wave.set(title="waveform", xlabel="seconds", ylabel="sample", xlim=(0, seconds[-1] or 1))
    else:
        wave.text(0.5, 0.5, "an embedding\nfrom a file", ha="center", va="center")
        wave.set_axis_off()
    drawn = heat.imshow(embedding, aspect="auto", interpolation="nearest", cmap="magma")
    heat.set(title=f"embedding {embedding.shape}", xlabel="column", ylabel="row (time goes down)")
    figure.colorbar(drawn, ax=heat)
    image.imshow(picture)
    image.set(title=f"picture {picture.width} x {picture.height}")
    image.set_axis_off()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
