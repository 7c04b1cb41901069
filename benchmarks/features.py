"""Measure the features against the plain librosa calls on the same sound: speed and peak memory.

    python -m benchmarks.features

The real-time factor is seconds of sound a second of work. librosa is asked for as many columns as a picture
has rows, with the hop of `fft`.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
import warnings
from collections.abc import Callable

import librosa
import numpy as np

from sound_diffusion.constants import N_ROWS, SAMPLE_RATE, SD1_WIDTH
from sound_diffusion.sound.features import FEATURES, extract
from training.synthesis import hiss, tone

N_FFT = 2 * (SD1_WIDTH - 1)


def make_sound(seconds: float) -> np.ndarray:
    """A chord in noise."""
    chord = sum(tone(frequency, seconds=seconds) for frequency in (220, 277, 330, 3520))
    return (0.2 * chord + 0.05 * hiss(seconds)).astype(np.float32)


def librosa_calls(y: np.ndarray) -> dict[str, Callable[[], object]]:
    """Name, for each feature, the call that a user of librosa would write."""
    hop = len(y) // N_ROWS + 1
    octave_hop = max(hop // 64, 1) * 64  # what a constant-Q transform of seven octaves can divide
    stretch = {"y": y, "sr": SAMPLE_RATE, "hop_length": hop}
    return {
        "waveform": lambda: librosa.util.fix_length(y, size=N_ROWS * SD1_WIDTH).reshape(N_ROWS, SD1_WIDTH),
        "fft": lambda: np.abs(librosa.stft(y, n_fft=N_FFT, hop_length=hop)),
        "melspectrogram": lambda: librosa.power_to_db(librosa.feature.melspectrogram(**stretch)),
        "mfcc": lambda: librosa.feature.mfcc(**stretch),
        "cqt": lambda: librosa.amplitude_to_db(np.abs(librosa.cqt(y, sr=SAMPLE_RATE, hop_length=octave_hop))),
    }


def measure(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the seconds of the fastest of several calls, after one that warms up, and the peak in MB."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(seconds), peak / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60, help="length of the sound (default: 60)")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls (default: 5)")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    y = make_sound(args.seconds)
    print(f"A sound of {args.seconds:g} s, {y.nbytes / 1e6:.1f} MB.\n")
    print("| feature | real time | librosa | faster | peak MB | librosa | less |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, call in librosa_calls(y).items():
        assert name in FEATURES
        ours, our_peak = measure(lambda name=name: extract(y, name), args.repeats)
        theirs, their_peak = measure(call, args.repeats)
        print(
            f"| {name} | {args.seconds / ours:,.0f} | {args.seconds / theirs:,.0f} | {theirs / ours:.1f} x "
            f"| {our_peak:.1f} | {their_peak:.1f} | {their_peak / our_peak:.1f} x |",
            flush=True,
        )


if __name__ == "__main__":
    main()
