"""What was kept long enough goes, by the policies of tenants; one process at a time does it for all."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chatbot.core.rounds import Rounds
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.personal.erasure import ErasureStore
from chatbot.domain.personal.stores import Overdue, PersonalData
from chatbot.domain.tenants.policy import DEFAULT_TENANT, Tenant

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """Rhythm of the sweeper.

    Attributes:
        first_seconds: From the start to the first round; `every_seconds`: between rounds.
        rows: That go with one call; `calls`: of one rule in one round, so that a round ends.
    """

    first_seconds: float = 60.0
    every_seconds: float = 600.0
    rows: int = 500
    calls: int = 40


class Sweeper:
    """One worker of a process.

    Args:
        store: Says whose turn it is.
        stores: All that keep anything about people.
        tenants: All policies that hold now.
        now: Unix seconds.
    """

    def __init__(
        self,
        store: ErasureStore,
        stores: Sequence[PersonalData],
        tenants: Callable[[], Collection[Tenant]],
        policy: SweepPolicy = SweepPolicy(),
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._rounds = Rounds(
            store, "retention", first_seconds=policy.first_seconds, every_seconds=policy.every_seconds, now=now
        )
        self._stores = tuple(stores)
        self._tenants = tenants
        self._policy = policy
        self._now = now
        self._oldest: dict[str, float] = {}

    @property
    def ages(self) -> Mapping[str, float]:
        """Age of the oldest row by store, seconds, where this process is the one that looks."""
        return {name: max(0.0, self._now() - oldest) for name, oldest in self._oldest.items()}

    async def run(self) -> None:
        """Work until cancelled."""
        await self._rounds.run(self.sweep, _LOG, "what is old waits")

    async def sweep(self) -> int:
        """Do one round, if it is this process's turn; how many rows went.

        Raises:
            StoreUnavailable: Nobody knows whose turn it is.
        """
        if not await self._rounds.is_mine():
            self._oldest = {}
            return 0
        gone = 0
        for store in self._stores:
            self._oldest.pop(store.name, None)
            try:
                gone += await self._sweep(store)
            except StoreUnavailable as exc:  # of the others something can go all the same
                _LOG.warning("what is old waits: %s", exc, extra={"store": store.name})
        if gone:
            _LOG.info("what was kept long enough is gone", extra={"rows": gone})
        return gone

    async def _sweep(self, store: PersonalData) -> int:
        gone = 0
        for overdue in self._rules(store.name):
            gone += await self._expire(store, overdue)
        oldest = await store.oldest()
        if oldest is not None:
            self._oldest[store.name] = oldest
        return gone

    async def _expire(self, store: PersonalData, overdue: Overdue) -> int:
        gone = 0
        for _ in range(self._policy.calls):
            removed = await store.expire(overdue)
            gone += removed
            if removed < overdue.most:
                break
        return gone

    def _rules(self, store: str) -> Iterator[Overdue]:
        """Of each tenant with a policy of its own, and of all others together."""
        tenants = self._tenants()
        others = frozenset(tenant.name for tenant in tenants) - {DEFAULT_TENANT}
        for tenant in tenants:
            seconds = tenant.retention.of(store)
            if seconds is None:
                continue
            before = self._now() - seconds
            if tenant.name == DEFAULT_TENANT:
                yield Overdue(before, None, others, self._policy.rows)
            else:
                yield Overdue(before, tenant.name, most=self._policy.rows)
