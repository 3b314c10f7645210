"""The tombstones as one process knows them, and what it does about those that it learns of."""

import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from chatbot.domain.chat import Caller
from chatbot.domain.personal.erasure import IN_FLIGHT, ErasureState, ErasureStore, Tombstone, UserErased

_OVERLAP_SECONDS: Final = 120.0
"""Clocks of processes differ by less."""

Forget = Callable[[Callable[[str, str], bool]], None]
"""Is given a test of tenant and user, and gives up what it makes for those who pass it."""


class Tombstones:
    """See `chatbot.domain.personal.erasure.Guard`.

    Args:
        store: Has all tombstones.
        now: Unix seconds.
    """

    def __init__(self, store: ErasureStore, now: Callable[[], float]) -> None:
        self.store = store
        self._now = now
        self._secret: bytes | None = None
        self._known: dict[str, Tombstone] = {}
        self._learned_at: dict[str, float] = {}
        self._newest = 0.0
        self._forgetting: list[Forget] = []

    def tell(self, forget: Forget) -> None:
        """Call this whenever a tombstone is learned of."""
        self._forgetting.append(forget)

    async def mark(self, tenant: str, user: str) -> str:
        """The keyed hash of a person.

        Raises:
            StoreUnavailable: What it is keyed with is not known yet.
        """
        if self._secret is None:
            self._secret = await self.store.secret()
        return _mark(self._secret, tenant, user)

    def epoch(self, tenant: str, user: str) -> int | None:
        """See `Guard`. A request that comes while its user is being erased begins with an epoch that never holds."""
        if self._secret is None:
            return None
        known = self._known.get(_mark(self._secret, tenant, user))
        return 0 if known is None else known.epoch - known.is_erasing

    async def check(self, caller: Caller) -> None:
        """See `Guard`; asks the store: another process may have begun an erasure a moment ago."""
        found = await self.store.find(await self.mark(caller.tenant, caller.user))
        if found is None:
            return
        if found.state is ErasureState.ERASING:
            raise UserErased
        is_recent = (found.done_at or 0.0) > self._now() - IN_FLIGHT.total_seconds()
        if is_recent and (caller.erasures is None or caller.erasures < found.epoch):
            raise UserErased

    def erased_since(self, tenant: str, user: str, began: float) -> bool:
        """See `Guard`."""
        if self._secret is None:
            return False
        return self._learned_at.get(_mark(self._secret, tenant, user), 0.0) >= began

    async def refresh(self) -> None:
        """Learn of the tombstones of others.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        if self._secret is None:
            self._secret = await self.store.secret()
        since = max(self._newest - _OVERLAP_SECONDS, self._now() - IN_FLIGHT.total_seconds())
        self.learn(await self.store.changed(since))
        old = self._now() - 2 * IN_FLIGHT.total_seconds()
        for mark in [mark for mark, learned_at in self._learned_at.items() if learned_at < old]:
            del self._known[mark], self._learned_at[mark]

    def learn(self, tombstones: Sequence[Tombstone]) -> None:
        """Keep them, and have given up what is made for whom they stand."""
        fresh = [one for one in tombstones if self._known.get(one.mark) != one]
        for one in fresh:
            self._known[one.mark] = one
            self._learned_at[one.mark] = self._now()
            self._newest = max(self._newest, one.changed_at)
        secret, marks = self._secret, {one.mark for one in fresh if one.is_erasing}
        if not marks or secret is None:
            return
        for forget in self._forgetting:
            forget(lambda tenant, user: _mark(secret, tenant, user) in marks)


def _mark(secret: bytes, tenant: str, user: str) -> str:
    """The length keeps `a` + `bc` and `ab` + `c` apart."""
    return hmac.digest(secret, f"{len(tenant)}.{tenant}{user}".encode(), sha256).hex()
