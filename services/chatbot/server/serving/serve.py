"""Serving: listening sockets, signals, and an end that loses nothing.

SIGTERM closes the gate (readiness 503; a newcomer gets 503 with `Retry-After: 1`, over a connection that is still
accepted), everything admitted ends, then the sockets close and the process exits 0. A second signal, or the time that
the longest wait and the longest answer take together, ends it at once.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from chatbot.server.serving.gate import Gate
from chatbot.server.serving.protocol import BoundedProtocol, is_answering

_LOG = logging.getLogger(__name__)
KEEP_ALIVE_SECONDS = 75
"""Longer than a gateway keeps an idle connection (nginx 60 s), so that it is never us who closes one in use."""
LINGER_SECONDS = 0.5
"""Between the last answer and closing the sockets: who connected just before still gets the 503."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One port and what answers there."""

    app: ASGIApp
    socket: socket.socket


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound, not yet listening.

    Raises:
        OSError: The port is taken or not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


async def serve(
    listeners: Sequence[Listener], gate: Gate, idle: Callable[[], Awaitable[object]], limit_seconds: float
) -> None:
    """Serve until a signal, then drain.

    Args:
        listeners: The first ones carry requests; all are closed together.
        gate: Closed by the first SIGTERM or SIGINT.
        idle: Returns when nobody waits or runs.
        limit_seconds: Longest drain, seconds.
    """
    servers = [_Server(_config(listener.app)) for listener in listeners]
    with _signals(gate, servers):
        serving = [
            asyncio.create_task(server.serve([listener.socket]))
            for server, listener in zip(servers, listeners, strict=True)
        ]
        draining = asyncio.create_task(_drain(gate, servers, idle, limit_seconds))
        try:
            await asyncio.gather(*serving)
        finally:
            draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draining


class _Server(uvicorn.Server):
    """uvicorn's server, without its signal handlers and its log lines about colours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours."""
        yield

    @property
    def is_answering(self) -> bool:
        """Whether a response is still to be ended."""
        return any(map(is_answering, self.server_state.connections))


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )


async def _drain(
    gate: Gate, servers: Sequence[_Server], idle: Callable[[], Awaitable[object]], limit_seconds: float
) -> None:
    await gate.closed()
    _LOG.info("draining")
    try:
        async with asyncio.timeout(limit_seconds):
            await idle()
            while any(server.is_answering for server in servers):  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.02)
    except TimeoutError:
        _LOG.error("drain took too long; ending with answers under way")
    await asyncio.sleep(LINGER_SECONDS)
    for server in servers:
        server.should_exit = True


@contextlib.contextmanager
def _signals(gate: Gate, servers: Sequence[_Server]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if gate.is_draining:
            for server in servers:
                server.should_exit = server.force_exit = True
        gate.close()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
