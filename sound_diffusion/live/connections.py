"""Connections that say nothing, too much, or read nothing: what is left to a proxy that is not there."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MOST_CONNECTIONS = 64
REQUEST_SECONDS = 10.0  # that a request may take to come, the first as well as the next
STALL_SECONDS = 10.0  # that a connection may go without reading what waits for it
CLOSE_SECONDS = 2.0  # that a page may take to say good-bye


class Allowance:
    """So much a second, and so much at once after a pause.

    Parameters
    ----------
    rate : float
        Units a second.
    burst : float
        Units that a pause saves up.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, time.monotonic()

    def take(self, amount: float = 1.0) -> bool:
        """Use some of it up; False where there is not so much."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= amount
        return self._left >= 0


class _Deadline:
    """Ends a connection at a time, unless it is called off."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def set(self, protocol: _EndsStalls, seconds: float) -> None:
        self.call_off()
        # Closing would wait for what is to be sent, and for one that reads nothing for ever.
        self._timer = protocol.loop.call_later(seconds, protocol.transport.abort)

    def call_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def time(self) -> float | None:
        return None if self._timer is None else self._timer.when()


class _EndsStalls(asyncio.Protocol):
    """A connection that is ended when nobody has read for some time what waits to be sent."""

    loop: asyncio.AbstractEventLoop
    transport: Any

    def __init__(self, *details: Any, **more: Any) -> None:
        super().__init__(*details, **more)
        self._stall = _Deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stall.call_off()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a reader that is slow."""
        super().pause_writing()
        self._stall.set(self, STALL_SECONDS)

    def resume_writing(self) -> None:
        """Go on."""
        self._stall.call_off()
        super().resume_writing()


class PatientProtocol(_EndsStalls, H11Protocol):
    """HTTP with a limit of connections, and of the time that requests and reading their answers may take.

    Where there are too many, the one that has kept the server waiting for longest makes way.
    """

    def __init__(self, *details: Any, **more: Any) -> None:
        super().__init__(*details, **more)
        self._request = _Deadline()

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or turn it away."""
        if len(self.connections) >= MOST_CONNECTIONS and not self._make_room():
            transport.abort()
            return
        super().connection_made(transport)
        self._request.set(self, REQUEST_SECONDS)

    def _make_room(self) -> bool:
        waiting = {
            time: each
            for each in self.connections
            if isinstance(each, PatientProtocol) and (time := each._request.time) is not None
        }
        if not waiting:
            return False
        longest = waiting[min(waiting)]
        longest.transport.abort()
        self.connections.discard(longest)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._request.call_off()
        if self.transport is not None:
            super().connection_lost(exc)

    def handle_events(self) -> None:
        """Read what came; a whole request is proof enough of good intentions."""
        before = self.scope
        super().handle_events()
        if self.scope is not before:
            self._request.call_off()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._request.set(self, REQUEST_SECONDS)
        super().on_response_complete()


class PatientSocket(_EndsStalls, WebSocketsSansIOProtocol):
    """A WebSocket with limits: of the time that reading and closing take, of frames that are no messages."""

    def __init__(self, *details: Any, **more: Any) -> None:
        super().__init__(*details, **more)
        self.close_timeout = CLOSE_SECONDS
        self._end = _Deadline()
        self._frames = Allowance(100, 1000)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._end.call_off()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        super().data_received(data)
        if self.transport.is_closing():
            self._end.set(self, CLOSE_SECONDS)

    def handle_cont(self, event: Any) -> None:
        """Take a further part of a message."""
        if self._allow_frame():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, unless answers are not read."""
        if not self._allow_frame():
            return
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_pong(self, event: Any) -> None:
        """Take an answer."""
        if self._allow_frame():
            super().handle_pong(event)

    def _allow_frame(self) -> bool:
        allowed = self._frames.take()
        if not allowed:
            self.transport.abort()
        return allowed

    def keepalive_timeout(self) -> None:
        """End a connection that no longer answers."""
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """Send a message; after a good-bye there is not much time for the answer."""
        await super().send(message)
        if message["type"] == "websocket.close" or self.transport.is_closing():
            self._end.set(self, 2 * CLOSE_SECONDS)
