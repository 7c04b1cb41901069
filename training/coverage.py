"""Compare the training sounds with music, by what is measured of windows of 0.75 s.

    python -m training.coverage --sounds FOLDER

For every descriptor: its percentiles over the sounds of the folder, over the pieces of the corpus and over
all training sounds, and the share of the folder's windows that lie between the 1st and the 99th percentile
of the training sounds. At the end, for all descriptors together, the coverage of Naeem et al. (2020,
"Reliable fidelity and diversity metrics for generative models"): the share of the folder's windows that have
a training window nearer than their fifth neighbour among the windows of other files; beside it the same for
one half of the folder's files against the other, which is what could be reached. The folder is measured and
never trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
from scipy.spatial.distance import cdist

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.inputs import SOUND_SUFFIXES
from sound_diffusion.sound.audio import load_audio
from training.corpus import FOLDER, draw, draw_window, open_corpus

SECONDS = 0.75
N_FFT, HOP = 2048, 512
MELS = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=64, fmax=16_000)
CHROMA_N_FFT = 8192
CHROMA = librosa.filters.chroma(sr=SAMPLE_RATE, n_fft=CHROMA_N_FFT, tuning=0, ctroct=4.5, octwidth=1.2)
BANDS = {"low": (20, 250), "mid": (250, 2500), "high": (2500, 16_000)}  # hertz
FLOOR = 1e-9
QUIET = -60.0  # decibels: windows below are not compared
FEWEST = 4  # sounds
PERCENTILES = (5, 25, 50, 75, 95)


def measure(y: np.ndarray) -> dict[str, float]:
    """Measure a window.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Samples at 44,100 Hz.

    Returns
    -------
    dict of float
        loudness: RMS in dB. centroid: octaves above 100 Hz of the spectral centroid of the power.
        flatness: mean over the moments of the spectral flatness of 64 mel bands, in dB. low, mid, high:
        power of a band in dB relative to the whole. onset: largest mean rise of the mel bands from
        one moment to the next, in dB. crest: peak over RMS in dB. motion: deviation of the level over
        moments of 46 ms, in dB. chroma: 1 - entropy of the pitch classes / log 12. bands: number of mel
        bands within 30 dB of the strongest.
    """
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(y, (N_FFT // 2, N_FFT // 2)), N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT))) ** 2 / N_FFT
    frequency = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)
    mel = power @ MELS.T + FLOOR
    total = power.sum() + FLOOR
    mel_db = np.maximum(10 * np.log10(mel), 10 * np.log10(mel.max()) - 80)
    level = 10 * np.log10(power.sum(1) + FLOOR)
    long = np.pad(y, (0, -len(y) % CHROMA_N_FFT)).reshape(-1, CHROMA_N_FFT) * np.hanning(CHROMA_N_FFT)
    chroma = CHROMA @ (np.abs(np.fft.rfft(long)) ** 2).sum(0) + FLOOR
    chroma = chroma / chroma.sum()
    mean_db = 10 * np.log10(mel.mean(0))
    values = {
        "loudness": 10 * np.log10(np.mean(y**2) + FLOOR),
        "centroid": np.log2(((power * frequency).sum() / total + 1) / 100),
        "flatness": float(np.mean(10 * np.log10(mel).mean(1) - 10 * np.log10(mel.mean(1)))),
    }
    for name, (low, high) in BANDS.items():
        inside = (frequency >= low) & (frequency < high)
        values[name] = max(10 * np.log10(power[:, inside].sum() / total + FLOOR), -60)
    return values | {
        "onset": float(np.maximum(np.diff(mel_db, axis=0), 0).mean(1).max()),
        "crest": 10 * np.log10(np.max(y**2) / (np.mean(y**2) + FLOOR) + FLOOR),
        "motion": float(np.maximum(level, level.max() - 60).std()),
        "chroma": float(1 + (chroma * np.log(chroma)).sum() / np.log(12)),
        "bands": float((mean_db > mean_db.max() - 30).sum()),
    }


def table(windows: Iterator[np.ndarray]) -> np.ndarray:
    """Measure windows; those that are silent are left out [shape=(n, number of descriptors)]."""
    rows = [list(measured.values()) for y in windows if (measured := measure(y))["loudness"] > QUIET]
    return np.array(rows)


def windows_of(path: Path) -> Iterator[np.ndarray]:
    """Cut a file into windows."""
    y, size = load_audio(path), round(SECONDS * SAMPLE_RATE)
    for start in range(0, len(y) - size + 1, size):
        yield y[start : start + size]


def covered(real: np.ndarray, files: np.ndarray, made: np.ndarray) -> float:
    """Share of the real windows that have a made one within their fifth neighbour of another file."""
    distance = cdist(real, real)
    distance[files[:, None] == files[None]] = np.inf
    radius = np.sort(distance, 1)[:, 4]
    return float((cdist(real, made).min(1) < radius).mean())


def compare(real: np.ndarray, files: np.ndarray, music: np.ndarray, made: np.ndarray) -> None:
    """Print the table and the coverage."""
    names = list(measure(np.zeros(1000)))
    header = "".join(f"{p:>8}" for p in PERCENTILES)
    print(f"{'percentile':<20}{header}   inside 1..99 of training")
    for column, name in enumerate(names):
        low, high = np.percentile(made[:, column], (1, 99))
        inside = np.mean((real[:, column] >= low) & (real[:, column] <= high))
        for label, values in ((name, real), ("   music made", music), ("   all training", made)):
            row = "".join(
                f"{value:8.1f}" if abs(value) >= 2 else f"{value:8.2f}"
                for value in np.percentile(values[:, column], PERCENTILES)
            )
            print(f"{label:<20}{row}" + (f"{inside:8.2f}" if values is real else ""))
    mean, deviation = real.mean(0), np.maximum(real.std(0), FLOOR)
    real, music, made = ((part - mean) / deviation for part in (real, music, made))
    half = files % 2 == 0
    size = half.sum()
    print(
        f"\ncoverage, {size} windows each: music made {covered(real, files, music[:size]):.2f}, "
        f"all training {covered(real, files, made[:size]):.2f}, "
        f"other files of the folder {covered(real[~half], files[~half], real[half]):.2f}"
    )
    print(f"coverage, {len(made)} training windows: {covered(real, files, made):.2f}")


def main(argv: list[str] | None = None) -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sounds", type=Path, required=True, help="folder of sounds to compare with")
    parser.add_argument("--corpus", type=Path, default=FOLDER, help="the corpus (default: %(default)s)")
    parser.add_argument("--count", type=int, default=2000, help="training windows (default: %(default)s)")
    options = parser.parse_args(argv)
    paths = sorted(path for path in options.sounds.iterdir() if path.suffix.lower() in SOUND_SUFFIXES)
    if len(paths) < FEWEST:
        parser.error(f"{options.sounds}: {len(paths)} sounds, expected at least {FEWEST} to compare with")
    rng = np.random.default_rng(0)
    pieces = open_corpus(options.corpus).music
    parts = [table(windows_of(path)) for path in paths]
    files = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    music = table(draw_window(rng, pieces, SECONDS) for _ in range(options.count))
    made = table(draw(rng, SECONDS, options.corpus) for _ in range(options.count))
    compare(np.concatenate(parts), files, music, made)


if __name__ == "__main__":
    main()
