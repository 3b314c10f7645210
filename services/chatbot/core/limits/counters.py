"""The accounts of everybody whose use is counted: in the shared store, and in this replica alone while that is away.

The store is asked with a limit of time and a circuit breaker. While it is away each replica counts by itself, under its
share of the limits: neither open nor closed (ADR 0016).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from chatbot.core.limits.asks import Ask, Granted, Refused
from chatbot.core.limits.ledger import Ledger, MemoryAccounts
from chatbot.core.limits.windows import Calendar
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.limits import AccountStore, Limited, Limits, LimitTelemetry, Quota

_LOG = logging.getLogger(__name__)
FAILURES: Final = 3
"""So many failures in a row, and the store is asked once a second only."""

PROBE_SECONDS: Final = 1.0
RENEW_SECONDS: Final = 10.0
"""Leases of requests that are under way are renewed so often: a third of their length."""

MOST_OWED: Final = 10_000
"""Settlements that the store did not take yet."""

T = TypeVar("T")
Debt = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LimiterPolicy:
    """How limits are counted.

    Attributes:
        replicas: How many count for themselves while the store is away.
        call_seconds: A call of the store that takes longer is given up, and the replica counts by itself.
    """

    calendar: Calendar = Calendar()
    replicas: int = 1
    call_seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one reservation of a request was made.

    Attributes:
        limits: That it was made under: a share of `limited`'s, where the replica counted alone.
    """

    limited: Limited
    limits: Limits
    ledger: Ledger
    id: str


class Counters:
    """Reserves, settles and gives back, whatever the store does.

    Args:
        store: Shared by all replicas.
        clock: Monotonic, seconds.
        now: Unix seconds.
    """

    def __init__(
        self,
        store: AccountStore,
        policy: LimiterPolicy,
        telemetry: LimitTelemetry,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.shared = Ledger(store, policy.calendar, now=now)
        self.alone = Ledger(MemoryAccounts(), policy.calendar, now=now, is_degraded=True)
        self._policy = policy
        self._telemetry = telemetry
        self._clock = clock
        self._owed: deque[Debt] = deque(maxlen=MOST_OWED)
        self._leased: dict[tuple[Ledger, Limits], set[str]] = {}
        self._renew_at = 0.0
        self._is_full = False
        self._failures = 0
        self._probe_at = 0.0

    @property
    def is_degraded(self) -> bool:
        """Whether the store is away and this replica counts by itself."""
        return self._failures >= FAILURES

    async def reserve(self, limited: Limited, ask: Ask) -> tuple[Entry, Granted | Refused, Quota]:
        """Reserve, and what is left afterwards.

        Raises:
            StoreUnavailable: The store is away, and there are too many accounts to count here.
        """
        calling = asyncio.ensure_future(self._call(lambda: self.shared.reserve(limited.limits, ask)))
        ledger, limits = self.shared, limited.limits
        try:
            outcome, quota = await asyncio.shield(calling)
        except asyncio.CancelledError:
            calling.cancel()
            self._owed.append(lambda: self.shared.release(limited.limits, ask.id))  # it may have been reserved
            raise
        except StoreUnavailable:
            self._owed.append(lambda: self.shared.release(limited.limits, ask.id))
            ledger, limits = self.alone, self._share(limited)
            outcome, quota = await self.alone.reserve(limits, ask)
        entry = Entry(limited, limits, ledger, ask.id)
        if isinstance(outcome, Granted) and limits.concurrent is not None:
            self._leased.setdefault((ledger, limits), set()).add(ask.id)
        return entry, outcome, _of(limited, quota)

    async def widen(self, entry: Entry, ask: Ask) -> Granted | Refused:
        """Make the reservation of an entry larger or smaller.

        Raises:
            StoreUnavailable: The store is away; the reservation is what it was, or what was asked for.
        """
        if entry.ledger is self.alone:
            return (await self.alone.reserve(entry.limits, ask))[0]
        return (await self._call(lambda: self.shared.reserve(entry.limits, ask)))[0]

    async def end(self, entry: Entry, tokens: int | None, micro_usd: int) -> None:
        """Settle with what was used, or give back where tokens are None; later where the store is away."""
        self._unlease(entry)

        async def pay() -> None:
            if tokens is None:
                await entry.ledger.release(entry.limits, entry.id)
            else:
                await entry.ledger.settle(entry.limits, entry.id, tokens, micro_usd)

        if entry.ledger is self.alone:
            await pay()
            return
        try:
            await self._call(pay)
        except StoreUnavailable:
            self._owed.append(pay)
        except asyncio.CancelledError:
            self._owed.append(pay)  # once more does no harm
            raise
        if tokens is not None:
            await self._count_beside(entry.limited, tokens, micro_usd)

    def owe(self, entry: Entry) -> None:
        """Give a reservation back soon, for who cannot wait."""
        self._unlease(entry)
        self._owed.append(lambda: entry.ledger.release(entry.limits, entry.id))

    async def quota(self, limited: Limited) -> Quota:
        """What is left now."""
        try:
            quota = await self._call(lambda: self.shared.quota(limited.limits))
        except StoreUnavailable:
            quota = await self.alone.quota(self._share(limited))
        return _of(limited, quota)

    async def follow(self) -> None:
        """Pay what is owed to the store and renew leases, for ever."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.pay()
            if self._clock() >= self._renew_at:
                self._renew_at = self._clock() + RENEW_SECONDS
                await self.renew()

    async def close(self) -> None:
        """Pay what can be paid, and give back the store."""
        await self.pay()
        await self.shared.close()

    async def pay(self) -> None:
        """Pay in the order in which it was owed; what lapsed meanwhile is still charged."""
        for _ in range(len(self._owed)):
            if not self._owed:
                return  # somebody else pays, too
            pay = self._owed.popleft()
            try:
                await self._call(pay)
            except StoreUnavailable:
                self._owed.appendleft(pay)
                return
            except Exception as exc:  # an account that somebody spoilt by hand must not keep the others from paying
                _LOG.error("limits: an answer could not be settled", extra={"error": type(exc).__name__})

    async def renew(self) -> None:
        """Say of every request that is under way that it still is."""
        for (ledger, limits), ids in list(self._leased.items()):
            kept = tuple(ids)
            try:
                if ledger is self.alone:
                    await ledger.renew(limits, kept)
                else:
                    await self._call(lambda ledger=ledger, limits=limits, kept=kept: ledger.renew(limits, kept))  # type: ignore[misc]
            except StoreUnavailable:
                continue
            except Exception as exc:  # as above
                _LOG.error("limits: a lease could not be renewed", extra={"error": type(exc).__name__})

    async def _count_beside(self, limited: Limited, tokens: int, micro_usd: int) -> None:
        """Keep the replica's own count true, for when it is needed."""
        try:
            await self.alone.charge(self._share(limited), tokens, micro_usd)
        except StoreUnavailable:
            if not self._is_full:  # once: it would be a line for every answer
                _LOG.warning("limits: too many accounts to count beside the store")
            self._is_full = True

    def _share(self, limited: Limited) -> Limits:
        return limited.limits.share(self._policy.replicas)

    def _unlease(self, entry: Entry) -> None:
        ids = self._leased.get((entry.ledger, entry.limits))
        if ids is not None:
            ids.discard(entry.id)
            if not ids:
                del self._leased[entry.ledger, entry.limits]

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """One call of the store, unless it was away a moment ago."""
        began = self._clock()
        if self.is_degraded:
            if began < self._probe_at:
                raise StoreUnavailable("limits: the store was away a moment ago")
            self._probe_at = began + PROBE_SECONDS
        outcome = "unavailable"
        try:
            async with asyncio.timeout(self._policy.call_seconds):
                result = await operation()
            outcome = "ok"
        except (StoreUnavailable, TimeoutError) as exc:
            self._failed(str(exc) or f"no answer within {self._policy.call_seconds} s")
            raise StoreUnavailable("limits: the store does not answer") from exc
        finally:
            self._telemetry.limit_store_called(outcome, self._clock() - began)
        if self.is_degraded:
            _LOG.warning("the store of limits answers again")
        self._failures = 0
        return result

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if self._failures == FAILURES:
            self._probe_at = self._clock() + PROBE_SECONDS
            _LOG.error("the store of limits does not answer: this replica counts by itself; %s", reason)


def _of(limited: Limited, quota: Quota) -> Quota:
    standings = tuple(replace(one, subject=limited.subject) for one in quota.standings)
    return replace(quota, standings=standings)
