"""`ShelfStore` in MongoDB: a row each in `shelves`, the bytes of files in parts in `shelf_files`.

    shelves      {_id: owner/kind/id, owner, tenant, kind, id, created_at, order, fields: JSON}
    shelf_files  {_id: owner/file/part, of, content}

The owner is a part of each name. Fields are one text: a key of MongoDB has no dots, and nothing in them is asked for.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from bson import Binary, ObjectId
from pymongo.errors import DuplicateKeyError

from chatbot.adapters.mongo_client import Client, Driver, close_client, in_time, open_client
from chatbot.domain.chat import Caller
from chatbot.domain.errors import DocumentsUnavailable, StoreUnavailable
from chatbot.domain.shelves.shelf_store import RowKind, ShelfRow

PART_BYTES = 4 * 2**20
T = TypeVar("T")


class MongoShelves:
    """See `ShelfStore`."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._rows = client[database]["shelves"]
        self._files = client[database]["shelf_files"]
        self._is_prepared = False

    @classmethod
    def open(cls, uri: str, database: str, driver: Driver) -> Self:
        """Make the store; the first call connects.

        Raises:
            ValueError: `uri` is not a connection string; the message does not repeat it.
        """
        return cls(open_client(uri, driver), database)

    async def put(self, owner: Caller, row: ShelfRow) -> None:
        """Keep a row."""
        name = {"_id": _name(owner, row.kind, row.row_id)}
        fields = {"created_at": row.created_at, "fields": json.dumps(dict(row.fields))}
        first = {"owner": owner_mark(owner), "kind": row.kind.value, "id": row.row_id, "order": ObjectId()}
        first["tenant"] = owner.tenant  # how long things are kept is said by tenant

        async def write() -> None:
            change = {"$set": fields, "$setOnInsert": first}
            try:
                await self._rows.update_one(name, change, upsert=True)
            except DuplicateKeyError:  # somebody else inserted first
                await self._rows.update_one(name, change, upsert=True)

        await self._call(write)

    async def get(self, owner: Caller, kind: RowKind, row_id: str) -> ShelfRow | None:
        """A row of this owner."""
        found = await self._call(lambda: self._rows.find_one({"_id": _name(owner, kind, row_id)}))
        return _to_row(found) if found else None

    async def rows(self, owner: Caller, kind: RowKind) -> tuple[ShelfRow, ...]:
        """All rows of a kind."""
        mine = {"owner": owner_mark(owner), "kind": kind.value}
        cursor = self._rows.find(mine).sort([("created_at", 1), ("order", 1)])
        return tuple(map(_to_row, await self._call(lambda: cursor.to_list(None))))

    async def remove(self, owner: Caller, kind: RowKind, row_id: str) -> bool:
        """Remove a row, and the bytes of a file first: bytes without a row would stay for ever."""
        if kind is RowKind.FILE:
            await self._call(lambda: self._files.delete_many({"of": f"{owner_mark(owner)}/{row_id}"}))
        gone = await self._call(lambda: self._rows.delete_one({"_id": _name(owner, kind, row_id)}))
        return bool(gone.deleted_count)

    async def keep(self, owner: Caller, file_id: str, content: bytes) -> None:
        """Keep the bytes of a file, in parts: a row of MongoDB has at most 16 MiB."""
        of = f"{owner_mark(owner)}/{file_id}"
        for part, begin in enumerate(range(0, len(content), PART_BYTES)):
            piece = {"_id": f"{of}/{part:04d}", "of": of, "content": Binary(content[begin : begin + PART_BYTES])}
            await self._call(lambda piece=piece: self._files.replace_one({"_id": piece["_id"]}, piece, upsert=True))  # type: ignore[misc]

    async def content(self, owner: Caller, file_id: str) -> bytes | None:
        """The bytes of a file, as many as its row says."""
        row = await self.get(owner, RowKind.FILE, file_id)
        if row is None:
            return None
        content = bytearray()
        for part in range(-(-row.fields["bytes"] // PART_BYTES)):
            name = {"_id": f"{owner_mark(owner)}/{file_id}/{part:04d}"}
            found = await self._call(lambda name=name: self._files.find_one(name))  # type: ignore[misc]
            content += found["content"] if found else b""
        return bytes(content) if len(content) == row.fields["bytes"] else None

    async def close(self) -> None:
        """Close the connections."""
        await close_client(self._client)

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            if not self._is_prepared:
                await in_time(lambda: self._rows.create_index([("owner", 1), ("kind", 1)], name="owner"))
                await in_time(lambda: self._files.create_index("of", name="of"))
                self._is_prepared = True
            return await in_time(operation)
        except StoreUnavailable as exc:
            raise DocumentsUnavailable(str(exc)) from None


def owner_mark(owner: Caller) -> str:
    """An owner as a part of a name; the length keeps `a` + `bc` and `ab` + `c` apart."""
    return hashlib.sha256(f"{len(owner.tenant)}.{owner.tenant}{owner.user}".encode()).hexdigest()[:32]


def _name(owner: Caller, kind: RowKind, row_id: str) -> str:
    return f"{owner_mark(owner)}/{kind}/{row_id}"


def _to_row(row: dict[str, Any]) -> ShelfRow:
    return ShelfRow(RowKind(row["kind"]), row["id"], row["created_at"], json.loads(row["fields"]))
