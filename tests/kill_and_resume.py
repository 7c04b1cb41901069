"""Make films in processes that are killed at random moments, again and again, until the film is done.

Every line of stdin asks for a film, in JSON: the folder of its frames, whether its runs are killed, the words
of audio2video. A film that is not killed computes as the others do: how many threads the libraries have
decides the last bits of a descriptor. The answer says how many runs were killed before one ended by itself,
and its exit status. The libraries are imported once; every run is a fork that ends by SIGKILL.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import librosa.beat
import librosa.filters  # noqa: F401
import matplotlib.figure  # noqa: F401
import torch  # noqa: F401
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline  # noqa: F401

import audio2video


def attempt(argv: list[str], frames: Path, more: int, delay: float) -> int | None:
    """Fork a run and kill it `delay` seconds after `more` frames; return its exit status if it was done."""
    before = len(list(frames.glob("*.png")))
    child = os.fork()
    if child == 0:
        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 0)
            os.dup2(nowhere, 1)
            os._exit(audio2video.main(argv))
        finally:
            os._exit(99)
    while len(list(frames.glob("*.png"))) < before + more:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if code == -signal.SIGKILL else code


def make_film(frames: Path, argv: list[str], *, killing: bool) -> tuple[int, int | None]:
    """Return how many runs were killed before one ended by itself, and its exit status."""
    if not killing:
        return 0, attempt(argv, frames, sys.maxsize, 0)
    rng = random.Random(0)
    kills = 0
    # At most about a frame of an idle machine, so that the film is not done before it has been killed often.
    while (code := attempt(argv, frames, rng.choice((0, 1, 1, 2)), rng.uniform(0, 0.03))) is None:
        kills += 1
    return kills, code


def main() -> None:
    """Make films until there is no more to read."""
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(make_film(Path(asked["frames"]), asked["argv"], killing=asked["kill"])), flush=True)


if __name__ == "__main__":
    main()
