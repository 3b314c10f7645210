"""What was brought from outside, kept for a while: asked once by however many want it at the same time.

Keys are kept as digests: what somebody looked for stands nowhere in memory longer than the question itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from chatbot.core.keeping import CacheTelemetry, Room

V = TypeVar("V")

FAILURE_SECONDS: Final = 30.0


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
        self._room: Room[V | Exception] = Room(policy.limit_bytes, clock=clock)
        self._flights: dict[bytes, _Flight[V]] = {}

    @property
    def kept_bytes(self) -> int:
        """Of all values together."""
        return self._room.kept_bytes

    async def get(self, key: tuple[str, ...], ask: Callable[[], Awaitable[V]]) -> V:
        """The value of a key: kept, or asked for.

        Args:
            key: Everything that the value depends on, also whose it is where it depends on that.
            ask: Gets it; what it raises is kept for a short while, unless it was cancelled.
        """
        digest = blake2b("\0".join(key).encode(), digest_size=16).digest()
        kept = self._room.find(digest)
        if kept is not None:
            has_failed = isinstance(kept, Exception)
            self._telemetry.cache_asked(self._service, self._policy.name, "failure_hit" if has_failed else "hit")
            if isinstance(kept, Exception):
                raise kept.with_traceback(None)
            return kept
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
            self._room.keep(digest, exc, self._policy.failure_seconds, 256)
            raise
        else:
            self._room.keep(digest, value, self._policy.seconds, self._size(value))
            return value
        finally:
            flight = self._flights.get(digest)
            if flight is not None and flight.task is asyncio.current_task():
                del self._flights[digest]
