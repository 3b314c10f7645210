"""What was brought from outside, kept for a while: asked once by however many want it at the same time.

Keys are kept as digests: what somebody looked for stands nowhere in memory longer than the question itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Generic, Protocol, TypeVar

V = TypeVar("V")

CACHES: Final = ("search", "page", "weather", "news")
CACHE_OUTCOMES: Final = ("hit", "failure_hit", "joined", "miss")
"""How a value was got; labels of metrics. `failure_hit`: it failed shortly before; `joined`: it was being asked."""
FAILURE_SECONDS: Final = 30.0


class CacheTelemetry(Protocol):
    """Who counts. Never a key."""

    def cache_asked(self, service: str, cache: str, outcome: str) -> None:
        """A value was wanted; `cache` is one of `CACHES`, `outcome` one of `CACHE_OUTCOMES`."""


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """How much is kept, and for how long.

    Attributes:
        name: One of `CACHES`.
        seconds: A value.
        limit_bytes: Of all values together, as `size` counts; those that nobody wanted for the longest time go first.
        failure_seconds: A failure.
    """

    name: str
    seconds: float
    limit_bytes: int = 8 * 2**20
    failure_seconds: float = FAILURE_SECONDS


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V | Exception
    ends_at: float
    size: int


@dataclass(slots=True)
class _Flight(Generic[V]):
    task: asyncio.Task[V]
    waiting: int = 0


class Kept(Generic[V]):
    """Values of one kind.

    Args:
        service: For the metrics.
        policy: How much and how long.
        telemetry: Counts.
        size: Bytes of a value, about.
        clock: Seconds.
    """

    def __init__(
        self,
        service: str,
        policy: KeepPolicy,
        telemetry: CacheTelemetry,
        size: Callable[[V], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._policy = policy
        self._telemetry = telemetry
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry[V]] = OrderedDict()
        self._flights: dict[bytes, _Flight[V]] = {}
        self.kept_bytes = 0

    async def get(self, key: tuple[str, ...], ask: Callable[[], Awaitable[V]]) -> V:
        """The value of a key: kept, or asked for.

        Args:
            key: Everything that the value depends on, also whose it is where it depends on that.
            ask: Gets it; what it raises is kept for a short while, unless it was cancelled.
        """
        digest = blake2b("\0".join(key).encode(), digest_size=16).digest()
        entry = self._fresh(digest)
        if entry is not None:
            has_failed = isinstance(entry.value, Exception)
            self._telemetry.cache_asked(self._service, self._policy.name, "failure_hit" if has_failed else "hit")
            if isinstance(entry.value, Exception):
                raise entry.value.with_traceback(None)
            return entry.value
        flight = self._flights.get(digest)
        self._telemetry.cache_asked(self._service, self._policy.name, "joined" if flight else "miss")
        if flight is None:
            flight = self._flights[digest] = _Flight(asyncio.ensure_future(self._asked(digest, ask)))
        return await self._waited(digest, flight)

    async def _waited(self, digest: bytes, flight: _Flight[V]) -> V:
        """The value when it is there; who leaves does not end it for the others, the last one does."""
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()
                if self._flights.get(digest) is flight:
                    del self._flights[digest]

    async def _asked(self, digest: bytes, ask: Callable[[], Awaitable[V]]) -> V:
        try:
            value = await ask()
        except Exception as exc:
            self._keep(digest, _Entry(exc, self._clock() + self._policy.failure_seconds, 256))
            raise
        else:
            self._keep(digest, _Entry(value, self._clock() + self._policy.seconds, self._size(value)))
            return value
        finally:
            flight = self._flights.get(digest)
            if flight is not None and flight.task is asyncio.current_task():
                del self._flights[digest]

    def _fresh(self, digest: bytes) -> _Entry[V] | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if self._clock() >= entry.ends_at:
            self._drop(digest)
            return None
        self._entries.move_to_end(digest)
        return entry

    def _keep(self, digest: bytes, entry: _Entry[V]) -> None:
        self._drop(digest)
        if entry.size > self._policy.limit_bytes:
            return
        self._entries[digest] = entry
        self.kept_bytes += entry.size
        while self.kept_bytes > self._policy.limit_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self.kept_bytes -= entry.size
