"""Measure the way from a long sound to the embeddings of its film: speed and peak memory.

    python -m benchmarks.long_audio [--hours 1 10] [--fps 12] [--feature fft]
    python -m benchmarks.long_audio --films 20

Makes sounds of the given lengths in a temporary folder, then, for each in a process of its own that is
kept to one core, streams it, evaluates the feature of every frame and scales it, as audio2video does.
Prints seconds by the clock and of the processor, the real-time factor (seconds of sound for each second
of the processor, which other work on the machine disturbs least), and the peak of resident memory. With
--films, audio2video makes whole films instead, of so many frames each, whatever the length of the sound:
what grows then grows with the sound.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film.path import features_at
from sound_diffusion.film.timeline import Timeline
from sound_diffusion.options.declaration import fraction
from sound_diffusion.sound.audio import stream_audio
from sound_diffusion.sound.embeddings import scale
from sound_diffusion.sound.features import FEATURES


def write_sound(path: Path, hours: float, rate: int) -> None:
    """Write a stereo sound of slowly changing chords and noise, a minute at a time."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, 2, "PCM_16", format="RF64") as sound:
        time_axis = np.arange(60 * rate) / rate
        for minute in range(max(1, round(60 * hours))):
            pitch = 55 * 2 ** (rng.integers(0, 48) / 12)
            tone = (
                0.3 * np.sin(2 * np.pi * pitch * time_axis) * (1 + np.sin(time_axis * (minute % 7 + 1))) / 2
            )
            noise = 0.05 * rng.standard_normal(len(tone))
            sound.write(np.stack([tone + noise, tone - noise], axis=1))


def embed_film(
    path: Path, fps: str, feature: str, results: "multiprocessing.Queue[tuple[float, float, float, int]]"
) -> None:
    """Take every frame of the film of a sound up to its embedding; report seconds, megabytes, frames."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    began, worked = time.perf_counter(), time.process_time()
    n_samples = sum(map(len, stream_audio(path)))
    timeline = Timeline(n_samples=n_samples, fps=fraction(fps), feature=feature)
    for _, matrix in features_at(stream_audio(path), timeline, timeline.feature, 768):
        scale(matrix, "log")
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put((time.perf_counter() - began, time.process_time() - worked, megabytes, len(timeline)))


def measure_film(path: Path, hours: float, n_frames: int, mode: str) -> tuple[float, float]:
    """Make a film of so many frames; return seconds of a processor, and megabytes at the most."""
    command = [
        sys.executable,
        "audio2video.py",
        "--path",
        str(path),
        "--fps",
        f"{n_frames}/{hours * 3600:.0f}",
    ]
    command += [
        "--mode",
        mode,
        "--quiet",
        "--allow-flashing",
        "--outdir",
        str(path.parent / f"{hours} {mode}"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure_films(hours: Sequence[float], n_frames: int, rate: int) -> None:
    """Print what films of some lengths take."""
    print(f"{'hours':>6} {'mode':>8} {'cpu s':>8} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for length in hours:
            path = Path(folder) / "long.wav"
            write_sound(path, length, rate)
            for mode in ("img2img", "txt2img"):
                worked, megabytes = measure_film(path, length, n_frames, mode)
                print(f"{length:6.3g} {mode:>8} {worked:8.1f} {megabytes:8.0f}", flush=True)


def main() -> None:
    """Print a row for every length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--fps", default="12")
    parser.add_argument("--feature", choices=list(FEATURES), default="fft")
    parser.add_argument("--rate", type=int, default=SAMPLE_RATE, help="sampling rate of the sound in Hz")
    parser.add_argument("--films", type=int, metavar="FRAMES", help="whole films of so many frames")
    args = parser.parse_args()
    if args.films:
        measure_films(args.hours, args.films, args.rate)
        return
    context = multiprocessing.get_context("spawn")
    print(f"{args.feature} at {args.fps} frames a second, {args.rate} Hz stereo, one core")
    print(f"{'hours':>6} {'frames':>8} {'clock s':>8} {'cpu s':>8} {'x real time':>12} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for hours in args.hours:
            path = Path(folder) / "long.wav"
            write_sound(path, hours, args.rate)
            results = context.Queue()
            process = context.Process(target=embed_film, args=(path, args.fps, args.feature, results))
            process.start()
            clock, worked, megabytes, n_frames = results.get()
            process.join()
            factor = n_frames / float(fraction(args.fps)) / worked
            print(
                f"{hours:6g} {n_frames:8d} {clock:8.1f} {worked:8.1f} {factor:12.0f} {megabytes:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
