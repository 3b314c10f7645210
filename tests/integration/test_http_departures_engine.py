"""Clients that leave a real engine, through the gateway's one port: slots are free within 1 s and no step follows."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from chatbot.api.not_found import NotFoundApp
from chatbot.api.profiles import OFFICE
from chatbot.llm.model_source import FixedModel
from chatbot.server.gateway import Gateway
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.engine import Engine
from chatbot.server.wiring.service import open_service
from chatbot.server.wiring.shared import open_shared, running
from parts.http_service import serving
from parts.leaving_client import LeavingClient
from parts.toy_gguf import make_toy
from parts.waiting import until

CLIENTS, SLOTS = 20, 20
FREED_SECONDS = 1.0
HEARTBEAT_SECONDS = 1.2
CONTEXT_TOKENS = 1024


@dataclass(frozen=True)
class Phase:
    """Where clients leave. `holders` take slots first, so that the clients wait."""

    words: int
    is_stream: bool = False
    reads: int = 0
    holders: int = 0
    receive_buffer_bytes: int | None = None


PHASES = {
    "waiting": Phase(words=5, holders=SLOTS),
    "prefill": Phase(words=120),
    "decoding": Phase(words=5),
    "streaming": Phase(words=5, is_stream=True, reads=400),
    "reading slowly": Phase(words=5, is_stream=True, reads=400, receive_buffer_bytes=2048),
}


@asynccontextmanager
async def real_service(folder: Path, model: Path) -> AsyncIterator[tuple[Engine, int]]:
    settings = Settings.model_validate(
        {
            "model": {"name": "toy", "context_tokens": CONTEXT_TOKENS},
            "engine": {"slots": SLOTS, "kv_tokens": SLOTS * CONTEXT_TOKENS // 2, "threads": 1},
            "history": {"sqlite_path": folder / "history.sqlite3"},
        }
    )
    shared = open_shared(settings, [OFFICE])
    app, _ = open_service(OFFICE, shared, "")
    async with (
        running(shared, FixedModel(model)),
        serving(Gateway({"office": app}, NotFoundApp()), shared.gate) as (port,),
    ):
        await until(shared.engine.host.ready, 60.0)
        yield shared.engine, port


def client(port: int, phase: Phase, number: int) -> LeavingClient:
    body = {
        "model": "toy",
        "messages": [{"role": "user", "content": " ".join(f"n{number * 1000 + word}" for word in range(phase.words))}],
        "max_tokens": 100 if phase.words > 100 else 800,
        "user": f"user-{number}",
        "stream": phase.is_stream,
    }
    return LeavingClient(port, "/office/v1/chat/completions", body, receive_buffer_bytes=phase.receive_buffer_bytes)


async def ask(port: int, phase: Phase, numbers: range) -> list[LeavingClient]:
    clients = [client(port, phase, number) for number in numbers]
    for one in clients:
        await one.ask()
    return clients


async def read(one: LeavingClient, size_bytes: int) -> None:
    got = 0
    while got < size_bytes:
        chunk = await one.read_some()
        assert chunk
        got += len(chunk)


async def leave(engine: Engine, clients: list[LeavingClient], left: int) -> float:
    """Half by RST; seconds until their places and slots are free."""
    for number, one in enumerate(clients):
        one.leave(reset=number % 2 == 0)
    left_at = time.monotonic()
    await until(lambda: engine.admission.line("office").depth == 0)
    await until(lambda: engine.admission.line("office").running == left)
    return time.monotonic() - left_at


@pytest.mark.parametrize("name", PHASES)
async def test_the_engine_stops_when_clients_leave(name: str, tmp_path: Path, figures: Callable[..., None]) -> None:
    phase = PHASES[name]
    model = make_toy(tmp_path / "toy.gguf", n_layers=4, n_embd=256, context=CONTEXT_TOKENS)
    async with real_service(tmp_path, model) as (engine, port):
        line = engine.admission.line
        holders = await ask(port, PHASES["decoding"], range(1000, 1000 + phase.holders))
        clients = []
        try:
            await until(lambda: line("office").running == phase.holders)
            clients = await ask(port, phase, range(CLIENTS))
            await until(lambda: (line("office").depth if holders else line("office").running) == CLIENTS)
            await asyncio.gather(*(read(one, phase.reads) for one in clients))
            freed_seconds = await leave(engine, clients, len(holders))
        finally:
            await leave(engine, [*clients, *holders], 0)

        await asyncio.sleep(HEARTBEAT_SECONDS)
        steps = engine.host.stats()["steps"]
        await asyncio.sleep(2 * HEARTBEAT_SECONDS)
        stats = engine.host.stats()

    figures(phase=name, clients=CLIENTS, freed_ms=round(freed_seconds * 1000, 1), steps_later=stats["steps"] - steps)
    assert freed_seconds < FREED_SECONDS
    assert stats["steps"] == steps
    assert stats["active"] == stats["waiting"] == 0
