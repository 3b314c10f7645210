"""`chatbot-office` as it runs, with a stub in place of the engine: a process of its own for load and for signals.

    python -m parts.stub_office '{"slots": 10, "pieces": 20, "piece_seconds": 0.05}'

Everything else comes from the environment, as for the real one.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import httpx
import uvloop
from chatbot.api.profiles import CHARACTER, OFFICE
from chatbot.domain.model import Capacity
from chatbot.llm.engine_host import EngineHost
from chatbot.server.environment import load_settings
from chatbot.server.observe.logs import set_up_logs
from chatbot.server.serving.gate import Gate
from chatbot.server.serving.serve import DrainPolicy, Listener, bind, serve
from chatbot.server.wiring.access.internal import open_internal
from chatbot.server.wiring.service import open_service
from chatbot.server.wiring.shared import idle, open_shared, running

from parts.stub_generator import StubGenerator

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Stub:
    """How the stub answers. Seconds as in `StubGenerator`."""

    service: str = "office"
    slots: int = 10
    pieces: int = 20
    first_seconds: float = 0.0
    piece_seconds: float = 0.0


@dataclass
class StubOffice:
    """The process. `log` is what it printed."""

    process: "subprocess.Popen[bytes]"
    port: int
    metrics_port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def resident_bytes(self) -> int:
        """Memory that it has resident."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """CPU time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def stub_office(folder: Path, stub: Stub, settings: Mapping[str, str] = {}) -> Iterator[StubOffice]:
    """Start one on free ports; it is ready. Ends it hard where it did not end by itself."""
    ports = _free_ports(2)
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])),
        "CHATBOT_HTTP_HOST": "127.0.0.1",
        "CHATBOT_HTTP_PORT": str(ports[0]),
        "CHATBOT_METRICS_HOST": "127.0.0.1",
        "CHATBOT_METRICS_PORT": str(ports[1]),
        "CHATBOT_HISTORY_SQLITE_PATH": str(folder / "history.sqlite3"),
        "CHATBOT_MODEL_REVISION_DIR": str(folder),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")}
    log = folder / "office.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "parts.stub_office", json.dumps(asdict(stub))]
        process = subprocess.Popen(command, env=inherited | own | dict(settings), stdout=output, stderr=output)
    office = StubOffice(process, *ports, log)
    try:
        _wait_until_ready(office)
        yield office
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(office: StubOffice) -> None:
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at and office.process.poll() is None:
        try:
            if httpx.get(f"{office.url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the stub office did not start:\n{office.log.read_text()[-3000:]}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass(frozen=True)
class NoModel:
    """A model source that follows nothing."""

    never: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, host: EngineHost) -> None:
        await self.never.wait()


async def main(stub: Stub) -> None:
    """As `chatbot.server.run.serve_one`."""
    settings = load_settings()
    set_up_logs(settings.log.level)
    generator = StubGenerator(
        ["단어 "] * stub.pieces,
        first_seconds=stub.first_seconds,
        piece_seconds=stub.piece_seconds,
        keep_requests=False,
    )
    profile = {"office": OFFICE, "character": CHARACTER}[stub.service]
    shared = open_shared(settings, [profile])
    gate = Gate(lambda: True, lame_duck_seconds=settings.http.lame_duck_seconds)
    shared = replace(shared, engine=replace(shared.engine, generator=generator), gate=gate)
    shared.engine.admission.set_capacity(Capacity(stub.slots, open=True))
    app, answerer = open_service(profile, shared, settings.http.root_path)
    listeners = [
        Listener(app, bind(settings.http.host, settings.http.port or 0)),
        Listener(open_internal(settings, shared), bind(settings.metrics.host, settings.metrics.port)),
    ]
    async with running(shared, NoModel()):  # type: ignore[arg-type]
        await serve(listeners, shared.gate, lambda: idle(shared, [answerer]), DrainPolicy(60.0))
    logging.info("ended")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Stub(**json.loads(sys.argv[1]))))
