"""The two ports, taken before anything slow begins, and what to do where one is taken already."""

import errno
import socket
from dataclasses import dataclass

from chatbot.local.arguments import DEFAULT_PORT, Choice
from chatbot.server.serving.serve import bind
from chatbot.server.settings.whole import Settings

_LOOPBACK = "127.0.0.1"


class PortTaken(Exception):
    """A port cannot be had. The message is for a person and names the remedy."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Both bound sockets; a context manager closes them."""

    gateway: socket.socket
    internal: socket.socket

    def __enter__(self) -> "Ports":
        return self

    def __exit__(self, *_: object) -> None:
        self.gateway.close()
        self.internal.close()


def take(settings: Settings, choice: Choice) -> Ports:
    """Bind both. On loopback, unless the settings name an address: whoever reaches the port may ask.

    Raises:
        PortTaken: One of them cannot be had.
    """
    http, metrics = settings.http, settings.metrics
    host = http.host if "host" in http.model_fields_set else _LOOPBACK
    metrics_host = metrics.host if "host" in metrics.model_fields_set else _LOOPBACK
    port = choice.port if choice.port is not None else http.port or DEFAULT_PORT
    metrics_port = choice.metrics_port if choice.metrics_port is not None else metrics.port
    gateway = _bound(host, port, "--port (make run PORT=…)")
    try:
        return Ports(gateway, _bound(metrics_host, metrics_port, "--metrics-port or CHATBOT_METRICS_PORT"))
    except PortTaken:
        gateway.close()
        raise


def address(bound: socket.socket) -> str:
    """Where a client on this machine reaches it: `http://host:port`."""
    host, port = bound.getsockname()[:2]
    reachable = {"0.0.0.0": _LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _bound(host: str, port: int, remedy: str) -> socket.socket:
    reasons = {
        errno.EADDRINUSE: "is in use, perhaps by another chatbot-local: stop that program",
        errno.EACCES: "needs more rights: take one above 1023",
    }
    try:
        return bind(host, port)
    except OSError as exc:
        reason = reasons.get(exc.errno or 0, f"of {host} cannot be taken ({exc.strerror}): check the address")
        raise PortTaken(f"port {port} {reason}, or choose another with {remedy}") from exc
