"""Characters in MongoDB: a document a character, with the revisions that are kept. See `CharacterStore`.

    {_id: {tenant, name}, display_name, revision, updated_at, revisions: [{revision, card: text}]}

The document's limit of 16 MiB holds `KEPT_REVISIONS` cards of the largest size; a card is text, because names of its
fields may be what MongoDB's may not. The bound of a tenant's characters is checked before the insert: two that race may
pass it by as many as there are writers at once, and MongoDB without transactions offers no more.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.characters import KEPT_REVISIONS, CharacterSummary, KeptCharacter
from chatbot.domain.errors import CharacterQuota, CharactersUnavailable, StoreUnavailable

COLLECTION: Final = "characters"
T = TypeVar("T")


class MongoCharacters:
    """`CharacterStore` in MongoDB."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._characters = client[database][COLLECTION]
        self._is_indexed = False

    @classmethod
    def open(cls, uri: str, database: str, driver: Driver) -> Self:
        """Make the store; the first call connects.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database)

    async def put(self, tenant: str, character: KeptCharacter, display_name: str, *, most: int) -> None:
        """See `CharacterStore`."""
        key = {"tenant": tenant, "name": character.name}
        card = json.dumps(character.card, ensure_ascii=False, separators=(",", ":"))
        kept = {"revision": character.revision, "card": card}
        values = {"display_name": display_name, "revision": character.revision, "updated_at": character.updated_at}

        async def write() -> bool:
            if await self._replace(key, values, kept):
                return True
            if await self._characters.count_documents({"_id.tenant": tenant}) >= most:
                return False
            try:
                await self._characters.insert_one({"_id": key, **values, "revisions": [kept]})
            except DuplicateKeyError:  # somebody else was faster
                return await self._replace(key, values, kept)
            return True

        if not await self._call(write):
            raise CharacterQuota

    async def find(self, tenant: str, name: str, revision: str | None = None) -> KeptCharacter | None:
        """See `CharacterStore`."""
        # The newest revision is always the last one.
        shown: dict[str, Any] = {"$elemMatch": {"revision": revision}} if revision else {"$slice": -1}
        wanted = {"_id": {"tenant": tenant, "name": name}}
        document = await self._call(lambda: self._characters.find_one(wanted, {"updated_at": 1, "revisions": shown}))
        if document is None or not document.get("revisions"):
            return None
        kept = document["revisions"][0]
        return KeptCharacter(name, kept["revision"], json.loads(kept["card"]), _to_time(document["updated_at"]))

    async def listing(self, tenant: str, *, limit: int, after: str = "") -> tuple[CharacterSummary, ...]:
        """See `CharacterStore`."""
        mine = {"_id.tenant": tenant, "_id.name": {"$gt": after}}
        cursor = self._characters.find(mine, {"revisions": 0}).sort([("_id.name", ASCENDING)]).limit(limit)
        return tuple(_to_summary(document) for document in await self._call(lambda: cursor.to_list(limit)))

    async def erase(self, tenant: str, name: str) -> None:
        """See `CharacterStore`."""
        await self._call(lambda: self._characters.delete_one({"_id": {"tenant": tenant, "name": name}}))

    async def close(self) -> None:
        """See `CharacterStore`."""
        await close_client(self._client)

    async def _replace(self, key: Mapping[str, str], values: Mapping[str, Any], kept: Mapping[str, str]) -> bool:
        """Put a revision behind the others of a character that is there; whether there is one.

        The same revision is taken out first: in two steps, because one update may name an array once. A reader in
        between finds the revision before.
        """
        same = {"_id": key, "revision": {"$ne": kept["revision"]}}
        await self._characters.update_one(same, {"$pull": {"revisions": {"revision": kept["revision"]}}})
        done = await self._characters.update_one(
            {"_id": key, "revisions.revision": {"$ne": kept["revision"]}},
            {"$set": values, "$push": {"revisions": {"$each": [kept], "$slice": -KEPT_REVISIONS}}},
        )
        if done.matched_count:
            return True
        # The newest is the same already: its card may say more that nobody reads.
        changed = {**values, "revisions.$.card": kept["card"]}
        done = await self._characters.update_one(
            {"_id": key, "revisions.revision": kept["revision"]}, {"$set": changed}
        )
        return done.matched_count == 1

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        async def prepared() -> T:
            if not self._is_indexed:
                owner = [("_id.tenant", ASCENDING), ("_id.name", ASCENDING)]
                await self._characters.create_index(owner, name="owner")
                self._is_indexed = True
            return await operation()

        try:
            return await in_time(prepared)
        except StoreUnavailable as exc:
            raise CharactersUnavailable(str(exc)) from None


def _to_summary(document: Mapping[str, Any]) -> CharacterSummary:
    name = document["_id"]["name"]
    return CharacterSummary(name, document["display_name"], document["revision"], _to_time(document["updated_at"]))


def _to_time(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)
