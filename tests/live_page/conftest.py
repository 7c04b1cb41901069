"""The page of audio2live in a real browser: a server in a thread, and the browser of all tests."""

import contextlib
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_diffusion.cli import Parser
from sound_diffusion.constants import SAMPLE_RATE
from sound_diffusion.job import Job
from sound_diffusion.live.security import Access
from sound_diffusion.live.server import listen, make_server, page_address
from sound_diffusion.live.session import Session
from sound_diffusion.options import LiveOptions
from tests.browser import NO_CARD, Browser


class Serving:
    """A server in a thread of its own."""

    def __init__(self, *words: str, host: str = "127.0.0.1", port: int = 0) -> None:
        options = Parser(LiveOptions).read([*words, "--host", host])
        access = Access.to(host)
        self._socket = listen(host, port)
        self.port = self._socket.getsockname()[1]
        self.url = page_address(self._socket, access)
        self.session = Session(Job.plan(options))
        self._server = make_server(self.session, access)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    @property
    def options(self) -> LiveOptions:
        return self.session.job.options

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self.session._painter.join(30)  # it ends after the picture that it paints
        self._socket.close()
        assert not self._thread.is_alive()


@pytest.fixture(scope="package")
def pulses_file(tmp_path_factory) -> Path:
    """Noise that dies away within a third of a second, every two seconds, for a minute."""
    noise = np.random.default_rng(0).normal(0, 0.25, 2 * SAMPLE_RATE)
    pulse = np.clip(noise * np.exp(-np.arange(len(noise)) / (0.06 * SAMPLE_RATE)), -1, 1)
    path = tmp_path_factory.mktemp("sounds") / "pulses.wav"
    soundfile.write(path, np.tile(pulse, 30), SAMPLE_RATE)
    return path


@pytest.fixture(scope="package")
def window(pulses_file):
    """The browser of all tests. Its microphone hears the pulses."""
    browser = Browser(*NO_CARD, f"--use-file-for-fake-audio-capture={pulses_file}")
    yield browser
    browser.close()


@pytest.fixture
def browser(window):
    """The browser, at a size of its own; there is no error in its console when the test ends."""
    window.resize(900, 600)
    window.errors()
    yield window
    assert window.errors() == []


@pytest.fixture
def serve(tiny_model_folder, window, tmp_path):
    """Start servers of the tiny model."""
    with contextlib.ExitStack() as servers:

        def start(*words: str, **details) -> Serving:
            tiny = ("--model", str(tiny_model_folder), "--fps", "10", "--outdir", str(tmp_path / "live"))
            served = Serving(*tiny, *words, **details)
            servers.callback(served.close)
            return served

        yield start
        window.open("about:blank")  # before the server ends, of which the console would tell


@pytest.fixture
def page(browser, serve):
    """The page, opened, and its server."""
    served = serve()
    browser.open(served.url)
    return browser, served
