"""The operator's port for metrics and liveness."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
from chatbot_operator.process.endpoints import endpoints
from chatbot_operator.process.heartbeat import Heartbeat
from prometheus_client import CollectorRegistry, Metric

_LONGEST_SECONDS = 30


class Slow:
    """Series that take as long as the event loop needs to answer something else."""

    def __init__(self) -> None:
        self.asked, self.other_answered = threading.Event(), threading.Event()
        self.was_held_up = False

    def collect(self) -> Iterator[Metric]:
        if self.asked.is_set():
            return
        self.asked.set()
        self.was_held_up = not self.other_answered.wait(_LONGEST_SECONDS)
        yield Metric("slow", "Slow.", "gauge")


async def test_liveness_is_answered_while_metrics_of_very_many_models_are_written() -> None:
    registry, slow = CollectorRegistry(auto_describe=False), Slow()
    registry.register(slow)
    async with endpoints("127.0.0.1", 0, registry, Heartbeat()) as runner, httpx.AsyncClient(trust_env=False) as client:
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"

        async def probe() -> None:
            assert await asyncio.to_thread(slow.asked.wait, _LONGEST_SECONDS)
            assert (await client.get(f"{base}/healthz", timeout=_LONGEST_SECONDS)).status_code == 200
            slow.other_answered.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(probe())
            scraped = await client.get(f"{base}/metrics", timeout=2 * _LONGEST_SECONDS)

    assert scraped.status_code == 200
    assert not slow.was_held_up
