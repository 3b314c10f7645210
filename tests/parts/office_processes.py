"""`chatbot-office` as a process that tests kill: its second backend is a stub, its store is shared with others."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import anyio
import httpx

from parts.store_place import StorePlace

START_SECONDS = 120.0


class OfficeProcess:
    """One process on a free port of loopback."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._log = folder / "office.log"
        port, metrics_port = _free_ports(2)
        own = {
            "CHATBOT_HTTP_HOST": "127.0.0.1",
            "CHATBOT_HTTP_PORT": str(port),
            "CHATBOT_METRICS_HOST": "127.0.0.1",
            "CHATBOT_METRICS_PORT": str(metrics_port),
            "CHATBOT_MODEL_DIR": str(folder),
            "CHATBOT_MODEL_REVISION_DIR": str(folder),
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")}
        command = Path(sys.executable).with_name("chatbot-office")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [command], cwd=folder, env=inherited | own | dict(settings), stdout=output, stderr=output
            )
        url = f"http://127.0.0.1:{port}"
        self.client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0)

    async def ready(self) -> None:
        """Wait until it takes requests."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if (await self.client.get("/healthz")).status_code == 200:
                    return
            except httpx.TransportError:
                await anyio.sleep(0.05)
        raise AssertionError(f"chatbot-office did not start:\n{self._log.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(timeout=30)

    async def close(self) -> None:
        """Kill it and give back the client's connections."""
        self.kill()
        await self.client.aclose()


def settings_for(place: StorePlace, folder: Path, openai_url: str) -> dict[str, str]:
    """Environment of a process on this store."""
    settings = {"CHATBOT_OPENAI_BASE_URL": openai_url, "CHATBOT_OPENAI_MODEL": "stub"}
    if place.kind == "sqlite":
        return settings | {"CHATBOT_HISTORY_STORE": "sqlite", "CHATBOT_HISTORY_SQLITE_PATH": place.where}
    uri_file = folder / "mongodb-uri"
    uri_file.write_text(place.where)
    return settings | {
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
