"""A server of pages in a thread, and a page without a browser."""

import contextlib
import json
import struct
import threading
import time

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sound_diffusion.job import Job
from sound_diffusion.live.security import Access
from sound_diffusion.live.server import listen, make_server
from sound_diffusion.live.session import Session
from sound_diffusion.options import LiveOptions

PATIENCE = 60  # seconds: how long a busy machine may take
BLOCK = 0.02  # seconds
RATE = 48_000


@contextlib.contextmanager
def serving(options, *, host="127.0.0.1", load=None):
    """Serve pages in a thread; yield the address and the session."""
    job = Job.plan(options)
    session = Session(job, load)
    access = Access.to(host)
    with listen("127.0.0.1", 0) as listening:
        server = make_server(session, access)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        address = f"ws://127.0.0.1:{listening.getsockname()[1]}/ws"
        try:
            yield address + (f"?token={access.token}" if access.token else ""), session
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


def tiny_options(folder, tmp_path, **changed):
    """Options of the tiny model, with recordings in `tmp_path`."""
    return LiveOptions(model=str(folder), device="cpu", outdir=tmp_path / "live", **changed)


class Page:
    """What a browser's page does, but for pictures on a screen."""

    def __init__(self, address, **options):
        self.socket = connect(address, compression=None, open_timeout=PATIENCE, legacy=True, **options)
        self.pictures, self.messages = [], []
        self.clock = 0.0
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self._thread.join(PATIENCE)

    def _read(self):
        with contextlib.suppress(ConnectionClosed):
            for message in self.socket:
                if isinstance(message, bytes):
                    self.pictures.append(
                        (time.monotonic(), *struct.unpack_from("<ddI", message), message[24:])
                    )
                else:
                    self.messages.append(json.loads(message))
        self.closed.set()

    def say(self, type_, **said):
        self.socket.send(json.dumps({"type": type_, **said}))

    def start(self, **settings):
        self.say("start", rate=RATE, format="f32", settings=settings)

    def play(self, samples, *, hurry=False):
        """Send samples as the time goes by, or at once."""
        began, first = time.monotonic(), self.clock
        size = int(BLOCK * RATE)
        for at in range(0, len(samples), size):
            block = samples[at : at + size].astype("<f4")
            self.socket.send(struct.pack("<d", self.clock) + block.tobytes())
            self.clock += len(block) / RATE
            if not hurry:
                time.sleep(max(0.0, began + self.clock - first - time.monotonic()))

    def play_until(self, n_pictures, seed=0):
        """Play noise until so many more pictures have come; a busy machine takes its time."""
        wanted, until = len(self.pictures) + n_pictures, time.monotonic() + PATIENCE
        while len(self.pictures) < wanted:
            assert time.monotonic() < until
            self.play(noise(0.2, seed))

    def all(self, type_):
        return [message for message in list(self.messages) if message["type"] == type_]

    def wait_for(self, condition):
        """Wait until a condition holds; it is given this page."""
        until = time.monotonic() + PATIENCE
        while not (result := condition(self)):
            assert time.monotonic() < until, self.messages[-3:]
            time.sleep(0.01)
        return result

    @property
    def state(self):
        return self.wait_for(lambda page: page.all("state"))[-1]

    def wait_until_ready(self):
        self.wait_for(lambda page: page.state["model"] == "ready")
        return self

    @property
    def reason(self):
        """Why it was closed."""
        assert self.closed.wait(PATIENCE)
        return self.all("closing")[-1]["reason"], self.socket.protocol.close_code


def noise(seconds, seed=0):
    """Noise that swells, at the rate of a page."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    return (0.3 * np.abs(np.sin(np.arange(n) / RATE * 5)) * rng.standard_normal(n)).clip(-1, 1)
