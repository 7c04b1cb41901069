"""A piece from a seed: composed, played, mixed and mastered."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from sound_diffusion.constants import SAMPLE_RATE
from training.arrangements import electronics, score
from training.arrangements.composition import Piece, Section, compose
from training.arrangements.mastering import Master, finish
from training.arrangements.rhythm import Grid
from training.arrangements.score import Part
from training.arrangements.styles import Style


def pumping(kicks: list[float], length: int, depth: float) -> np.ndarray:
    """Gain that every bass drum turns down by `depth` decibels, and that comes back [shape=(length,)]."""
    strokes = np.zeros(length)
    places = np.round(np.array(kicks) * SAMPLE_RATE).astype(int)
    strokes[places[places < length]] = 1
    duck = lfilter([1.0], [1.0, -np.exp(-1 / (0.11 * SAMPLE_RATE))], strokes)
    return 10 ** (-depth / 20 * np.minimum(duck, 1))


def risers(rng: np.random.Generator, grid: Grid, sections: tuple[Section, ...], length: int) -> np.ndarray:
    """Let noise rise into some sections, and strike at their beginnings [shape=(length,)]."""
    y = np.zeros(length)
    for section in sections[1:]:
        if rng.random() > 0.35:
            continue
        begin, end = grid.at((section.first - 1) * grid.bar), grid.at(section.first * grid.bar)
        n = max(1, round((end - begin) * SAMPLE_RATE))
        noise = rng.standard_normal(n) * np.linspace(0, 1, n) ** 2
        dark = electronics.high_pass(electronics.low_pass(noise, 1500), 400)
        bright = electronics.high_pass(electronics.low_pass(noise, 9000), 2200)
        blend = np.linspace(0, 1, n)
        electronics.add_at(y, 0.08 * (dark * (1 - blend) + bright * blend), begin)
        electronics.add_at(y, 0.15 * electronics.burst(rng, 60, 8000, 0.4), end)
    return y


def mix(rng: np.random.Generator, piece: Piece, length: int) -> np.ndarray:
    """Play all parts of a piece and add them up, dry [shape=(length,)]."""

    def stem(parts: list[Part]) -> np.ndarray:
        sampled = [part for part in parts if part.sampled]
        y = score.play(sampled, length) if sampled else np.zeros(length)
        for part in parts:
            if not part.sampled:
                y += electronics.play(part, length, rng)
        return y

    depth = rng.uniform(*piece.style.pumping)
    drums = [part for part in piece.parts if part.percussive]
    tonal = [part for part in piece.parts if not part.percussive]
    if not (depth > 1 and drums):
        return stem(list(piece.parts))
    y = stem(tonal) + risers(rng, piece.grid, piece.sections, length)
    return stem(drums) + y * pumping(piece.kicks, length, depth)


def draw_master(rng: np.random.Generator, style: Style) -> Master:
    """Draw how a piece of a style is mastered."""
    top = rng.choice([5_500, 8_000, 12_000, 16_000, 18_000, 20_000], p=[0.05, 0.07, 0.08, 0.3, 0.3, 0.2])
    return Master(
        peak=-rng.exponential(2.5),
        gain=rng.uniform(*style.gain),
        room=rng.uniform(*style.room),
        seconds=rng.uniform(*style.seconds),
        slope=rng.normal(-6 + style.bright, 1.0),
        match=rng.uniform(0.3, 0.9),
        bass=rng.normal(0, 3),
        drive=rng.uniform(*style.drive),
        ratio=rng.uniform(1, 2.2),
        top=float(top),
        noise=rng.uniform(-100, -62),
    )


def render_piece(seed: int, seconds: float = 30.0) -> np.ndarray:
    """Compose, play and master the piece of a seed.

    Parameters
    ----------
    seed : int
        The same seed and length give the same piece, with the same soundfont and version of fluidsynth.
    seconds : float
        Its length; the last bar may be cut.

    Returns
    -------
    np.ndarray [shape=(round(44100 * seconds),), dtype=float32]
        Mono, in [-0.97, 0.97].

    Raises
    ------
    RuntimeError
        If fluidsynth or the soundfont is missing.
    """
    rng = np.random.default_rng([13, seed])
    length = round(seconds * SAMPLE_RATE)
    piece = compose(rng, seconds)
    return finish(mix(rng, piece, length), draw_master(rng, piece.style), rng)
