"""The audit in MongoDB: a document a record in `audit`, the ends of the chain in `audit_marks`. See `AuditStore`.

    audit:       {_id: number, at_ms, tenant, actor, action, object, outcome, request_id, previous, digest}
    audit_marks: {_id: first or last, number, digest, seal}

The number is the name: of two that add at once, the server takes one, and the other one links anew behind it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from pymongo.errors import DuplicateKeyError

from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.audit.records import AuditEntry, AuditMark, AuditRecord, Bound
from chatbot.domain.errors import StoreUnavailable

RECORDS: Final = "audit"
MARKS: Final = "audit_marks"
_TRIES: Final = 100
_PAUSE_SECONDS: Final = 0.02


class MongoAudit:
    """`AuditStore` in MongoDB."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._records = client[database][RECORDS]
        self._marks = client[database][MARKS]

    @classmethod
    def open(cls, uri: str, database: str, driver: Driver) -> Self:
        """Make the store; the first call connects.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database)

    async def append(self, link: Callable[[AuditRecord | None], AuditRecord]) -> AuditRecord:
        """See `AuditStore`."""
        for _ in range(_TRIES):
            record = link(await self.last())
            if await in_time(lambda record=record: self._added(record)):  # type: ignore[misc]
                return record
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - no secret
        raise StoreUnavailable("MongoDB: too many write to the audit at once: try again")

    async def read(self, after: int, limit: int) -> Sequence[AuditRecord]:
        """See `AuditStore`."""
        cursor = self._records.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit)
        return tuple(map(_record, await in_time(lambda: cursor.to_list(None))))

    async def last(self) -> AuditRecord | None:
        """See `AuditStore`."""
        cursor = self._records.find().sort("_id", -1).limit(1)
        found = await in_time(lambda: cursor.to_list(None))
        return _record(found[0]) if found else None

    async def mark(self, mark: AuditMark) -> None:
        """See `AuditStore`."""
        values = {"number": mark.number, "digest": mark.digest, "seal": mark.seal}
        behind = {"_id": str(mark.bound), "number": {"$lt": mark.number}}

        async def put() -> None:
            try:
                await self._marks.update_one(behind, {"$set": values}, upsert=True)
            except DuplicateKeyError:  # one further on is kept, or was made this moment
                await self._marks.update_one(behind, {"$set": values})

        await in_time(put)

    async def marks(self) -> Sequence[AuditMark]:
        """See `AuditStore`."""
        found = await in_time(lambda: self._marks.find().to_list(None))
        return tuple(AuditMark(Bound(one["_id"]), one["number"], one["digest"], one["seal"]) for one in found)

    async def remove_before(self, number: int, limit: int) -> int:
        """See `AuditStore`."""
        cursor = self._records.find({"_id": {"$lt": number}}, {"_id": 1}).sort("_id", 1).limit(limit)
        old = [one["_id"] for one in await in_time(lambda: cursor.to_list(None))]
        if not old:
            return 0
        return int((await in_time(lambda: self._records.delete_many({"_id": {"$in": old}}))).deleted_count)

    async def close(self) -> None:
        """See `AuditStore`."""
        await close_client(self._client)

    async def _added(self, record: AuditRecord) -> bool:
        try:
            await self._records.insert_one(_document(record))
        except DuplicateKeyError:
            return False
        return True


def _document(record: AuditRecord) -> dict[str, Any]:
    entry = record.entry
    return {
        "_id": record.number,
        "at_ms": entry.at_ms,
        "tenant": entry.tenant,
        "actor": entry.actor,
        "action": str(entry.action),
        "object": entry.object,
        "outcome": str(entry.outcome),
        "request_id": entry.request_id,
        "previous": record.previous,
        "digest": record.digest,
    }


def _record(row: dict[str, Any]) -> AuditRecord:
    """Whatever is there: a record that somebody spoilt must be told, not hide the others."""
    at_ms, tenant, actor, action, thing, outcome, request_id, previous, digest = (
        row.get(name, "")
        for name in ("at_ms", "tenant", "actor", "action", "object", "outcome", "request_id", "previous", "digest")
    )
    entry = AuditEntry(at_ms, tenant, actor, action, thing, outcome, request_id)
    return AuditRecord(row["_id"], entry, previous, digest)
