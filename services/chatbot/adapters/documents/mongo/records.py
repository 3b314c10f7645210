"""Rows of documents, as their owners see them: the owner stands in every query."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from bson import Binary, ObjectId
from pymongo.errors import DuplicateKeyError

from chatbot.adapters.documents.mongo.sweeping import UPLOAD_SECONDS, note, sweep
from chatbot.adapters.documents.mongo.tables import NOT_CLAIMED, NOTHING_MADE, UNREAD, Row, Tables, owner_key
from chatbot.domain.chat import Caller
from chatbot.domain.documents import Document, DocumentState, FailureReason, Unreadable, Upload
from chatbot.domain.errors import DocumentsUnavailable

PART_BYTES = 4 * 2**20
"""A file is kept in parts of this size: a row of MongoDB has at most 16 MiB."""

_ENDED_WITHOUT = [DocumentState.FAILED.value, DocumentState.CANCELLED.value]
_STOPPABLE = [*UNREAD, DocumentState.EMBEDDING.value]
_ATTEMPTS = 4


async def add(tables: Tables, owner: Caller, upload: Upload) -> Document:
    """Keep a file and queue it. See `DocumentStore.add`."""
    if len(upload.content) > tables.bounds.file_bytes:
        raise Unreadable(FailureReason.TOO_LARGE)
    same = {
        "owner": owner_key(owner),
        "collection": upload.collection,
        "sha256": hashlib.sha256(upload.content).hexdigest(),
    }
    for _ in range(_ATTEMPTS):
        row = await tables.call(lambda: tables.documents.find_one(same))
        if row is None:
            added = await _insert(tables, owner, upload, same)
        elif row["state"] in _ENDED_WITHOUT:
            added = await _queue_anew(tables, upload, row)
        else:
            return to_document(row)
        if added is not None:
            return to_document(added)
    raise DocumentsUnavailable("MongoDB: others change this document all the time")


async def _insert(tables: Tables, owner: Caller, upload: Upload, same: Row) -> Row | None:
    """A new row, or None where somebody else was faster.

    Counted after it was inserted: of two that come at once at the bound none gets in too many.
    """
    document_id, file = f"doc_{uuid4().hex}", uuid4().hex
    row: Row = {
        "_id": document_id,
        **same,
        **NOTHING_MADE,
        **NOT_CLAIMED,
        "tenant": owner.tenant,
        "user": owner.user,
        "pipeline": 0,
        "added": ObjectId(),
        **_fresh(upload, file),
    }
    if await _count(tables, same["owner"]) >= tables.bounds.documents:
        raise Unreadable(FailureReason.QUOTA)
    await _keep_file(tables, document_id, file, upload.content)
    try:
        await tables.call(lambda: _inserting(tables, row))
    except FileExistsError:
        await sweep(tables, document_id)
        return None
    if await _count(tables, same["owner"]) > tables.bounds.documents:
        await erase(tables, owner, document_id)
        raise Unreadable(FailureReason.QUOTA)
    return row


async def _inserting(tables: Tables, row: Row) -> None:
    try:
        await tables.documents.insert_one(row)
    except DuplicateKeyError:
        raise FileExistsError from None


async def _count(tables: Tables, owner: str) -> int:
    return await tables.call(lambda: tables.documents.count_documents({"owner": owner}))


async def _queue_anew(tables: Tables, upload: Upload, row: Row) -> Row | None:
    """The row of a document that had ended without passages, queued; None where it changed meanwhile."""
    file = uuid4().hex
    await _keep_file(tables, row["_id"], file, upload.content)
    ended = {"_id": row["_id"], "owner": row["owner"], "state": row["state"], "file": row["file"]}
    change = _fresh(upload, file)
    done = await tables.call(lambda: tables.documents.update_one(ended, {"$set": change}))
    return {**row, **change} if done.matched_count else None


def _fresh(upload: Upload, file: str) -> Row:
    return {
        "name": upload.name,
        "metadata": [{"k": key, "v": value} for key, value in upload.metadata.items()],
        "file": file,
        "file_bytes": len(upload.content),
        "state": DocumentState.QUEUED.value,
        "reason": None,
        "tries": 0,
    }


async def _keep_file(tables: Tables, document_id: str, file: str, content: bytes) -> None:
    await note(tables, document_id, UPLOAD_SECONDS)
    for part, begin in enumerate(range(0, len(content), PART_BYTES)):
        name, piece = f"{document_id}/{file}/{part:04d}", Binary(content[begin : begin + PART_BYTES])
        kept = {"_id": name, "content": piece}
        await tables.call(lambda kept=kept: tables.files.insert_one(kept))  # type: ignore[misc]


async def file_of(tables: Tables, row: Row) -> bytes | None:
    """The bytes of a document; None where they are not whole."""
    content = bytearray()
    parts = -(-row["file_bytes"] // PART_BYTES)
    for part in range(parts):
        name = {"_id": f"{row['_id']}/{row['file']}/{part:04d}"}
        found = await tables.call(lambda name=name: tables.files.find_one(name))  # type: ignore[misc]
        content += found["content"] if found else b""
    return bytes(content) if len(content) == row["file_bytes"] else None


async def read(tables: Tables, owner: Caller, document_id: str) -> Document | None:
    """One document of an owner."""
    mine = {"_id": document_id, "owner": owner_key(owner)}
    row = await tables.call(lambda: tables.documents.find_one(mine))
    return to_document(row) if row else None


async def listing(tables: Tables, owner: Caller, limit: int, after: str) -> tuple[Document, ...]:
    """One page of an owner's documents."""
    mine = {"owner": owner_key(owner), "_id": {"$gt": after}}
    rows = await tables.call(lambda: tables.documents.find(mine).sort("_id", 1).limit(limit).to_list(None))
    return tuple(map(to_document, rows))


async def cancel(tables: Tables, owner: Caller, document_id: str) -> Document | None:
    """Stop a job and throw away what it made."""
    if await read(tables, owner, document_id) is not None:
        stoppable = {"_id": document_id, "owner": owner_key(owner), "state": {"$in": _STOPPABLE}}
        await end(tables, stoppable, DocumentState.CANCELLED, None)
    return await read(tables, owner, document_id)


async def end(tables: Tables, expected: Row, state: DocumentState, reason: FailureReason | None) -> bool:
    """End a document without passages, if it is as expected; whether it was."""
    await note(tables, expected["_id"])
    change = {**NOTHING_MADE, **NOT_CLAIMED, "file": None, "state": state.value, "reason": reason and reason.value}
    done = await tables.call(lambda: tables.documents.update_one(expected, {"$set": change}))
    await sweep(tables, expected["_id"])
    return bool(done.matched_count)


async def erase(tables: Tables, owner: Caller, document_id: str) -> bool:
    """Remove a document; its job, if one runs, finds its lease lost."""
    mine = {"_id": document_id, "owner": owner_key(owner)}
    if await tables.call(lambda: tables.documents.find_one(mine, {"_id": 1})) is None:
        return False
    await note(tables, document_id)
    done = await tables.call(lambda: tables.documents.delete_one(mine))
    await sweep(tables, document_id)
    if await tables.call(lambda: tables.documents.find_one({"owner": mine["owner"]}, {"_id": 1})) is None:
        await tables.call(lambda: tables.owners.delete_one({"_id": mine["owner"]}))
    return bool(done.deleted_count)


async def erase_owner(tables: Tables, owner: Caller) -> None:
    """Remove an owner with everything."""
    while found := await listing(tables, owner, 100, ""):
        for one in found:
            await erase(tables, owner, one.document_id)
    await tables.index.erase_owner(owner_key(owner))
    await tables.call(lambda: tables.owners.delete_one({"_id": owner_key(owner)}))


def metadata_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Kept as pairs: a key of MongoDB has no dots."""
    return {one["k"]: one["v"] for one in row["metadata"]}


def to_document(row: Mapping[str, Any]) -> Document:
    """A row as its owner sees it."""
    return Document(
        document_id=row["_id"],
        owner=Caller(row["tenant"], row["user"]),
        name=row["name"],
        collection=row["collection"],
        metadata=metadata_of(row),
        sha256=row["sha256"],
        state=DocumentState(row["state"]),
        reason=FailureReason(row["reason"]) if row["reason"] else None,
        chunks_done=row["chunks_done"],
        chunks_total=row["chunks_total"],
        tries=row["tries"],
    )
