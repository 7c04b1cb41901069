"""The arithmetic of the features: each function describes a sound at moments, (len(moments), width) float32.

``evaluate_*(y, moments, width)`` takes samples [shape=(n,), dtype=float32], zero outside, and the positions
of the moments [shape=(m,), dtype=int64]. ``*_REACH`` is how many samples ahead of the first moment, and
behind the last one, the values depend on.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from sound_diffusion.constants import N_ROWS, SAMPLE_RATE
from sound_diffusion.typing import FloatArray, IntArray

MEL_N_FFT = 2048  # samples, librosa's default
N_MELS = 128
N_MFCC = 20
# A full-scale sine reads about 38 dB in librosa's Slaney-normalised mel power, white noise about 30 dB.
MEL_TOP_DB = 40.0
DYNAMIC_RANGE_DB = 80.0
# Below this deviation (dB) a coefficient is constant but for rounding and stays near zero.
MFCC_SMALLEST_DEVIATION = 0.1

CQT_N_BINS = 84  # seven octaves from C1, librosa's default
CQT_BINS_PER_OCTAVE = 12
CQT_FMIN = 32.70319566257483  # Hz, C1
MEL_REACH = (MEL_N_FFT // 2, MEL_N_FFT // 2)
CQT_REACH = (SAMPLE_RATE // 2, SAMPLE_RATE // 2)  # longer than half of the lowest filter


def _segments(y: FloatArray, starts: IntArray, length: int) -> FloatArray:
    """Cut `length` samples from each start, zero outside the sound: shape (len(starts), length)."""
    if starts.min() >= 0 and starts.max() + length <= len(y):
        return np.lib.stride_tricks.sliding_window_view(y, length)[starts]
    segments = np.zeros((len(starts), length), dtype=np.float32)
    for segment, start in zip(segments, starts.tolist(), strict=True):
        inside = y[max(start, 0) : max(start + length, 0)]
        ahead = max(-start, 0)
        segment[ahead : ahead + len(inside)] = inside
    return segments


@cache
def hann(length: int) -> FloatArray:
    """Periodic Hann window, as ``scipy.signal.get_window("hann", length)``, whose import takes long."""
    window: FloatArray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    return window


def _magnitudes(y: FloatArray, moments: IntArray, n_fft: int) -> FloatArray:
    """Columns of ``librosa.stft``, transposed, centred on the moments: (len(moments), n_fft // 2 + 1)."""
    import scipy.fft

    frames = _segments(y, moments - n_fft // 2, n_fft) * hann(n_fft)
    return np.asarray(np.abs(scipy.fft.rfft(frames, axis=1, overwrite_x=True)), dtype=np.float32)


@cache
def _interpolation(n_in: int, n_out: int) -> FloatArray:
    """Linear interpolation of `n_in` values to `n_out`, ends on ends: shape (n_in, n_out)."""
    positions = np.linspace(0, n_in - 1, n_out)
    return np.stack([np.interp(positions, np.arange(n_in), row) for row in np.eye(n_in)]).astype(np.float32)


def _stretch_levels(levels: FloatArray, width: int) -> FloatArray:
    """Interpolate values in [0, 1] along the rows; rounding leads out of the range by 1e-7 and is cut off."""
    return np.asarray(np.clip(levels @ _interpolation(levels.shape[1], width), 0, 1), dtype=np.float32)


def evaluate_waveform(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    """Cut the samples that follow the first moment into rows."""
    samples = _segments(y, moments[:1], N_ROWS * width)
    return samples.reshape(N_ROWS, width)[: len(moments)]


def evaluate_fft(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    """Return magnitudes of the Fourier transform; see :func:`sound_diffusion.extract` for all ranges."""
    return _magnitudes(y, moments, 2 * (width - 1))


@cache
def mel_filters() -> FloatArray:
    """Librosa's mel filters for spectra of 2,048 samples, Slaney-normalised: shape (1025, 128)."""
    from librosa.filters import mel

    filters: FloatArray = mel(sr=SAMPLE_RATE, n_fft=MEL_N_FFT, n_mels=N_MELS)
    return np.ascontiguousarray(filters.T)


def _mel_decibels(y: FloatArray, moments: IntArray) -> FloatArray:
    """Mel spectrum in dB above the floor of the dynamic range, in [0, 80]: (len(moments), n_mels)."""
    power = _magnitudes(y, moments, MEL_N_FFT) ** 2 @ mel_filters()
    decibels = 10 * np.log10(np.maximum(power, np.float32(1e-10))) - (MEL_TOP_DB - DYNAMIC_RANGE_DB)
    return np.asarray(np.clip(decibels, 0, DYNAMIC_RANGE_DB, dtype=np.float32), dtype=np.float32)


def evaluate_melspectrogram(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    """Return a mel spectrum in decibels, in [0, 1]."""
    return _stretch_levels(_mel_decibels(y, moments) / np.float32(DYNAMIC_RANGE_DB), width)


def evaluate_mfcc(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    """Return mel-frequency cepstral coefficients, each standardised over the moments."""
    import scipy.fft

    cepstrum = scipy.fft.dct(_mel_decibels(y, moments), axis=1, norm="ortho")[:, :N_MFCC]
    deviation = np.maximum(cepstrum.std(axis=0), np.float32(MFCC_SMALLEST_DEVIATION))
    standardised: FloatArray = (cepstrum - cepstrum.mean(axis=0)) / deviation
    return standardised @ _interpolation(N_MFCC, width)


@cache
def _cqt_filters() -> tuple[FloatArray, ...]:
    """One wavelet a bin as real and imaginary columns: of unit L1 norm; of odd length, to have a centre."""
    from librosa.filters import wavelet

    frequencies = CQT_FMIN * 2.0 ** (np.arange(CQT_N_BINS) / CQT_BINS_PER_OCTAVE)
    bank, lengths = wavelet(freqs=frequencies, sr=SAMPLE_RATE, pad_fft=False, norm=1)
    centre = bank.shape[1] // 2
    reaches = [int(length) // 2 + 1 for length in lengths]
    return tuple(
        np.stack([part[max(centre - reach, 0) : centre + reach + 1] for part in (row.real, row.imag)], axis=1)
        for row, reach in zip(bank.astype(np.complex64), reaches, strict=True)
    )


def evaluate_cqt(y: FloatArray, moments: IntArray, width: int) -> FloatArray:
    """Return a constant-Q transform in decibels, in [0, 1]."""
    magnitudes = np.empty((len(moments), CQT_N_BINS), dtype=np.float32)
    for bin_, filter_ in enumerate(_cqt_filters()):
        segments = _segments(y, moments - len(filter_) // 2, len(filter_))
        magnitudes[:, bin_] = np.hypot(*(segments @ filter_).T)
    # A full-scale sine reads one half through a filter of unit L1 norm.
    decibels = 20 * np.log10(np.maximum(2 * magnitudes, np.float32(1e-10)))
    levels = np.clip(1 + decibels / DYNAMIC_RANGE_DB, 0, 1).astype(np.float32)
    return _stretch_levels(levels, width)
