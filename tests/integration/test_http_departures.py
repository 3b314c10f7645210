"""Clients that leave, in every phase, through the gateway's one port: their places and slots are free within 1 s."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chatbot.api.not_found import NotFoundApp
from chatbot.api.service import HttpLimits
from chatbot.core.admission import AdmissionPolicy
from chatbot.server.gateway import Gateway
from parts.http_service import Service, ServiceOptions, build, serving
from parts.leaving_client import LeavingClient
from parts.stub_generator import StubGenerator
from parts.waiting import until

FREED_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 86_400.0
LONG = ["word "] * 100_000
STREAM = "text/event-stream"
REQUESTS = "chatbot_requests_total"


@dataclass(frozen=True)
class Case:
    """A phase that clients leave in.

    Attributes:
        reads: Bytes that each client reads before it leaves.
    """

    generator: Callable[[], StubGenerator]
    reached: Callable[[Service, int], bool]
    slots: int = 64
    accept: str = "application/json"
    reads: int = 0
    receive_buffer_bytes: int | None = None


def decoding(service: Service, count: int) -> bool:
    return len(service.generator.running) == count and not service.generator.prefilling


CASES = {
    "waiting": Case(
        lambda: StubGenerator(first_seconds=60), lambda s, n: s.admission.line("office").depth == n, slots=0
    ),
    "waiting in a stream": Case(
        lambda: StubGenerator(first_seconds=60),
        lambda s, n: s.admission.line("office").depth == n,
        slots=0,
        accept=STREAM,
        reads=200,
    ),
    "prefill": Case(lambda: StubGenerator(first_seconds=60), lambda s, n: len(s.generator.prefilling) == n),
    "decoding": Case(lambda: StubGenerator(LONG, piece_seconds=0.02), decoding),
    "streaming": Case(lambda: StubGenerator(LONG, piece_seconds=0.02), decoding, accept=STREAM, reads=500),
    "reading slowly": Case(
        lambda: StubGenerator(["word " * 200] * 1000, piece_seconds=0.05),
        decoding,
        accept=STREAM,
        reads=500,
        receive_buffer_bytes=2048,
    ),
}


@asynccontextmanager
async def one_port(folder: Path, generator: StubGenerator, slots: int) -> AsyncIterator[Service]:
    # Nobody is refused by estimate: it grows with the time that the one who holds the slot has run already, so behind
    # it a hundred fit into three minutes on a quick machine only.
    policy = AdmissionPolicy(LONGEST_WAIT_SECONDS, 512)
    options = ServiceOptions(
        generator=generator, slots=max(1, slots), policy=policy, queue_seconds=LONGEST_WAIT_SECONDS
    )
    app, service = build(folder, options)
    async with serving(Gateway({"office": app}, NotFoundApp()), service.gate) as (port,):
        service.port, service.url = port, f"http://127.0.0.1:{port}"
        yield service


@pytest.mark.parametrize("phase", CASES)
async def test_frees_place_or_slot_within_a_second_when_clients_leave(
    phase: str, tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    case, count = CASES[phase], scale(20, 100)
    async with one_port(tmp_path, case.generator(), max(case.slots, count if case.slots else 0)) as service:
        holder = await _hold_the_slot(service) if not case.slots else None
        clients = [_client(service, case, number) for number in range(count)]
        await asyncio.gather(*(client.ask() for client in clients))
        await until(lambda: case.reached(service, count))
        await asyncio.gather(*(_read(client, case.reads) for client in clients))

        for number, client in enumerate(clients):
            client.leave(reset=number % 2 == 0)
        left_at = time.monotonic()
        await until(lambda: _is_free(service, holder is not None), 5.0)
        freed_seconds = time.monotonic() - left_at

        started = len(service.generator.requests)
        if holder is not None:
            holder.leave(reset=False)
            await until(lambda: _is_free(service, False), 5.0)
        told = {"route": "/Llama", "status": _status(case), "outcome": "client_gone"}
        await until(lambda: service.metric(REQUESTS, **told) >= count, 5.0)  # counted last, after all is free

    figures(phase=phase, clients=count, freed_ms=round(freed_seconds * 1000, 1))
    assert freed_seconds < FREED_SECONDS
    assert started == (1 if holder else count)


def _status(case: Case) -> str:
    return "200" if case.accept == STREAM else "499"


def _is_free(service: Service, held: bool) -> bool:
    line = service.admission.line("office")
    return line.depth == 0 and line.running == int(held) and len(service.generator.running) == int(held)


def _body(number: int) -> dict[str, Any]:
    return {"input_data": "hi", "user_id": f"user-{number}"}


def _client(service: Service, case: Case, number: int) -> LeavingClient:
    return LeavingClient(service.port, "/office/Llama", _body(number), case.accept, case.receive_buffer_bytes)


async def _hold_the_slot(service: Service) -> LeavingClient:
    holder = LeavingClient(service.port, "/office/Llama", _body(-1))
    await holder.ask()
    await until(lambda: len(service.generator.running) == 1)
    return holder


async def _read(client: LeavingClient, size_bytes: int) -> None:
    got = 0
    while got < size_bytes:
        got += len(await client.read_some())


async def test_a_reader_that_stalls_is_cut_and_its_stream_looks_cut(tmp_path: Path) -> None:
    generator = StubGenerator(["word " * 2000] * 3000, piece_seconds=0.0005)
    options = ServiceOptions(generator=generator, limits=HttpLimits(send_timeout_seconds=0.5))
    app, service = build(tmp_path, options)
    async with serving(app, service.gate) as (port,):
        client = LeavingClient(port, "/Llama", _body(0), STREAM, receive_buffer_bytes=2048)
        await client.ask()
        got = await client.read_some()

        await until(lambda: service.metric(REQUESTS, route="/Llama", status="200", outcome="client_gone") == 1)
        with contextlib.suppress(ConnectionError):
            while chunk := await client.read_some(65536):
                got += chunk
        client.leave(reset=True)

    assert not generator.running and service.admission.line("office").running == 0
    assert b"event: done" not in got and not got.endswith(b"\r\n0\r\n\r\n")
