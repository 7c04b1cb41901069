"""Who is let in to the live page, and what happens to those who talk rubbish."""

import asyncio
import contextlib
import http.client
import json
import random
import socket
import struct
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from benchmarks.fuzz_live import sound_message, text_message
from sound_diffusion.errors import ParameterError
from sound_diffusion.job import Job
from sound_diffusion.live import connections
from sound_diffusion.live.clients import UNDERWAY, Client
from sound_diffusion.live.protocol import RubbishError
from sound_diffusion.live.security import Access
from sound_diffusion.live.server import PAGE, listen, page_address
from sound_diffusion.live.session import Session
from tests.live_pages import PATIENCE, Page, noise, serving, tiny_options


@pytest.fixture(scope="module")
def server_and_session(tiny_model, tiny_model_folder, tmp_path_factory):
    """A server for this machine alone."""
    options = tiny_options(tiny_model_folder, tmp_path_factory.mktemp("live"))
    with serving(options, load=lambda: tiny_model) as served:
        yield served


@pytest.fixture(scope="module")
def server(server_and_session):
    """Its address."""
    return server_and_session[0]


def ask(address, path="/", **headers):
    """Send a GET request; return status, headers and body."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    result = answer.status, dict(answer.getheaders()), answer.read().decode(errors="replace")
    connection.close()
    return result


def refusal(address, **headers):
    """Return why a socket is refused."""
    with pytest.raises(InvalidStatus) as caught:
        connect(address, additional_headers=headers, open_timeout=PATIENCE, legacy=True)
    assert caught.value.response.status_code == 403
    return caught.value.response.body.decode()


def test_the_page_and_its_files_are_served_with_headers_that_keep_it_to_itself(server):
    status, headers, body = ask(server)
    assert (status, body) == (200, (PAGE / "index.html").read_text())
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    for path in PAGE.iterdir():
        assert ask(server, f"/{path.name}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "//etc/passwd", "/x"]
)
def test_no_other_file_is_served(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "",
        "127.0.0.1.evil.example",
        "[",
        "192.168.0.7",
        "0.0.0.0",
        "evil.example@127.0.0.1",
        "127.0.0.1/x",
        "127.0.0.1:1; script-src *",
        "localhost.",
        "2130706433",
    ],
)
def test_a_foreign_host_is_refused(server, host):
    status, headers, body = ask(server, Host=host)
    assert status in (400, 403)
    assert "index" not in body
    if status == 403:
        assert "does not go by the name" in body
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:7860"])
def test_the_names_of_this_machine_are_taken(server, host):
    assert ask(server, Host=host)[0] == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1", "file://", "http://["],
)
def test_a_foreign_origin_is_refused(server, origin):
    assert "cannot come in" in refusal(server, Origin=origin)


def test_the_own_origin_is_taken(server):
    with connect(
        server, additional_headers={"Origin": f"http://{urlsplit(server).netloc}"}, open_timeout=PATIENCE
    ) as page:
        assert json.loads(page.recv())["type"] == "state"


def test_beyond_this_machine_a_token_is_asked_for(tiny_model, tiny_model_folder, tmp_path):
    options = tiny_options(tiny_model_folder, tmp_path)
    with serving(options, host="0.0.0.0", load=lambda: tiny_model) as (address, _):
        bare, token = address.split("?token=")
        assert len(token) >= 32
        assert "token" in refusal(bare)
        assert "token" in refusal(bare + "?token=wrong")
        assert "token" in refusal(bare + "?token=" + token[:-1])
        assert ask(bare)[0] == ask(bare, "/?token=%ff")[0] == 403
        assert ask(bare, f"/?token={token}")[0] == 200
        assert ask(bare, f"/?token={token}", Host="evil.example")[0] == 403
        with Page(address) as page:
            assert page.state["role"] == "painter"


def test_only_loopback_needs_no_token():
    assert all(not Access.to(host).token for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"))
    tokens = {Access.to(host).token for host in ("0.0.0.0", "::", "192.168.0.7", "studio.local")}
    assert len(tokens) == 4
    assert "" not in tokens
    assert next(iter(tokens)) not in repr(Access("x", next(iter(tokens))))


def test_the_next_free_port_is_taken():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port) as second:
            assert port < second.getsockname()[1] < port + 100
        assert page_address(first, Access("127.0.0.1")) == f"http://127.0.0.1:{port}/"
    with pytest.raises(ParameterError, match=r"--host 203\.0\.113\.9"):
        listen("203.0.113.9", 0)


# --- rubbish

CLOCK = struct.pack("<d", 0.0)
START = json.dumps({"type": "start", "rate": 48000, "format": "f32"})
RUBBISH = [
    "",
    "{",
    "[]",
    "null",
    "1e999",
    "[" * 20_000,
    '{"type": "format the disk"}',
    '{"type": "start"}',
    '{"type": "start", "rate": 1e9, "format": "f32"}',
    '{"type": "start", "rate": NaN, "format": "f32"}',
    '{"type": "start", "rate": true, "format": "f32"}',
    '{"type": "start", "rate": 48000, "format": "mp3"}',
    '{"type": "start", "rate": 48000, "format": "f32", "settings": []}',
    '{"type": "settings", "settings": "all"}',
    '{"type": "record", "on": "yes"}',
    '{"type": "ping", "clock": "noon"}',
    '{"type": "ping", "clock": "\\ud800"}',
    '{"type": "shown", "index": -1, "latency_ms": 0}',
    b"",
    b"1234567",
    CLOCK,
    CLOCK + b"123",
    CLOCK + np.float32([np.nan]).tobytes(),
    CLOCK + np.float32([np.inf]).tobytes(),
    CLOCK + np.float32([1e30]).tobytes(),
    CLOCK + bytes(4 * 24_001),
    struct.pack("<d", np.nan) + bytes(4),
    struct.pack("<d", -1.0) + bytes(4),
    struct.pack("<d", 1e300) + bytes(4),
    b"\xff" * 200,
]  # fmt: skip


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_who_sends_rubbish_is_closed_with_a_reason(server, rubbish):
    with Page(server) as page:
        page.socket.send(START)
        page.socket.send(rubbish)
        reason, code = page.reason
        assert code == 1008
        assert reason
        assert "\n" not in reason
    with Page(server) as page:  # the server lives, and takes the next one
        assert page.state["role"] == "painter"


def test_clocks_go_forward_and_sound_no_faster_than_time(server):
    with Page(server) as page:
        page.start()
        page.socket.send(struct.pack("<d", 100.0) + bytes(400))
        page.socket.send(struct.pack("<d", 99.0) + bytes(400))
        assert "goes back" in page.reason[0]
    with Page(server) as page:
        page.start()
        with contextlib.suppress(ConnectionClosed):
            page.play(np.zeros(30 * 48_000), hurry=True)
        assert "more sound than time" in page.reason[0] or page.reason[1] == 1008


def test_messages_that_are_too_large_are_not_read(server):
    with Page(server) as page:
        with contextlib.suppress(ConnectionClosed):
            page.socket.send(bytes(2_000_000))
        assert page.closed.wait(PATIENCE)
        assert page.socket.protocol.close_code in (1006, 1009)


def opened(address, request=""):
    """Open a connection and send a request."""
    where = urlsplit(address)
    connection = socket.create_connection((where.hostname, where.port), timeout=PATIENCE)
    connection.sendall(request.replace("HOST", where.netloc).encode())
    return connection


def ends(connection):
    """Wait until the other side ends a connection."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass
    return True


HALF = "GET /ws HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        "",
        HALF,
        "GET /icon.svg HTTP/1.1\r\nHost: HOST\r\n\r\n" + HALF,
        "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1000\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\nGET / HT",
    ],
)
def test_requests_that_are_never_whole_do_not_last(server, monkeypatch, request_):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.3)
    with opened(server, request_) as connection:
        assert ends(connection)


def test_those_that_say_nothing_make_way(server, monkeypatch):
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 4)
    with contextlib.ExitStack() as silent:
        sockets = [silent.enter_context(opened(server, HALF)) for _ in range(4)]
        assert ask(server)[0] == 200
        assert ends(sockets[0])
        with Page(server) as page:
            assert page.state["role"] == "painter"
            for _ in range(8):
                silent.enter_context(opened(server))
            page.say("ping", clock=1)
            page.wait_for(lambda page: page.all("pong"))


def upgraded(address):
    """Open a WebSocket by hand, so that it reads only what it is told to."""
    lines = (
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    connection = opened(address, HALF + lines + "\r\n")
    assert connection.recv(12) == b"HTTP/1.1 101"
    return connection


@pytest.mark.parametrize("flood", ["ping", "pong", "part"])
def test_a_flood_of_frames_that_are_no_messages_ends(server, flood):
    first = b"\x02\x80" + bytes(4) if flood == "part" else b""
    frame = {"ping": b"\x89", "pong": b"\x8a", "part": b"\x00"}[flood] + b"\x80" + bytes(4)
    with upgraded(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(first + 5000 * frame)
        assert ends(connection)


def test_a_page_that_reads_nothing_loses_its_place(tiny_model, tiny_model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.3)
    options = tiny_options(tiny_model_folder, tmp_path)
    with serving(options, load=lambda: tiny_model) as (address, session), upgraded(address):
        until = time.monotonic() + PATIENCE
        while session._clients.painter is None:
            time.sleep(0.01)
        while session._clients.painter is not None:
            assert time.monotonic() < until
            session._loop.call_soon_threadsafe(session._clients.show, 0, bytes(1_000_000))
            time.sleep(0.02)
        with Page(address) as page:
            assert page.state["role"] == "painter"


def test_a_page_on_a_slow_line_is_not_sent_far_ahead_of_what_it_has_got(server_and_session):
    address, session = server_and_session

    def show(*indices):
        for index in indices:
            message = struct.pack("<ddII", 0.0, 0.0, index, 0)
            session._loop.call_soon_threadsafe(session._clients.show, index, message)
            time.sleep(0.02)

    with Page(address) as page:
        page.wait_until_ready()
        page.say("got", index=0)
        page.say("ping", clock=0)
        page.wait_for(lambda page: page.all("pong"))
        show(*range(10))
        page.wait_for(lambda page: len(page.pictures) == UNDERWAY)
        assert [index for *_, index, _ in page.pictures] == [0, 1, 2]
        page.say("got", index=1)
        page.wait_for(lambda page: len(page.pictures) == UNDERWAY + 1)
        assert page.pictures[-1][3] == 9  # the newest alone
        show(10, 11, 12)
        page.wait_for(lambda page: page.pictures[-1][3] == 10)
        [client] = session._clients
        assert client.dropped == 7


def test_an_honest_page_goes_on_beside_all_this(server):
    random_ = random.Random(0)
    where = urlsplit(server)
    with Page(server) as honest:
        honest.wait_until_ready().start()
        opened = [socket.create_connection((where.hostname, where.port)) for _ in range(150)]
        for each in opened[::3]:
            each.sendall(random_.randbytes(random_.randrange(1, 400)))
        for _ in range(20):
            honest.play(noise(0.02))
        for each in opened:
            each.close()
        for rubbish in RUBBISH[:10]:
            try:
                with connect(server, open_timeout=PATIENCE) as other:
                    other.send(rubbish)
            except (ConnectionClosed, InvalidHandshake, OSError):
                pass
        before = len(honest.pictures)
        honest.play(noise(0.5))
        honest.wait_for(lambda page: len(page.pictures) > before)
        assert not honest.closed.is_set()


async def talk_rubbish(session, rng, n_messages):
    """Say what chance says, as a new page wherever one was refused; return why they were."""
    reasons = set()
    client = Client(None, "")
    for _ in range(n_messages):
        if session._clients.painter is None:
            session.join(client := Client(None, ""))
            session.hear(client, START, None)
        said = (text_message(rng), None) if rng.random() < 0.6 else (None, sound_message(rng))
        try:
            session.hear(client, *said)
        except RubbishError as error:
            reasons.add(str(error))
            session.leave(client)
        await asyncio.sleep(0.002)
    session.leave(client)
    return reasons


@pytest.mark.parametrize("seed", range(2))
def test_what_chance_says_is_done_or_refused(tiny_model, tiny_model_folder, tmp_path, caplog, seed):
    """Anything but a reason or a line to the page is an exception here; then an honest page is painted."""

    async def attack():
        await session.begin()
        reasons = await talk_rubbish(session, random.Random(seed), 400)
        honest = Client(None, "")
        session.join(honest)
        session.hear(honest, START, None)
        until = time.monotonic() + PATIENCE
        while honest._picture is None:
            assert time.monotonic() < until
            session.hear(honest, None, CLOCK + np.zeros(960, np.float32).tobytes())
            await asyncio.sleep(0.02)
        await session.end()
        return reasons

    options = tiny_options(tiny_model_folder, tmp_path)
    session = Session(Job.plan(options), lambda: tiny_model)
    reasons = asyncio.run(attack())
    assert len(reasons) > 20
    assert all(len(reason.splitlines()) == 1 for reason in reasons)
    assert not [each for each in caplog.records if each.exc_info]
