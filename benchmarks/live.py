"""Measure the live page without a browser: a client plays music to audio2live as the time goes by.

    python -m benchmarks.live --seconds 60
    python -m benchmarks.live --seconds 600 --sound FOLDER --busy

The latency is counted on the client's clock, from the moment at which the newest sample that a picture heard
had been played to the moment at which the picture was there and decoded. What a browser adds on either side,
and the screen, is not in it. "growth" compares the median of the last quarter with that of the first.
--busy lets a program for every processor compute beside it. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import websockets
from PIL import Image

from benchmarks.busy import load, processors
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.inputs import find_sounds
from sound_diffusion.sound.audio import stream_audio

ROOT = Path(__file__).resolve().parent.parent
BLOCK_SECONDS = 0.02
LOADING_SECONDS = 300.0
MEMORY_SECONDS = 5  # between two looks at the memory


@dataclass(frozen=True)
class Program:
    """A running audio2live: its process and the address of its socket."""

    process: subprocess.Popen[str]
    socket: str

    def status(self, name: str) -> int | None:
        """Return a number of /proc/PID/status, such as VmRSS in KiB; None where there is no such thing."""
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
        return None

    def open_files(self) -> int | None:
        """Count the files and sockets that it holds open."""
        with contextlib.suppress(OSError):
            return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
        return None


@contextlib.contextmanager
def running(*flags: str) -> Iterator[Program]:
    """Run audio2live with flags in a process of its own, and end it as Ctrl-C does."""
    command = [sys.executable, str(ROOT / "audio2live.py"), "--port", "7900", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise SystemExit("audio2live.py did not start")
            page, _, query = address.partition("?")
            yield Program(process, page.replace("http", "ws", 1) + "ws" + (f"?{query}" if query else ""))
        finally:
            process.send_signal(signal.SIGINT)


@dataclass
class Listener:
    """What a client has got: pictures as (moment, clock of the newest sample, index), and messages."""

    began: float = 0.0
    pictures: list[tuple[float, float, int]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def read(self, socket: websockets.ClientConnection) -> None:
        """Take what comes, until the socket is closed."""
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                if isinstance(message, str):
                    self.messages.append(json.loads(message))
                    continue
                clock, _, index = struct.unpack_from("<ddI", message)
                Image.open(io.BytesIO(message[24:])).load()
                self.pictures.append((time.monotonic() - self.began, clock, index))

    def last(self, type_: str) -> dict[str, Any]:
        """Return the newest message of a type; empty where there is none."""
        return next((each for each in reversed(self.messages) if each["type"] == type_), {})

    async def wait_until_ready(self) -> None:
        """Wait until the model is loaded."""
        until = time.monotonic() + LOADING_SECONDS
        while self.last("state").get("model") != "ready":
            if time.monotonic() > until or self.last("state").get("model") == "failed":
                raise SystemExit(f"no model: {self.last('state').get('message', '')}")
            await asyncio.sleep(0.05)

    @property
    def latencies(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Milliseconds from each picture's newest sample to its being there."""
        return np.array([(when - clock) * 1000 for when, clock, _ in self.pictures])


async def play(
    socket: websockets.ClientConnection, blocks: Iterator[bytes], listener: Listener, seconds: float
) -> None:
    """Play blocks as the time goes by: each is sent when its last sample would have sounded."""
    await socket.send(json.dumps({"type": "start", "rate": SAMPLE_RATE, "format": "i16"}))
    listener.began = time.monotonic()
    clock = 0.0
    for block in blocks:
        end = clock + len(block) / 2 / SAMPLE_RATE
        await asyncio.sleep(listener.began + end - time.monotonic())
        await socket.send(struct.pack("<d", clock) + block)
        clock = end
        if clock >= seconds:
            return


def music(paths: list[Path]) -> Iterator[bytes]:
    """Yield blocks of 16-bit samples of sounds, one after the other, over and over."""
    size, rest = int(BLOCK_SECONDS * SAMPLE_RATE), np.zeros(0, dtype=np.float32)
    while True:
        for path in paths:
            for samples in stream_audio(path, warn=False):
                rest = np.concatenate([rest, samples])
                whole = len(rest) // size * size
                for block in rest[:whole].reshape(-1, size):
                    yield (block.clip(-1, 1) * 32767).astype("<i2").tobytes()
                rest = rest[whole:]


async def measure(program: Program, paths: list[Path], seconds: float) -> tuple[Listener, list[int | None]]:
    """Play for some seconds; return what came, and the memory of the program, in KiB, over time."""
    listener, memory = Listener(), []

    async def watch() -> None:
        while True:
            memory.append(program.status("VmRSS"))
            await asyncio.sleep(MEMORY_SECONDS)

    async with websockets.connect(program.socket, compression=None, max_size=None) as socket:
        reading = asyncio.create_task(listener.read(socket))
        await listener.wait_until_ready()
        watching = asyncio.create_task(watch())
        await play(socket, music(paths), listener, seconds)
        memory.append(program.status("VmRSS"))
        for task in (watching, reading):
            task.cancel()
    return listener, memory


def report(listener: Listener, memory: list[int | None], seconds: float) -> None:
    """Print the table."""
    latencies = listener.latencies
    if len(latencies) < 8:
        raise SystemExit(f"{len(latencies)} pictures in {seconds:g} s: too few to say anything of")
    quarter = len(latencies) // 4
    growth = np.median(latencies[-quarter:]) - np.median(latencies[:quarter])
    rows = {
        "pictures a second": f"{len(latencies) / seconds:.1f}",
        "latency, median": f"{np.median(latencies):.0f} ms",
        "latency, 95th percentile": f"{np.percentile(latencies, 95):.0f} ms",
        "latency, 99th percentile": f"{np.percentile(latencies, 99):.0f} ms",
        "latency, growth": f"{growth:+.0f} ms",
        "painting, median": f"{listener.last('stats').get('painting_ms', float('nan')):.0f} ms",
        "frames dropped": f"{listener.last('stats').get('dropped', 0)}",
    }
    known = [each / 1024 for each in memory if each is not None]
    if known:
        after = {"after 10 s": 10, "after 1 minute": 60, "at the end": seconds}
        places = {when: min(round(each / MEMORY_SECONDS), len(known) - 1) for when, each in after.items()}
        rows |= {f"memory, {when}": f"{known[place]:.0f} MiB" for when, place in places.items()}
    for name, value in rows.items():
        print(f"| {name:<25} | {value:>12} |")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it plays (default: 60)")
    parser.add_argument(
        "--sound", type=Path, default=ROOT / "examples" / "song.ogg", help="a sound, or a folder of them"
    )
    parser.add_argument("--busy", action="store_true", help="beside a program for every processor")
    parser.add_argument("--flags", default="", help='of audio2live: "--preset pulse --fps 20"')
    words = parser.parse_args()
    folder = words.sound if words.sound.is_dir() else None
    paths = find_sounds((), folder, None) if folder else [words.sound]
    with running(*words.flags.split()) as program, load(processors() if words.busy else 0):
        report(*asyncio.run(measure(program, paths, words.seconds)), words.seconds)


if __name__ == "__main__":
    main()
