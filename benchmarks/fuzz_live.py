"""Talk rubbish to the live page, beside an honest client, and see whether anything dies or leaks.

    python -m benchmarks.fuzz_live --messages 10000 --connections 1000

First an honest client plays music while others, who watch, send messages of all kinds; then as many are sent
by clients that could be heard; then connections are opened that say nothing, half a handshake or bytes of
chance. The table has what the program answered, and its memory, threads and open files before and after.
The exit status is 1 where the program has ended, the honest client was let down, or something is left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import struct
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import websockets

from benchmarks.live import ROOT, Listener, Program, music, play, running

START = {"type": "start", "rate": 48_000, "format": "f32"}
NUMBERS = (0, -1, 0.5, 1e308, -1e308, 2**63, 10**400, float("nan"), float("inf"), True, None, "1", [], {})
TEXTS = (
    "", "onset", "0.2 + 0.5*onset", "9**9**9", "0:(0.1), 30:(0.9)", "8b:(1)", "cumulative(low)", "((((",
    ")" * 900, "sin(" * 90 + "t" + ")" * 90, "smooth(" * 40 + "onset" + ", 0.1)" * 40, "__import__('os')",
    "../../etc/passwd", "1/0", "log(-1)", "\0", "\ud800", "x" * 5000, "٣", "fft", "cqt", "pulse", "tunnel",
)  # fmt: skip
NAMES = (
    "strength", "scale", "gain", "window", "fps", "seed", "seed_mode", "feature", "preset", "noise", "zoom",
    "angle", "translation_x", "border", "color_coherence", "sharpen", "init_image", "model", "__class__", "",
)  # fmt: skip
LINGER_SECONDS = 15.0  # after which half a handshake is over


def text_message(rng: random.Random) -> str:
    """Draw a message of text: mostly JSON of a known type, with values of all kinds."""
    kind = rng.choice(("start", "settings", "stop", "record", "shown", "got", "ping", "", 7, None))
    settings = {rng.choice(NAMES): rng.choice((*NUMBERS, *TEXTS)) for _ in range(rng.randrange(6))}
    said = {
        "type": kind,
        "rate": rng.choice((8000, 44_100, 48_000, 192_000, *NUMBERS)),
        "format": rng.choice(("f32", "i16", "f64", None)),
        "settings": rng.choice((settings, settings, settings, [], "x", None)),
        "on": rng.choice((True, False, "yes", None)),
        "index": rng.choice(NUMBERS),
        "latency_ms": rng.choice(NUMBERS),
        "clock": rng.choice(NUMBERS),
    }
    for name in [name for name in said if rng.random() < 0.2]:
        del said[name]
    text = json.dumps(said)
    cut = rng.random()
    if cut < 0.05:
        return text[: rng.randrange(len(text))]
    return rng.choice(("[" * 5000, "1e999", "nul", '"', "x" * 40_000)) if cut < 0.1 else text


def sound_message(rng: random.Random) -> bytes:
    """Draw a message of bytes: a clock that may jump and samples that may be none."""
    clock = rng.choice((0.0, rng.random() * 100, -1.0, 1e300, float("nan"), float("inf")))
    n_samples = rng.choice((0, 1, 100, 960, 24_000, 24_001, 90_000))
    samples = np.full(n_samples, rng.choice((0.0, 0.5, 1e30, np.nan, -np.inf)), dtype="<f4")
    data = struct.pack("<d", clock) + samples.tobytes()
    return rng.choice((data, data, data[: rng.randrange(len(data) + 1)], rng.randbytes(rng.randrange(2000))))


async def talk(program: Program, rng: random.Random, n_messages: int, answers: Counter[str]) -> None:
    """Send messages, in a new connection whenever one is closed; count the reasons that are given."""
    sent = 0
    while sent < n_messages:
        listener = Listener()
        try:
            async with websockets.connect(program.socket, compression=None, open_timeout=60) as socket:
                reading = asyncio.create_task(listener.read(socket))
                if rng.random() < 0.5:
                    await socket.send(json.dumps(START))
                while sent < n_messages and not reading.done():
                    sent += 1
                    await socket.send(text_message(rng) if rng.random() < 0.5 else sound_message(rng))
                    if rng.random() < 0.3:
                        await asyncio.sleep(0.005)
                await asyncio.wait([reading], timeout=0.2)
                reading.cancel()
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            answers[f"({type(error).__name__})"] += 1
        for message in listener.messages:
            if message["type"] == "closing":
                reason = message["reason"]
                answers[reason if len(reason) < 60 else reason[:57] + "..."] += 1


async def knock(program: Program, rng: random.Random, n_connections: int) -> None:
    """Open connections that say nothing, half a handshake, or bytes of chance, and leave them."""
    where = urlsplit(program.socket)
    opened = []
    for _ in range(n_connections):
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            half = f"GET /ws HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\n".encode()
            writer.write(rng.choice((b"", half, half[: rng.randrange(len(half))], rng.randbytes(200))))
            opened.append(writer)
            del reader
        if rng.random() < 0.3 and opened:
            opened.pop(rng.randrange(len(opened))).close()
    await asyncio.sleep(1)
    for writer in opened:
        writer.close()


async def attack(program: Program, seed: int, n_messages: int, n_connections: int) -> bool:
    """Do all of it; return whether the honest client was served before, during and after."""
    rng, answers, counts = random.Random(seed), Counter[str](), []
    honest = Listener()
    async with websockets.connect(program.socket, compression=None, max_size=None) as socket:
        reading = asyncio.create_task(honest.read(socket))
        await honest.wait_until_ready()
        sounds = music([ROOT / "examples" / "song.ogg"])
        await play(socket, sounds, honest, 5)
        before = state(program)
        counts.append(len(honest.pictures))
        playing = asyncio.create_task(play(socket, sounds, honest, 3600))
        await asyncio.gather(*(talk(program, rng, n_messages // 8, answers) for _ in range(4)))
        await knock(program, rng, n_connections)
        counts.append(len(honest.pictures))
        await asyncio.sleep(LINGER_SECONDS)
        counts.append(len(honest.pictures))
        served = not reading.done() and not playing.done()
        for task in (playing, reading):
            task.cancel()
    await talk(program, rng, n_messages // 2, answers)
    await asyncio.sleep(LINGER_SECONDS)
    print_table(answers, before, state(program), counts)
    steady = all(after <= was + 8 for was, after in zip(before[1:], state(program)[1:], strict=True))
    return served and steady and counts[0] < counts[1] < counts[2]


def state(program: Program) -> tuple[int, int, int]:
    """Memory in MiB, threads, open files; zeros where they cannot be told."""
    return (program.status("VmRSS") or 0) // 1024, program.status("Threads") or 0, program.open_files() or 0


def print_table(
    answers: Counter[str], before: tuple[int, ...], after: tuple[int, ...], counts: list[int]
) -> None:
    """Print what was answered and what is left."""
    for reason, count in answers.most_common(40):
        print(f"| {count:>6} | {reason:<60} |")
    for name, was, is_ in zip(("memory, MiB", "threads", "open files"), before, after, strict=True):
        print(f"{name}: {was} before, {is_} after")
    print(f"pictures of the honest client: {counts[0]} before, {counts[1]} during, {counts[2]} after")


def main() -> None:
    """Attack a program of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=10_000, help="(default: 10000)")
    parser.add_argument("--connections", type=int, default=1000, help="(default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument("--outdir", type=Path, default=Path("outputs/live"), help="for what is recorded")
    words = parser.parse_args()
    with running("--watchers", "8", "--outdir", str(words.outdir)) as program:
        well = asyncio.run(attack(program, words.seed, words.messages, words.connections))
        ended = program.process.poll() is not None
    if ended or not well:
        raise SystemExit(
            "the program has ended" if ended else "the honest client was let down, or something leaks"
        )


if __name__ == "__main__":
    main()
