"""Run audio2video again and again, each time killed at a random moment, until the film is done.

Started by tests with "kill", or with "whole" for a film that is not killed and computes as the others do: how
many threads the libraries have decides the last bits of a descriptor. The libraries are imported once; every
attempt is a fork that ends by SIGKILL.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import diffusers  # noqa: F401
import torch  # noqa: F401
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline  # noqa: F401

import audio2video


def attempt(argv: list[str], frames: Path, more: int, delay: float) -> int | None:
    """Fork a run and kill it `delay` seconds after `more` frames; return its exit status if it was done."""
    before = len(list(frames.glob("*.png")))
    child = os.fork()
    if child == 0:
        try:
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


def main() -> None:
    """Print how many runs were killed before one ended by itself, and its exit status."""
    frames, killing, argv = Path(sys.argv[1]), sys.argv[2] == "kill", sys.argv[3:]
    rng = random.Random(0)
    kills = 0
    if not killing:
        print(0, attempt(argv, frames, sys.maxsize, 0))
        return
    # At most about a frame of an idle machine, so that the film is not done before it has been killed often.
    while (code := attempt(argv, frames, rng.choice((0, 1, 1, 2)), rng.uniform(0, 0.03))) is None:
        kills += 1
    print(kills, code)


if __name__ == "__main__":
    main()
