"""The keyed queue: once in the line, one worker per key, growing pauses, nothing lost."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from chatbot_operator.work_queue import WorkQueue

Work = Callable[[str], Awaitable[float | None]]


class Fault(Exception):
    """What the tests raise."""


@asynccontextmanager
async def running(queue: WorkQueue[str], most_at_once: int = 10) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(most_at_once))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def a_queue(work: Work, failures: list[str] | None = None) -> WorkQueue[str]:
    def failed(key: str, error: Exception) -> None:
        if failures is not None:
            failures.append(f"{key}: {error}")

    return WorkQueue(work, failed, random.Random(1))


async def _idle(queue: WorkQueue[str]) -> None:
    """Give whatever is wrongly in the line a chance to run."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not queue._running and not queue._due


async def test_a_key_that_is_added_often_is_worked_on_once() -> None:
    done: Counter[str] = Counter()

    async def work(key: str) -> None:
        done[key] += 1

    queue = a_queue(work)
    for _ in range(100):
        queue.add("a")
        queue.add("b")
    async with running(queue):
        await queue.work_through(["a", "b"])

    assert done == {"a": 1, "b": 1}


async def test_a_key_has_one_worker_and_comes_back_when_called_for_meanwhile() -> None:
    at_once, most, runs = 0, 0, 0
    release = asyncio.Event()

    async def work(key: str) -> None:
        nonlocal at_once, most, runs
        at_once, runs = at_once + 1, runs + 1
        most = max(most, at_once)
        await release.wait()
        at_once -= 1

    queue = a_queue(work)
    async with running(queue):
        queue.add("a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for _ in range(5):
            queue.add("a")
        release.set()
        await queue.work_through(["a"])

    assert (most, runs) == (1, 2)


async def test_other_keys_go_on_while_one_hangs_and_no_more_at_once_than_allowed() -> None:
    now: set[str] = set()
    most = 0
    release = asyncio.Event()

    async def work(key: str) -> None:
        nonlocal most
        now.add(key)
        most = max(most, len(now))
        if key == "stuck":
            await release.wait()
        await asyncio.sleep(0)
        now.discard(key)

    keys = [f"key-{number}" for number in range(20)]
    queue = a_queue(work)
    async with running(queue, most_at_once=3):
        queue.add("stuck")
        for key in keys:
            queue.add(key)
        await queue.work_through(keys)
        assert now == {"stuck"}
        release.set()
        await queue.work_through(["stuck"])

    assert most <= 3


async def test_a_failure_is_told_and_tried_again_after_a_pause() -> None:
    failures: list[str] = []
    queue: WorkQueue[str]

    async def work(key: str) -> None:
        raise Fault("no")

    queue = a_queue(work, failures)
    async with running(queue):
        queue.add("a")
        await queue.work_through(["a"])
        assert failures == ["a: no"]
        assert 0.9 < next(iter(queue._due.values())) - queue._clock() <= 1.5


def test_pauses_double_up_to_a_minute_and_differ() -> None:
    async def work(key: str) -> None:
        return None

    queue = a_queue(work)

    pauses = [queue._pause("a") for _ in range(12)]

    assert all(2**number <= pause <= 1.5 * 2**number for number, pause in enumerate(pauses[:6]))
    assert all(60 <= pause <= 90 for pause in pauses[6:])
    assert queue._pause("b") < 2, "every key counts for itself"


@pytest.mark.parametrize("delays", [(5.0, 0.0), (0.0, 5.0)])
async def test_the_earlier_time_counts(delays: tuple[float, float]) -> None:
    done = asyncio.Event()

    async def work(key: str) -> None:
        done.set()

    queue = a_queue(work)
    for delay in delays:
        queue.add("a", delay)
    async with running(queue):
        async with asyncio.timeout(2):
            await done.wait()


async def test_work_says_when_it_wants_to_come_back() -> None:
    runs = 0
    third = asyncio.Event()

    async def work(key: str) -> float | None:
        nonlocal runs
        runs += 1
        if runs == 3:
            third.set()
        return 0.0 if runs < 3 else None

    queue = a_queue(work)
    queue.add("a")
    async with running(queue), asyncio.timeout(5):
        await third.wait()
        await _idle(queue)

    assert runs == 3


async def test_all_are_worked_through_although_one_is_always_under_way() -> None:
    """Two keys that hand over to each other: there is no moment at which neither is due or running."""
    runs: Counter[str] = Counter()

    async def work(key: str) -> None:
        runs[key] += 1
        await asyncio.sleep(0)
        queue.add("b" if key == "a" else "a")

    queue = a_queue(work)
    async with running(queue), asyncio.timeout(5):
        await queue.work_through(["a", "b"])

    assert runs["a"] >= 1 and runs["b"] >= 1


async def test_a_run_that_had_begun_before_does_not_count_as_worked_through() -> None:
    begun, release, seen = asyncio.Event(), asyncio.Event(), 0

    async def work(key: str) -> None:
        nonlocal seen
        begun.set()
        await release.wait()
        seen += 1

    queue = a_queue(work)
    async with running(queue), asyncio.timeout(5):
        queue.add("a")
        await begun.wait()
        through = asyncio.create_task(queue.work_through(["a"]))
        await asyncio.sleep(0)
        release.set()
        await through

    assert seen == 2


async def test_a_key_whose_task_is_cancelled_from_outside_is_not_lost() -> None:
    tasks: list[asyncio.Task[object]] = []
    begun, done = asyncio.Event(), asyncio.Event()

    async def work(key: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        begun.set()
        if len(tasks) == 1:
            await asyncio.Event().wait()
        done.set()

    queue = a_queue(work)
    queue.add("a")
    async with running(queue):
        await begun.wait()
        tasks[0].cancel()
        async with asyncio.timeout(5):
            await done.wait()
            await queue.work_through(["a"])
