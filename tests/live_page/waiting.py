"""Where there is a browser, and waiting for what it and the server do."""

import time

import pytest

from tests.browser import why_not

needs_browser = pytest.mark.skipif(bool(why_not()), reason=why_not())
PLAYING = "document.body.classList.contains('seen') && /a second.*ms/.test(readout.textContent)"


def text_of(schedule) -> str:
    return getattr(schedule, "text", str(schedule))


def wait_until(is_so, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
