"""The erasure of a person: one row that is a tombstone, a job and, in the end, a receipt.

The tombstone wins. Its epoch rises with each erasure of a person; a write carries the epoch that it began with
(`Caller.erasures`), asks for the tombstone before and after it writes, and takes back what it wrote where the epoch has
moved or the erasure is not over. Until it is over the row names the person, so that any process can go on with it;
afterwards it holds a keyed hash alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from chatbot.domain.chat import Caller
from chatbot.domain.errors import ConversationErased, NotFound

REMEMBERED: Final = timedelta(days=30)
"""How long a tombstone and its receipt are kept."""

IN_FLIGHT: Final = timedelta(hours=3)
"""No write is older than this: longer than the longest request that the settings allow (2 h)."""


class ErasureState(StrEnum):
    """How far it is."""

    ERASING = "erasing"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was found and removed, store by store, and what was left, each with the key of the text that says why."""

    erased: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. Times are Unix seconds.

    Attributes:
        mark: Keyed hash of tenant and user.
        epoch: Number of this person's erasures, from 1.
        done_at: None while it goes on.
        tenant, user: Whose; "" once it is done.
        is_self: As in `Person`.
        failures: In vain so far, in a row; `failing`: name of the store.
        found: Rows by store, the most that any pass saw.
        lease: Of the process that works on it.
    """

    mark: str
    epoch: int
    state: ErasureState
    begun_at: float
    done_at: float | None = None
    tenant: str = ""
    user: str = ""
    is_self: bool = False
    failures: int = 0
    failing: str = ""
    found: Mapping[str, int] = field(default_factory=dict)
    receipt: Receipt = Receipt()
    lease: str = ""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What writers must know of an erasure. `changed_at`: Unix seconds."""

    mark: str
    epoch: int
    is_erasing: bool
    changed_at: float


class UserErased(ConversationErased):
    """Everything of the user was erased, or is being erased, since this began; what it made was not kept."""


class ErasureNotFound(NotFound):
    """Nobody asked for an erasure of this user, as far as it is remembered."""


class ExportNotFound(NotFound):
    """It was not asked for, or was fetched, or its time is over."""


class ErasureGone(Exception):
    """Another process goes on with the erasure."""


class ErasureStore(Protocol):
    """Where tombstones, jobs and receipts are.

    Every call raises `StoreUnavailable` where the store does not answer in time.
    """

    async def secret(self) -> bytes:
        """What hashes are keyed with: made once, the same for all processes."""

    async def begin(self, erasure: Erasure) -> Erasure:
        """Write the tombstone: the epoch rises. Where this person's erasure goes on already, that one, unchanged."""

    async def find(self, mark: str) -> Erasure | None:
        """The last erasure of a person."""

    async def changed(self, since: float) -> Sequence[Tombstone]:
        """Tombstones that were changed since then, Unix seconds."""

    async def claim(self, now: float, lease_seconds: float) -> Erasure | None:
        """Take the oldest one that nobody works on."""

    async def hold(self, erasure: Erasure, until: float) -> None:
        """Keep what is known of it, and hold it until then, Unix seconds; its own lease is needed.

        Raises:
            ErasureGone: See there.
        """

    async def finish(self, erasure: Erasure) -> None:
        """Keep the receipt and forget who it was.

        Raises:
            ErasureGone: See there.
        """

    async def unfinished(self) -> tuple[int, float]:
        """How many go on, and when the oldest of them was begun, Unix seconds (0 where there is none)."""

    async def offer_export(self, mark: str, until: float) -> None:
        """Let this person's data be fetched once, until then, Unix seconds. A new offer replaces the one before."""

    async def export_until(self, mark: str) -> float:
        """Until when it can be fetched, Unix seconds; 0 where it cannot."""

    async def take_export(self, mark: str, now: float) -> bool:
        """Use the offer up. False where there is none any more."""

    async def take_turn(self, what: str, holder: str, now: float, seconds: float) -> bool:
        """Whether this process is the one that does something for all of them, for so long from now."""

    async def forget(self, before: float) -> None:
        """Remove tombstones that were done, and offers that were over, before then, Unix seconds."""

    async def close(self) -> None:
        """Give back connections and files."""


class Guard(Protocol):
    """Who knows the tombstones."""

    def epoch(self, tenant: str, user: str) -> int | None:
        """The epoch that a request begins with. Never waits; None where it is not known."""

    def erased_since(self, tenant: str, user: str, began: float) -> bool:
        """Whether this process learned of an erasure of the user after that, Unix seconds of its own clock."""

    async def check(self, caller: Caller) -> None:
        """Whether a write that began with `caller.erasures` may be, or may stay.

        Raises:
            UserErased: It may not.
            StoreUnavailable: Nobody knows.
        """


class _NoGuard:
    """Where nobody can be erased."""

    def epoch(self, tenant: str, user: str) -> int | None:
        """See `Guard`."""
        return 0

    def erased_since(self, tenant: str, user: str, began: float) -> bool:
        """See `Guard`."""
        return False

    async def check(self, caller: Caller) -> None:
        """See `Guard`."""


NO_GUARD: Final[Guard] = _NoGuard()
