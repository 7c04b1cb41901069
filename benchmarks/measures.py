"""What is measured of a picture: light, hue, detail, texture, and a signature for recognition."""

from __future__ import annotations

import numpy as np
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from training.renderer import Style

PALETTE_START = 318.0  # degrees: the gap of the palette, between violet (288) and crimson (348)
RINGS = 64
SMALLEST_DEVIATION = 1e-3


def light(picture: np.ndarray) -> float:
    """Mean of all values of a picture, 0 to 1 [picture: shape=(..., 3), dtype=uint8]."""
    return float(picture.mean() / 255)


def hue(picture: np.ndarray) -> float:
    """Circular mean of the hue, weighted by chroma, in degrees along the palette from its warm end."""
    alpha, beta = chroma_plane(picture)
    return float((np.degrees(np.arctan2(beta.sum(), alpha.sum())) - PALETTE_START) % 360)


def chroma_plane(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour of every pixel without its light: coordinates whose angle is the hue, and radius the chroma."""
    rgb = picture.reshape(-1, 3).astype(np.float64)
    return rgb @ np.array([1, -0.5, -0.5]), rgb @ np.array([0, np.sqrt(0.75), -np.sqrt(0.75)])


def radial_spectrum(picture: np.ndarray) -> np.ndarray:
    """Mean amplitude of the luminance's spectrum over rings of equal spatial frequency [shape=(64,)]."""
    luminance = picture.astype(np.float64).mean(2)
    height, width = luminance.shape
    window = np.hanning(height)[:, None] * np.hanning(width)[None]
    amplitude = np.abs(np.fft.fft2((luminance - (luminance * window).sum() / window.sum()) * window))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    ring = np.minimum((frequency * 2 * RINGS).astype(int), RINGS)
    return (np.bincount(ring.ravel(), amplitude.ravel()) / np.bincount(ring.ravel()))[:RINGS]


def detail(picture: np.ndarray) -> float:
    """Centroid of the radially averaged spectrum, in cycles a pixel (Nyquist: 0.5)."""
    spectrum = radial_spectrum(picture)
    frequency = (np.arange(RINGS) + 0.5) / (2 * RINGS)
    return float((spectrum * frequency).sum() / (spectrum.sum() + 1e-12))


def texture(picture: np.ndarray) -> float:
    """Evenness of the light in every neighbourhood: low for lines on dark, high for cloud, 0 to 1.

    The light of the picture over that of the brightest points within a quarter of the side. The light of
    another moment does not enter, nor does the number of lines.
    """
    luminance = picture.astype(np.float64).mean(2)
    side = luminance.shape[0] // 4
    brightest = gaussian_filter(maximum_filter(luminance, side), side / 4)
    return float(luminance.sum() / (brightest.sum() + 1e-9))


def radii(picture: np.ndarray) -> np.ndarray:
    """Distance of every pixel from the centre, of the picture's height [shape=(h, w)]."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    return np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) / height


def light_now(picture: np.ndarray, share: float) -> float:
    """Mean light of what has just been heard: a disc with `share` of the area that time covers, 0 to 1."""
    style = Style()
    return light(picture[radii(picture) * style.size < style.reach * np.sqrt(share)])


def signature(picture: np.ndarray) -> np.ndarray:
    """Colour histogram and spatial spectrum, for recognition [shape=(240,)].

    The histogram has 6 x 6 x 6 bins of red, green and blue, each value shared between its two neighbours,
    as square roots (Hellinger). The spectrum is the logarithm of 24 rings, weighted to matter about as much.
    """
    rgb = picture.reshape(-1, 3)[::3].astype(np.float64) / 255 * 5
    below = np.minimum(rgb.astype(int), 4)
    part = rgb - below
    histogram = np.zeros(216)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        histogram += np.bincount((below + corner) @ np.array([36, 6, 1]), weight, 216)
    spectrum = np.log(radial_spectrum(picture)[:24] + 50)
    return np.concatenate([np.sqrt(histogram / histogram.sum()), 0.04 * spectrum])


def traits(picture: np.ndarray) -> np.ndarray:
    """What the picture language speaks with: light, hue, detail and texture [shape=(4,)]."""
    return np.array([light(picture), hue(picture), detail(picture), texture(picture)])


def standardised(vectors: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Bring every column to mean 0 and deviation 1 over `reference`, by default the vectors themselves.

    A column that hardly varies, such as the share of a colour that nearly no picture has, is not blown up.
    """
    reference = vectors if reference is None else reference
    return (vectors - reference.mean(0)) / np.maximum(reference.std(0), SMALLEST_DEVIATION)


def recognition(signatures: np.ndarray, labels: np.ndarray) -> float:
    """Share of pictures whose nearest other picture is one of the same sound."""
    return float(recognised(signatures, labels).mean())


def recognised(signatures: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each picture's nearest other picture is one of the same sound [shape=(n,), dtype=bool]."""
    distance = cdist(signatures, signatures)
    np.fill_diagonal(distance, np.inf)
    return labels[distance.argmin(1)] == labels


def frechet_features(picture: np.ndarray) -> np.ndarray:
    """Features of the Frechet distance: colour moments, texture, light by radius, spectrum [shape=(23,)]."""
    rgb = picture.reshape(-1, 3).astype(np.float64) / 255
    ring = (radii(picture) * 16).astype(int).ravel()
    profile = (np.bincount(ring, rgb.mean(1)) / np.bincount(ring))[:8]
    bands = np.log(radial_spectrum(picture)[:32].reshape(8, 4).mean(1) + 50) / 4
    return np.concatenate([rgb.mean(0), rgb.std(0), [texture(picture)], profile, bands])


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two sets of feature vectors, taken as normal [a, b: shape=(n, k)]."""
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = np.real(sqrtm(cov_a @ cov_b + 1e-12 * np.eye(len(cov_a))))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation; 0 where one of the two does not vary."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(spearmanr(x, y).statistic)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures, in decibels."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-2)))
