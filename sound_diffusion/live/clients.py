"""The pages that are connected: what is on its way to each, and who is heard."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from starlette.websockets import WebSocket

from sound_diffusion.live.limits import Allowance

MESSAGES = 64  # to a page that takes none; the oldest make way
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
        Pictures that newer ones have replaced before they could be sent.
    messages, seconds : Allowance
        Messages, and seconds of sound, that may come.
    """

    def __init__(self, socket: WebSocket, page: str) -> None:
        self.socket, self.page, self.role = socket, page, WATCHER
        self.messages, self.seconds = Allowance(300, 1200), Allowance(1.2, 15)
        self.dropped = 0
        self._outbox: deque[str] = deque(maxlen=MESSAGES)
        self._picture: bytes | None = None
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

    def show(self, picture: bytes) -> None:
        """Put a picture on its way, in the place of one that is still waiting."""
        self.dropped += self._picture is not None
        self._picture = picture
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
            if (picture := self._picture) is not None:
                self._picture = None
                await self.socket.send_bytes(picture)
