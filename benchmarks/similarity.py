"""Measure how much alike the embeddings of different sounds are, for every feature and scaling.

    python -m benchmarks.similarity --sounds FOLDER

Three stretches of three seconds are cut out of every sound of the folder (fewer where it is shorter). Printed
is the mean cosine between embeddings of different sounds, beside that between stretches of one sound; 1 is
the same direction, 0 none in common. Rows 1 to 76 are compared: row 0 is the model's own start token with
`clip` and `whiten`. A scaling that needs the empty prompt gets that of --model; without a model one with the
extremes of Stable Diffusion 1.x in row 0, and mean 0 and deviation 1 in the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import sound_diffusion as sd
from sound_diffusion.constants import N_ROWS, SAMPLE_RATE, SD1_WIDTH
from sound_diffusion.inputs import SOUND_SUFFIXES
from sound_diffusion.sound.embeddings import SCALINGS, scale

SECONDS, STRETCHES = 3.0, 3
EXTREMES = (-28.1, 33.1)  # of the empty prompt of Stable Diffusion 1.x


def stand_in() -> np.ndarray:
    """Make numbers like those of an empty prompt [shape=(77, 768), dtype=float32]."""
    prompt = np.random.default_rng(0).standard_normal((N_ROWS, SD1_WIDTH)).astype(np.float32)
    prompt[0, :2] = EXTREMES
    return prompt


def stretches(path: Path) -> Iterator[np.ndarray]:
    """Cut a sound into stretches that are spread evenly over it."""
    y, size = sd.load_audio(path), round(SECONDS * SAMPLE_RATE)
    count = min(STRETCHES, max(1, len(y) // size))
    for start in np.linspace(0, max(0, len(y) - size), count).astype(int):
        yield y[start : start + size]


def mean_cosines(embeddings: np.ndarray, pieces: np.ndarray) -> tuple[float, float]:
    """Mean cosine between embeddings of different pieces, and between those of one piece.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, 77, D)]
        None of them zero.
    pieces : np.ndarray [shape=(n,)]
        Which piece each belongs to.

    Returns
    -------
    different, one : float
        NaN where there are no two of them.
    """
    flat = embeddings[:, 1:].reshape(len(embeddings), -1).astype(np.float32)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    cosines = flat @ flat.T
    same = pieces[:, None] == pieces[None]
    chosen = (cosines[~same], cosines[same & ~np.eye(len(pieces), dtype=bool)])
    different, one = (float(values.mean()) if values.size else float("nan") for values in chosen)
    return different, one


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sounds", type=Path, required=True, help="folder of sounds")
    parser.add_argument("--features", nargs="+", default=list(sd.FEATURES), help="features to compare")
    parser.add_argument("--model", help="model whose empty prompt is taken")
    options = parser.parse_args(argv)
    prompt = sd.load_model(options.model).empty_prompt if options.model else stand_in()
    width = SD1_WIDTH if prompt is None else prompt.shape[1]
    paths = sorted(path for path in options.sounds.iterdir() if path.suffix.lower() in SOUND_SUFFIXES)
    parts = [list(stretches(path)) for path in paths]
    pieces = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    print(f"{len(pieces)} stretches of {len(parts)} sounds. Different sounds / one sound.\n")
    print("| feature | " + " | ".join(SCALINGS) + " |\n| --- |" + " ---: |" * len(SCALINGS))
    for feature in options.features:
        matrices = [sd.extract(y, feature, width) for part in parts for y in part]
        cells = []
        for scaling in SCALINGS:
            embeddings = np.stack([scale(matrix, scaling, prompt, feature) for matrix in matrices])
            cells.append("{:.2f} / {:.2f}".format(*mean_cosines(embeddings, pieces)))
        print(f"| {feature} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
