"""What bringing a card takes, each by itself, in the process of a service: time, and memory at its height."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import httpx
from parts.card_zoo import traps, valid
from parts.stub_office import Stub, StubOffice, stub_office

MOST_BYTES = 64 << 20


async def test_no_card_takes_much_time_or_memory(
    tmp_path: Path, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Of several tries the fastest one counts as a card's time, and the one with the most memory as its memory."""
    cards = {name: content for name, (_, content) in valid().items()}
    cards |= {f"trap: {name}": trap.content for name, trap in traps().items()}
    cards = dict(list(cards.items())[:: scale(4, 1)])
    best_seconds, most_bytes, statuses = dict.fromkeys(cards, 1e9), dict.fromkeys(cards, 0), set[int]()
    worst_seconds = 0.0
    with stub_office(tmp_path, Stub(service="character")) as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client:

            async def bring(content: bytes) -> float:
                files, fields = {"file": ("card.bin", content)}, {"name": "one"}
                began = time.perf_counter()
                answer = await client.post("/characters/import", files=files, data=fields)
                statuses.add(answer.status_code)
                return time.perf_counter() - began

            await bring(next(iter(cards.values())))  # a first request imports what it needs
            for _ in range(scale(1, 10)):
                for name, content in cards.items():
                    before = _height_begins_anew(service)
                    seconds = await bring(content)
                    most_bytes[name] = max(most_bytes[name], _resident(service, "VmHWM") - before)
                    best_seconds[name] = min(best_seconds[name], seconds)
                    worst_seconds = max(worst_seconds, seconds)

    assert statuses <= {200, 400, 413, 422}
    assert {name: size for name, size in most_bytes.items() if size > MOST_BYTES} == {}
    slowest, largest = max(best_seconds, key=best_seconds.__getitem__), max(most_bytes, key=most_bytes.__getitem__)
    figures(
        cards=len(cards),
        p95_ms=round(quantiles(best_seconds.values(), n=20)[18] * 1000),
        slowest_ms=f"{best_seconds[slowest] * 1000:.0f} ({slowest})",
        slowest_of_all_tries_ms=round(worst_seconds * 1000),
        most_mib=f"{most_bytes[largest] / 2**20:.1f} ({largest})",
    )


def _height_begins_anew(service: StubOffice) -> int:
    """Bytes that are resident now, from where the height is measured: proc(5), `clear_refs`."""
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")
    return _resident(service, "VmRSS")


def _resident(service: StubOffice, what: str) -> int:
    """Bytes that the process has resident, now (`VmRSS`) or at the height since that was reset (`VmHWM`)."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))
