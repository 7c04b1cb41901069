"""Analysis of a sound in hops, as it comes in: what the descriptors of a frame are made of."""

from __future__ import annotations

from functools import cache

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.sound.descriptors import DESCRIPTORS
from sound_diffusion.sound.pitch import LOWEST_PITCH, yin
from sound_diffusion.sound.spectra import DYNAMIC_RANGE_DB, MEL_N_FFT, MEL_TOP_DB, hann, mel_filters
from sound_diffusion.typing import DoubleArray, FloatArray

N_FFT = MEL_N_FFT  # samples, 46 ms
HOP = 512  # samples, 12 ms
BATCH = 32  # hops analysed at once: rounding depends on it, so that it must not depend on the blocks
# A kick drum and a bass; voices and most instruments; cymbals and breath. Hz.
BANDS = {"low": (20, 150), "mid": (150, 2000), "high": (2000, 16_000)}
# Median filters over time, 0.2 s, and over frequency, 0.67 kHz. A tone counts as harmonic once it has
# lasted for half of the first.
HARMONIC_HOPS = 17
PERCUSSIVE_BINS = 31
FLOOR_DB = MEL_TOP_DB - DYNAMIC_RANGE_DB
FLATNESS_FLOOR = 1e-10  # librosa's
VOICED = 0.6  # aperiodicity up to which a pitch is believed; white noise has 0.85, music about 0.4


class HopAnalysis:
    """Measures hop after hop of a stream of samples; zero is assumed before the first one.

    But for flatness: a sound that begins at once would be noise for its first three hops, more than all that
    follows. They have that of the first window that is full.
    """

    def __init__(self) -> None:
        self._samples: FloatArray = np.zeros(N_FFT - HOP, dtype=np.float32)
        self._columns: FloatArray = np.zeros((HARMONIC_HOPS - 1, N_FFT // 2 + 1), dtype=np.float32)
        self._decibels: FloatArray = np.full((1, mel_filters().shape[1]), FLOOR_DB, dtype=np.float32)
        self._pitch = 69 + 12 * np.log2(LOWEST_PITCH / 440)
        self._not_full = N_FFT // HOP - 1  # windows that begin before the sound

    def push(self, samples: FloatArray, *, last: bool = False) -> DoubleArray:
        """Take in samples, and measure the hops that are complete.

        Parameters
        ----------
        samples : np.ndarray [shape=(n,), dtype=float32]
            Mono, at 44,100 Hz.
        last : bool
            Whether to measure whole hops that do not fill a batch as well.

        Returns
        -------
        rows : np.ndarray [shape=(m, 11), dtype=float64]
            A row each hop, in the order of :data:`~sound_diffusion.sound.descriptors.DESCRIPTORS`.
        """
        self._samples = np.concatenate([self._samples, samples])
        rows = [np.empty((0, len(DESCRIPTORS)))]
        while (n_hops := min((len(self._samples) - N_FFT) // HOP + 1, BATCH)) > 0:
            if n_hops < BATCH and not last:
                break
            rows.append(self._measure(n_hops))
            self._samples = self._samples[n_hops * HOP :]
        return np.concatenate(rows)

    def _measure(self, n_hops: int) -> DoubleArray:
        import scipy.fft

        windows = np.lib.stride_tricks.sliding_window_view(self._samples, N_FFT)[: n_hops * HOP : HOP]
        magnitudes: FloatArray = np.abs(scipy.fft.rfft(windows * hann(N_FFT), axis=1))
        power = magnitudes**2
        columns = np.concatenate([self._columns, magnitudes])
        percussive, harmonic = _percussive_and_harmonic(columns)
        previous = columns[HARMONIC_HOPS - 2 : -1]
        measured = {
            "loudness": np.sqrt(np.mean(np.square(windows, dtype=np.float64), axis=1)),
            "onset": self._onset_strength(power),
            **{band: _root_mean_square(power[:, _bins(*edges)]) for band, edges in BANDS.items()},
            "percussive": _root_mean_square(percussive),
            "harmonic": _root_mean_square(harmonic),
            "centroid": _centroid(magnitudes),
            "flatness": self._flatness_of_full(power),
            "flux": np.linalg.norm(magnitudes - previous, axis=1),
            "pitch": self._held_pitch(windows),
        }
        self._columns = columns[-(HARMONIC_HOPS - 1) :]
        return np.stack([measured[name] for name in DESCRIPTORS], axis=1).astype(np.float64)

    def _onset_strength(self, power: FloatArray) -> FloatArray:
        """As ``librosa.onset.onset_strength``, over a floor that does not depend on what comes later."""
        levels = 10 * np.log10(np.maximum(power @ mel_filters(), np.float32(10 ** (FLOOR_DB / 10))))
        rises = np.diff(np.concatenate([self._decibels, levels]), axis=0)
        self._decibels = levels[-1:]
        return np.asarray(np.maximum(rises, 0).mean(axis=1), dtype=np.float32)

    def _flatness_of_full(self, power: FloatArray) -> DoubleArray:
        flatness, early = _flatness(power), self._not_full
        full = flatness[early] if len(flatness) > early else 0.0
        flatness[:early] = np.where(power[:early].any(axis=1), full, 0.0)
        self._not_full = 0
        return flatness

    def _held_pitch(self, windows: FloatArray) -> DoubleArray:
        """MIDI number of every hop; where there is no period, that of the last one that had one."""
        frequencies, aperiodicities = yin(windows)
        pitches = np.concatenate([[self._pitch], 69 + 12 * np.log2(frequencies / 440)])
        voiced = np.concatenate([[True], aperiodicities < VOICED])
        held: DoubleArray = pitches[np.maximum.accumulate(np.where(voiced, np.arange(len(voiced)), 0))]
        self._pitch = float(held[-1])
        return held[1:]


def _percussive_and_harmonic(columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Power of the percussive and of the harmonic part of all columns but the first 16.

    As ``librosa.decompose.hpss``, but that the median over time looks back and not to both sides.
    """
    magnitudes = columns[HARMONIC_HOPS - 1 :]
    sides = np.pad(magnitudes, ((0, 0), (PERCUSSIVE_BINS // 2,) * 2), mode="symmetric")
    over_time = _median(np.lib.stride_tricks.sliding_window_view(columns, HARMONIC_HOPS, axis=0))
    over_frequency = _median(np.lib.stride_tricks.sliding_window_view(sides, PERCUSSIVE_BINS, axis=1))
    larger = np.maximum(np.maximum(over_time, over_frequency), np.finfo(np.float32).tiny)
    harmonic, percussive = (over_time / larger) ** 2, (over_frequency / larger) ** 2
    total = np.maximum(harmonic + percussive, np.finfo(np.float32).tiny)
    parts: tuple[FloatArray, FloatArray] = (
        np.square(magnitudes * percussive / total),
        np.square(magnitudes * harmonic / total),
    )
    return parts


def _median(windows: FloatArray) -> FloatArray:
    """Median over the last axis, of odd length."""
    middle = windows.shape[-1] // 2
    return np.asarray(np.partition(windows, middle, axis=-1)[..., middle], dtype=np.float32)


@cache
def _window_power() -> float:
    """What turns a sum over the power of one half of a spectrum into the mean square of the samples."""
    return 2 / (N_FFT * float(np.sum(np.square(hann(N_FFT), dtype=np.float64))))


def _root_mean_square(power: FloatArray) -> DoubleArray:
    """Root mean square of the samples that have a power spectrum: a / sqrt(2) for a sine of amplitude a."""
    return np.asarray(np.sqrt(_window_power() * power.sum(axis=1, dtype=np.float64)), dtype=np.float64)


def _bins(low: float, high: float) -> slice:
    """Bins of the spectrum from `low` Hz to below `high` Hz."""
    first, stop = (int(np.ceil(edge * N_FFT / SAMPLE_RATE)) for edge in (low, high))
    return slice(first, stop)


def _centroid(magnitudes: FloatArray) -> DoubleArray:
    """As ``librosa.feature.spectral_centroid``: 0 Hz for silence."""
    total = magnitudes.sum(axis=1, dtype=np.float64)
    frequencies = np.arange(magnitudes.shape[1]) * (SAMPLE_RATE / N_FFT)
    centroid: DoubleArray = magnitudes @ frequencies / np.maximum(total, np.finfo(np.float32).tiny)
    return centroid


def _flatness(power: FloatArray) -> DoubleArray:
    """As ``librosa.feature.spectral_flatness``; but silence, which is no noise, has 0."""
    floored = np.maximum(power, FLATNESS_FLOOR).astype(np.float64)
    flatness: DoubleArray = np.exp(np.log(floored).mean(axis=1)) / floored.mean(axis=1)
    return np.where(power.any(axis=1), flatness, 0.0)
