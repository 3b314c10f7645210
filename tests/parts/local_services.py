"""`chatbot-local` as people start it: gateway, both services, demo model, history in a folder of the test."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 180.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class LocalServices:
    """A running `chatbot-local`. `log` is what it printed."""

    port: int
    metrics_port: int
    process: subprocess.Popen[bytes]
    log: Path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def running_local_services(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[LocalServices]:
    """Start it, wait until both services are ready, and drain it in the end."""
    port, metrics_port = free_ports(2)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")}
    own = {
        "CHATBOT_HTTP_HOST": "127.0.0.1",
        "CHATBOT_METRICS_HOST": "127.0.0.1",
        "CHATBOT_METRICS_PORT": str(metrics_port),
        "CHATBOT_HISTORY_SQLITE_PATH": str(folder / "history.sqlite3"),
    }
    log = folder / "chatbot-local.log"
    command = Path(sys.executable).with_name("chatbot-local")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "--port", str(port)],
            cwd=folder,
            env=inherited | own | dict(settings or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        services = LocalServices(port, metrics_port, process, log)
        _wait_until_ready(services)
        yield services
    finally:
        _stop(process)


def _wait_until_ready(services: LocalServices) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not all(_is_ready(services.url(f"/{name}/readyz")) for name in ("office", "character")):
        if services.process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"chatbot-local did not become ready:\n{services.log.read_text()[-3000:]}")
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
