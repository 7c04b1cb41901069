"""Films that benchmarks make: by the script itself, but the model is loaded once."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from unittest import mock

import audio2video
from sound_diffusion import job


@contextlib.contextmanager
def one_model() -> Iterator[None]:
    """Load every model once, for all films that are made meanwhile."""
    with mock.patch.object(job, "load_model", functools.cache(job.load_model)):
        yield


def make_film(words: list[str]) -> None:
    """Make films by the words of a command line, with progress on stderr and nothing on stdout."""
    with contextlib.redirect_stdout(io.StringIO()):
        status = audio2video.main(words)
    if status:
        raise SystemExit(status)
