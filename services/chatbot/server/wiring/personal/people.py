"""The one list of stores that keep anything about people, and what works on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.audit.audit import Audit
from chatbot.core.audit.kept import AuditOfPeople
from chatbot.core.personal.desk import PersonalDesk
from chatbot.core.personal.eraser import Eraser
from chatbot.core.personal.keys import KeysOfPeople
from chatbot.core.personal.tombstones import Tombstones
from chatbot.domain.document_store import DocumentStore
from chatbot.domain.personal.erasure import ErasureStore
from chatbot.domain.personal.stores import PersonalData
from chatbot.domain.tenants.reading import SERVICES
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.stores import history_redis_url, mongo_uri, open_accounts
from chatbot.server.wiring.usage import usage_file

_FILE = "chatbot-erasures.sqlite3"


@runtime_checkable
class Closing(Protocol):
    """A store with connections or files of its own."""

    async def close(self) -> None:
        """Give them back. Idempotent."""


@dataclass(frozen=True, slots=True)
class People:
    """What is done for people.

    Attributes:
        stores: All that keep anything about them.
        closing: Gives back connections and files.
    """

    eraser: Eraser
    desk: PersonalDesk
    stores: Sequence[PersonalData]
    closing: Sequence[Callable[[], Awaitable[None]]]

    async def run(self) -> None:
        """Go on with erasures, until cancelled."""
        await self.eraser.run()

    async def close(self) -> None:
        """Give back connections and files."""
        await asyncio.gather(*(close() for close in self.closing))


def open_tombstones(settings: Settings) -> Tombstones:
    """Who was erased; the store connects when it is first used.

    Raises:
        ValueError: The file with the connection string is missing or holds none.
    """
    return Tombstones(_open_erasures(settings), time.time)


def open_people(
    settings: Settings,
    tombstones: Tombstones,
    documents: DocumentStore | None,
    keys: KeyCheck,
    meters: Meters,
    audit: Audit,
) -> People:
    """What is done for people, over all stores of the process.

    Raises:
        ValueError: As `open_tombstones`.
    """
    stores = (*_stores(settings, documents, keys), AuditOfPeople(audit))
    eraser = Eraser(stores, tombstones, keys.pseudonyms, meters)
    meters.watch_erasures(lambda: eraser.waiting[1])
    closing = [store.close for store in stores if isinstance(store, Closing)]
    return People(eraser, PersonalDesk(eraser), stores, (tombstones.store.close, audit.store.close, *closing))


def _stores(settings: Settings, documents: DocumentStore | None, keys: KeyCheck) -> Sequence[PersonalData]:
    """The list. A store that is made and missing here is found by a contract test."""
    found: list[PersonalData] = []
    if settings.history.store == "redis":
        found.append(_conversations_in_redis(settings))
    if settings.records_store == "mongodb" or settings.documents.has_rows_in_mongodb:
        found += _in_mongo(settings, documents)
    if "sqlite" in (settings.records_store, settings.documents.store):
        found += _in_files(settings, documents)
    if settings.limits.redis_url_file is not None:
        found += _in_redis(settings)
    if keys.stored is not None:
        found.append(KeysOfPeople(keys.stored.store))
    return found


def _in_files(settings: Settings, documents: DocumentStore | None) -> Sequence[PersonalData]:
    from chatbot.adapters.personal.sqlite import stores

    found: list[PersonalData] = []
    if settings.history.store == "sqlite":
        found.append(stores.conversations(settings.history.sqlite_path))
    if settings.records_store == "sqlite":
        found.append(stores.use(usage_file(settings)))
        if settings.limits.redis_url_file is None:
            found.append(stores.accounts(settings.limits.sqlite_path))
    if settings.documents.store == "sqlite" and documents is not None:
        path = settings.documents.sqlite_path
        found += [stores.documents(path, documents), stores.files(path.with_name("files.sqlite3"))]
    return found


def _in_mongo(settings: Settings, documents: DocumentStore | None) -> Sequence[PersonalData]:
    from chatbot.adapters.documents.mongo.store import MongoDocuments
    from chatbot.adapters.personal.mongo import stores
    from chatbot.adapters.personal.mongo.rows import Database

    database = Database(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver)
    found: list[PersonalData] = []
    if settings.history.store == "mongodb":
        found.append(stores.conversations(database, SERVICES))
    if settings.records_store == "mongodb":
        found.append(stores.use(database))
        if settings.limits.redis_url_file is None:
            found.append(stores.accounts(database))
    if isinstance(documents, MongoDocuments):
        found += [stores.MongoDocumentsOfPeople(database, documents), stores.files(database)]
    return found


def _in_redis(settings: Settings) -> Sequence[PersonalData]:
    from chatbot.adapters.limits.redis import RedisAccounts
    from chatbot.adapters.personal.redis_accounts import RedisAccountsOfPeople

    accounts = open_accounts(settings)
    return [RedisAccountsOfPeople(accounts)] if isinstance(accounts, RedisAccounts) else []


def _conversations_in_redis(settings: Settings) -> PersonalData:
    from chatbot.adapters.personal.redis_conversations import RedisConversationsOfPeople

    return RedisConversationsOfPeople(history_redis_url(settings), SERVICES)


def _open_erasures(settings: Settings) -> ErasureStore:
    if settings.records_store == "sqlite":
        from chatbot.adapters.personal.sqlite.erasures import SqliteErasures

        return SqliteErasures(settings.history.sqlite_path.with_name(_FILE))
    from chatbot.adapters.personal.mongo.erasures import MongoErasures
    from chatbot.adapters.personal.mongo.rows import Database

    return MongoErasures(Database(mongo_uri(settings), settings.mongodb.database, settings.mongodb.driver))
