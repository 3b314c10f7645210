"""Use in MongoDB: a document a request in `usage`, a document a group and day in `usage_days`.

    usage:      {_id, at, day, tenant, key, …, batch: text}
    usage_days: {_id, tenant, day, key, …, requests, …, applied: {writer: number of its last batch}}

There are no transactions on every MongoDB, so a batch is three steps, each of which may be repeated: the rows are kept
with their batch's name, the sums grow unless they say that this batch of this writer is in them, and the rows are
marked as counted. Rows of a process that died in between are counted by whoever starts next: `applied` tells which
sums have them already.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Final, Self

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.usage.rows import COUNTS, MOST_GROUPS, OF_DAYS, Ask, Report, Sums, UsageRow

ROWS: Final = "usage"
DAYS: Final = "usage_days"
_DUPLICATE: Final = 11000
_COUNTED: Final = ""
_LEFT_BEHIND_SECONDS: Final = 120.0
"""A row that was not counted so long after it was made belongs to a process that died."""


class MongoUsage:
    """`UsageStore` in MongoDB."""

    def __init__(self, client: Client, database: str, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._rows = client[database][ROWS]
        self._days = client[database][DAYS]
        self._writer = secrets.token_hex(8)
        self._number = 0
        self._last: frozenset[str] = frozenset()
        self._has_indexes = False
        self._now = now

    @classmethod
    def open(cls, uri: str, database: str, driver: Driver) -> Self:
        """Make the store; the first call connects.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database)

    async def add(self, rows: Sequence[UsageRow]) -> None:
        """See `UsageStore`."""
        await self._index()
        ids = frozenset(row.id for row in rows)
        if ids != self._last:  # the same rows once more are the same batch
            self._number, self._last = self._number + 1, ids
        batch = f"{self._writer}.{self._number}"
        await in_time(lambda: self._keep([_to_document(row, batch) for row in rows]))
        await self._count(batch)

    async def report(self, ask: Ask) -> Report:
        """See `UsageStore`."""
        wanted: dict[str, str | None] = {"key": ask.key, "user": ask.user}
        match: dict[str, Any] = {"tenant": ask.tenant, "day": {"$gte": str(ask.first), "$lte": str(ask.last)}}
        match |= {name: value for name, value in wanted.items() if value is not None}
        steps: list[dict[str, Any]] = [
            {"$match": match},
            {
                "$group": {
                    "_id": {str(group): f"${group}" for group in ask.by},
                    **{name: {"$sum": f"${name}"} for name in COUNTS},
                }
            },
            {"$sort": {"_id": 1}},
            {"$limit": MOST_GROUPS + 1},
        ]
        where = ROWS if ask.needs_rows else DAYS
        # A bare command: the one form of `aggregate` that both drivers have alike.
        command = {"aggregate": where, "pipeline": steps, "cursor": {"batchSize": MOST_GROUPS + 1}}
        found = (await in_time(lambda: self._rows.database.command(command)))["cursor"]["firstBatch"]
        lines = [
            ({group: str(one["_id"][group]) for group in ask.by}, Sums(*(int(one[name]) for name in COUNTS)))
            for one in found
        ]
        return sorted(lines, key=lambda line: tuple(line[0].values()))

    async def expire(self, rows_before: date, days_before: date) -> None:
        """See `UsageStore`; rows that were left behind are counted first."""
        await self._index()
        for batch in await in_time(self._left_behind):
            await self._count(batch)
        await in_time(lambda: self._rows.delete_many({"day": {"$lt": str(rows_before)}}))
        await in_time(lambda: self._days.delete_many({"day": {"$lt": str(days_before)}}))

    async def close(self) -> None:
        """See `UsageStore`."""
        await close_client(self._client)

    async def _index(self) -> None:
        if self._has_indexes:
            return
        for collection in (self._rows, self._days):
            await in_time(lambda collection=collection: collection.create_index([("tenant", 1), ("day", 1)]))  # type: ignore[misc]
        await in_time(lambda: self._rows.create_index([("batch", 1)]))
        self._has_indexes = True

    async def _keep(self, documents: list[dict[str, Any]]) -> None:
        try:
            await self._rows.insert_many(documents, ordered=False)
        except BulkWriteError as exc:
            _refuse_others(exc)

    async def _count(self, batch: str) -> None:
        """Add a batch to the sums of its days, unless they have it, and say so of its rows."""
        found = await in_time(lambda: self._rows.find({"batch": batch}).to_list(None))
        if not found:
            return
        writer, _, number = batch.partition(".")
        updates = [
            (
                {"_id": _id_of(group), f"applied.{writer}": {"$ne": int(number)}},
                {"$inc": asdict(sums), "$set": {f"applied.{writer}": int(number)}, "$setOnInsert": dict(group)},
            )
            for group, sums in _by_day(found)
        ]

        async def add() -> None:
            try:
                await self._days.bulk_write([UpdateOne(*update, upsert=True) for update in updates], ordered=False)
            except BulkWriteError as exc:
                _refuse_others(exc)
                # Either they have this batch, or another writer made one of them a moment ago: now all are there.
                await self._days.bulk_write([UpdateOne(*update) for update in updates], ordered=False)

        await in_time(add)
        await self._mark(batch)

    async def _mark(self, batch: str) -> None:
        await in_time(lambda: self._rows.update_many({"batch": batch}, {"$set": {"batch": _COUNTED}}))

    async def _left_behind(self) -> list[str]:
        before = self._now() - _LEFT_BEHIND_SECONDS
        batches = await self._rows.distinct("batch", {"batch": {"$gt": _COUNTED}, "at": {"$lt": before}})
        return sorted(batch for batch in batches if not batch.startswith(self._writer))


def _refuse_others(exc: BulkWriteError) -> None:
    """Let duplicates pass, and nothing else."""
    errors = (exc.details or {}).get("writeErrors", [])
    if not errors or any(error.get("code") != _DUPLICATE for error in errors):
        raise exc


def _to_document(row: UsageRow, batch: str) -> dict[str, Any]:
    document = asdict(row) | asdict(Sums.of(row))
    document |= {"_id": row.id, "day": row.day, "outcome": str(row.outcome), "tools": list(row.tools), "batch": batch}
    del document["id"]
    return document


def _by_day(documents: Iterable[Mapping[str, Any]]) -> Iterable[tuple[tuple[tuple[str, str], ...], Sums]]:
    sums: dict[tuple[tuple[str, str], ...], Sums] = {}
    for one in documents:
        group = tuple((name, str(one[name])) for name in ("tenant", *map(str, OF_DAYS)))
        sums[group] = sums.get(group, Sums()) + Sums(*(int(one[name]) for name in COUNTS))
    return sums.items()


def _id_of(group: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(json.dumps(group).encode()).hexdigest()
