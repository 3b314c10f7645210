"""The last moment of a process: who connected before the sockets closed gets a 503, not a reset.

The kernel completes connections before anybody accepts them; closing a listening socket resets those that wait in its
queue. So the queues are emptied by hand, until they close. One more could get in between the last look and the close:
Linux is told before that to let none (SO_ATTACH_FILTER, socket(7)); who tries then is refused when TCP tries again.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from secrets import token_hex

from chatbot.api import errors
from chatbot.api.texts import DEFAULT_LANGUAGE
from chatbot.domain.errors import Draining

_ANSWER_SECONDS = 1.0
_LOOK_SECONDS = 0.005
_HANDSHAKE_SECONDS = 0.05
"""Longer than a round trip within a cluster: who was let in by then has become a connection."""
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
_NO_SYN = (  # linux/filter.h: code, jump if true, jump if false, constant; a packet begins with its TCP header
    (0x30, 0, 0, 13),  # load the flags
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # pass it
)


async def refuse_latecomers(queues: Sequence[socket.socket], seconds: float) -> None:
    """Answer 503 to each connection of some listening sockets, for a while; then close them."""
    await asyncio.gather(*(_empty(queue, seconds) for queue in queues))


async def _empty(queue: socket.socket, seconds: float) -> None:
    queue.setblocking(False)
    refusals: list[asyncio.Task[None]] = []
    ends_at = time.monotonic() + seconds
    with queue:
        while time.monotonic() < ends_at:
            refusals += [asyncio.create_task(_refuse(connection)) for connection in _waiting(queue)]
            await asyncio.sleep(_LOOK_SECONDS)
        _let_none_in(queue)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        refusals += [asyncio.create_task(_refuse(connection)) for connection in _waiting(queue)]
    await asyncio.gather(*refusals)


def _let_none_in(queue: socket.socket) -> None:
    """Drop the first packet of each new connection, on Linux; elsewhere all goes on as before."""
    if sys.platform != "linux":
        return
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _NO_SYN)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(_NO_SYN), ctypes.addressof(buffer))
    with contextlib.suppress(OSError):  # a sandbox without it
        queue.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _waiting(queue: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait; accepted without the loop, whose accept could be cancelled with one in its hands."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = queue.accept()
            connection.setblocking(False)
            yield connection


async def _refuse(connection: socket.socket) -> None:
    """Answer, and read what the client still sends: closing before it was read would reset the answer away."""
    loop = asyncio.get_running_loop()
    with connection, contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            if await loop.sock_recv(connection, 65536):
                await loop.sock_sendall(connection, _response())
                connection.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(connection, 65536):
                    pass


def _response() -> bytes:
    request_id = token_hex(16)
    told = errors.problem(Draining(), language=DEFAULT_LANGUAGE, request_id=request_id, v1=False)
    headers = {
        **told.headers,
        "Content-Type": told.media_type,
        "Content-Length": str(len(told.body)),
        "X-Request-ID": request_id,
        "X-Backend": "llama",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {told.status} Service Unavailable\r\n{head}\r\n".encode() + told.body
