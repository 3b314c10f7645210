"""A store of the audit in a place, deeds for it, and hands that spoil it."""

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatbot.adapters.audit.mongo import MongoAudit
from chatbot.adapters.audit.sqlite import SqliteAudit
from chatbot.adapters.mongo_client import open_client
from chatbot.core.audit.audit import Audit, Deed
from chatbot.core.audit.chain import Chain
from chatbot.domain.audit.records import AuditAction, AuditOutcome, AuditStore

from parts.store_place import StorePlace

SECRET = b"s" * 64


def open_audit(place: StorePlace) -> AuditStore:
    """The store of a place."""
    if place.kind == "sqlite":
        return SqliteAudit(Path(place.where).with_suffix(".audit"))
    return MongoAudit(open_client(place.where, place.kind), place.database)  # type: ignore[arg-type]


def auditor(store: AuditStore, *secrets: bytes, now: Callable[[], float] | None = None) -> Audit:
    """An audit whose clock makes a second with each record."""
    ticks = itertools.count(1_795_000_000)
    return Audit(store, Chain(secrets or (SECRET,)), now or (lambda: float(next(ticks))))


async def written(audit: Audit, count: int) -> None:
    """So many records."""
    actions = itertools.cycle(AuditAction)
    for number in range(count):
        deed = Deed(next(actions), "team-a", f"key{number}", f"object{number}", f"r{number}")
        await audit.write(deed, AuditOutcome.DONE)


class Hands:
    """Somebody with the database, and without the secret.

    Args:
        place: Where it is.
        store: The open store of that place.
    """

    def __init__(self, place: StorePlace, store: Any) -> None:
        self._path = Path(place.where).with_suffix(".audit") if place.kind == "sqlite" else None
        self._store = store

    async def change(self, number: int, **values: object) -> None:
        """Other values in a record."""
        if self._path is None:
            await self._store._records.update_one({"_id": number}, {"$set": values})
            return
        sets = ", ".join(f"{name} = ?" for name in values)
        self._run(f"UPDATE records SET {sets} WHERE number = ?", *values.values(), number)  # noqa: S608

    async def remove(self, number: int) -> None:
        """A record less."""
        if self._path is None:
            await self._store._records.delete_one({"_id": number})
        else:
            self._run("DELETE FROM records WHERE number = ?", number)

    async def swap(self, one: int, other: int) -> None:
        """Each has what the other one says, digest included."""
        found = {record.number: record for record in await self._store.read(0, 1000)}
        for number, source in ((one, found[other]), (other, found[one])):
            entry = source.entry
            await self.change(
                number,
                at_ms=entry.at_ms,
                tenant=entry.tenant,
                actor=entry.actor,
                action=str(entry.action),
                object=entry.object,
                outcome=str(entry.outcome),
                request_id=entry.request_id,
                previous=source.previous,
                digest=source.digest,
            )

    async def unmark(self, bound: str, **values: object) -> None:
        """A mark less, or with other values."""
        if self._path is None:
            marks = self._store._marks
            await (marks.update_one({"_id": bound}, {"$set": values}) if values else marks.delete_one({"_id": bound}))
        elif values:
            sets = ", ".join(f"{name} = ?" for name in values)
            self._run(f"UPDATE marks SET {sets} WHERE bound = ?", *values.values(), bound)  # noqa: S608
        else:
            self._run("DELETE FROM marks WHERE bound = ?", bound)

    def _run(self, sql: str, *values: object) -> None:
        assert self._path is not None
        connection = sqlite3.connect(self._path)
        try:
            with connection:
                connection.execute(sql, values)
        finally:
            connection.close()
