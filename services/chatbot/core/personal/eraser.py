"""Erasures that are under way: each is finished by whichever process is left, however often one of them dies.

In this order: the tombstone stands already; what runs and waits for the person is given up, here at once and elsewhere
when the tombstone is learned of; every store is erased; after `settle_seconds` every store is erased once more, which
takes away what was being written when the tombstone came; what is left is counted, and the receipt is written.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from chatbot.core.personal.tombstones import Tombstones
from chatbot.core.waking import woken
from chatbot.domain.errors import StoreUnavailable
from chatbot.domain.personal.erasure import REMEMBERED, Erasure, ErasureGone, Receipt, Tombstone
from chatbot.domain.personal.stores import Person, PersonalData

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE_SECONDS: Final = 30.0
_FORGET_SECONDS: Final = 3600.0
ERASURE_OUTCOMES: Final = ("done", "failed")


@dataclass(frozen=True, slots=True)
class ErasePolicy:
    """Rhythm of erasures, seconds.

    Attributes:
        poll_seconds: How often a process looks for tombstones and for erasures that nobody works on.
        settle_seconds: From the tombstone to the last removal: longer than a process needs to learn of a tombstone
            and than a store may take for one write.
        lease_seconds: A process that says nothing for so long has lost its erasure.
    """

    poll_seconds: float = 1.0
    settle_seconds: float = 4.0
    lease_seconds: float = 20.0


class ErasureTelemetry(Protocol):
    """What erasures did, for whoever counts it."""

    def erasure_ended(self, outcome: str) -> None:
        """One is `done`, or a try was in vain (`failed`)."""


class NotErased(Exception):
    """Rows are left."""


class Eraser:
    """One worker of a process.

    Args:
        stores: All that keep anything about people.
        pseudonyms: What stands for a user of a tenant.
        now: Unix seconds.
    """

    def __init__(
        self,
        stores: Sequence[PersonalData],
        tombstones: Tombstones,
        pseudonyms: Callable[[str, str], tuple[str, ...]],
        telemetry: ErasureTelemetry,
        policy: ErasePolicy = ErasePolicy(),
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = tombstones.store
        self.stores = tuple(stores)
        self.tombstones = tombstones
        self._pseudonyms = pseudonyms
        self._telemetry = telemetry
        self._policy = policy
        self._now = now
        self._woken = asyncio.Event()
        self._forget_at = 0.0
        self._waiting = (0, 0.0)

    @property
    def waiting(self) -> tuple[int, float]:
        """How many erasures are not over, and the age of the oldest, seconds."""
        count, begun_at = self._waiting
        return count, max(0.0, self._now() - begun_at) if count else 0.0

    def person(self, tenant: str, user: str, *, is_self: bool = False) -> Person:
        """A person, as stores know them."""
        return Person(tenant, user, self._pseudonyms(tenant, user), is_self)

    def wake(self) -> None:
        """There is an erasure: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self.tombstones.refresh()
                while await self.work():
                    pass
                self._waiting = await self.store.unfinished()
                if self._now() >= self._forget_at:
                    await self.store.forget(self._now() - REMEMBERED.total_seconds())
                    self._forget_at = self._now() + _FORGET_SECONDS
            except StoreUnavailable as exc:
                _LOG.warning("erasures wait: %s", exc)
            except Exception as exc:  # whatever it is, the next round comes
                _LOG.error("erasures wait: an unexpected failure", extra={"error": type(exc).__name__})
            await woken(self._woken, self._policy.poll_seconds)

    async def work(self) -> bool:
        """Do the next erasure. False where there is none.

        Raises:
            StoreUnavailable: Of the jobs; whoever claims it after its lease goes on.
        """
        job = await self.store.claim(self._now(), self._policy.lease_seconds)
        if job is None:
            return False
        self._waiting = (max(1, self._waiting[0]), job.begun_at)
        self.tombstones.learn((Tombstone(job.mark, job.epoch, is_erasing=True, changed_at=job.begun_at),))
        attempt = _Attempt(job, self.person(job.tenant, job.user, is_self=job.is_self))
        try:
            await self._erase(attempt)
        except ErasureGone:
            _LOG.warning("an erasure was taken over by another process")
        except Exception as exc:
            await self._postpone(attempt, exc)
        return True

    async def _erase(self, attempt: "_Attempt") -> None:
        for store in self.stores:
            attempt.at(store.name, await store.count(attempt.person))
            await store.erase(attempt.person)
            await self._hold(attempt)
        while (left := attempt.job.begun_at + self._policy.settle_seconds - self._now()) > 0:
            await asyncio.sleep(min(left, self._policy.lease_seconds / 4))
            await self._hold(attempt)
        kept = {}
        for store in self.stores:
            attempt.at(store.name)
            await store.erase(attempt.person)
            count, why = await store.count(attempt.person), store.keeps(attempt.person)
            if count and not why:
                raise NotErased
            if count:
                kept[store.name] = (count, why)
            await self._hold(attempt)
        erased = {name: count for name, count in attempt.job.found.items() if name not in kept}
        done_at = self._now()
        await self.store.finish(replace(attempt.job, done_at=done_at, receipt=Receipt(erased, kept)))
        self._telemetry.erasure_ended("done")
        await self.tombstones.refresh()
        _LOG.info("a user was erased", extra={"seconds": round(done_at - attempt.job.begun_at, 3)})

    async def _hold(self, attempt: "_Attempt") -> None:
        await self.store.hold(attempt.job, self._now() + self._policy.lease_seconds)

    async def _postpone(self, attempt: "_Attempt", exc: Exception) -> None:
        """Say where it failed, without a word of the message, and try again later: the sooner the first times."""
        job = attempt.job
        failed = replace(job, failures=job.failures + 1, failing=attempt.store)
        pause = min(_LONGEST_PAUSE_SECONDS, self._policy.poll_seconds * 2 ** min(job.failures, 5))
        self._telemetry.erasure_ended("failed")
        reason = str(exc) if isinstance(exc, StoreUnavailable) else type(exc).__name__
        told = {"store": attempt.store, "failures": failed.failures, "reason": reason}
        _LOG.error("an erasure failed and is tried again", extra=told)
        try:
            await self.store.hold(failed, self._now() + pause)
        except ErasureGone:
            pass


class _Attempt:
    """One attempt at an erasure: how far it is, and what it found."""

    def __init__(self, job: Erasure, person: Person) -> None:
        self.job = replace(job, failing="")
        self.person = person
        self.store = ""

    def at(self, store: str, count: int = 0) -> None:
        """It has come to a store, which has so many rows."""
        self.store = store
        most = max(count, self.job.found.get(store, 0))
        self.job = replace(self.job, found={**self.job.found, store: most})
