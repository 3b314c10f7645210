"""Keys that name a user: the operator's, so an erasure leaves them and says so."""

from collections.abc import AsyncIterator

from chatbot.domain.access import KeyRecord
from chatbot.domain.personal.stores import Overdue, Person, Row
from chatbot.domain.ports import KeyStore


class KeysOfPeople:
    """`PersonalData` of keys, over their store."""

    name = "keys"

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def export(self, person: Person) -> AsyncIterator[Row]:
        """See `PersonalData`; never the key, nor its digest."""
        for key in await self._of(person):
            yield {"kind": "key", "id": key.id, "label": key.label, "created_at": key.created_at, **key.rights.fields()}

    async def erase(self, person: Person) -> None:
        """See `PersonalData`: whoever made a key ends it."""

    async def count(self, person: Person) -> int:
        """See `PersonalData`."""
        return len(await self._of(person))

    def keeps(self, person: Person) -> str:
        """See `PersonalData`."""
        return "keys"

    async def oldest(self) -> float | None:
        """See `PersonalData`: a key has an end of its own."""
        return None

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`: as above."""
        return 0

    async def _of(self, person: Person) -> list[KeyRecord]:
        keys = await self._store.listing()
        return [key for key in keys if key.tenant == person.tenant and key.rights.user == person.user]
