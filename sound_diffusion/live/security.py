"""Who gets in: the names of the server, the origin of a page, a token; and what headers forbid the page."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_PATHS = ("/", "/ws")  # the rest is the same for everybody: files of this program
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), display-capture=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self' ws://{host} wss://{host}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Access:
    """What a request has to bring.

    Attributes
    ----------
    host : str
        What the server listens at.
    token : str
        What has to be in the address; empty where the server is heard on this machine alone.
    """

    host: str
    token: str = field(default="", repr=False)

    @classmethod
    def to(cls, host: str) -> Access:
        """Ask for a new token unless only this machine can reach the host."""
        return cls(host, "" if is_loopback(host) else secrets.token_urlsafe(24))

    def problem(self, path: str, query: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Say why a request is refused, in one line; nothing where it is not.

        A name that another has pointed at this machine (DNS rebinding) is none of ours, whatever page it
        comes from; and a page of another server says so in ``Origin``.
        """
        told = [(name.lower(), value.decode("latin-1")) for name, value in headers]
        hosts = [value for name, value in told if name == b"host"]
        if len(hosts) != 1 or not self._goes_by(host_name(hosts[0])):
            return f"the server does not go by the name {', '.join(hosts)[:100]!r}"
        for origin in (value for name, value in told if name == b"origin"):
            if urlsplit_host(origin) != hosts[0].lower():
                return f"a page of {origin[:100]!r} cannot come in"
        given = parse_qs(query).get("token", [""])[-1]
        is_right = not self.token or secrets.compare_digest(given.encode(), self.token.encode())
        if path in TOKEN_PATHS and not is_right:
            return "the token in the address is missing or wrong: open the one that the program has printed"
        return ""

    def _goes_by(self, name: str) -> bool:
        if name == "localhost" or is_address(name):
            # To an address a page can only have come by that address, which its origin then says.
            return not is_loopback(self.host) or is_loopback(name)
        machine = socket.gethostname().lower()
        return not is_loopback(self.host) and name in (self.host.lower(), machine, f"{machine}.local")


class Guard:
    """Lets requests through that bring what they have to, and adds headers to the answers.

    Parameters
    ----------
    app : ASGI application
    access : Access
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        problem = self._access.problem(scope["path"], query, scope["headers"])
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        if not problem:
            headers.append((b"content-security-policy", POLICY.format(host=host).encode()))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *headers]}
            await send(message)

        if not problem:
            await self._app(scope, receive, send_guarded)
            return
        kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
        if scope["type"] == "websocket":
            await receive()
        plain = (b"content-type", b"text/plain; charset=utf-8")
        await send({"type": f"{kind}.start", "status": 403, "headers": [*headers, plain]})
        await send({"type": f"{kind}.body", "body": problem.encode()})


def is_loopback(host: str) -> bool:
    """Whether a host is this machine as nobody else can reach it."""
    if host.lower() == "localhost":
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def is_address(host: str) -> bool:
    """Whether a host is given by a number."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_name(host: str) -> str:
    """Take the port, and the brackets of IPv6, off a ``Host`` header; empty where it is malformed."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d{1,5})?", host.lower(), re.ASCII)
    return (found[1] or found[2]) if found else ""


def urlsplit_host(origin: str) -> str:
    """Return host and port of an origin, as a ``Host`` header has them; empty for one that has none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
