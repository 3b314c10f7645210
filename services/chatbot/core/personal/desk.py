"""What the endpoints of people's data work with."""

import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

from chatbot.core.personal.eraser import Eraser
from chatbot.core.personal.exporting import exported
from chatbot.domain.personal.erasure import Erasure, ErasureState, Tombstone

OFFER_SECONDS: Final = 3600.0
"""An export that nobody fetched for so long is no longer there."""


class PersonalDesk:
    """Erasures and exports of all people.

    Args:
        now: Unix seconds.
    """

    def __init__(self, eraser: Eraser, *, now: Callable[[], float] = time.time) -> None:
        self._eraser = eraser
        self._now = now

    async def erase(self, tenant: str, user: str, *, is_self: bool) -> Erasure:
        """Begin an erasure, or tell of the one that goes on.

        Raises:
            StoreUnavailable: It was not begun, or nobody knows; asking again does no harm.
        """
        mark = await self._eraser.tombstones.mark(tenant, user)
        wanted = Erasure(mark, 0, ErasureState.ERASING, self._now(), tenant=tenant, user=user, is_self=is_self)
        begun = await self._eraser.store.begin(wanted)
        self._eraser.tombstones.learn((Tombstone(mark, begun.epoch, is_erasing=True, changed_at=begun.begun_at),))
        self._eraser.wake()
        return begun

    async def erasure(self, tenant: str, user: str) -> Erasure | None:
        """The last erasure of a person, as far as it is remembered.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self._eraser.store.find(await self._eraser.tombstones.mark(tenant, user))

    async def offer(self, tenant: str, user: str) -> float:
        """Let a person's data be fetched once; until when, Unix seconds.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        until = self._now() + OFFER_SECONDS
        await self._eraser.store.offer_export(await self._eraser.tombstones.mark(tenant, user), until)
        return until

    async def offered_until(self, tenant: str, user: str) -> float:
        """Until when it can be fetched, Unix seconds; 0 where it cannot.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        until = await self._eraser.store.export_until(await self._eraser.tombstones.mark(tenant, user))
        return until if until > self._now() else 0.0

    async def fetch(self, tenant: str, user: str, *, without: Collection[str] = ()) -> AsyncIterator[bytes] | None:
        """The archive, once; None where there is no offer. `without`: names of stores that are left out.

        Raises:
            StoreUnavailable: The store does not answer; the offer stands.
        """
        mark = await self._eraser.tombstones.mark(tenant, user)
        if not await self._eraser.store.take_export(mark, self._now()):
            return None
        stores = [store for store in self._eraser.stores if store.name not in without]
        left_out = [store.name for store in self._eraser.stores if store.name in without]
        return exported(self._eraser.person(tenant, user), stores, self._now(), left_out)
