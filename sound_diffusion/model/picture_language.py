"""What the embedded model's pictures say of a sound: descriptors of the very span that a picture shows.

The renderer that teaches the model and the sound encoder that it listens with read them by this one
definition, so that what is heard needs no guessing. docs/picture-language.md shows what each looks like.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sound_diffusion.constants import N_ROWS, SAMPLE_RATE
from sound_diffusion.model.harmony import N_MODES, chord_of, harmony_of, key_place, mode_weights
from sound_diffusion.sound.features import extract_at
from sound_diffusion.typing import DoubleArray, FloatArray

NOW = 10.0  # rows in which the newest moments fall to a third of their weight
WHOLE = 0.02  # weight that every moment keeps beside that
CHORD_PARTS = 8  # of the span: a chord in some of them is enough, since a beat hides it in others
CHORD_POWER = 3.0  # of their mean, between it and the largest: no single part decides
NOISY = (0.85, 1.0)  # noisiness in which chords count less and less, since ripples of noise look like them
COVERED = 0.6  # of noisiness that a full chord covers: drums and breath beside it blur its lines less
ALONE = 0.4  # that a tone alone takes from the layers of bass and treble, in whose place it has lines
ATTACK_ROWS = 3  # an attack is a rise over so many rows
ATTACK_DB = 16.0  # mean rise of the bands that is a full attack
NOISE_RISE = 1.5  # what steady noise rises by chance
RELEASE = 14.0  # rows in which the light of an attack falls to a third
ATTACK_SUM = 3.0  # attacks of so much in all are a full one: they last for several rows
ATTACK_LIGHT = 0.6  # that a full attack adds
MOTION = 0.25  # mean attack of a percussive span
BANDS = (40.0, 250.0, 2500.0, 15_000.0)  # hertz: edges of bass, middle and treble
# Decibels of a band relative to the whole, and how present it is: what music has, spread out.
PRESENCE = (
    ((-25.0, 0.0), (-10.0, 0.15), (-4.0, 0.5), (-1.0, 0.9), (0.0, 1.0)),
    ((-30.0, 0.0), (-12.0, 0.2), (-5.0, 0.5), (-1.5, 0.9), (0.0, 1.0)),
    ((-50.0, 0.0), (-32.0, 0.15), (-20.0, 0.5), (-11.0, 0.85), (0.0, 1.0)),
)
LIGHT_DB = ((-60.0, 0.0), (-30.0, 0.3), (-6.0, 0.92), (0.0, 1.0))  # level to light
COLOUR_RANGE = (90.0, 11_000.0)  # hertz: the ends of the palette
PITCH_RANGE = (60.0, 4200.0)  # hertz: fewest and most lines
FOLD = 7  # rows that one number of the colour stands for
# Numbers of each descriptor in `as_numbers`: light, chord, pitch, noisiness, motion, bands, harmony, the
# place of the key, modes, colour, envelope, attacks.
GROUPS = (1, 1, 1, 1, 1, 3, 12, 2, N_MODES, 11, 23, 11)


@dataclass(frozen=True)
class Descriptors:
    """The meaning of a picture. Rows count from the oldest moment to the newest.

    Attributes
    ----------
    light : float
        Mean light, 0 to 1: levels of the moments by their area, and the light of attacks.
    envelope : np.ndarray [shape=(77,)]
        Light of each moment, 0 to 1.
    attacks : np.ndarray [shape=(77,)]
        Strength of the attack in each moment, 0 to 1.
    colour : np.ndarray [shape=(77,)]
        Spectral centroid around each moment, 0 (low, warm) to 1 (high, cold).
    harmony : np.ndarray [shape=(12,)]
        Share of each pitch class, C first, in what sounds now; they add up to 1.
    chord : float
        Confidence that pitch classes sound together, 0 (one tone, or noise) to 1 (a chord).
    pitch : float
        Centre of the spectrum's strong parts, 0 (few lines) to 1 (many).
    noisiness : float
        From 0 (tone, lines) to 1 (noise, clouds), less where a chord sounds.
    bands : np.ndarray [shape=(3,)]
        Presence of bass, middle and treble, 0 to 1 each.
    motion : float
        How much attacks there are in the span, 0 (sustained) to 1 (percussive).
    """

    light: float
    envelope: DoubleArray
    attacks: DoubleArray
    colour: DoubleArray
    harmony: DoubleArray
    chord: float
    pitch: float
    noisiness: float
    bands: DoubleArray
    motion: float


def frequencies(width: int) -> DoubleArray:
    """Frequency of each column of the `fft` feature in hertz [shape=(width,)]."""
    return np.arange(width) * SAMPLE_RATE / (2 * (width - 1))


def onto(value: DoubleArray | float, ends: tuple[float, float]) -> DoubleArray:
    """Map hertz onto [0, 1] logarithmically, `ends` being the two limits."""
    low, high = np.log(ends[0]), np.log(ends[1])
    place: DoubleArray = np.clip((np.log(np.maximum(value, 1e-9)) - low) / (high - low), 0, 1)
    return place


def fading(rows: float, floor: float = 0.0) -> DoubleArray:
    """Weights of the moments, the newest the greatest, that add up to 1 [shape=(77,)]."""
    weights = np.exp((np.arange(N_ROWS) - N_ROWS + 1) / rows) + floor
    normalised: DoubleArray = weights / weights.sum()
    return normalised


# Share of the picture that each moment has: half of it belongs to the newest.
MOMENT_AREAS = fading(6.0, 0.085)


def levels(magnitude: DoubleArray) -> DoubleArray:
    """Mean power of the samples under each row's window (a full-scale sine: 0.5) [shape=(77,)].

    Parameters
    ----------
    magnitude : np.ndarray [shape=(77, width)]
        Magnitudes of the `fft` feature, unscaled.
    """
    size = 2 * (magnitude.shape[1] - 1)
    power: DoubleArray = (magnitude**2).sum(1) * 2 / (size * 0.375 * size)
    return power


def along(value: DoubleArray | float, curve: tuple[tuple[float, float], ...]) -> DoubleArray:
    """Look values up on a curve of straight pieces, given by its corners [shape as `value`]."""
    corners = np.array(curve)
    place: DoubleArray = np.interp(value, corners[:, 0], corners[:, 1])
    return place


def light_of(decibels: DoubleArray) -> DoubleArray:
    """Light of a level: most of the range for what music has [shape as `decibels`]."""
    return along(decibels, LIGHT_DB)


@functools.cache
def mel_bands(width: int, count: int = 64) -> DoubleArray:
    """Triangles evenly spaced in mel, 40 Hz to 15 kHz, each adding up to 1 [shape=(count, width)]."""
    f = frequencies(width)
    low, high = (1127 * np.log1p(edge / 700) for edge in (BANDS[0], BANDS[-1]))
    edges = 700 * np.expm1(np.linspace(low, high, count + 2) / 1127)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bands = np.clip(np.minimum((f - left) / (centre - left), (right - f) / (right - centre)), 0, None)
    narrow = bands.sum(1) == 0  # between two columns: the nearer one
    bands[narrow, np.abs(f - centre[narrow]).argmin(1)] = 1
    normalised: DoubleArray = bands / bands.sum(1, keepdims=True)
    return normalised


def attacks_in(magnitude: DoubleArray) -> DoubleArray:
    """Strength of the attack in each row: mean rise of 64 mel bands in decibels, 0 to 1 [shape=(77,)].

    Of the level itself nothing may show: mastered music hardly moves.
    """
    size = 2 * (magnitude.shape[1] - 1)
    power = magnitude**2 @ mel_bands(magnitude.shape[1]).T / (size * 0.375 * size / 2)
    decibels = 10 * np.log10(np.maximum(power, 1e-8))
    rise = np.maximum(decibels[ATTACK_ROWS:] - decibels[:-ATTACK_ROWS], 0).mean(1)
    rise = np.clip((rise - NOISE_RISE) / (ATTACK_DB - NOISE_RISE), 0, 1)
    return np.concatenate([np.zeros(ATTACK_ROWS), rise])


def noisiness_of(power: DoubleArray, weights: DoubleArray) -> float:
    """Spectral flatness of the strongest moments on a decibel scale, from 0 to 1.

    Parameters
    ----------
    power : np.ndarray [shape=(77, width)]
    weights : np.ndarray [shape=(77,)]
    """
    frequency = frequencies(power.shape[1])
    spectrum = power[:, (frequency > 60) & (frequency < 16_000)]
    spectrum = spectrum + 1e-7 * spectrum.max(1, keepdims=True) + 1e-6
    flatness = 10 * (np.log10(spectrum).mean(1) - np.log10(spectrum.mean(1)))
    flat = float((flatness * weights).sum() / weights.sum())
    return float(np.interp(flat, (-46, -38, -28, -19, -2), (0, 0.12, 0.45, 0.8, 1)))


def with_lines(presence: DoubleArray, alone: float) -> DoubleArray:
    """Give a tone that sounds alone the lines of the middle, however low or high it is.

    Parameters
    ----------
    presence : np.ndarray [shape=(3,)]
        Of bass, middle and treble, 0 to 1.
    alone : float
        From 0 (a chord, or noise) to 1 (one tone).

    Returns
    -------
    np.ndarray [shape=(3,)]
        0 to 1.
    """
    bass, middle, treble = presence
    rest = 1 - ALONE * alone
    return np.array([rest * bass, max(middle, alone * bass, alone * treble), rest * treble])


def describe(magnitude: FloatArray) -> Descriptors:
    """Read the descriptors from the `fft` feature of one picture.

    Parameters
    ----------
    magnitude : np.ndarray [shape=(77, width)]
        The unscaled `fft` feature of the very span that the picture shows.

    Returns
    -------
    Descriptors
        All finite, also for silence.
    """
    m = magnitude.astype(np.float64)
    frequency, power, level = frequencies(m.shape[1]), m**2, levels(m)
    envelope = light_of(10 * np.log10(gaussian_filter1d(level, 1.2, mode="nearest") + 1e-12))
    attacks = attacks_in(m)
    fresh = attacks @ np.exp((np.arange(N_ROWS) - N_ROWS + 1) / RELEASE)
    flash = float(np.clip(fresh / ATTACK_SUM, 0, 1))

    weights = np.sqrt(level) + 1e-9
    near = gaussian_filter1d(m, 3.0, axis=0, mode="nearest") + 1e-9 * m.max() + 1e-9
    colour = onto((near * frequency).sum(1) / near.sum(1), COLOUR_RANGE)
    moments = fading(NOW, WHOLE)
    spectrum = moments @ m
    heard = (frequency > 50) & (frequency < 8000)
    tilted = (m[:, heard] * frequency[heard] ** -0.5).sum(0) + 1e-12
    pitch = np.exp((tilted * np.log(frequency[heard])).sum() / tilted.sum())
    share = [
        10 * np.log10((spectrum[(frequency >= low) & (frequency < high)] ** 2).sum() + 1e-12)
        for low, high in pairwise(BANDS)
    ]
    relative = np.array(share) - 10 * np.log10((spectrum**2).sum() + 1e-12)
    presence = np.array([along(db, curve) for db, curve in zip(relative, PRESENCE, strict=True)])
    flatness = noisiness_of(power, weights)
    chords = np.array([chord_of(part.mean(0)) for part in np.array_split(m, CHORD_PARTS)])
    clear = float(np.interp(flatness, NOISY, (1, 0)))
    chord = clear * float(np.mean(chords**CHORD_POWER) ** (1 / CHORD_POWER))
    mean_level = light_of(10 * np.log10(level @ MOMENT_AREAS + 1e-12))
    return Descriptors(
        light=float(envelope @ MOMENT_AREAS + mean_level) / 2 + ATTACK_LIGHT * flash,
        envelope=envelope,
        attacks=attacks,
        colour=colour,
        harmony=harmony_of(m, moments),
        chord=chord,
        pitch=float(np.interp(onto(pitch, PITCH_RANGE), (0, 0.18, 0.33, 0.5, 1), (0, 0.15, 0.45, 0.7, 1))),
        noisiness=flatness * (1 - COVERED * chord),
        bands=with_lines(presence, (1 - chord) * (1 - flatness)),
        motion=float(np.clip(attacks.mean() / MOTION, 0, 1)),
    )


def as_numbers(d: Descriptors) -> FloatArray:
    """Write descriptors as numbers for a network to read [shape=(71,), dtype=float32]: see :data:`GROUPS`."""
    key = key_place(d.harmony)
    dominant = d.harmony**2
    fine = np.interp(np.linspace(0, N_ROWS - 1, 23), np.arange(N_ROWS), gaussian_filter1d(d.envelope, 1.5))
    numbers = [
        [d.light, d.chord, d.pitch, d.noisiness, d.motion],
        d.bands,
        dominant / dominant.sum(),
        [np.cos(key), np.sin(key)],
        mode_weights(d.harmony),
        d.colour.reshape(-1, FOLD).mean(1),
        fine,
        d.attacks.reshape(-1, FOLD).max(1),
    ]
    return np.concatenate(numbers).astype(np.float32)


def listen(embedding: FloatArray) -> FloatArray:
    """Read the descriptors from what the embedded model is given.

    Parameters
    ----------
    embedding : np.ndarray [shape=(77, width)]
        A scaled feature: `fft` scaled by ``log``, or `waveform`, samples in [-1, 1].

    Returns
    -------
    np.ndarray [shape=(71,), dtype=float32]
        As :func:`as_numbers`. Of another feature they say little.
    """
    if embedding.min() < 0 and np.abs(embedding).max() <= 1:  # a spectrum has no negative values
        width = embedding.shape[1]
        # No window reaches past the last sample, where there may be more of the sound.
        rows = np.minimum(np.arange(N_ROWS) * width + width // 2, (N_ROWS - 1) * width)
        return as_numbers(describe(extract_at(embedding.ravel(), rows, "fft", width)))
    return as_numbers(describe(np.expm1(np.clip(embedding, 0, 10))))
