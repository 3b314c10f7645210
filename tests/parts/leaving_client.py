"""A client that asks and leaves in the middle, politely (FIN) or not (RST)."""

import asyncio
import json
import socket
import struct
from typing import Any

from parts.raw_http import request


class LeavingClient:
    """One connection with one request on its way.

    Args:
        port: On loopback.
        path: With the gateway's prefix.
        body: JSON.
        accept: Header; an event stream is read as it comes.
        receive_buffer_bytes: A small one makes a reader slow.
    """

    def __init__(
        self,
        port: int,
        path: str,
        body: dict[str, Any],
        accept: str = "application/json",
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self._socket = socket.socket()
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.setblocking(False)
        self._address = ("127.0.0.1", port)
        self._raw = request("POST", path, json.dumps(body).encode(), {"accept": accept, "connection": "keep-alive"})

    async def ask(self) -> None:
        """Connect and send the whole request."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, self._address)
        await loop.sock_sendall(self._socket, self._raw)

    async def read_some(self, size_bytes: int = 1024) -> bytes:
        """Whatever is there next; b"" at the end."""
        return await asyncio.get_running_loop().sock_recv(self._socket, size_bytes)

    def leave(self, *, reset: bool) -> None:
        """Close the connection, with FIN or RST. Idempotent."""
        if reset and self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
