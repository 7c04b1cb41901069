"""The picture language: from the descriptors of a sound to the picture that the model learns to paint.

Harmony is hue, pitch the number of lines, noise turns lines into cloud, level and attacks are light, time
runs from the rim to the centre (now). What is heard chooses the figure as well: a plate for one tone, waves
that cross for a chord, a drum for beats, woven lines for both; bass is a great figure at the centre, treble a
sparkle. All are the same in the mirror, left and right, above and below, and about the diagonals. A seed
chooses warp, detail and cloud: never the meaning.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from sound_diffusion.model.harmony import FIFTHS, PITCH_CLASSES, key_place, mode_weights
from sound_diffusion.model.picture_language import MOMENT_AREAS, Descriptors
from training.patterns import (
    cloud,
    figure,
    great_figure,
    plate,
    ranks,
    smooth_field,
    smoothstep,
    sparkle,
    waves,
    whole,
)

# Round the circle in twelve steps, one a pitch class: warm to cold, and back through magenta; that of the
# centroid ends at violet. All are equally saturated, and as far apart as hues of one name allow.
CIRCLE = np.array(
    [colorsys.hsv_to_rgb(degrees / 360, 0.92, 1.0)
     for degrees in (345, 10, 34, 58, 92, 135, 168, 195, 218, 248, 282, 316)]
)  # fmt: skip
COLDEST = 0.8  # place of violet on the circle
CHORD_AREA = 0.9  # of the picture that a chord colours
BINS = 240  # of the circle, for the colours of a chord


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
        Mean of a picture of light 1, out of 1.
    """

    size: int = 256
    longest: float = 76.0
    shortest: float = 12.5
    reach: float = 150.0
    light: float = 0.54


def radial(values: np.ndarray, radius: np.ndarray, reach: float) -> np.ndarray:
    """Spread 77 moments over the plate: row 76 at the centre, row 0 at `reach` pixels and beyond.

    Parameters
    ----------
    values : np.ndarray [shape=(77,)]
        One value a moment.
    radius : np.ndarray [shape=(size, size)]
        Distance from the centre in pixels.
    reach : float
        Radius of row 0.

    Returns
    -------
    np.ndarray [shape=(size, size), dtype=float32]
        The value at every pixel: each moment has its share of the area.
    """
    newest_first = np.cumsum(MOMENT_AREAS[::-1])
    middles = newest_first - MOMENT_AREAS[::-1] / 2
    area = np.linspace(0, 1, 1024)
    # Of what is long past, the outline alone: rings narrower than a line cannot be told apart.
    table = gaussian_filter1d(np.interp(area, middles, values[::-1]), 40.0, mode="nearest").astype(np.float32)
    return table[np.round(1023 * np.clip(radius / reach, 0, 1) ** 2).astype(int)]


def hues(place: np.ndarray) -> np.ndarray:
    """Look up the colours at places on the circle, 0 to 1 and round again [shape=(..., 3)]."""
    stops = np.arange(len(CIRCLE) + 1) / len(CIRCLE)
    closed = np.concatenate([CIRCLE, CIRCLE[:1]])
    return np.stack([np.interp(place % 1, stops, closed[:, channel]) for channel in range(3)], axis=-1)


def chord_hues(harmony: np.ndarray) -> np.ndarray:
    """Lay out the colours of pitch classes, each with its share, round the circle of fifths [shape=(240,)].

    Returns
    -------
    np.ndarray
        Places on the circle, ascending: the quantiles of the distribution.
    """
    shares = harmony**2
    place = np.arange(BINS) / BINS * PITCH_CLASSES
    apart = np.abs((place[:, None] - FIFTHS + 6) % PITCH_CLASSES - 6)
    density = np.clip(1 - apart / 0.4, 0, 1) @ (shares / shares.sum()) + 1e-6
    quantiles = np.cumsum(density) / density.sum()
    return np.interp((np.arange(BINS) + 0.5) / BINS, quantiles, np.arange(BINS) / BINS)


def expose(light: np.ndarray, goal: float) -> np.ndarray:
    """Develop light like film, 1 - exp(-gain * light), with the gain that gives the wanted mean."""
    sample = light[::4, ::4]
    low, high = -7.0, np.log(40.0)
    for _ in range(18):
        middle = (low + high) / 2
        if (1 - np.exp(-np.exp(middle) * sample)).mean() < goal:
            low = middle
        else:
            high = middle
    return 1 - np.exp(-np.exp((low + high) / 2) * light)


def colours(d: Descriptors, ripple: np.ndarray, field: np.ndarray, reach: float) -> np.ndarray:
    """Colour every pixel: by the chord where there is one, by the centroid of its moment elsewhere.

    Parameters
    ----------
    d : Descriptors
    ripple : np.ndarray [shape=(size, size)]
        Radius that stands for time, in pixels.
    field : np.ndarray [shape=(size, size)]
        Evenly distributed in [0, 1]: which part of the chord is where.
    reach : float
        Radius of row 0.

    Returns
    -------
    np.ndarray [shape=(size, size, 3)]
    """
    # Blended as light, not round the circle: no rainbow between two pitch classes.
    of_chord = gaussian_filter1d(hues(chord_hues(d.harmony)), 4.0, axis=0, mode="nearest")
    of_time = hues(COLDEST * radial(d.colour, ripple, reach))
    inside = np.clip((CHORD_AREA * d.chord - field) / 0.06, 0, 1)[..., None]
    place = np.clip(field / max(CHORD_AREA * d.chord, 1e-3), 0, 1) * (BINS - 1)
    return inside * of_chord[np.round(place).astype(int)] + (1 - inside) * of_time


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
    size, unit = style.size // 2, style.size / 256
    if d.light <= 0.02:
        return np.zeros((style.size, style.size, 3), np.uint8)
    rng = np.random.default_rng(seed)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / unit
    x, y = axis[None, :], axis[:, None]
    radius = np.hypot(x, y)
    spacing = style.longest * (style.shortest / style.longest) ** d.pitch
    bend = (0.10 + 0.3 * d.noisiness) * spacing
    relief = np.pad(smooth_field(rng, size), 1, mode="symmetric")
    warp_y, warp_x = (part[1:-1, 1:-1] for part in np.gradient(relief))
    bend = bend / (np.hypot(warp_x, warp_y).mean() + 1e-9)
    bent_x, bent_y = x + bend * warp_x, y + bend * warp_y
    weights = mode_weights(d.harmony)
    lines = figure(bent_x, bent_y, spacing, d)
    billow = cloud(rng, size, spacing * unit)
    share = smoothstep(d.noisiness)
    depth = 1.15 - 0.65 * d.noisiness
    pattern = (1 - share) * lines + share * (np.maximum(1 - depth, 0) + depth * billow)

    ripple = radius * (1 + 0.03 * smooth_field(rng, size))
    envelope = radial(d.envelope, ripple, style.reach)
    rings = radial(d.attacks, ripple, style.reach)
    key = key_place(d.harmony)
    areas = waves(x, y, np.pi / 72, weights, key) + plate(x, y, np.pi / 56, weights, key)
    field = ranks(areas / areas.std() + 0.35 * smooth_field(rng, size, 5))
    colour = colours(d, ripple, field, style.reach)
    bass, middle, treble = d.bands
    flower = great_figure(bent_x, bent_y, weights)
    sparks = sparkle(rng, bent_x, bent_y, 0.55 * treble**1.5, weights) * (1 - share)
    glow = gaussian_filter(pattern, 9 * unit, truncate=2.5)
    ground = (0.08 + 0.12 * glow) * (1 - share)
    light = (0.3 + 0.7 * middle) * pattern + ground
    light = light + bass**2 * (1 - share) * flower * (0.12 + 0.6 * pattern)
    light = light[..., None] * colour + 0.5 * sparks[..., None] * (0.35 + 0.65 * colour)
    vignette = 1 / (1 + (radius / 175) ** 6)
    light = light * (envelope**1.6 * (1 + 2.2 * rings) * vignette)[..., None]
    picture = expose(light, min(style.light * d.light**1.5, 0.66))
    return whole(np.round(picture * 255).astype(np.uint8))
