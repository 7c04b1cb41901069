"""Beats: where a listener would tap a foot. They need the whole sound, and serve structure alone."""

from __future__ import annotations

import numpy as np

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.sound.hops import HOP
from sound_diffusion.typing import DoubleArray, IntArray

CHUNK_HOPS = 1 << 14  # 190 s: librosa's tempogram has 689 numbers for every hop
TEMPO_SECONDS = 8.0  # librosa's span of the autocorrelation for one tempo
SILENT_HOPS = 2 * SAMPLE_RATE // HOP
NEAR_BEAT = 4  # hops, 46 ms
WEAKEST_BEAT = 0.1  # onset strength of a first or last beat, as a share of the strongest


def track_beats(onset_envelope: DoubleArray) -> DoubleArray:
    """Find the beats of a sound by librosa's beat tracker.

    librosa loses beats at both ends. Here two seconds of silence go before the sound, and of the beats at the
    ends those are left out that fall into silence.

    Parameters
    ----------
    onset_envelope : np.ndarray [shape=(m,), dtype=float64]
        Onset strength of every hop.

    Returns
    -------
    beats : np.ndarray [shape=(k,), dtype=float64]
        Seconds, ascending; two at least, or none where the sound has no pulse.
    """
    from librosa.beat import beat_track

    if not onset_envelope.any():
        return np.empty(0)
    tempo = _tempo(onset_envelope)
    padded = np.concatenate([np.zeros(SILENT_HOPS), onset_envelope])
    hops = beat_track(onset_envelope=padded, bpm=tempo, sr=SAMPLE_RATE, hop_length=HOP, trim=False)[1]
    heard = _without_silent_ends(padded, np.asarray(hops)) - SILENT_HOPS
    seconds = heard * np.float64(HOP / SAMPLE_RATE)
    return seconds if len(heard) > 1 else np.empty(0)


def _tempo(onset_envelope: DoubleArray) -> DoubleArray:
    """As ``librosa.feature.tempo``, in memory that does not grow by hundreds of numbers a hop."""
    from librosa import time_to_frames
    from librosa.feature import tempo, tempogram

    options = {"sr": SAMPLE_RATE, "hop_length": HOP}
    window = int(time_to_frames(TEMPO_SECONDS, **options))
    total = np.zeros(window)
    for start in range(0, len(onset_envelope), CHUNK_HOPS):
        chunk = onset_envelope[start : start + CHUNK_HOPS]
        total += tempogram(onset_envelope=chunk, win_length=window, **options).sum(axis=1)
    return np.asarray(tempo(tg=total[:, None] / len(onset_envelope), **options), dtype=np.float64)


def _without_silent_ends(onset_envelope: DoubleArray, hops: IntArray) -> IntArray:
    around = [slice(max(hop - NEAR_BEAT, 0), hop + NEAR_BEAT + 1) for hop in hops]
    strengths = np.array([onset_envelope[near].max() for near in around])
    heard = np.flatnonzero(strengths >= WEAKEST_BEAT * strengths.max(initial=0))
    return hops[heard[0] : heard[-1] + 1] if len(heard) else hops
