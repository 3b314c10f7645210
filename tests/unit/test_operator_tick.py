"""The periodic look: a list of Models that fails is counted, since without it nothing is looked at; signs of life."""

import asyncio
import contextlib
import random
from typing import Any

import pytest
from chatbot_operator.cluster.faults import Unreachable, refusal
from chatbot_operator.metrics import Metrics
from chatbot_operator.process.heartbeat import Heartbeat
from chatbot_operator.process.tick import Tick
from chatbot_operator.work_queue import WorkQueue
from parts.virtual_time import run_virtual


class BrokenApi:
    """Every list fails."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    async def find(self, *_: object) -> list[Any]:
        raise self._fault


class Queue:
    """Takes nothing."""

    async def work_through(self, keys: list[object], progressed: object) -> None:
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


class FullApi:
    """Lists a hundred Models."""

    async def find(self, *_: object) -> list[Any]:
        return [{"metadata": {"namespace": "a", "name": f"model-{number}"}} for number in range(100)]


@pytest.mark.parametrize("stuck", ["", "model-50"], ids=["slow", "stuck"])
def test_a_slow_round_is_a_sign_of_life_and_a_model_that_hangs_is_not(stuck: str) -> None:
    """A hundred Models of ten seconds each, one after the other: a tick takes far longer than a heart may be silent."""

    async def work(key: tuple[str, str]) -> None:
        await asyncio.sleep(1_000_000 if key[1] == stuck else 10)

    async def scene() -> int | None:
        clock = asyncio.get_running_loop().time
        queue: WorkQueue[tuple[str, str]] = WorkQueue(work, lambda _, __: None, random.Random(0), clock)
        heartbeat = Heartbeat(clock)
        tick = Tick(FullApi(), queue, heartbeat, ["a"], every_seconds=30, metrics=Metrics())  # type: ignore[arg-type]
        tasks = [asyncio.create_task(work) for work in (queue.run(2 if stuck else 1), tick.run())]
        seconds = 0
        while heartbeat.is_alive and seconds < 3000:
            await asyncio.sleep(1)
            seconds += 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return None if heartbeat.is_alive else seconds

    died_after = run_virtual(scene())

    assert (died_after is not None) == bool(stuck)
    if died_after:
        assert 99 * 10 / 2 + 180 < died_after < 99 * 10 + 180 + 5, "three minutes after the last of the others"
