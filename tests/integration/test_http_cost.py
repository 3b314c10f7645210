"""What the HTTP layer itself costs, and that 100,000 users leave nothing behind. Load comes from another process."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from parts.load_client import Load, run_load
from parts.stub_office import Stub, StubOffice, stub_office

MAX_GROWTH_BYTES = 50 * 2**20


@pytest.mark.scale
@pytest.mark.parametrize("concurrency", [1, 50])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream of 200 tokens"])
def test_costs_little_beside_a_generation(
    concurrency: int,
    stream: bool,
    tmp_path: Path,
    scale: Callable[[int, int], int],
    figures: Callable[..., None],
) -> None:
    requests = scale(60 if stream else 300, 2_000 if stream else 10_000)
    with stub_office(tmp_path, Stub(slots=64, pieces=200 if stream else 20)) as office:
        run_load(Load(office.port, 60, concurrency, stream))
        cpu_seconds = office.cpu_seconds()

        told = run_load(Load(office.port, requests, concurrency, stream))

        cpu_ms = (office.cpu_seconds() - cpu_seconds) / requests * 1000

    figures(concurrency=concurrency, stream=stream, requests=requests, cpu_ms_per_request=round(cpu_ms, 3), **told)
    assert told["statuses"] == {"200": requests}


@pytest.mark.scale
def test_users_that_came_once_leave_neither_memory_nor_series(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    users = scale(2_000, 100_000)
    with stub_office(tmp_path, Stub(slots=64, pieces=3), {"CHATBOT_LOG_LEVEL": "warning"}) as office:
        run_load(Load(office.port, 500, 50))  # what is made once
        series, memory = _series(office), office.resident_bytes()

        marks = []
        for first in range(0, users, users // 5):
            told = run_load(Load(office.port, users // 5, 50, first_user=first))
            assert told["statuses"] == {"200": users // 5}
            marks.append(office.resident_bytes() - memory)

        grown = _series(office) - series

    figures(users=users, series_grown=grown, memory_grown_mib=[round(mark / 2**20, 1) for mark in marks])
    assert grown == 0
    assert marks[-1] < MAX_GROWTH_BYTES


def _series(office: StubOffice) -> int:
    """Time series that a scrape gives."""
    time.sleep(0.1)
    text = httpx.get(f"http://127.0.0.1:{office.metrics_port}/metrics", trust_env=False).text
    return sum(1 for line in text.splitlines() if line and not line.startswith("#"))
