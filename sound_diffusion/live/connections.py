"""Connections that say nothing, or are too many: what uvicorn leaves to a proxy that is not there."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 64
HANDSHAKE_SECONDS = 10.0


class PatientProtocol(H11Protocol):
    """HTTP with a limit of connections, and of the time that the first request may take."""

    _impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or turn it away."""
        if len(self.connections) >= MOST_CONNECTIONS:
            self._turned_away = True
            transport.abort()
            return
        super().connection_made(transport)
        self._impatience = self.loop.call_later(HANDSHAKE_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._be_patient()
        if self.transport is not None:
            super().connection_lost(exc)

    def handle_events(self) -> None:
        """Read what came; a whole request is proof enough of good intentions."""
        super().handle_events()
        if self.scope is not None:
            self._be_patient()

    def _be_patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
