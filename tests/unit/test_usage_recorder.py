"""Rows on their way to the store: never in anybody's way, counted once, and lost only where that is counted."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date

import pytest
from chatbot.core.usage.recorder import Recorder, RecorderPolicy
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.usage.rows import Ask, Report, UsageRow
from chatbot.server.observe.telemetry import Meters
from parts.usage_rows import row
from parts.waiting import until

POLICY = RecorderPolicy(batch_rows=10, batch_seconds=0.01, most_waiting=30, close_seconds=0.05)


class Shelf:
    """`UsageStore` that fails as often as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.users: list[list[str]] = []
        self.failures: list[Exception] = []
        self.hangs = False
        self.expired: list[tuple[date, date]] = []

    async def add(self, rows: Sequence[UsageRow]) -> None:
        self.batches.append([one.id for one in rows])
        self.users.append([one.user for one in rows])
        if self.hangs:
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)

    async def report(self, ask: Ask) -> Report:
        return []

    async def expire(self, rows_before: date, days_before: date) -> None:
        self.expired.append((rows_before, days_before))

    async def close(self) -> None:
        """Nothing to close."""


class Counts:
    """`UsageTelemetry`."""

    def __init__(self) -> None:
        self.recorded = 0
        self.lost: Counter[str] = Counter()

    def use_recorded(self, row: UsageRow, model: str) -> None:
        self.recorded += 1

    def use_lost(self, service: str, reason: str, count: int) -> None:
        self.lost[reason] += count


async def written(shelf: Shelf, recorder: Recorder, calls: int) -> None:
    """Follow until the store was called so often."""
    following = asyncio.create_task(recorder.follow())
    await until(lambda: len(shelf.batches) >= calls)
    await asyncio.sleep(0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_rows_are_written_in_batches_in_the_order_in_which_they_came() -> None:
    shelf, counts = Shelf(), Counts()
    recorder = Recorder(shelf, counts, POLICY)
    for number in range(25):
        recorder.record(row(str(number)))

    await written(shelf, recorder, 3)

    assert [len(batch) for batch in shelf.batches] == [10, 10, 5]
    assert sum(shelf.batches, []) == [str(number) for number in range(25)]
    assert (counts.recorded, counts.lost) == (25, Counter())


async def test_a_batch_that_failed_is_given_again_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    shelf.failures = [StoreUnavailable("away"), StoreUnavailable("away")]
    recorder = Recorder(shelf, Counts(), POLICY)
    recorder.record(row("a"))
    recorder.record(row("b"))
    following = asyncio.create_task(recorder.follow())
    await until(lambda: shelf.batches)
    recorder.record(row("c"))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)

    await written(shelf, recorder, 4)

    assert shelf.batches == [["a", "b"], ["a", "b"], ["a", "b"], ["c"]]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"], (
        "told once when away, once when back"
    )


async def test_what_has_no_room_is_counted_and_nobody_waits() -> None:
    shelf, counts = Shelf(), Counts()
    shelf.hangs = True
    recorder = Recorder(shelf, counts, POLICY)
    for number in range(100):
        recorder.record(row(str(number)))

    await recorder.close()

    assert counts.recorded == 100
    assert counts.lost == {"full": 70, "shutdown": 30}


async def test_the_last_rows_are_written_when_the_process_ends() -> None:
    shelf, counts = Shelf(), Counts()
    recorder = Recorder(shelf, counts, POLICY)
    recorder.record(row("a"))

    await recorder.close()

    assert shelf.batches == [["a"]]
    assert not counts.lost


async def test_a_fault_of_the_store_loses_its_batch_alone_and_counts_it() -> None:
    shelf, counts = Shelf(), Counts()
    shelf.failures = [ZeroDivisionError()]
    recorder = Recorder(shelf, counts, POLICY)
    for number in range(15):
        recorder.record(row(str(number)))

    await written(shelf, recorder, 2)

    assert [len(batch) for batch in shelf.batches] == [10, 5]
    assert counts.lost == {"store": 10}


async def test_old_rows_go_by_the_clock_of_the_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.core.usage.recorder.FIRST_EXPIRE_SECONDS", 0.0)
    shelf = Shelf()
    recorder = Recorder(shelf, Counts(), RecorderPolicy(raw_days=1, daily_days=31), now=lambda: 86_400.0 * 365)
    following = asyncio.create_task(recorder.follow())
    await until(lambda: shelf.expired)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)

    assert shelf.expired[0] == (date(1970, 12, 31), date(1970, 12, 1))


def test_taking_a_row_is_cheap(figures: Callable[..., None]) -> None:
    meters = Meters(["office"])
    recorder = Recorder(Shelf(), meters, RecorderPolicy(most_waiting=100_000))
    seconds = []
    for number in range(5000):
        began = time.perf_counter()
        recorder.record(row(str(number), micro_usd=5), "")
        seconds.append(time.perf_counter() - began)

    assert meters.registry.get_sample_value("chatbot_usage_requests_total", {"service": "office", "outcome": "ok"})
    figures(p50_us=round(statistics.median(seconds) * 1e6, 1), p99_us=round(sorted(seconds)[4950] * 1e6, 1))


async def test_a_row_of_an_erased_user_has_no_subject_even_where_it_waited() -> None:
    shelf = Shelf()
    shelf.failures = [StoreUnavailable("away")]
    recorder = Recorder(shelf, Counts(), POLICY)
    erased: set[str] = set()
    for user in ("u_1", "u_2"):
        recorder.record(row(user, user=user), is_erased=lambda user=user: user in erased)  # type: ignore[misc]
    following = asyncio.create_task(recorder.follow())
    await until(lambda: len(shelf.users) == 1)
    erased.add("u_1")  # while its row waits for the store to come back
    await until(lambda: recorder.is_idle)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)

    assert shelf.users == [["u_1", "u_2"], ["", "u_2"]]
