"""Fifty users who hammer an empty quota, and what another tenant notices of them. They come from another process."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import pytest
from parts.load_client import Load, run_load
from parts.stub_office import Stub, StubOffice, stub_office

USERS = 50
POLICY = "tenants:\n- name: spent\n  limits: {tenant: {tokensPerDay: 400}}\n"
ASKED = {"input_data": "안녕하세요!", "user_id": "u1"}


def mounted(folder: Path) -> dict[str, str]:
    """Two keys and the policy of one; the settings that name them."""
    lines = [f"{name}:{hashlib.sha256(f'key-of-{name}'.encode()).hexdigest()}\n" for name in ("spent", "paying")]
    (folder / "keys").write_text("".join(lines))
    (folder / "tenants.yaml").write_text(POLICY)
    return {
        "CHATBOT_AUTH_KEYS_FILE": str(folder / "keys"),
        "CHATBOT_TENANTS_FILE": str(folder / "tenants.yaml"),
        "CHATBOT_LOG_LEVEL": "warning",
    }


async def answered(office: StubOffice, is_over: Callable[[], bool]) -> float:
    """Ask on two connections, as a tenant with a quota, until it is over; the 95th percentile of an answer, seconds."""
    seconds: list[float] = []

    async def one(client: httpx.AsyncClient) -> None:
        while not is_over() or len(seconds) < 20:
            began = time.perf_counter()
            assert (await client.post("/Llama", json=ASKED)).status_code == 200
            seconds.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)

    headers = {"authorization": "Bearer key-of-paying"}
    async with httpx.AsyncClient(base_url=office.url, headers=headers, trust_env=False, timeout=60) as client:
        await asyncio.gather(one(client), one(client))
    return quantiles(seconds, n=20)[18]


@pytest.mark.scale
async def test_another_tenant_is_answered_while_fifty_hammer_an_empty_quota(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    rounds, seconds = scale(1, 7), scale(1, 6)
    storms = {"once a second each": (USERS * seconds, 1.0), "without a pause": (scale(500, 1500) * seconds, 0.0)}
    p95: dict[str, list[float]] = {"": [], **{name: [] for name in storms}}
    refusals: dict[str, Any] = {}
    with stub_office(tmp_path, Stub(slots=10, pieces=20, piece_seconds=0.002), mounted(tmp_path)) as office:
        run_load(Load(office.port, USERS, 1, key="key-of-spent"))
        await answered(office, lambda: True)
        for _ in range(rounds):
            ends_at = time.monotonic() + seconds
            p95[""].append(await answered(office, lambda ends_at=ends_at: time.monotonic() > ends_at))  # type: ignore[misc]
            for name, (requests, pause) in storms.items():
                load = Load(office.port, requests, USERS, key="key-of-spent", pause_seconds=pause)
                storm = asyncio.create_task(asyncio.to_thread(run_load, load))
                p95[name].append(await answered(office, storm.done))
                refusals[name] = await storm
                assert refusals[name]["statuses"] == {"429": requests}

    for name, told in refusals.items():
        ratio = median(beside / alone for beside, alone in zip(p95[name], p95[""], strict=True))
        refused = {"refused_per_second": told["per_second"], "refused_p99_ms": told["p99_ms"]}
        figures(hammering=name, others_p95=f"{ratio:.2f}", alone_ms=round(median(p95[""]) * 1000, 1), **refused)
