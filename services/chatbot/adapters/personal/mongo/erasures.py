"""Tombstones, jobs and receipts in MongoDB: a document a person in `erasures`, named by the keyed hash.

    erasures         {_id: mark, epoch, state, begun_at, done_at, tenant, user, …, lease, lease_until, changed_at}
    erasure_exports  {_id: mark, until}
    erasure_turns    {_id: what, holder, until}
    erasure_secret   {_id: "secret", value}

Plain updates of one document each; times are Unix seconds.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from bson import Binary
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from chatbot.adapters.personal.erasure_row import to_erasure
from chatbot.adapters.personal.mongo.rows import Database
from chatbot.domain.personal.erasure import Erasure, ErasureGone, ErasureState, Tombstone

_ERASING: Final = ErasureState.ERASING.value
_DONE: Final = ErasureState.DONE.value


class MongoErasures:
    """See `ErasureStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._erasures = database["erasures"]
        self._exports = database["erasure_exports"]
        self._turns = database["erasure_turns"]
        self._is_indexed = False

    async def secret(self) -> bytes:
        """See `ErasureStore`."""
        name, collection = {"_id": "secret"}, self._database["erasure_secret"]

        async def make() -> bytes:
            found = await collection.find_one(name)
            if found is None:
                try:
                    await collection.insert_one({**name, "value": Binary(secrets.token_bytes(32))})
                except DuplicateKeyError:
                    pass  # another process was faster
                found = await collection.find_one(name)
            return bytes(found["value"])

        return await self._database.call(make)

    async def begin(self, erasure: Erasure) -> Erasure:
        """See `ErasureStore`."""
        await self._index()
        fresh = {
            **_plain(erasure),
            "state": _ERASING,
            "done_at": None,
            "failures": 0,
            "failing": "",
            "found": {},
            "receipt": None,
            "lease": "",
            "lease_until": 0.0,
            "changed_at": erasure.begun_at,
        }
        del fresh["mark"], fresh["epoch"]

        async def write() -> Any:
            change = {"$set": fresh, "$inc": {"epoch": 1}}
            try:
                found = await self._erasures.find_one_and_update(
                    {"_id": erasure.mark, "state": {"$ne": _ERASING}},
                    change,
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:  # it goes on already, perhaps since a moment ago
                found = None
            return found or await self._erasures.find_one({"_id": erasure.mark})

        return _to_erasure(await self._database.call(write))

    async def find(self, mark: str) -> Erasure | None:
        """See `ErasureStore`."""
        found = await self._database.call(lambda: self._erasures.find_one({"_id": mark}))
        return None if found is None else _to_erasure(found)

    async def changed(self, since: float) -> Sequence[Tombstone]:
        """See `ErasureStore`."""
        await self._index()
        shown = {"epoch": 1, "state": 1, "changed_at": 1}
        cursor = self._erasures.find({"changed_at": {"$gte": since}}, shown)
        found = await self._database.call(lambda: cursor.to_list(None))
        return tuple(Tombstone(one["_id"], one["epoch"], one["state"] == _ERASING, one["changed_at"]) for one in found)

    async def claim(self, now: float, lease_seconds: float) -> Erasure | None:
        """See `ErasureStore`."""
        await self._index()
        free = {"state": _ERASING, "lease_until": {"$lte": now}}
        held = {"$set": {"lease": secrets.token_hex(8), "lease_until": now + lease_seconds}}
        found = await self._database.call(
            lambda: self._erasures.find_one_and_update(
                free, held, sort=[("begun_at", 1)], return_document=ReturnDocument.AFTER
            )
        )
        return None if found is None else _to_erasure(found)

    async def hold(self, erasure: Erasure, until: float) -> None:
        """See `ErasureStore`."""
        told = {"failures": erasure.failures, "failing": erasure.failing, "found": dict(erasure.found)}
        await self._write(erasure, {**told, "lease_until": until})

    async def finish(self, erasure: Erasure) -> None:
        """See `ErasureStore`."""
        kept = {name: list(one) for name, one in erasure.receipt.kept.items()}
        await self._write(
            erasure,
            {
                "state": _DONE,
                "done_at": erasure.done_at,
                "changed_at": erasure.done_at,
                "receipt": {"erased": dict(erasure.receipt.erased), "kept": kept},
                "tenant": "",
                "user": "",
                "failures": 0,
                "failing": "",
                "lease": "",
            },
        )

    async def unfinished(self) -> tuple[int, float]:
        """See `ErasureStore`."""
        going = {"state": _ERASING}
        count = await self._database.call(lambda: self._erasures.count_documents(going))
        cursor = self._erasures.find(going, {"begun_at": 1}).sort("begun_at", 1).limit(1)
        first = await self._database.call(lambda: cursor.to_list(1))
        return int(count), float(first[0]["begun_at"]) if first else 0.0

    async def offer_export(self, mark: str, until: float) -> None:
        """See `ErasureStore`."""
        change = {"$set": {"until": until}}

        async def upsert() -> None:
            try:
                await self._exports.update_one({"_id": mark}, change, upsert=True)
            except DuplicateKeyError:  # somebody else inserted first
                await self._exports.update_one({"_id": mark}, change, upsert=True)

        await self._database.call(upsert)

    async def export_until(self, mark: str) -> float:
        """See `ErasureStore`."""
        found = await self._database.call(lambda: self._exports.find_one({"_id": mark}))
        return 0.0 if found is None else float(found["until"])

    async def take_export(self, mark: str, now: float) -> bool:
        """See `ErasureStore`."""
        wanted = {"_id": mark, "until": {"$gt": now}}
        gone = await self._database.call(lambda: self._exports.delete_one(wanted))
        return bool(gone.deleted_count)

    async def take_turn(self, what: str, holder: str, now: float, seconds: float) -> bool:
        """See `ErasureStore`."""
        free = {"_id": what, "$or": [{"holder": holder}, {"until": {"$lte": now}}]}
        change = {"$set": {"holder": holder, "until": now + seconds}}

        async def take() -> bool:
            try:
                await self._turns.update_one(free, change, upsert=True)
            except DuplicateKeyError:  # another process has it
                return False
            return True

        return await self._database.call(take)

    async def forget(self, before: float) -> None:
        """See `ErasureStore`."""
        done = {"state": _DONE, "done_at": {"$lt": before}}
        await self._database.call(lambda: self._erasures.delete_many(done))
        await self._database.call(lambda: self._exports.delete_many({"until": {"$lt": before}}))

    async def close(self) -> None:
        """See `ErasureStore`."""
        await self._database.close()

    async def _write(self, erasure: Erasure, change: Mapping[str, Any]) -> None:
        held = {"_id": erasure.mark, "epoch": erasure.epoch, "lease": erasure.lease, "state": _ERASING}
        done = await self._database.call(lambda: self._erasures.update_one(held, {"$set": change}))
        if not done.matched_count:
            raise ErasureGone

    async def _index(self) -> None:
        """Once a process; making them again changes nothing."""
        if not self._is_indexed:
            await self._database.call(lambda: self._erasures.create_index("changed_at", name="change"))
            going = [("state", 1), ("lease_until", 1)]
            await self._database.call(lambda: self._erasures.create_index(going, name="unfinished"))
            self._is_indexed = True


def _plain(erasure: Erasure) -> dict[str, Any]:
    fields = asdict(erasure)
    return {name: fields[name] for name in ("mark", "epoch", "begun_at", "tenant", "user", "is_self")}


def _to_erasure(found: Mapping[str, Any]) -> Erasure:
    return to_erasure(found["_id"], found, found["found"], found["receipt"] or {})
