"""Serving: listening sockets, signals, and an end that loses nothing.

SIGTERM closes the gate: readiness answers 503, and everything admitted ends. Whoever still comes is served while the
gate is a lame duck (Site Reliability Engineering, chapter 20: clients learn of an end late), then gets 503 with
`Retry-After: 1`, over a connection that is still accepted. Then the sockets close and the process exits 0. A second
signal, or the time that the longest wait and the longest answer take together, ends it at once.
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
from chatbot.server.serving.latecomers import refuse_latecomers
from chatbot.server.serving.protocol import BoundedProtocol, is_answering, is_fresh

_LOG = logging.getLogger(__name__)
KEEP_ALIVE_SECONDS = 75
"""Longer than a gateway keeps an idle connection (nginx 60 s), so that it is never us who closes one in use."""
LINGER_SECONDS = 0.3
FRESH_SECONDS = 0.5
"""A connection that has not said anything for so long is closed when the process ends."""


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
    except OSError as exc:
        bound.close()
        raise OSError(
            exc.errno, f"cannot listen on {host}:{port}: {exc.strerror}; free the port or choose another"
        ) from None
    bound.setblocking(False)
    return bound


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """How long an end may take, seconds.

    Attributes:
        limit_seconds: Longest time for what was admitted.
        linger_seconds: Afterwards newcomers get their 503 for so long before the sockets close.
    """

    limit_seconds: float
    linger_seconds: float = LINGER_SECONDS


async def serve(
    listeners: Sequence[Listener], gate: Gate, idle: Callable[[], Awaitable[object]], drain: DrainPolicy
) -> None:
    """Serve until a signal, then drain.

    Args:
        listeners: The first ones carry requests; all are closed together.
        gate: Closed by the first SIGTERM or SIGINT.
        idle: Returns when nobody waits or runs.
        drain: How long the end may take.
    """
    servers = [_Server(_config(listener.app)) for listener in listeners]
    queues = [listener.socket.dup() for listener in listeners]  # keep the queues of connections when uvicorn closes
    with _signals(gate, servers):
        serving = [
            asyncio.create_task(server.serve([listener.socket]))
            for server, listener in zip(servers, listeners, strict=True)
        ]
        draining = asyncio.create_task(_drain(gate, servers, idle, drain))
        try:
            await asyncio.gather(*serving)
        finally:
            draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await draining
            await refuse_latecomers(queues, drain.linger_seconds)


class _Server(uvicorn.Server):
    """uvicorn's server, without its signal handlers, and with an end that answers whoever is just connecting."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let fresh connections say what they want, then end as uvicorn does."""
        for server in self.servers:
            server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.0 if self.force_exit else FRESH_SECONDS):
                await asyncio.sleep(0.05)  # what the loop accepted already becomes a connection first
                while any(map(is_fresh, self.server_state.connections)):  # noqa: ASYNC110 - uvicorn tells nobody
                    await asyncio.sleep(0.01)
        await super().shutdown(sockets)

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
    gate: Gate, servers: Sequence[_Server], idle: Callable[[], Awaitable[object]], drain: DrainPolicy
) -> None:
    await gate.closed()
    _LOG.info("draining")
    try:
        async with asyncio.timeout(drain.limit_seconds):
            await gate.refused()  # idle or not: a gateway may not have learned of the end
            await idle()
            while any(server.is_answering for server in servers):  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.02)
    except TimeoutError:
        _LOG.error("drain took too long; ending with answers under way")
    await asyncio.sleep(drain.linger_seconds)
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
