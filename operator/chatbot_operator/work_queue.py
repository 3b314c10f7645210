"""Keys that need work: each at most once in the line, each with one worker at a time, failures with growing pauses."""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_MOST_DOUBLINGS = 6


class WorkQueue(Generic[KeyT]):
    """A keyed queue.

    Args:
        work: Called with a key; returns in how many seconds it wants to be called again, None for not by itself.
        failed: Told of every exception of `work`; the key is tried again.
        rng: Spreads the pauses after failures.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        work: Callable[[KeyT], Awaitable[float | None]],
        failed: Callable[[KeyT, Exception], None],
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._failed = failed
        self._rng = rng
        self._clock = clock
        self._due: dict[KeyT, float] = {}
        self._line: list[tuple[float, int, KeyT]] = []
        self._numbers = itertools.count()
        self._running: dict[KeyT, float | None] = {}
        self._failures: dict[KeyT, int] = {}
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._began: dict[KeyT, int] = {}
        self._waiters: list[tuple[int, set[KeyT]]] = []

    def add(self, key: KeyT, delay_seconds: float = 0.0) -> None:
        """The key needs work, at the latest after the delay. One that is in the line keeps the earlier time.

        A key that is being worked on comes back afterwards: what called for it may have been read before.
        """
        due = self._clock() + delay_seconds
        if key in self._running:
            self._running[key] = _earlier(self._running[key], due)
        elif due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._line, (due, next(self._numbers), key))
        self._changed.set()

    async def work_through(self, keys: Iterable[KeyT], progressed: Callable[[], None] = lambda: None) -> None:
        """Work on each of these keys once, from now on, and return when that is done, well or badly.

        Each in its own time: of very many that come back every few seconds one is always under way, and to wait until
        all are idle at once would be to wait for ever.

        `progressed` is called whenever fewer of them are left.
        """
        left = set(keys)
        waiter = next(self._numbers), left
        self._waiters.append(waiter)
        try:
            for key in left:
                self.add(key)
            while count := len(left):
                self._finished.clear()
                await self._finished.wait()
                if len(left) < count:
                    progressed()
        finally:
            self._waiters.remove(waiter)

    async def run(self, most_at_once: int) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                key = await self._next(most_at_once)
                group.create_task(self._attend(key))

    async def _attend(self, key: KeyT) -> None:
        again: float | None = 0.0  # where this task is cancelled from outside, the key must not be lost
        try:
            again = await self._work(key)
            self._failures.pop(key, None)
        except Exception as error:  # whatever it is, this key is tried again and the others go on
            self._failed(key, error)
            again = self._pause(key)
        finally:
            self._finish(key, again)

    def _finish(self, key: KeyT, again: float | None) -> None:
        called_for, began = self._running.pop(key), self._began.pop(key)
        for since, left in self._waiters:
            if began > since:
                left.discard(key)
        if called_for is not None:
            again = _earlier(again, max(0.0, called_for - self._clock()))
        if again is not None:
            self.add(key, again)
        self._changed.set()
        self._finished.set()

    async def _next(self, most_at_once: int) -> KeyT:
        """Wait for a key that is due, and mark it as running."""
        while True:
            self._changed.clear()
            wait_seconds = self._drop_outdated() if len(self._running) < most_at_once else None
            if wait_seconds is not None and wait_seconds <= 0:
                _, _, key = heapq.heappop(self._line)
                del self._due[key]
                self._running[key], self._began[key] = None, next(self._numbers)
                return key
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _drop_outdated(self) -> float | None:
        """Seconds until the first key is due, None where there is none; entries that an earlier time replaced go."""
        while self._line and self._due.get(self._line[0][2]) != self._line[0][0]:
            heapq.heappop(self._line)
        return self._line[0][0] - self._clock() if self._line else None

    def _pause(self, key: KeyT) -> float:
        """1 s, doubling to 60 s, each up to a half longer, so that keys that failed together do not return together."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return pause * (1 + self._rng.random() / 2)


def _earlier(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
