"""How much faster two processes are than one, with the same bytes, and what is lost when one is killed.

    python -m benchmarks.scaling [--frames 48] [--model auto]

Every process has one thread. The frames are of their own (``--mode txt2img``); one process, two shards, and
two processes that are launched together make them, in turn. Start-up is part of the time: the more frames,
the less it counts. On a machine that other programs use as well, compare the time of the processors: that of
the busiest process is what the clock would show if each had a processor of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sound_diffusion.constants import SAMPLE_RATE

FPS = 12


def film(sound: Path, model: str, outdir: Path, *flags: str) -> list[str]:
    """Return the command that makes a film on one thread."""
    command = [sys.executable, "audio2video.py", "--path", str(sound), "--model", model, "--device", "cpu"]
    return [*command, "--fps", str(FPS), "--mode", "txt2img", "--quiet", "--outdir", str(outdir), *flags]


def start(command: list[str], **variables: str) -> subprocess.Popen[bytes]:
    """Start a command on one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | variables
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


class Taken(NamedTuple):
    """Seconds of a clock, and of a processor for the process that computed most."""

    clock: float
    processor: float


def taken(*processes: subprocess.Popen[bytes], began: float) -> Taken:
    """Wait for processes, which have to succeed, and return the seconds since they began."""
    most = 0.0
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{process.args} failed")
        most = max(most, usage.ru_utime + usage.ru_stime)
    return Taken(time.monotonic() - began, most)


def frames(outdir: Path) -> list[bytes]:
    """Return the bytes of the frames and of the film in a folder."""
    return [path.read_bytes() for path in [*sorted(outdir.rglob("frames/*.png")), *outdir.rglob("*.mp4")]]


def main() -> None:
    """Print seconds, the ratio, and whether the bytes are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--model", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sound = root / "noise.wav"
        n_samples = arguments.frames * SAMPLE_RATE // FPS
        y = np.random.default_rng(0).uniform(-0.5, 0.5, n_samples) * np.linspace(1, 0, n_samples)
        soundfile.write(sound, y.astype(np.float32), SAMPLE_RATE)

        def command(outdir: str, *flags: str) -> list[str]:
            return film(sound, arguments.model, root / outdir, *flags)

        began = time.monotonic()
        one = taken(start(command("one")), began=began)
        began = time.monotonic()
        shards = [start(command("shards", "--shard", f"{i}/2")) for i in (1, 2)]
        two = taken(*shards, began=began)
        launch = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29577", "WORLD_SIZE": "2"}
        began = time.monotonic()
        ranks = [start(command("launched"), **launch, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")]
        launched = taken(*ranks, began=began)
        print(
            f"{arguments.frames} frames: one process {one.clock:.1f} s, {one.processor:.1f} s of a processor"
        )
        for name, took, outdir in (("two shards", two, "shards"), ("two launched", launched, "launched")):
            same = frames(root / outdir) == frames(root / "one")
            ratios = [before / now for before, now in zip(one, took, strict=True)]
            print(
                f"{name} {took.clock:.1f} s, {ratios[0]:.2f} x; {took.processor:.1f} s of a processor, "
                f"{ratios[1]:.2f} x; bytes {'the same' if same else 'DIFFER'}"
            )

        killed, other = (start(command("killed", "--shard", f"{i}/2")) for i in (1, 2))
        while len(list((root / "killed").rglob("*.png"))) < arguments.frames // 3 and killed.poll() is None:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        taken(other, start(command("killed", "--shard", "1/2")), began=began)
        same = frames(root / "killed") == frames(root / "one")
        print(f"killed in the middle and repeated: bytes {'the same' if same else 'DIFFER'}")


if __name__ == "__main__":
    main()
