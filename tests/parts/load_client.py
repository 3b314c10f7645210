"""Load from a process of its own: keep-alive connections that ask as fast as they are answered.

    python tests/parts/load_client.py '{"port": 8002, "requests": 1000, "concurrency": 50}'

Prints one line of JSON: latencies in ms, requests per second, statuses.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any


@dataclass(frozen=True)
class Load:
    """What is asked. Each question has a user of its own, counted from `first_user`.

    Attributes:
        users: Whose questions are repeated, each always the same; 0: nobody's are.
        key: Of the caller; "" is none.
        pause_seconds: Of each connection after each answer.
    """

    port: int
    requests: int
    concurrency: int
    stream: bool = False
    first_user: int = 0
    users: int = 0
    key: str = ""
    pause_seconds: float = 0.0


async def ask_all(load: Load) -> dict[str, Any]:
    """Send everything; the figures."""
    numbers = iter(range(load.first_user, load.first_user + load.requests))
    seconds: list[float] = []
    statuses: Counter[int] = Counter()
    began = time.perf_counter()
    await asyncio.gather(*(_client(load, numbers, seconds, statuses) for _ in range(load.concurrency)))
    took = time.perf_counter() - began
    cuts = quantiles(seconds, n=100)
    return {
        "p50_ms": round(cuts[49] * 1000, 2),
        "p95_ms": round(cuts[94] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "per_second": round(load.requests / took, 1),
        "statuses": {str(status): count for status, count in statuses.items()},
    }


async def _client(load: Load, numbers: Iterator[int], seconds: list[float], statuses: Counter[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    for number in numbers:
        body = b'{"input_data": "hi", "user_id": "user-%d"}' % (number % load.users if load.users else number)
        accept = b"text/event-stream" if load.stream else b"application/json"
        key = b"authorization: Bearer %s\r\n" % load.key.encode() if load.key else b""
        began = time.perf_counter()
        writer.write(
            b"POST /Llama HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\naccept: %s\r\n"
            b"%scontent-length: %d\r\n\r\n%s" % (accept, key, len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        await _read_body(reader, head)
        seconds.append(time.perf_counter() - began)
        statuses[int(head[9:12])] += 1
        await asyncio.sleep(load.pause_seconds)
    writer.close()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
        return
    length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)


def run_load(load: Load, seconds: float = 600.0) -> dict[str, Any]:
    """Send a load from another process and wait for its figures."""
    command = [sys.executable, str(Path(__file__)), json.dumps(asdict(load))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask_all(Load(**json.loads(sys.argv[1]))))))  # noqa: T201 - its result
