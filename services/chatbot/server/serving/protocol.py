"""uvicorn's HTTP/1.1 protocol, with bounds that it does not have.

uvicorn's httptools protocol reads headers of any size and for any time, and its only way to end a connection waits
for the reader. Here a request must be complete in time, its head is bounded, a reader that stalls is reset, and
clients that vanished without a word are noticed by the kernel.
"""

import asyncio
import json
import socket
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chatbot.api.wire.streams import ABORT_EXTENSION

MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_TARGET_BYTES = 8 * 1024
REQUEST_SECONDS = 75.0
"""From a request's first byte to its last; bodies have their own, shorter bound."""
MAX_DISCARDED_BYTES = 16 * 2**20
"""How much of a body is read and dropped after its refusal; cut at once, many clients would not see the answer."""
UNACKNOWLEDGED_MILLISECONDS = 45_000
"""A peer that acknowledges nothing, or keeps its window shut, for so long is gone (TCP_USER_TIMEOUT)."""


class HeadTooLarge(Exception):
    """Target or headers are larger than what is read."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _deadline: TimerHandle | None = None
    _head_bytes = 0
    _discarded_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        super().connection_made(transport)  # type: ignore[arg-type]
        _bound_socket(transport.get_extra_info("socket"))
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request's first byte came."""
        super().on_message_begin()
        self._head_bytes = self._discarded_bytes = 0
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self.transport.abort}}
        self._arm()

    def on_url(self, url: bytes) -> None:
        """A piece of the request target came."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            raise HeadTooLarge

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) >= MAX_HEADERS:
            raise HeadTooLarge
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body came."""
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self._give_up()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request's last byte came."""
        self._disarm()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Bytes came that are no HTTP request, or a head that is too large."""
        self._disarm()
        body = json.dumps({"type": "about:blank", "title": msg, "status": 400, "code": "malformed_request"}).encode()
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\n\r\n"
        )
        self.transport.write(head + body)
        self.transport.close()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._disarm()
        self.transport.abort()


def _bound_socket(sock: Any) -> None:
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # uvloop does so by itself, asyncio's own loop only where the listening socket was made with the protocol's number.
    # Else a stream's first event waits for the head to be acknowledged: 40 ms on a connection that is used again.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MILLISECONDS)


def is_answering(connection: object) -> bool:
    """Whether a connection has a request whose response is not at its end."""
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete


def is_fresh(connection: object) -> bool:
    """Whether a connection is open and has not had a request yet."""
    return getattr(connection, "cycle", connection) is None
