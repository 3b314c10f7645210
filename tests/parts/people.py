"""Everything that is kept about people, at one place: the stores, how they fill, and who reads and removes it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chatbot.adapters.limits.mongo import MongoAccounts
from chatbot.adapters.limits.sqlite import SqliteAccounts
from chatbot.adapters.personal.mongo import stores as mongo
from chatbot.adapters.personal.mongo.erasures import MongoErasures
from chatbot.adapters.personal.mongo.rows import Database
from chatbot.adapters.personal.sqlite import stores as sqlite
from chatbot.adapters.personal.sqlite.erasures import SqliteErasures
from chatbot.adapters.shelves.mongo import MongoShelves
from chatbot.adapters.shelves.sqlite import SqliteShelves
from chatbot.core.personal.eraser import ErasePolicy, Eraser
from chatbot.core.personal.tombstones import Tombstones
from chatbot.domain.chat import ConversationKey, Turn
from chatbot.domain.document_store import DocumentStore
from chatbot.domain.documents import Upload
from chatbot.domain.limits import AccountStore, user_accounts
from chatbot.domain.memory.standing import Note
from chatbot.domain.memory.summary import Summary
from chatbot.domain.personal.erasure import ErasureStore
from chatbot.domain.personal.stores import Person, PersonalData, Row
from chatbot.domain.ports import ConversationStore
from chatbot.domain.shelves.shelf_store import RowKind, ShelfRow, ShelfStore
from chatbot.domain.usage.rows import UsageStore

from parts.document_place import completed, open_documents
from parts.store_place import StorePlace
from parts.usage_rows import open_usage, row

SERVICES = ("office", "character")


QUICK = ErasePolicy(poll_seconds=0.02, settle_seconds=0.2, lease_seconds=2.0)
"""Everything that takes seconds in a cluster."""


class Told:
    """Counts erasures."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def erasure_ended(self, outcome: str) -> None:
        self.outcomes.append(outcome)


def pseudonym(user: str) -> str:
    """What stands for a user in these tests: his name is no part of it."""
    return f"u_{sum(user.encode()):026d}"


def person(user: str, *, is_self: bool = False, tenant: str = "team-a") -> Person:
    """A user of a tenant."""
    return Person(tenant, user, (pseudonym(user),), is_self)


@dataclass
class People:
    """The stores of a place, and what they are to people."""

    place: StorePlace
    conversations: ConversationStore
    documents: DocumentStore
    shelves: ShelfStore
    usage: UsageStore
    accounts: AccountStore
    erasures: ErasureStore
    stores: Sequence[PersonalData]
    database: Database | None = None

    async def close(self) -> None:
        """Give all of them back."""
        ours = (self.conversations, self.documents, self.shelves, self.usage, self.accounts, self.erasures)
        theirs = () if self.database is not None else self.stores
        await asyncio.gather(*(one.close() for one in (*ours, *theirs)))  # type: ignore[attr-defined]

    async def fill(self, who: Person, canary: str, turns: int = 2) -> None:
        """Keep something of a person in each store; every text holds the canary."""
        owner = who.caller()
        for service in SERVICES:
            key = ConversationKey(service, owner, f"{canary}-{service}")
            for number in range(turns):
                asked = Turn(f"t{number}", f"{canary} asks {number}", f"{canary} is told", datetime.now(UTC))
                await self.conversations.append(key, asked, epoch=0)
            await self.conversations.remember(key, note=Note(f"{canary} notes", 2), pins=[f"{canary} pins"])
            read = await self.conversations.load(key)
            first = read.turns[0]
            summary = Summary(f"{canary} summed up", first.turn_id, first.turn_id, first.at, 1, "toy@0", first.at)
            assert await self.conversations.summarise(read, summary)
        upload = Upload(f"{canary}.txt", f"{canary} wrote".encode(), "default", {"title": canary})
        await completed(self.documents, owner, upload, [f"{canary} passage {number}" for number in range(3)])
        thing = ShelfRow(RowKind.FILE, f"file-{canary}", 1, {"name": canary, "bytes": len(canary), "is_whole": True})
        await self.shelves.put(owner, thing)
        await self.shelves.keep(owner, thing.row_id, canary.encode())
        await self.usage.add(
            [row(f"r{sum(canary.encode())}", tenant=who.tenant, user=who.pseudonyms[0], at=time.time())]
        )
        for account in user_accounts(who.tenant, who.user, who.pseudonyms)[:2]:
            await self.accounts.update(account, lambda _: ({"rates": {}}, None))

    async def counts(self, who: Person) -> dict[str, int]:
        """What there is of a person, by store."""
        return {store.name: await store.count(who) for store in self.stores}

    async def rows(self, who: Person, name: str) -> list[Row]:
        """What one store hands out."""
        store = next(store for store in self.stores if store.name == name)
        return [row async for row in store.export(who)]


def eraser_of(
    people: People, policy: ErasePolicy = QUICK, stores: Sequence[PersonalData] | None = None, told: Told | None = None
) -> Eraser:
    """One process's worker."""

    def pseudonyms(_tenant: str, user: str) -> tuple[str, ...]:
        return (pseudonym(user),)

    tombstones = Tombstones(people.erasures, time.time)
    return Eraser(stores or people.stores, tombstones, pseudonyms, told or Told(), policy)


def open_people(place: StorePlace) -> People:
    """All stores of a place."""
    conversations, documents, usage = place.open(), open_documents(place), open_usage(place)
    if place.kind == "sqlite":
        path = Path(place.where)
        files, limits = path.with_suffix(".files"), path.with_suffix(".limits")
        history, kept = path.with_suffix(".history"), path.with_suffix(".usage")
        stores: tuple[PersonalData, ...] = (
            sqlite.conversations(history),
            sqlite.documents(path, documents),
            sqlite.files(files),
            sqlite.use(kept),
            sqlite.accounts(limits),
        )
        chats = StorePlace("sqlite", str(history)).open()
        erasures = SqliteErasures(path.with_suffix(".erasures"))
        return People(place, chats, documents, SqliteShelves(files), usage, SqliteAccounts(limits), erasures, stores)
    database = Database(place.where, place.database, place.kind)  # type: ignore[arg-type]
    shelves = MongoShelves.open(place.where, place.database, place.kind)  # type: ignore[arg-type]
    accounts = MongoAccounts.open(place.where, place.database, place.kind)  # type: ignore[arg-type]
    stores = (
        mongo.conversations(database, SERVICES),
        mongo.MongoDocumentsOfPeople(database, documents),
        mongo.files(database),
        mongo.use(database),
        mongo.accounts(database),
    )
    erasing = MongoErasures(database)
    return People(place, conversations, documents, shelves, usage, accounts, erasing, stores, database)
