"""The pages that are connected: what is on its way to each, and who is heard."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from starlette.websockets import WebSocket

from sound_diffusion.live.connections import Allowance
from sound_diffusion.live.protocol import REFUSED, REPLACED

MESSAGES = 64  # to a page that takes none; the oldest make way
UNDERWAY = 3  # pictures that are sent ahead of what a page says that it has got
PAINTER, WATCHER = "painter", "watcher"


class Client:
    """A page. What it is sent waits here: messages in order, and of the pictures the newest alone.

    Parameters
    ----------
    socket : starlette.websockets.WebSocket
    page : str
        What the page calls itself; may be empty.

    Attributes
    ----------
    role : {"painter", "watcher"}
    dropped : int
        Pictures that newer ones have replaced before they could be sent. A page that says what it has got is
        not sent many ahead: on a slow line they would be late by all that systems and tunnels hold for it.
    messages, seconds : Allowance
        Messages, and seconds of sound, that may come.
    """

    def __init__(self, socket: WebSocket, page: str) -> None:
        self.socket, self.page, self.role = socket, page, WATCHER
        self.messages, self.seconds = Allowance(300, 1200), Allowance(1.2, 15)
        self.dropped = 0
        self._outbox: deque[str] = deque(maxlen=MESSAGES)
        self._picture: tuple[int, bytes] | None = None
        self._tells = False  # what it has got
        self._underway: deque[int] = deque(maxlen=UNDERWAY)
        self._end: tuple[int, str] | None = None
        self._waiting = asyncio.Event()

    @property
    def is_closing(self) -> bool:
        """Whether it is told that the socket is about to be closed."""
        return self._end is not None

    def tell(self, **message: Any) -> None:
        """Put a message on its way."""
        self._outbox.append(json.dumps(message))
        self._waiting.set()

    def show(self, index: int, picture: bytes) -> None:
        """Put a picture on its way, in the place of one that is still waiting."""
        self.dropped += self._picture is not None
        self._picture = index, picture
        self._waiting.set()

    def note_got(self, index: int) -> None:
        """Note that the page has got a picture, and with it those before."""
        self._tells = True
        if index in self._underway:
            while self._underway.popleft() != index:
                pass
        self._waiting.set()

    def close(self, code: int, reason: str) -> None:
        """Say why, and close the socket."""
        if self._end is None:
            self.tell(type="closing", reason=reason)
            self._end = code, reason.encode(errors="replace")[:120].decode(errors="ignore")

    async def send(self) -> None:
        """Send what waits, until the end."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._outbox:
                await self.socket.send_text(self._outbox.popleft())
            if self._end is not None:
                await self.socket.close(*self._end)
                return
            if self._picture is not None and not (self._tells and len(self._underway) == UNDERWAY):
                (index, picture), self._picture = self._picture, None
                self._underway.append(index)
                await self.socket.send_bytes(picture)


class Clients:
    """All pages that are connected. One of them is heard, the others watch.

    Parameters
    ----------
    watchers : int
        How many may watch.
    """

    def __init__(self, watchers: int) -> None:
        self._watchers = watchers
        self._clients: list[Client] = []

    def __iter__(self) -> Iterator[Client]:
        return iter(tuple(self._clients))

    @property
    def painter(self) -> Client | None:
        """The page that is heard."""
        return next((client for client in self._clients if client.role == PAINTER), None)

    def add(self, client: Client) -> bool:
        """Take a page in, in the place of its former connection, or tell it why not; say which."""
        for other in self:
            if client.page and other.page == client.page:
                self._clients.remove(other)
                other.close(REPLACED, "the page has connected again")
        if self.painter is None:
            client.role = PAINTER
        elif len(self._clients) > self._watchers:
            more = "start the program with --watchers N for more"
            client.close(REFUSED, f"another page is open already; close it, or {more}")
            return False
        self._clients.append(client)
        return True

    def remove(self, client: Client) -> None:
        """Let a page go; one that watches takes the place of the one that was heard."""
        if client not in self._clients:
            return
        self._clients.remove(client)
        if client.role == PAINTER and self._clients:
            self._clients[0].role = PAINTER

    def tell(self, **message: Any) -> None:
        """Tell all pages the same."""
        for client in self:
            client.tell(**message)

    def show(self, index: int, picture: bytes) -> None:
        """Show all pages a picture."""
        for client in self:
            client.show(index, picture)
