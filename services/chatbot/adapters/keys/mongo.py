"""Keys in MongoDB: a document a key in `keys`, and one number in `key_set` that rises after every change.

    {_id, tenant, digest, pepper, label, rights: {…}, created_at, not_before, expires_at, is_disabled, last_used_at,
     replaced_by}

The number rises after the document changed, never before: who sees it rise reads what made it rise. Where a process
dies in between, replicas notice at their regular reading.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.access import KeyRecord, Rights
from chatbot.domain.limits import Limits

COLLECTION = "keys"
VERSIONS = "key_set"
_LOG = logging.getLogger(__name__)
_CHUNK = 500
_CHANGING = ("expires_at", "is_disabled", "replaced_by")
T = TypeVar("T")


class MongoKeys:
    """`KeyStore` in MongoDB."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._keys = client[database][COLLECTION]
        self._versions = client[database][VERSIONS]

    @classmethod
    def open(cls, uri: str, database: str, driver: Driver) -> Self:
        """Make the store; the first call connects.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database)

    async def version(self) -> int:
        """See `KeyStore`."""
        document = await in_time(lambda: self._versions.find_one({"_id": COLLECTION}))
        return 0 if document is None else int(document["version"])

    async def find(self, key_ids: Collection[str]) -> Mapping[str, KeyRecord]:
        """See `KeyStore`."""
        found = await in_time(lambda: self._keys.find({"_id": {"$in": list(key_ids)}}).to_list(None))
        return {record.id: record for record in _to_records(found)}

    async def listing(self) -> tuple[KeyRecord, ...]:
        """See `KeyStore`."""
        cursor = self._keys.find().sort([("tenant", 1), ("created_at", 1), ("_id", 1)])
        return tuple(_to_records(await in_time(lambda: cursor.to_list(None))))

    async def add(self, record: KeyRecord) -> None:
        """See `KeyStore`."""

        async def insert() -> None:
            try:
                await self._keys.insert_one(_to_document(record))
            except DuplicateKeyError:
                raise KeyError(record.id) from None
            await self._raise_version()

        await in_time(insert)

    async def change(self, record: KeyRecord) -> None:
        """See `KeyStore`."""
        document = _to_document(record)
        await self._set(record.id, {name: document[name] for name in _CHANGING})

    async def limit(self, key_id: str, limits: Limits) -> None:
        """See `KeyStore`."""
        await self._set(key_id, {"rights.limits": limits.fields()})

    async def mark_used(self, at: Mapping[str, float]) -> None:
        """See `KeyStore`."""
        await self._write(
            [UpdateOne({"_id": key_id}, {"$max": {"last_used_at": seconds}}) for key_id, seconds in at.items()]
        )

    async def rewrite(self, digests: Mapping[str, tuple[str, bytes]]) -> None:
        """See `KeyStore`."""
        await self._write(
            [
                UpdateOne({"_id": key_id}, {"$set": {"pepper": pepper, "digest": digest}})
                for key_id, (pepper, digest) in digests.items()
            ]
        )

    async def close(self) -> None:
        """See `KeyStore`."""
        await close_client(self._client)

    async def _set(self, key_id: str, values: Mapping[str, Any]) -> None:
        async def update() -> None:
            done = await self._keys.update_one({"_id": key_id}, {"$set": values})
            if not done.matched_count:
                raise KeyError(key_id)
            await self._raise_version()

        await in_time(update)

    async def _write(self, updates: list[UpdateOne]) -> None:
        for first in range(0, len(updates), _CHUNK):
            part = updates[first : first + _CHUNK]
            await in_time(lambda part=part: self._keys.bulk_write(part, ordered=False))  # type: ignore[misc]

    async def _raise_version(self) -> None:
        change = {"$inc": {"version": 1}}
        try:
            await self._versions.update_one({"_id": COLLECTION}, change, upsert=True)
        except DuplicateKeyError:  # somebody else inserted first
            await self._versions.update_one({"_id": COLLECTION}, change)


def _to_document(record: KeyRecord) -> dict[str, Any]:
    return {
        "_id": record.id,
        "tenant": record.tenant,
        "digest": record.digest,
        "pepper": record.pepper,
        "label": record.label,
        "rights": record.rights.fields(),
        "created_at": record.created_at,
        "not_before": record.not_before,
        "expires_at": record.expires_at,
        "is_disabled": record.is_disabled,
        "last_used_at": record.last_used_at,
        "replaced_by": record.replaced_by,
    }


def _to_records(documents: Iterable[Mapping[str, Any]]) -> Iterator[KeyRecord]:
    """One document that somebody spoilt by hand must not lock the others out."""
    for document in documents:
        try:
            yield _to_record(document)
        except (KeyError, TypeError, ValueError) as exc:
            _LOG.error("a document in the collection %s is no key: %s", COLLECTION, type(exc).__name__)


def _to_record(document: Mapping[str, Any]) -> KeyRecord:
    return KeyRecord(
        id=document["_id"],
        tenant=document["tenant"],
        digest=bytes(document["digest"]),
        pepper=document["pepper"],
        label=document["label"],
        rights=Rights.of(document["rights"]),
        created_at=document["created_at"],
        not_before=document["not_before"],
        expires_at=document["expires_at"],
        is_disabled=document["is_disabled"],
        last_used_at=document["last_used_at"],
        replaced_by=document["replaced_by"],
    )
