"""Values that are kept in memory for a while, in a bounded room: what nobody wanted for the longest time goes first.

Whoever keeps something names it by a digest: what somebody asked for stands nowhere longer than the question itself.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

V = TypeVar("V")

CACHES: Final = ("search", "page", "weather", "news", "answer")
CACHE_OUTCOMES: Final = ("hit", "failure_hit", "joined", "miss")
"""How a value was got; labels of metrics. `failure_hit`: it failed shortly before; `joined`: it was being asked."""
MOST_ENTRIES: Final = 1_000_000


class CacheTelemetry(Protocol):
    """Who counts. Never a key."""

    def cache_asked(self, service: str, cache: str, outcome: str) -> None:
        """A value was wanted; `cache` is one of `CACHES`, `outcome` one of `CACHE_OUTCOMES`."""


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    ends_at: float
    size: int
    owner: tuple[str, ...]


class Room(Generic[V]):
    """What is kept, by digest.

    Args:
        limit_bytes: Of all values together, as whoever keeps them counts.
        most: Values at the same time.
        clock: Seconds.

    Attributes:
        kept_bytes: Of all values together.
    """

    def __init__(
        self, limit_bytes: int, most: int = MOST_ENTRIES, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_bytes = limit_bytes
        self._most = most
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry[V]] = OrderedDict()
        self._owned: dict[tuple[str, ...], set[bytes]] = {}
        self.kept_bytes = 0

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._entries)

    def find(self, digest: bytes) -> V | None:
        """A value whose time is not over."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if self._clock() >= entry.ends_at:
            self.drop(digest)
            return None
        self._entries.move_to_end(digest)
        return entry.value

    def keep(self, digest: bytes, value: V, seconds: float, size: int, owner: tuple[str, ...] = ()) -> None:
        """Keep a value in the place of the one before; one that is larger than the room is not kept.

        Args:
            digest: Of what it was asked with.
            value: Kept as it is.
            seconds: Afterwards it is not found any more.
            size: Bytes, about.
            owner: Whose it is; () is nobody's.
        """
        self.drop(digest)
        if size > self._limit_bytes:
            return
        self._entries[digest] = _Entry(value, self._clock() + seconds, size, owner)
        if owner:
            self._owned.setdefault(owner, set()).add(digest)
        self.kept_bytes += size
        while self._is_too_full():
            self.drop(next(iter(self._entries)))

    def drop(self, digest: bytes) -> None:
        """Forget a value, if it is there."""
        entry = self._entries.pop(digest, None)
        if entry is None:
            return
        self.kept_bytes -= entry.size
        owned = self._owned.get(entry.owner)
        if owned is not None:
            owned.discard(digest)
            if not owned:
                del self._owned[entry.owner]

    def _is_too_full(self) -> bool:
        """Also where what nobody wanted for the longest time is over: nobody will look at it again."""
        oldest = next(iter(self._entries.values()), None)
        is_over = oldest is not None and self._clock() >= oldest.ends_at
        return is_over or self.kept_bytes > self._limit_bytes or len(self._entries) > self._most

    def drop_owned(self, is_meant: Callable[[tuple[str, ...]], bool]) -> None:
        """Forget all values of the owners that are meant."""
        digests = [digest for owner in filter(is_meant, tuple(self._owned)) for digest in self._owned[owner]]
        for digest in digests:
            self.drop(digest)
