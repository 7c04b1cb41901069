"""Measure how far each feature lets a sound decide the picture, and how far the seed does.

    python -m benchmarks.feature_comparison

The first table is about embeddings alone, and needs no model: the mean cosine of the angle between the
embedding of a sound of examples/ and that of the same sound 10 ms later, of the same sound at half the level,
and of another sound; 1 is the same direction, 0 none in common.

The second table is about pictures. Every sound is painted with every seed. Two distances between pictures,
both in [0, 1]: of their colours (half the L1 distance between histograms of 6 x 6 x 6 colours) and of their
pixels (root mean square, after scaling to 32 x 32). The columns give the mean distance between pictures of
different sounds with one seed, and of one sound with different seeds. The last column is the part of the
pictures whose nearest other picture in colours, among those of other seeds, shows the same sound; guessing
gives one in the number of sounds.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
COLOURS = 6  # levels of each channel in a histogram
DELAY = 441  # samples, 10 ms
Pictures = dict[tuple[str, int], np.ndarray]  # (sound, seed) -> a vector that describes the picture
Distance = Callable[[np.ndarray, np.ndarray], float]


def histogram(picture: np.ndarray) -> np.ndarray:
    """Return the shares of the colours of a picture."""
    levels = picture.astype(int) * COLOURS // 256
    codes = (levels[..., 0] * COLOURS + levels[..., 1]) * COLOURS + levels[..., 2]
    return np.bincount(codes.ravel(), minlength=COLOURS**3) / codes.size


def colour_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Half the L1 distance of two histograms: the share of the pixels that would have to change colour."""
    return float(np.abs(a - b).sum() / 2)


def pixel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference of two small pictures."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def mean_distances(described: Pictures, distance: Distance) -> tuple[float, float]:
    """Return the mean distance between sounds at one seed, and between seeds of one sound."""
    between_sounds, between_seeds = [], []
    for (key, a), (other, b) in itertools.combinations(described.items(), 2):
        if key[1] == other[1]:
            between_sounds.append(distance(a, b))
        elif key[0] == other[0]:
            between_seeds.append(distance(a, b))
    return float(np.mean(between_sounds)), float(np.mean(between_seeds))


def recognised(described: Pictures, distance: Distance) -> float:
    """Return the part of the pictures whose nearest picture of another seed shows the same sound."""
    hits = []
    for (sound, seed), a in described.items():
        others = {key: distance(a, b) for key, b in described.items() if key[1] != seed}
        hits.append(min(others, key=lambda key: others[key])[0] == sound)
    return float(np.mean(hits))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two matrices."""
    return float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b)))


def compare_embeddings(features: list[str], sounds: dict[str, np.ndarray]) -> None:
    """Print the table of the embeddings."""
    import sound_diffusion as sd

    print("| feature | 10 ms later | half the level | another sound |\n| --- | ---: | ---: | ---: |")
    for feature in features:
        matrices = [sd.embed(y, feature=feature) for y in sounds.values()]
        later = [
            cosine(sd.embed(y[:-DELAY], feature=feature), sd.embed(y[DELAY:], feature=feature))
            for y in sounds.values()
        ]
        softer = [
            cosine(m, sd.embed(y / 2, feature=feature))
            for m, y in zip(matrices, sounds.values(), strict=True)
        ]
        others = list(itertools.starmap(cosine, itertools.combinations(matrices, 2)))
        print(
            f"| {feature} | {np.mean(later):.2f} | {np.mean(softer):.2f} | {np.mean(others):.2f} |",
            flush=True,
        )


def compare_pictures(
    model_name: str, features: list[str], sounds: dict[str, np.ndarray], n_seeds: int, steps: int | None
) -> None:
    """Print the table of the pictures."""
    import sound_diffusion as sd

    model = sd.load_model(model_name)
    print(f"\nModel {model.name}, {len(sounds)} sounds, {n_seeds} seeds.\n")
    print("| feature | colours: sounds | seeds | pixels: sounds | seeds | sound recognised |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for feature in features:
        colours: Pictures = {}
        small: Pictures = {}
        for (name, y), seed in itertools.product(sounds.items(), range(n_seeds)):
            embedding = sd.embed(y, feature=feature, model=model)
            picture = sd.paint(model, embedding, seed=seed, **({"steps": steps} if steps else {}))
            colours[name, seed] = histogram(np.asarray(picture))
            small[name, seed] = np.asarray(picture.resize((32, 32)), dtype=np.float64) / 255
        of_colours, of_pixels = (
            mean_distances(colours, colour_distance),
            mean_distances(small, pixel_distance),
        )
        values = " | ".join(f"{value:.3f}" for value in (*of_colours, *of_pixels))
        print(f"| {feature} | {values} | {recognised(colours, colour_distance):.0%} |", flush=True)


def main() -> None:
    """Print the table."""
    import sound_diffusion as sd

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="auto", help="model that paints (default: auto)")
    parser.add_argument("--features", nargs="+", default=list(sd.FEATURES), help="features to compare")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every sound (default: 3)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the model's)")
    args = parser.parse_args()
    sounds = {path.stem: sd.load_audio(path) for path in sorted((ROOT / "examples").glob("*.wav"))}
    compare_embeddings(args.features, sounds)
    compare_pictures(args.model, args.features, sounds, args.seeds, args.steps)


if __name__ == "__main__":
    main()
