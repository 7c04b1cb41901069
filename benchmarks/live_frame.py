"""Say where the time of a live picture goes.

    python -m benchmarks.live_frame
    python -m benchmarks.live_frame --zoom "1 + 0.02*low" --seed-mode walk

Flags are those of audio2live.py. A song is painted by every third frame of the grid, as if two were dropped
between; the table has the median over the pictures, in milliseconds of the processors, so that other programs
count for little. What waits, a thread that has nothing to do for example, does not count.
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sound_diffusion.cli import Parser
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.film import painter as film
from sound_diffusion.job import Job
from sound_diffusion.live import chain, painter
from sound_diffusion.live.hearing import Take
from sound_diffusion.options import LiveOptions
from sound_diffusion.sound.audio import load_audio

SOUND = Path(__file__).resolve().parent.parent / "examples" / "song.ogg"
FIRST, STEP, PICTURES = 60, 3, 60  # frames of the grid
WARM = 5  # pictures that are not counted
PARTS = (
    (chain.Chain, "_describe", "descriptors of the sound"),
    (chain.Chain, "_evaluate", "formulas"),
    (chain.Chain, "_feature", "feature"),
    (chain, "feed_back", "camera, colours"),
    (film, "encode_pictures", "encoder of pictures"),
    (film.FilmPainter, "condition", "sound encoder"),
    (film.FilmPainter, "_noise", "noise"),
    (film, "paint_latents", "UNet"),
    (film, "decode_latents", "decoder"),
    (painter, "encode", "JPEG"),
)


def watch(owner: Any, name: str, spent: list[float]) -> None:
    """Note how long every call of a function takes, in seconds of the processors."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def watched(*all_: Any, **more: Any) -> Any:
        began = time.process_time()
        try:
            return function(*all_, **more)
        finally:
            spent.append(time.process_time() - began)

    setattr(owner, name, watched)


def measure(words: Sequence[str]) -> dict[str, list[float]]:
    """Paint, and return the seconds of every part of every picture."""
    spent: dict[str, list[float]] = defaultdict(list)
    for owner, name, part in PARTS:
        watch(owner, name, spent[part])
    job = Job.plan(Parser(LiveOptions).read(LiveOptions.expand(words)))
    take = Take(SAMPLE_RATE)
    take.hear(0.0, load_audio(SOUND))
    painting = chain.Chain(job.model, take.sound, job.options.fps)
    for index in range(FIRST, FIRST + STEP * PICTURES, STEP):
        began = time.process_time()
        painter.encode(painting.paint(index, job).picture)
        spent["all of it"].append(time.process_time() - began)
    return spent


def main() -> None:
    """Print the table."""
    for part, seconds in measure(sys.argv[1:]).items():
        if len(seconds) > WARM:
            print(f"| {part:<25} | {1000 * statistics.median(seconds[WARM:]):>6.1f} ms |")


if __name__ == "__main__":
    main()
