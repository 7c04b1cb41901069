"""What the renderer draws with: figures of several families, clouds, sparks and the fields that bend them.

All are the same in the mirror, left and right, above and below, and about the diagonals: what is drawn is the
quarter below and right of the centre. A seed chooses warp, detail and cloud, never the meaning.
"""

from __future__ import annotations

import numpy as np

from sound_diffusion.model.harmony import key_place, mode_weights
from sound_diffusion.model.picture_language import Descriptors

MODES = np.array([(5, 1), (4, 3), (7, 2), (3, 2)])  # ratios of the two directions of a plate's modes
FOLDS = np.array([4, 8, 12, 16])  # of a drum's modes


def ranks(field: np.ndarray) -> np.ndarray:
    """Replace values by their rank in [0, 1], so that every field has the same distribution."""
    values = np.sort(field[::3, ::3], axis=None)
    grid = values[np.linspace(0, values.size - 1, 65).astype(int)]
    return np.interp(field, grid, np.linspace(0, 1, 65)).astype(np.float32)


def smooth_field(rng: np.random.Generator, size: int, cells: int = 4) -> np.ndarray:
    """Draw a quarter of a smooth field of the plate's symmetry, about `cells` waves a side.

    Parameters
    ----------
    rng : np.random.Generator
        Chance.
    size : int
        Side of the quarter in pixels.
    cells : int
        Fineness.

    Returns
    -------
    np.ndarray [shape=(size, size)]
        The corner below and right of the centre; mean 0, deviation 1.
    """
    count = cells + 3
    place = np.linspace(1, cells + 1, 2 * size, dtype=np.float32)[size:]
    distance = np.abs(place[:, None] - np.arange(count, dtype=np.float32))
    basis = (
        np.where(distance < 1, (4 - 6 * distance**2 + 3 * distance**3), np.clip(2 - distance, 0, 1) ** 3) / 6
    )
    values = rng.standard_normal((count, count)).astype(np.float32)
    values = values + values[:, ::-1]
    values = values + values[::-1]
    field = basis @ (values + values.T) @ basis.T
    return (field - field.mean()) / (field.std() + 1e-9)


def whole(quarter: np.ndarray) -> np.ndarray:
    """Mirror a quarter into the whole plate [shape=(2 * size, 2 * size, ...)]."""
    half = np.concatenate([quarter[:, ::-1], quarter], axis=1)
    return np.concatenate([half[::-1], half])


def plate(x: np.ndarray, y: np.ndarray, wave: float, weights: np.ndarray, key: float) -> np.ndarray:
    """Superpose modes of a square plate: Chladni's figures. `wave` is radians a pixel."""
    sign, turn = np.cos(key), 0.5 + 0.5 * np.sin(key)
    field = np.zeros_like(x + y)
    for (p, q), weight in zip(MODES, weights, strict=True):
        a, b = np.float32(wave * p / np.hypot(p, q)), np.float32(wave * q / np.hypot(p, q))
        even = np.cos(a * x) * np.cos(b * y) + sign * np.cos(b * x) * np.cos(a * y)
        odd = np.sin(a * x) * np.sin(b * y) + np.sin(b * x) * np.sin(a * y)
        field += weight * ((1 - 0.6 * turn) * even + 0.6 * turn * odd)
    field = np.abs(field - np.median(field))
    return field + field.T


def drum(x: np.ndarray, y: np.ndarray, wave: float, weights: np.ndarray, key: float) -> np.ndarray:
    """Superpose modes of a round membrane, with four to sixteen folds."""
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    field = 0.8 * np.cos(wave * radius + key)
    for folds, weight in zip(FOLDS, weights, strict=True):
        rim = np.clip(radius * wave / folds, 0, 1) ** 2  # a mode of many folds is still at the centre
        field += 1.6 * weight * rim * np.cos(folds * angle) * np.cos(wave * radius * 0.5 + key / 2)
    return np.abs(field)


def waves(x: np.ndarray, y: np.ndarray, wave: float, weights: np.ndarray, key: float) -> np.ndarray:
    """Let circular waves from eight sources on each of a few rings cross."""
    field = np.zeros_like(x + y)
    turn = np.pi / 8 * (1 + 0.8 * np.sin(key))
    for ring, weight in zip((22, 58, 94, 130), weights, strict=True):
        if weight < 0.08:
            continue
        a, b = ring * np.cos(turn), ring * np.sin(turn)
        for u, v in ((a, b), (-a, b), (a, -b), (-a, -b), (b, a), (-b, a), (b, -a), (-b, -a)):
            field += weight * np.cos(np.float32(wave) * np.sqrt((x - u) ** 2 + (y - v) ** 2))
    return np.abs(field)


def weave(x: np.ndarray, y: np.ndarray, wave: float, weights: np.ndarray, key: float) -> np.ndarray:
    """Weave two sets of lines over and under each other; the weights tilt them."""
    angle = np.pi / 4 * (weights @ np.array([0.0, 0.3, 0.6, 1.0]))
    c, s = np.float32(np.cos(angle) * wave), np.float32(np.sin(angle) * wave)
    over = np.cos((c * x + s * y) / 2) * np.cos((c * y - s * x) / 2)
    field = np.cos(c * x + s * y) * (1 + over) + np.cos(c * y - s * x) * (1 - over)
    field = np.abs(field + 0.2 * np.sin(key))
    return field + field.T


FAMILIES = (plate, waves, drum, weave)


def figure(x: np.ndarray, y: np.ndarray, spacing: float, d: Descriptors) -> np.ndarray:
    """Draw the lines of the figure that a sound chooses.

    Parameters
    ----------
    x, y : np.ndarray [shape=(size, size)]
        Pixel coordinates from the centre, bent by the warp.
    spacing : float
        Distance between lines in pixels: half a wavelength.
    d : Descriptors
        A chord crosses waves, beats strike a drum, both weave.

    Returns
    -------
    np.ndarray [shape=(size, size)]
        Light from 0 to 1, greatest where it is still.
    """
    chord, motion = (smoothstep(value) for value in (d.chord, d.motion))
    shares = np.array(
        [(1 - motion) * (1 - chord), (1 - motion) * chord, motion * (1 - chord), motion * chord]
    )
    weights, key = mode_weights(d.harmony), key_place(d.harmony)
    field = np.zeros_like(x + y)
    for family, share in zip(FAMILIES, shares**2 / (shares**2).sum(), strict=True):
        if share > 0.02:
            field += share * ranks(family(x, y, np.pi / spacing, weights, key))
    still = ranks(field)
    return 0.85 * np.exp(-((still / 0.24) ** 2)) + 0.15 * np.exp(-still / 0.3)


def smoothstep(value: np.ndarray | float) -> np.ndarray:
    """Go from 0 to 1 with level ends."""
    part = np.clip(value, 0, 1)
    return part * part * (3 - 2 * part)


def cloud(rng: np.random.Generator, size: int, spacing: float) -> np.ndarray:
    """Draw a quarter of a fractal cloud, with billows as large as lines [shape=(size, size)]."""
    f = np.hypot(np.fft.fftfreq(2 * size)[:, None], np.fft.rfftfreq(2 * size)[None]) * spacing * 1.6
    shape = (1 + f**2) ** -1.6 * np.exp(-((f / spacing * 6.5) ** 2))
    quarter = rng.standard_normal((size, size), dtype=np.float32)
    phases = np.fft.rfft2(whole(quarter + quarter.T))
    return ranks(np.fft.irfft2(phases * shape, s=(2 * size, 2 * size))[size:, size:]) ** 1.7


def great_figure(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Draw the figure of the bass: a glowing flower at the centre, its petals by the weights."""
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    petals = (
        weights[0]
        + (weights[1] + weights[2]) * np.cos(4 * angle)
        + (weights[2] + weights[3]) * np.cos(8 * angle)
    )
    return np.exp(-((radius / (62 + 26 * petals)) ** 4))


def sparkle(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, share: float, weights: np.ndarray
) -> np.ndarray:
    """Draw the sparks of the treble: points of a fine figure, `share` of the plate alight."""
    size = len(x + y)
    lights = ranks(smooth_field(rng, size, 12) + 0.7 * smooth_field(rng, size, 5))
    points = 1 - ranks(plate(x, y, np.pi / 14, weights, 0.0))
    return smoothstep((points - 0.55) / 0.4) * smoothstep((lights - 1 + share) / 0.15)
