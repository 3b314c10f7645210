"""`chatbot-office` as processes that tests kill: the second backend is a stub, the store is shared by all."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from parts import office_nursery
from parts.store_place import StorePlace

START_SECONDS = 120.0


class OfficeProcess:
    """One process on free ports of loopback.

    Attributes:
        client: Asks it.
        internal_url: Where its metrics are, and what it serves.
    """

    def __init__(self, pid: int, port: int, metrics_port: int, log: Path) -> None:
        self._pid = pid
        self._log = log
        self.internal_url = f"http://127.0.0.1:{metrics_port}"
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30.0)

    @property
    def is_alive(self) -> bool:
        """Whether there is such a process."""
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        return True

    async def ready(self) -> None:
        """Wait until it takes requests."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.is_alive:
            try:
                if (await self.client.get("/healthz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
        raise AssertionError(f"chatbot-office did not start:\n{self._log.read_text()[-3000:]}")

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.is_alive:
            os.kill(self._pid, signal.SIGKILL)
        while self.is_alive:  # noqa: ASYNC110 - nobody tells when a process of another parent is gone
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Kill it and give back the client's connections."""
        await self.kill()
        await self.client.aclose()


class Nursery:
    """Makes processes; see `parts.office_nursery`."""

    def __init__(self, parent: "subprocess.Popen[str]") -> None:
        self._parent = parent

    def start(self, folder: Path, settings: Mapping[str, str]) -> OfficeProcess:
        """A new process; it is not ready yet."""
        port, metrics_port = _free_ports(2)
        ports = {"CHATBOT_HTTP_PORT": str(port), "CHATBOT_METRICS_PORT": str(metrics_port)}
        log = folder / "office.log"
        order = {"environment": {**settings, **ports}, "log": str(log)}
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        return OfficeProcess(int(self._parent.stdout.readline()), port, metrics_port, log)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery whose processes all end with it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")}
    command = [sys.executable, office_nursery.__file__]
    parent = subprocess.Popen(command, env=inherited, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Nursery(parent)
    finally:
        parent.communicate(timeout=30)


def settings_for(place: StorePlace, folder: Path, openai_url: str) -> dict[str, str]:
    """Environment of the processes on a store; they have no model of their own."""
    return {
        "CHATBOT_HTTP_HOST": "127.0.0.1",
        "CHATBOT_METRICS_HOST": "127.0.0.1",
        "CHATBOT_MODEL_DIR": str(folder),
        "CHATBOT_MODEL_REVISION_DIR": str(folder),
        "CHATBOT_OPENAI_BASE_URL": openai_url,
        "CHATBOT_OPENAI_MODEL": "stub",
        **_store_settings(place, folder),
    }


def _store_settings(place: StorePlace, folder: Path) -> dict[str, str]:
    if place.kind == "sqlite":
        return {"CHATBOT_HISTORY_STORE": "sqlite", "CHATBOT_HISTORY_SQLITE_PATH": place.where}
    uri_file = folder / "mongodb-uri"
    uri_file.write_text(place.where)
    return {
        "CHATBOT_HISTORY_STORE": "mongodb",
        "CHATBOT_MONGODB_URI_FILE": str(uri_file),
        "CHATBOT_MONGODB_DATABASE": place.database,
        "CHATBOT_MONGODB_DRIVER": place.kind,
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
