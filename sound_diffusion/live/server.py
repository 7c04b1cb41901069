"""The server: a page, its files, and the socket that the page is heard by."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from sound_diffusion.errors import ParameterError
from sound_diffusion.files import check_name
from sound_diffusion.film.controls import schedules_of
from sound_diffusion.job import Job
from sound_diffusion.live.clients import Client
from sound_diffusion.live.connections import PatientProtocol, PatientSocket
from sound_diffusion.live.protocol import LARGEST_MESSAGE, RubbishError
from sound_diffusion.live.security import Access, Guard
from sound_diffusion.live.session import Session
from sound_diffusion.live.settings import check_live
from sound_diffusion.options import LiveOptions

logger = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "page"
PORTS = 100  # that are tried
PING_SECONDS = 5.0
GRACE_SECONDS = 2


def serve(options: LiveOptions) -> Iterator[str]:
    """Serve the page until Ctrl-C; yield its address first.

    Parameters
    ----------
    options : LiveOptions

    Raises
    ------
    ModelError, OutputError, ParameterError
        If what is asked for cannot be painted, or the address cannot be listened at.
    """
    for schedule in schedules_of(options).values():  # the user's; what the model declares is not checked
        check_live(schedule)
    if options.stats is not None:
        check_name(options.stats, "--stats")
    job = Job.plan(options)
    access = Access.to(options.host)
    with listen(options.host, options.port) as listening:
        address = page_address(listening, access)
        yield address
        if options.open:
            import webbrowser

            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):  # which is how it is meant to end
            make_server(Session(job), access).run([listening])


def make_server(session: Session, access: Access) -> Server:
    """Build the server of a session."""
    config = uvicorn.Config(
        make_app(session, access),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=PatientProtocol,
        ws=PatientSocket,
        ws_max_size=LARGEST_MESSAGE,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=2 * PING_SECONDS,
        ws_per_message_deflate=False,  # pictures do not get smaller, and what is blown up gets too large
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="on",
    )
    return Server(config, session)


class Server(uvicorn.Server):
    """A server that says good-bye."""

    def __init__(self, config: uvicorn.Config, session: Session) -> None:
        super().__init__(config)
        self._session = session

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the pages, then close."""
        await self._session.end()
        await super().shutdown(sockets)


def make_app(session: Session, access: Access) -> Guard:
    """Build the application: the page, its files, its socket."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await session.begin()
        telling = asyncio.create_task(session.tell_statistics())
        yield
        telling.cancel()

    async def index(_: Request) -> FileResponse:
        return FileResponse(PAGE / "index.html")

    routes = [
        Route("/", index),
        WebSocketRoute("/ws", partial(_attend, session=session)),
        Mount("/", StaticFiles(directory=PAGE)),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), access)


async def _attend(websocket: WebSocket, session: Session) -> None:
    """Listen to a page and send what it is to get, until it goes or is closed."""
    await websocket.accept()
    page = websocket.query_params.get("page", "")
    client = Client(websocket, page if re.fullmatch(r"\w{8,64}", page) else "")
    session.join(client)
    tasks = [asyncio.create_task(_listen(websocket, client, session)), asyncio.create_task(client.send())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        session.leave(client)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(websocket: WebSocket, client: Client, session: Session) -> None:
    while True:
        try:
            message = await websocket.receive()
        except (WebSocketDisconnect, RuntimeError):
            return
        if message["type"] == "websocket.disconnect":
            return
        try:
            session.hear(client, message.get("text"), message.get("bytes"))
        except RubbishError as error:
            session.refuse(client, str(error))
        except Exception:
            logger.exception("a message could not be handled")
            session.refuse(client, "a defect of the program")


def listen(host: str, port: int) -> socket.socket:
    """Listen at the port or the next one that is free; ParameterError where none is."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ParameterError(f"--host {host}: {error}", "an address of this machine") from None
    for number in range(port, min(port + PORTS, 65536)):
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address[0], number, *address[2:]))
            listening.listen(100)
        except OSError as error:
            listening.close()
            is_taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
            if number == min(port + PORTS, 65536) - 1 or not is_taken:
                raise ParameterError(
                    f"--host {host} --port {number}: {error.strerror}",
                    "an address of this machine and a free port",
                ) from None
        else:
            return listening
    raise AssertionError


def page_address(listening: socket.socket, access: Access) -> str:
    """Write the address of the page."""
    port = listening.getsockname()[1]
    everywhere: dict[str, str] = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}
    host = everywhere.get(access.host, access.host)
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={access.token}" if access.token else "")
