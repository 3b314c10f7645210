"""Rows of use on their way to the store: a bounded line that no answer ever waits for.

Rows are written in batches, at the latest a second after they came. While the store is away the same batch is tried
again, so that it is counted once; what has no room in the line meanwhile is counted as lost, never silently dropped.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.usage.rows import Ask, Report, UsageRow, UsageStore, UsageTelemetry

_LOG = logging.getLogger(__name__)
FIRST_EXPIRE_SECONDS: Final = 60.0
EXPIRE_SECONDS: Final = 600.0
RETRY_SECONDS: Final = (0.2, 5.0)
"""First and longest pause before a batch is tried again."""


@dataclass(frozen=True, slots=True)
class RecorderPolicy:
    """How rows are written and how long they are kept.

    Attributes:
        batch_seconds: A row waits for company at most so long.
        most_waiting: Rows in memory; more are lost, and counted.
        close_seconds: For the last rows, when the process ends.
    """

    batch_rows: int = 200
    batch_seconds: float = 0.5
    most_waiting: int = 20_000
    raw_days: int = 30
    daily_days: int = 400
    close_seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A row on its way, and whether its user was erased since the request came."""

    row: UsageRow
    is_erased: Callable[[], bool]

    def now(self) -> UsageRow:
        """As it may be written now: where the user was erased, without a subject."""
        return replace(self.row, user="") if self.row.user and self.is_erased() else self.row


class Recorder:
    """Records the requests of all services of a process."""

    def __init__(
        self,
        store: UsageStore,
        telemetry: UsageTelemetry,
        policy: RecorderPolicy = RecorderPolicy(),
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._telemetry = telemetry
        self._policy = policy
        self._now = now
        self._waiting: deque[_Waiting] = deque()
        self._in_hand: tuple[_Waiting, ...] = ()
        self._came = asyncio.Event()
        self._is_full = asyncio.Event()
        self._is_away = False

    @property
    def is_idle(self) -> bool:
        """Whether the store has everything."""
        return not self._waiting and not self._in_hand

    def record(self, row: UsageRow, priced_as: str = "", *, is_erased: Callable[[], bool] = lambda: False) -> None:
        """Take a row. Never waits and never raises: whoever calls has an answer to give.

        Args:
            row: The request.
            priced_as: As `UsageTelemetry.use_recorded`.
            is_erased: Asked each time the row is about to be written: whether its user was erased meanwhile.
        """
        self._telemetry.use_recorded(row, priced_as)
        if len(self._waiting) >= self._policy.most_waiting:
            self._telemetry.use_lost(row.service, "full", 1)
            return
        self._waiting.append(_Waiting(row, is_erased))
        self._came.set()
        if len(self._waiting) >= self._policy.batch_rows:
            self._is_full.set()

    async def report(self, ask: Ask) -> Report:
        """What was recorded; rows of the last moment may still be on their way.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self._store.report(ask)

    async def follow(self) -> None:
        """Write what comes and drop what is old, for ever."""
        dropping = asyncio.create_task(self._drop())
        try:
            while True:
                await self._came.wait()
                try:
                    async with asyncio.timeout(self._policy.batch_seconds):
                        await self._is_full.wait()
                except TimeoutError:
                    pass
                await self._write_all()
        finally:
            dropping.cancel()
            await asyncio.gather(dropping, return_exceptions=True)

    async def close(self) -> None:
        """Write what is left, as far as the store takes it now, and give it back."""
        try:
            async with asyncio.timeout(self._policy.close_seconds):
                await self._write_all()
        except TimeoutError:
            left = Counter(one.row.service for one in (*self._in_hand, *self._waiting))
            for service, count in left.items():
                self._telemetry.use_lost(service, "shutdown", count)
            _LOG.error("usage: the store does not answer, so the last records are lost", extra={"rows": left.total()})
        await self._store.close()

    async def _write_all(self) -> None:
        """Write until nothing waits. What is in hand stays there until the store has it."""
        self._came.clear()
        self._is_full.clear()
        pause, longest = RETRY_SECONDS
        while self._in_hand or self._waiting:
            if not self._in_hand:
                count = min(len(self._waiting), self._policy.batch_rows)
                self._in_hand = tuple(self._waiting.popleft() for _ in range(count))
            try:
                await self._store.add(tuple(one.now() for one in self._in_hand))
            except StoreUnavailable as exc:
                self._tell(str(exc))
                await asyncio.sleep(pause)
                pause = min(longest, pause * 2)
                continue
            except Exception as exc:  # a fault of ours must not stop what comes behind it
                _LOG.error("usage: rows could not be written", extra={"error": type(exc).__name__})
                for service, lost in Counter(one.row.service for one in self._in_hand).items():
                    self._telemetry.use_lost(service, "store", lost)
            else:
                self._tell("")
                pause = RETRY_SECONDS[0]
            self._in_hand = ()

    async def _drop(self) -> None:
        await asyncio.sleep(FIRST_EXPIRE_SECONDS)
        while True:
            today = datetime.fromtimestamp(self._now(), UTC).date()
            raw, daily = timedelta(days=self._policy.raw_days), timedelta(days=self._policy.daily_days)
            try:
                await self._store.expire(today - raw, today - daily)
            except StoreUnavailable as exc:
                self._tell(str(exc))
            await asyncio.sleep(EXPIRE_SECONDS)

    def _tell(self, failure: str) -> None:
        """Say once that the store is away, and once that it is back."""
        if failure and not self._is_away:
            _LOG.error("usage: records wait in memory: %s", failure)
        elif self._is_away and not failure:
            _LOG.warning("usage: the store answers again")
        self._is_away = bool(failure)
