"""Vectors of passages: claimed by document, stored under that claim, found once the document has all of a space."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from chatbot.adapters.documents import dense
from chatbot.adapters.documents.mongo.jobs import next_of_turn, take_turn
from chatbot.adapters.documents.mongo.sweeping import note, sweep
from chatbot.adapters.documents.mongo.tables import (
    FOUND,
    NOT_CLAIMED,
    Row,
    Tables,
    indexed_in,
    owner_key,
    runs_of,
    space_key,
    text_name,
)
from chatbot.domain.chat import Caller
from chatbot.domain.documents import (
    Chunk,
    Coverage,
    DocumentState,
    FailureReason,
    LeaseLost,
    VectorJob,
    VectorSpace,
)
from chatbot.domain.errors import DocumentsUnavailable

_ATTEMPTS = 100
_MANY = 1_000_000


async def claim(tables: Tables, space: VectorSpace) -> VectorJob | None:
    """Take the next document. See `VectorStore.claim_vectors`."""
    key, here = space_key(space), indexed_in(await tables.index.generation())
    for state in (DocumentState.EMBEDDING, DocumentState.COMPLETED):
        for _ in range(_ATTEMPTS):
            waiting = {"state": state.value, "spaces.key": {"$ne": key}, "indexed_in": here}
            found = await next_of_turn(tables, waiting, at_once=_MANY)
            if found is None:
                break
            row, turn = found
            job = await _take(tables, row, space)
            if job is not None:
                await take_turn(tables, row["owner"], turn)  # lost: the owner has had a turn by another process
                return job
    return None


async def _take(tables: Tables, row: Row, space: VectorSpace) -> VectorJob | None:
    key, lease = space_key(space), uuid4().hex
    expected = {name: row[name] for name in ("_id", "state", "lease", "lease_until")}
    change: Row = {"lease": lease, "lease_until": tables.until()}
    if row["vectors"] is None or row["vectors"]["space"] != key:
        change["vectors"] = {"space": key, "done": 0}
    if row["vectors"] is not None and "vectors" in change:
        await note(tables, row["_id"])
    done = await tables.call(lambda: tables.documents.update_one(expected, {"$set": change}))
    is_complete = row["state"] == DocumentState.COMPLETED.value
    return VectorJob(row["_id"], lease, space, row["tenant"], is_complete) if done.matched_count else None


async def missing(tables: Tables, job: VectorJob, limit: int) -> tuple[Chunk, ...]:
    """The next passages without a vector."""
    row = await _row(tables, job)
    done = row["vectors"]["done"]
    stored = await tables.index.vectors_from(row, job.space, done)
    wanted: list[int] = []
    for number in range(done, row["chunks_done"]):
        if number not in stored:
            wanted.append(number)
        if len(wanted) == limit:
            break
    return tuple(one for one in await passages(tables, row, wanted) if one)


async def passages(tables: Tables, row: Row, numbers: list[int]) -> list[Chunk | None]:
    """Passages of one document by their numbers; None for those that are gone."""
    names = {
        number: text_name(row["owner"], row["_id"], run["lease"], number)
        for number in numbers
        for run, beyond in runs_of(row)
        if run["first"] <= number < beyond
    }
    texts = await texts_of(tables, names.values())
    return [to_chunk(number, texts[names[number]]) if names.get(number) in texts else None for number in numbers]


async def texts_of(tables: Tables, names: Iterable[str]) -> dict[str, Row]:
    """Rows of passages by their names. Nothing else is asked for: the names have the owner in them."""
    found = await tables.call(lambda: tables.passages.find({"_id": {"$in": list(names)}}).to_list(None))
    return {row["_id"]: row for row in found}


def to_chunk(number: int, row: Mapping[str, Any]) -> Chunk:
    """A row of `document_passages`."""
    return Chunk(number, row["heading"], row["text"], row["page"], row["start"], row["end"])


async def store(tables: Tables, job: VectorJob, vectors: Mapping[int, bytes | None]) -> None:
    """Store vectors and renew the claim: in the index, then in the document's row."""
    row = await _row(tables, job)
    packed = {number: dense.packed(vectors[number], job.space.dimensions) for number in sorted(vectors)}
    await tables.index.add_vectors(row, job.space, packed)
    done = row["vectors"]["done"]
    while done in packed:
        done += 1
    change = {"lease_until": tables.until(), "reason": None, "vectors.done": done}
    written = await tables.call(lambda: tables.documents.update_one(_held(job), {"$set": change}))
    if not written.matched_count:
        await sweep(tables, job.document_id)
        raise LeaseLost


async def finish(tables: Tables, job: VectorJob) -> None:
    """Find the document by its vectors; the owner's old ones go where no document needs them."""
    row = await _row(tables, job)
    key, space = space_key(job.space), job.space
    if not await tables.index.has_vectors(row, space):
        await tables.call(lambda: tables.documents.update_one(_held(job), {"$set": {"vectors.done": 0}}))
        raise DocumentsUnavailable("the index of documents lost vectors that it had acknowledged")
    told = {"model": space.model, "dimensions": space.dimensions, "recipe": space.recipe}
    change = {
        "$set": {**NOT_CLAIMED, "state": DocumentState.COMPLETED.value, "reason": None, "vectors": None},
        "$push": {"spaces": {"key": key, "made": uuid4().hex, **told}},
    }
    written = await tables.call(lambda: tables.documents.update_one(_held(job), change))
    if not written.matched_count:
        raise LeaseLost
    mine = {"owner": row["owner"], "state": {"$in": FOUND}}
    lacking = {**mine, "spaces.key": {"$ne": key}}
    if await tables.call(lambda: tables.documents.find_one(lacking, {"_id": 1})) is None:
        await _forget_others(tables, mine, key)


async def _forget_others(tables: Tables, mine: Row, key: str) -> None:
    having = {**mine, "spaces": {"$elemMatch": {"key": {"$ne": key}}}}
    rows = await tables.call(lambda: tables.documents.find(having, {"_id": 1}).to_list(None))
    for one in rows:
        await note(tables, one["_id"])
        expected, change = {"_id": one["_id"]}, {"$pull": {"spaces": {"key": {"$ne": key}}}}
        await tables.call(lambda expected=expected, change=change: tables.documents.update_one(expected, change))  # type: ignore[misc]
        await sweep(tables, one["_id"])


async def release(tables: Tables, job: VectorJob, reason: FailureReason | None) -> None:
    """Give a claim back; a document that waits for its first vectors shows why."""
    told = {**NOT_CLAIMED, "reason": reason and reason.value}
    new = {**_held(job), "state": DocumentState.EMBEDDING.value}
    await tables.call(lambda: tables.documents.update_one(new, {"$set": told}))
    await tables.call(lambda: tables.documents.update_one(_held(job), {"$set": dict(NOT_CLAIMED)}))


async def forgo(tables: Tables) -> None:
    """Complete the documents that wait for vectors."""
    change = {**NOT_CLAIMED, "state": DocumentState.COMPLETED.value, "reason": None}
    waiting = {"state": DocumentState.EMBEDDING.value}
    await tables.call(lambda: tables.documents.update_many(waiting, {"$set": change}))


async def coverage(tables: Tables, owner: Caller) -> Coverage:
    """How much of an owner's passages has vectors."""
    mine = {"owner": owner_key(owner), "state": DocumentState.COMPLETED.value}
    shown = {"spaces": 1, "chunks_done": 1, "indexed_in": 1}
    rows = await tables.call(lambda: tables.documents.find(mine, shown).to_list(None))
    generation = await tables.index.generation()
    by_space: dict[VectorSpace, int] = {}
    for row in rows:
        if row.get("indexed_in", "") != generation:
            continue
        for one in row["spaces"]:
            space = VectorSpace(one["model"], one["dimensions"], one["recipe"])
            by_space[space] = by_space.get(space, 0) + row["chunks_done"]
    return Coverage(sum(row["chunks_done"] for row in rows), by_space)


async def _row(tables: Tables, job: VectorJob) -> Row:
    row = await tables.call(lambda: tables.documents.find_one(_held(job)))
    if row is None or not row["vectors"]:
        raise LeaseLost
    return row


def _held(job: VectorJob) -> Row:
    return {"_id": job.document_id, "lease": job.lease, "state": {"$in": FOUND}}
