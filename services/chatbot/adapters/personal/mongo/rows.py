"""Documents of a person in collections of one database, by a description of those."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.personal.stores import Overdue, Person, Row

Filter = dict[str, Any]
T = TypeVar("T")
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with documents of people.

    Attributes:
        kind: What a document is, in exports.
        name: Of the collection.
        mine: What this person's documents match.
        show: A document as rows of plain JSON.
        page: Documents that are in memory at once.
        at: Field with the time of its last change; "": nobody wrote that down.
        is_number: Whether that is Unix seconds, not a date.
        tenant: Field with the tenant.
        may_expire: Whether rows go by that time alone.
        only: What rows that expire match besides.
    """

    kind: str
    name: str
    mine: Callable[[Person], Filter]
    show: Callable[[Mapping[str, Any]], Sequence[Row]]
    page: int = 100
    at: str = ""
    is_number: bool = False
    tenant: str = "tenant"
    may_expire: bool = False
    only: Filter = field(default_factory=dict)


class Database:
    """One database, on connections of its own.

    Args:
        uri: Connection string, with its password.

    Raises:
        ValueError: `uri` is not a connection string; the message does not repeat it.
    """

    def __init__(self, uri: str, name: str, driver: Driver) -> None:
        self._client: Client = open_client(uri, driver)
        self._name = name

    def __getitem__(self, collection: str) -> Any:
        """A collection."""
        return self._client[self._name][collection]

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """The result of one call.

        Raises:
            StoreUnavailable: It failed or took too long.
        """
        return await in_time(operation)

    async def close(self) -> None:
        """Give back the connections."""
        await close_client(self._client)


class MongoPersonal:
    """`PersonalData` in collections; the documents of the first are counted.

    Args:
        kept: Why rows stay, for whom some do.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        collections: Sequence[Collection],
        kept: Callable[[Person], str] = lambda _: "",
    ) -> None:
        self._database = database
        self._name = name
        self._collections = collections
        self._kept = kept
        self._is_indexed = False

    @property
    def name(self) -> str:
        """See `PersonalData`."""
        return self._name

    async def export(self, person: Person) -> AsyncIterator[Row]:
        """See `PersonalData`; names first, so that few documents are in memory at a time."""
        for one in self._collections:
            ids = await self._ids(one, one.mine(person))
            for begin in range(0, len(ids), one.page):
                wanted = ids[begin : begin + one.page]
                found = await self._found(one, {"_id": {"$in": wanted}})
                by_id = {repr(document["_id"]): document for document in found}
                for document in (by_id[repr(name)] for name in wanted if repr(name) in by_id):
                    for row in one.show(document):
                        yield {"kind": one.kind, **row}

    async def erase(self, person: Person) -> None:
        """See `PersonalData`."""
        if self._kept(person):
            return
        for one in reversed(self._collections):
            await self._remove(one, person)

    async def count(self, person: Person) -> int:
        """See `PersonalData`."""
        return await self._count(self._collections[0], person)

    def keeps(self, person: Person) -> str:
        """See `PersonalData`."""
        return self._kept(person)

    async def oldest(self) -> float | None:
        """See `PersonalData`."""
        first = self._collections[0]
        if not first.at:
            return None
        await self._index()
        cursor = (
            self._database[first.name].find({first.at: {"$exists": True}}, {first.at: 1}).sort(first.at, 1).limit(1)
        )
        found = await self._database.call(lambda: cursor.to_list(1))
        return _seconds(found[0][first.at]) if found else None

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`."""
        first = self._collections[0]
        if not first.may_expire:
            return 0
        ids = [document["_id"] for document in await self._old(first, overdue)]
        if not ids:
            return 0
        gone = {"_id": {"$in": ids}, first.at: _before(first, overdue)}  # unless it was changed just now
        done = await self._database.call(lambda: self._database[first.name].delete_many(gone))
        return int(done.deleted_count)

    async def close(self) -> None:
        """Give back the connections of the database; of several stores on it the first one does."""
        await self._database.close()

    async def _remove(self, one: Collection, person: Person) -> None:
        """In steps that a server makes within the time of a call."""
        while ids := (await self._ids(one, one.mine(person), _AT_ONCE)):
            await self._database.call(lambda ids=ids: self._database[one.name].delete_many({"_id": {"$in": ids}}))  # type: ignore[misc]

    async def _count(self, one: Collection, person: Person) -> int:
        mine = one.mine(person)
        return int(await self._database.call(lambda: self._database[one.name].count_documents(mine)))

    async def _ids(self, one: Collection, mine: Filter, most: int = 0) -> list[Any]:
        cursor = self._database[one.name].find(mine, {"_id": 1}).limit(most)
        return [document["_id"] for document in await self._database.call(lambda: cursor.to_list(None))]

    async def _found(self, one: Collection, mine: Filter) -> list[dict[str, Any]]:
        return list(await self._database.call(lambda: self._database[one.name].find(mine).to_list(None)))

    async def _old(self, one: Collection, overdue: Overdue) -> list[dict[str, Any]]:
        """Rows that were kept long enough, the oldest first, without what is large in them."""
        await self._index()
        old = {**of_tenants(overdue, one.tenant), **one.only, one.at: _before(one, overdue)}
        shown = {"owner": 1, "kind": 1, "id": 1}
        cursor = self._database[one.name].find(old, shown).sort(one.at, 1).limit(overdue.most)
        return list(await self._database.call(lambda: cursor.to_list(None)))

    async def _index(self) -> None:
        """For the oldest, once a process; making it again changes nothing."""
        first = self._collections[0]
        if not self._is_indexed:
            await self._database.call(lambda: self._database[first.name].create_index(first.at, name="age"))
            self._is_indexed = True


def of_tenants(overdue: Overdue, field: str) -> Filter:
    """Of which tenants, as a filter."""
    if overdue.tenant is not None:
        return {field: overdue.tenant}
    return {field: {"$nin": sorted(overdue.except_tenants)}} if overdue.except_tenants else {}


def _before(one: Collection, overdue: Overdue) -> Filter:
    return {"$lt": overdue.before if one.is_number else datetime.fromtimestamp(overdue.before, UTC)}


def _seconds(at: Any) -> float:
    return float(at.replace(tzinfo=UTC).timestamp()) if isinstance(at, datetime) else float(at)
