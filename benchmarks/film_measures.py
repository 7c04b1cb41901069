"""What is measured of a film and of its sound, frame by frame.

Frame i shows the sound that ends at (i + 1) / fps: of that sound, what is its own lies between i / fps and
there.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Self

import librosa
import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates, zoom

from benchmarks import measures
from sound_diffusion.constants import SAMPLE_RATE

HOP = 512  # samples between values of onset strength and chroma
HUES = 24
FLOW_SIDE = 96  # pixels: optical flow is measured on frames of this height
FLOW_LEVELS = 3
FLOW_ROUNDS = 3
FLOW_REACH = 3.0  # pixels: deviation of the neighbourhood that moves as one


def frame_rate(y: np.ndarray, film: np.ndarray) -> float:
    """Frames a second of a film that lasts as long as its sound."""
    return len(film) * SAMPLE_RATE / len(y)


def edges(count: int, fps: float, unit: int) -> np.ndarray:
    """Bounds of `count` frames, in units of so many samples [shape=(count + 1,), dtype=int64]."""
    return np.round(np.arange(count + 1) / fps * SAMPLE_RATE / unit).astype(int)


def loudness(y: np.ndarray, count: int, fps: float) -> np.ndarray:
    """RMS of the samples of each frame [shape=(count,)]."""
    bounds = edges(count, fps, 1)
    energy = np.concatenate([[0], np.cumsum(y.astype(np.float64) ** 2)])[np.minimum(bounds, len(y))]
    return np.sqrt(np.diff(energy) / np.diff(bounds))


def onset_strength(y: np.ndarray) -> np.ndarray:
    """Onset strength every 512 samples: the mean rise of mel bands in decibels, of librosa."""
    return librosa.onset.onset_strength(y=y, sr=SAMPLE_RATE, hop_length=HOP)


def onsets(y: np.ndarray, count: int, fps: float) -> np.ndarray:
    """Largest onset strength within each frame [shape=(count,)]."""
    strength, bounds = onset_strength(y), edges(count, fps, HOP)
    return np.array([strength[low : max(high, low + 1)].max(initial=0) for low, high in _pairs(bounds)])


def chroma(y: np.ndarray, count: int, fps: float) -> np.ndarray:
    """Mean chroma of each frame from a constant-Q transform [shape=(count, 12)]."""
    classes, bounds = librosa.feature.chroma_cqt(y=y, sr=SAMPLE_RATE, hop_length=HOP), edges(count, fps, HOP)
    last = classes.shape[1] - 1
    return np.array([classes[:, min(a, last) : max(b, a + 1)].mean(1) for a, b in _pairs(bounds)])


def _pairs(bounds: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


def light(frames: np.ndarray) -> np.ndarray:
    """Mean light of each frame, 0 to 1 [shape=(n,)]."""
    return np.array([measures.light(frame) for frame in frames])


def change(frames: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each frame from the one before, 0 to 1 [shape=(n - 1,)]."""
    return np.array([np.abs(b.astype(np.int16) - a).mean() / 255 for a, b in itertools.pairwise(frames)])


def deviation(frames: np.ndarray) -> float:
    """Mean over all values of their standard deviation over the film, as a share of full range."""
    return float(frames.std(0, dtype=np.float32).mean() / 255)


def hue_histogram(picture: np.ndarray) -> np.ndarray:
    """Share of colour in each of 24 smoothed bins of hue, whatever the light [shape=(24,)]."""
    alpha, beta = measures.chroma_plane(picture)
    bins = np.floor(np.arctan2(beta, alpha) * HUES / (2 * np.pi)).astype(int) % HUES
    smooth = gaussian_filter1d(np.bincount(bins, np.hypot(alpha, beta), HUES), 1.0, mode="wrap") + 1e-6
    return smooth / smooth.sum()


@dataclass(frozen=True)
class Heard:
    """What is heard in each of n frames.

    Attributes
    ----------
    loudness, onsets : np.ndarray [shape=(n,)]
    chroma : np.ndarray [shape=(n, 12)]
    """

    loudness: np.ndarray
    onsets: np.ndarray
    chroma: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, film: np.ndarray) -> Self:
        """Listen to the sound of a film."""
        return cls(*(listen(y, len(film), frame_rate(y, film)) for listen in (loudness, onsets, chroma)))


@dataclass(frozen=True)
class Seen:
    """What is seen in each of n frames.

    Attributes
    ----------
    light : np.ndarray [shape=(n,)]
    change : np.ndarray [shape=(n - 1,)]
        Of each frame after the first.
    hues : np.ndarray [shape=(n, 24)]
    """

    light: np.ndarray
    change: np.ndarray
    hues: np.ndarray

    @classmethod
    def of(cls, frames: np.ndarray) -> Self:
        """Look at a film [frames: shape=(n, h, w, 3), dtype=uint8]."""
        return cls(light(frames), change(frames), np.array([hue_histogram(frame) for frame in frames]))


def loudness_and_light(heard: Heard, seen: Seen) -> list[float]:
    """Rank correlation over frames."""
    return [measures.spearman(heard.loudness, seen.light)]


def onsets_and_rise(heard: Heard, seen: Seen) -> list[float]:
    """Rank correlation of onset strength with the rise of light, at once and one frame late."""
    return at_once_and_late(heard.onsets, np.diff(seen.light))


def onsets_and_change(heard: Heard, seen: Seen) -> list[float]:
    """Rank correlation of onset strength with the change of the picture, at once and one frame late."""
    return at_once_and_late(heard.onsets, seen.change)


def at_once_and_late(strength: np.ndarray, response: np.ndarray) -> list[float]:
    """Correlate what n frames hold with n - 1 differences, at once and one frame late."""
    return [measures.spearman(strength[1:], response), measures.spearman(strength[1:-1], response[1:])]


def harmony_and_hue(heard: Heard, seen: Seen, apart: int = 6) -> list[float]:
    """Rank correlation of distances in chroma with distances in hue, over pairs of frames.

    Parameters
    ----------
    heard, seen : Heard, Seen
        Distances of chroma are 1 - cosine, those of hues half the sum of absolute differences.
    apart : int
        Frames that a pair is apart at least.
    """
    first, second = np.triu_indices(len(heard.chroma), apart)
    unit = heard.chroma / (np.linalg.norm(heard.chroma, axis=1, keepdims=True) + 1e-9)
    far = np.abs(seen.hues[first] - seen.hues[second]).sum(1) / 2
    return [measures.spearman(1 - (unit[first] * unit[second]).sum(1), far)]


def optical_flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Dense optical flow by the method of Lucas and Kanade, iterated over a pyramid.

    It stands in for Farneback's, which takes OpenCV; only the size of the flow matters here.

    Parameters
    ----------
    before, after : np.ndarray [shape=(h, w), dtype=float64]
        Luminance.

    Returns
    -------
    np.ndarray [shape=(2, h, w)]
        Movement in pixels, down and to the right. 0 where there is nothing to see.
    """
    pyramid = [(before, after)]
    for _ in range(FLOW_LEVELS - 1):
        pyramid.append(tuple(gaussian_filter(image, 1)[::2, ::2] for image in pyramid[-1]))
    flow = np.zeros((2, *pyramid[-1][0].shape))
    for start, goal in reversed(pyramid):
        scale = np.array(start.shape) / flow.shape[1:]
        flow = np.stack([zoom(part, scale, order=1) * step for part, step in zip(flow, scale, strict=True)])
        dy, dx = np.gradient(start)
        yy, xx, xy = (gaussian_filter(p, FLOW_REACH) for p in (dy * dy, dx * dx, dy * dx))
        damping = 1e-4 + 0.01 * (yy + xx)
        determinant = (yy + damping) * (xx + damping) - xy**2
        place = np.indices(start.shape)
        for _ in range(FLOW_ROUNDS):
            rest = start - map_coordinates(goal, place + flow, order=1, mode="nearest")
            down, right = (gaussian_filter(d * rest, FLOW_REACH) for d in (dy, dx))
            flow[0] += ((xx + damping) * down - xy * right) / determinant
            flow[1] += ((yy + damping) * right - xy * down) / determinant
    return flow


def motion(frames: np.ndarray) -> np.ndarray:
    """Mean size of the optical flow from each frame to the next, of the first one twice [shape=(n,)]."""
    step = max(1, frames.shape[1] // FLOW_SIDE)
    height, width = (side // step * step for side in frames.shape[1:3])
    grey = frames[:, :height, :width].mean(3)
    grey = grey.reshape(len(frames), height // step, step, width // step, step).mean((2, 4)) / 255
    flows = [np.hypot(*optical_flow(a, b)).mean() for a, b in itertools.pairwise(grey)]
    return np.array([flows[0], *flows])


def onset_times(y: np.ndarray) -> np.ndarray:
    """Seconds of the peaks of onset strength, as librosa picks them."""
    return librosa.onset.onset_detect(
        onset_envelope=onset_strength(y), sr=SAMPLE_RATE, hop_length=HOP, units="time"
    )


def av_align(onset: np.ndarray, movement: np.ndarray, fps: float) -> float:
    """AV-Align of TempoTokens (Yariv et al., 2023): how well onsets and peaks of movement fall together.

    Parameters
    ----------
    onset : np.ndarray [shape=(n,)]
        Onsets of the sound in seconds.
    movement : np.ndarray [shape=(frames,)]
        Size of the optical flow.
    fps : float

    Returns
    -------
    float
        Onsets with a peak of movement within one frame, over all peaks of either kind: 0 to 1.
    """
    middle = movement[1:-1]
    peaks = (np.flatnonzero((middle > movement[:-2]) & (middle > movement[2:])) + 1) / fps
    matches = int((np.abs(onset[:, None] - peaks) < 1 / fps).any(1).sum())
    return matches / max(len(onset) + len(peaks) - matches, 1)
