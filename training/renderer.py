"""The picture language: from the descriptors of a sound to the picture that the model learns to paint.

Pitch is the number of nodal lines, the centroid their colour, noise turns lines into cloud, loudness is
light, time runs from the rim to the centre (now). The plate is square, and so is every figure: the same in
the mirror, left and right, above and below, and about the diagonals. A seed chooses the modes of the plate,
warp and detail: never the meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from training.descriptors import ROWS, Descriptors

# Warm to cold in equal steps; hues of 348, 13, 35, 60, 149, 190, 219, 249 and 276 degrees.
PALETTE = np.array(
    [
        (1.00, 0.06, 0.24), (1.00, 0.28, 0.07), (0.98, 0.60, 0.06), (0.80, 0.80, 0.10), (0.08, 0.86, 0.46),
        (0.05, 0.74, 0.88), (0.10, 0.42, 1.00), (0.30, 0.18, 1.00), (0.66, 0.14, 1.00),
    ]
)  # fmt: skip
FAMILIES = ((np.cos, 1), (np.cos, -1), (np.sin, 1), (np.sin, -1))  # of modes that keep the plate's symmetry


@dataclass(frozen=True)
class Style:
    """How descriptors become light.

    Attributes
    ----------
    size : int
        Width and height in pixels; the lengths below are for 256 and grow with it.
    longest, shortest : float
        Distance between neighbouring lines at pitch 0 and 1, in pixels.
    reach : float
        Radius of row 0, in pixels.
    light : float
        Mean of a picture of loudness 1, out of 1.
    """

    size: int = 256
    longest: float = 76.0
    shortest: float = 12.5
    reach: float = 146.0
    light: float = 0.42


def ranks(field: np.ndarray) -> np.ndarray:
    """Replace values by their rank in [0, 1], so that every field has the same distribution."""
    values = np.sort(field[::3, ::3], axis=None)
    grid = values[np.linspace(0, values.size - 1, 65).astype(int)]
    return np.interp(field, grid, np.linspace(0, 1, 65)).astype(np.float32)


def symmetric(field: np.ndarray) -> np.ndarray:
    """Add up the eight mirror images and turns of a square field [shape=(size, size)]."""
    both = field + field[:, ::-1]
    both = both + both[::-1]
    return both + both.T


def smooth_field(rng: np.random.Generator, size: int, cells: int = 4) -> np.ndarray:
    """Draw a smooth field of the plate's symmetry, about `cells` waves a side [shape=(size, size)].

    Its mean is 0, its deviation 1.
    """
    place = np.linspace(1, cells + 1, size, dtype=np.float32)
    distance = np.abs(place[:, None] - np.arange(cells + 3, dtype=np.float32))
    basis = (
        np.where(distance < 1, (4 - 6 * distance**2 + 3 * distance**3), np.clip(2 - distance, 0, 1) ** 3) / 6
    )
    field = symmetric(basis @ rng.standard_normal((cells + 3, cells + 3)).astype(np.float32) @ basis.T)
    return (field - field.mean()) / (field.std() + 1e-9)


def nodal_lines(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, spacing: float) -> np.ndarray:
    """Superpose a few modes of a square plate that have one wavelength and one symmetry.

    A mode is cos(ax)cos(by) or sin(ax)sin(by), with its mirror image about the diagonal added or subtracted:
    Chladni's figures. Where the signs differ, the axes or diagonals are still.

    Parameters
    ----------
    rng : np.random.Generator
        Chooses the modes.
    x, y : np.ndarray [shape=(size, size)]
        Pixel coordinates from the centre.
    spacing : float
        Distance between lines in pixels: half a wavelength.

    Returns
    -------
    np.ndarray [shape=(size, size)]
        Light from 0 to 1, greatest where the plate is still.
    """
    shape, sign = FAMILIES[int(rng.choice(len(FAMILIES), p=(0.4, 0.25, 0.25, 0.1)))]
    wave = np.zeros_like(x + y)
    for angle in rng.uniform(0, np.pi / 4, int(rng.integers(1, 5))):
        a, b = (np.float32(np.pi / spacing * part) for part in (np.cos(angle), np.sin(angle)))
        wave += shape(a * x) * shape(b * y) + sign * shape(b * x) * shape(a * y)
    still = ranks(np.abs(wave - np.median(wave)))
    return 0.85 * np.exp(-((still / 0.24) ** 2)) + 0.15 * np.exp(-still / 0.3)


def cloud(rng: np.random.Generator, size: int, spacing: float) -> np.ndarray:
    """Fractal cloud whose billows shrink with the spacing of the lines they replace [shape=(size, size)]."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * spacing * 1.6
    shape = (1 + f**2) ** -1.6 * np.exp(-((f / spacing * 6.5) ** 2))
    phases = np.fft.rfft2(symmetric(rng.standard_normal((size, size), dtype=np.float32)))
    return ranks(np.fft.irfft2(phases * shape, s=(size, size))) ** 1.7


def radial(values: np.ndarray, radius: np.ndarray, reach: float) -> np.ndarray:
    """Spread 77 moments over the plate: row 76 at the centre, row 0 at `reach` pixels and beyond.

    Every moment has the same area, so that what has just begun can be seen: age grows with the square of the
    radius.

    Parameters
    ----------
    values : np.ndarray [shape=(77, ...)]
        One value (or colour) a moment.
    radius : np.ndarray [shape=(size, size)]
        Distance from the centre in pixels.
    reach : float
        Radius of row 0.

    Returns
    -------
    np.ndarray [shape=(size, size, ...), dtype=float32]
        The value at every pixel.
    """
    steps = 16 * (ROWS - 1)
    fine = np.linspace(0, ROWS - 1, steps + 1)
    below = np.minimum(fine.astype(int), ROWS - 2)
    part = (fine - below).reshape(-1, *[1] * (values.ndim - 1))
    table = ((1 - part) * values[below] + part * values[below + 1]).astype(np.float32)
    return table[np.round(steps * (1 - np.clip(radius / reach, 0, 1) ** 2)).astype(int)]


def hues(position: np.ndarray) -> np.ndarray:
    """Look up the palette at positions in [0, 1] [shape=(..., 3)]."""
    steps = np.linspace(0, 1, len(PALETTE))
    return np.stack([np.interp(position, steps, PALETTE[:, channel]) for channel in range(3)], axis=-1)


def expose(light: np.ndarray, goal: float) -> np.ndarray:
    """Develop light like film, 1 - exp(-gain * light), with the gain that gives the wanted mean."""
    sample = light[::4, ::4]
    low, high = -7.0, np.log(12.0)
    for _ in range(18):
        middle = (low + high) / 2
        if (1 - np.exp(-np.exp(middle) * sample)).mean() < goal:
            low = middle
        else:
            high = middle
    return 1 - np.exp(-np.exp((low + high) / 2) * light)


def render(d: Descriptors, seed: int, style: Style | None = None) -> np.ndarray:
    """Paint one picture of a sound.

    Parameters
    ----------
    d : Descriptors
        What the picture means.
    seed : int
        Its chance.
    style : Style, optional
        Size and light.

    Returns
    -------
    np.ndarray [shape=(size, size, 3), dtype=uint8]
        The picture; black for silence.
    """
    style = style or Style()
    size, unit = style.size, style.size / 256
    if d.loudness <= 0:
        return np.zeros((size, size, 3), np.uint8)
    rng = np.random.default_rng(seed)
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / unit
    x, y = axis[None, :], axis[:, None]
    radius = np.hypot(x, y)
    spacing = style.longest * (style.shortest / style.longest) ** d.pitch
    bend = (0.10 + 0.5 * d.noisiness) * spacing
    warp_y, warp_x = np.gradient(smooth_field(rng, size))  # of a symmetric field: keeps the symmetry
    bend = bend / (np.hypot(warp_x, warp_y).mean() + 1e-9)
    lines = nodal_lines(rng, x + bend * warp_x, y + bend * warp_y, spacing)
    billow = cloud(rng, size, spacing * unit)
    share = d.noisiness**2 * (3 - 2 * d.noisiness)
    depth = 1.15 - 0.65 * d.noisiness
    pattern = (1 - share) * lines + share * (np.maximum(1 - depth, 0) + depth * billow)
    gap = np.clip((0.55 + 0.15 * share - (1 - share) * lines - share * billow) / (0.4 + 0.3 * share), 0, 1)
    between = (gap**2 * (3 - 2 * gap))[..., None]

    ripple = radius * (1 + 0.02 * smooth_field(rng, size))
    envelope = radial(d.envelope, ripple, style.reach)
    first, second = (radial(hues(v), ripple, style.reach) for v in (d.colour, d.second))
    glow = gaussian_filter(pattern, 9 * unit, truncate=2.5)[..., None] * (1 - share)
    painted = pattern[..., None] * ((1 - between) * first + between * (0.5 + 0.5 * share) * second)
    vignette = 1 / (1 + (radius / 175) ** 6)
    light = (painted + 0.14 * glow * second) * (envelope * vignette)[..., None]
    picture = expose(light, style.light * d.loudness**1.2)
    return np.round(picture * 255).astype(np.uint8)
