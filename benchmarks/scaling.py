"""How much faster two processes are than one, with the same bytes, and what is lost when one is killed.

    python -m benchmarks.scaling [--frames 480] [--model auto] [--only own chained]

Films in frames of their own (``--mode txt2img``), and chained films that are cut every two seconds. Every
process has one thread to compute with. Left to itself, it uses a core and a half, since it hears and saves
in threads beside the one that paints; so one process is also kept to a core, beside two shards with a core
each. Start-up is part of the time, and so is joining the film, which one process does: the more
frames, the less the first counts. On a machine that other programs use as well, compare the time of the
processors: that of the busiest process is what the clock would show if nobody else had its core. At last one
of two is killed in the middle, and its command repeated.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import soundfile

from sound_diffusion.constants import SAMPLE_RATE

FPS = 12
KINDS = {
    "own": ("frames of their own", ("--mode", "txt2img")),
    "chained": ("chained, cut every 24 frames", ("--strength", "where(t % 24 == 0, 1, 0.8)")),
}
ONE = "one"  # process, left to itself
SHARDS = (("--shard", "1/2"), ("--shard", "2/2"))


class Taken(NamedTuple):
    """Seconds of a clock, and of a processor for the process that computed most, with what it had started."""

    clock: float
    processor: float

    @classmethod
    def by(cls, *processes: subprocess.Popen[bytes], began: float) -> Self:
        """Wait for processes, which have to succeed, and return what was taken since they began."""
        most = 0.0
        for process in processes:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                raise SystemExit(f"{process.args} failed")
            most = max(most, usage.ru_utime + usage.ru_stime)
        return cls(time.monotonic() - began, most)


class Films:
    """Films of a sound of noise, each in a folder of its own."""

    def __init__(self, root: Path, n_frames: int, model: str, flags: Sequence[str]) -> None:
        self._root, self._sound = root, root / "noise.wav"
        self._flags = ["--model", model, "--device", "cpu", "--fps", str(FPS), "--quiet", *flags]
        n_samples = n_frames * SAMPLE_RATE // FPS
        y = np.random.default_rng(0).uniform(-0.5, 0.5, n_samples) * np.linspace(1, 0, n_samples)
        soundfile.write(self._sound, y.astype(np.float32), SAMPLE_RATE)

    def start(
        self, name: str, *flags: str, core: int | None = None, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a process that makes a film, or its share of it, on one thread, and maybe on one core."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | variables
        command = [sys.executable, "audio2video.py", "--path", str(self._sound), *self._flags, *flags]
        process = subprocess.Popen(
            [*command, "--outdir", str(self._root / name)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if core is not None:  # before it has threads
            os.sched_setaffinity(process.pid, {core})
        return process

    def take(self, name: str, flags: Sequence[Sequence[str]], cores: Sequence[int | None]) -> Taken:
        """Make a film by a process for each share, and return what it took."""
        began = time.monotonic()
        each = zip(flags, cores, strict=True)
        return Taken.by(*[self.start(name, *own, core=core) for own, core in each], began=began)

    def launch(self, name: str) -> Taken:
        """Make a film by two processes as accelerate starts them, and return what it took."""
        launch = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29577", "WORLD_SIZE": "2"}
        began = time.monotonic()
        ranks = [self.start(name, **launch, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")]
        return Taken.by(*ranks, began=began)

    def kill(self, name: str, n_frames: int) -> None:
        """Make a film by two processes; one is killed when so many frames are there, and started again."""
        began = time.monotonic()
        killed, other = (self.start(name, *own) for own in SHARDS)
        while len(list((self._root / name).rglob("*.png"))) < n_frames and killed.poll() is None:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        Taken.by(other, self.start(name, *SHARDS[0]), began=began)

    def bytes_of(self, name: str) -> list[bytes]:
        """Return the bytes of the frames and of the film."""
        folder = self._root / name
        return [path.read_bytes() for path in [*sorted(folder.rglob("frames/*.png")), *folder.rglob("*.mp4")]]

    def verdict(self, name: str) -> str:
        """Say whether the bytes are those of one process."""
        return f"bytes {'the same' if self.bytes_of(name) == self.bytes_of(ONE) else 'DIFFER'}"


def measure(films: Films, n_frames: int) -> None:
    """Print what one process takes, two, and whether the bytes are the same."""

    def show(what: str, name: str, now: Taken, before: Taken) -> None:
        ratios = [old / new for old, new in zip(before, now, strict=True)]
        print(
            f"{what:<30} {now.clock:7.1f} s, {ratios[0]:.2f} x; {now.processor:7.1f} s of a processor, "
            f"{ratios[1]:.2f} x; {films.verdict(name)}",
            flush=True,
        )

    start = films.take("short", [("--duration", str(1 / FPS))], [None])
    print(f"a film of one frame: {start.processor:.1f} s of a processor")
    one = films.take(ONE, [()], [None])
    show("one process", ONE, one, one)
    show("two shards", "shards", films.take("shards", SHARDS, [None, None]), one)
    show("two launched", "launched", films.launch("launched"), one)
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        cores = sorted(os.sched_getaffinity(0))[:2]
        one = films.take("one on a core", [()], cores[:1])
        show("one process, on a core", "one on a core", one, one)
        show("two shards, a core each", "a core each", films.take("a core each", SHARDS, cores), one)
    films.kill("killed", n_frames // 3)
    print(f"killed in the middle and repeated: {films.verdict('killed')}", flush=True)


def main() -> None:
    """Print the figures for every kind of film."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=480, help="of each film (default: %(default)s)")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    arguments = parser.parse_args()
    for kind in arguments.only:
        name, flags = KINDS[kind]
        print(f"{name}: {arguments.frames} frames, {arguments.frames / FPS:g} s of sound", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            films = Films(Path(folder), arguments.frames, arguments.model, flags)
            measure(films, arguments.frames)


if __name__ == "__main__":
    main()
