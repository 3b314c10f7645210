"""What an administrator does with the keys of all tenants: rules of `Issuer`, lives of keys, pages of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from chatbot.core.accounts.issue import Issuer, Lives, NoSuchKey, Wish
from chatbot.core.accounts.key_text import KeyText
from chatbot.domain.access import KeyRecord, Rights
from chatbot.domain.limits import Limits
from chatbot.domain.ports import KeyStore

MAX_OVERLAP_SECONDS: Final = 30 * 86_400


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that somebody wants. Times are seconds from now; a life of None is as long as is usual."""

    tenant: str
    rights: Rights
    label: str = ""
    life_seconds: float | None = None
    starts_in_seconds: float = 0.0


class KeyDesk:
    """Keys of a store, for administrators.

    Args:
        store: Where they are kept.
        issuer: Makes and changes them.
        lives: How long they live.
        now: Unix seconds.
        changed: Lets this process know at once what the others learn within seconds.
    """

    def __init__(
        self,
        store: KeyStore,
        issuer: Issuer,
        lives: Lives,
        *,
        now: Callable[[], float],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._lives = lives
        self._now = now
        self._changed = changed

    async def page(self, tenant: str | None, *, after: str, limit: int) -> tuple[KeyRecord, ...]:
        """Keys by tenant and time, those behind the key `after` ("": from the first).

        Raises:
            NoSuchKey: There is no key `after`.
            StoreUnavailable: The store does not answer.
        """
        found = [record for record in await self._store.listing() if tenant in (None, record.tenant)]
        if not after:
            return tuple(found[:limit])
        for place, record in enumerate(found, start=1):
            if record.id == after:
                return tuple(found[place : place + limit])
        raise NoSuchKey(after)

    async def read(self, key_id: str) -> KeyRecord:
        """One key.

        Raises:
            NoSuchKey: There is none of that id.
            StoreUnavailable: The store does not answer.
        """
        try:
            return (await self._store.find([key_id]))[key_id]
        except KeyError:
            raise NoSuchKey(key_id) from None

    async def create(self, new: NewKey) -> tuple[KeyRecord, KeyText]:
        """A new key. Raises as `Issuer.create` and `Lives.of`."""
        begins = self._now() + new.starts_in_seconds
        ends = begins + self._lives.of(new.tenant, new.life_seconds)
        not_before = begins if new.starts_in_seconds else 0.0
        return await self._issuer.create(Wish(new.tenant, ends, new.label, new.rights, not_before))

    async def rotate(
        self, key_id: str, *, overlap_seconds: float, life_seconds: float | None
    ) -> tuple[KeyRecord, KeyText]:
        """A sibling in a key's place. Raises as `Issuer.rotate` and `Lives.of`."""
        life = self._lives.of((await self.read(key_id)).tenant, life_seconds)
        made = await self._issuer.rotate(key_id, overlap_seconds=overlap_seconds, life_seconds=life)
        await self._changed()
        return made

    async def limit(self, key_id: str, limits: Limits) -> KeyRecord:
        """Other limits for a key. Raises as `Issuer.limit`."""
        record = await self._issuer.limit(key_id, limits)
        await self._changed()
        return record

    async def revoke(self, key_id: str) -> KeyRecord:
        """The end of a key. Raises as `Issuer.revoke`."""
        record = await self._issuer.revoke(key_id)
        await self._changed()
        return record
