"""The periodic look: a list of Models that fails is counted, since without it nothing is looked at."""

import asyncio
import contextlib
from typing import Any

import pytest
from chatbot_operator.cluster.faults import Unreachable, refusal
from chatbot_operator.metrics import Metrics
from chatbot_operator.process.heartbeat import Heartbeat
from chatbot_operator.process.tick import Tick


class BrokenApi:
    """Every list fails."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    async def find(self, *_: object) -> list[Any]:
        raise self._fault


class Queue:
    """Takes nothing."""

    async def work_through(self, keys: list[object]) -> None:
        assert not keys, "a Model that nobody could list"


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(Unreachable(), "unreachable"), (refusal(403, "Forbidden", 'User "me" cannot list resource'), "refused")],
    ids=["unreachable", "refused"],
)
async def test_a_list_that_fails_is_counted_and_is_still_a_sign_of_life(fault: Exception, outcome: str) -> None:
    metrics, times = Metrics(), iter((0.0, 1000.0, 1000.0))
    heartbeat = Heartbeat(lambda: next(times))
    tick = Tick(BrokenApi(fault), Queue(), heartbeat, ["a", "b"], every_seconds=60, metrics=metrics)  # type: ignore[arg-type]

    task = asyncio.create_task(tick.run())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    found = metrics.registry.get_sample_value("chatbot_reconcile_seconds_count", {"outcome": outcome})
    assert found == 2
    assert heartbeat.is_alive
