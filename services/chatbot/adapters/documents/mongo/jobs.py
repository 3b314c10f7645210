"""Jobs: claimed for a while, written under that claim alone.

A claim is one update of the document's row, expected to be as it was read. What is stored under it carries its name, so
a worker that lost it writes beside what counts, not over it.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from pymongo.errors import DuplicateKeyError

from chatbot.adapters.documents.mongo import records
from chatbot.adapters.documents.mongo.sweeping import note, sweep, sweep_due
from chatbot.adapters.documents.mongo.tables import (
    NOT_CLAIMED,
    NOTHING_MADE,
    UNREAD,
    Row,
    Tables,
    insert_missing,
    text_name,
)
from chatbot.domain.documents import DocumentState, FailureReason, IndexedChunk, Job, LeaseLost, Unreadable
from chatbot.domain.errors import DocumentsUnavailable

_ATTEMPTS = 100
_INSERTED_AT_ONCE = 256
_COMPARED = 8
"""Owners whose turn is equally near: of so many the one who has waited longest is first."""


async def claim(tables: Tables, pipeline: int) -> Job | None:
    """Take the next document. See `DocumentStore.claim`."""
    await sweep_due(tables)
    waiting = {"state": {"$in": UNREAD}}
    for _ in range(_ATTEMPTS):
        found = await next_of_turn(tables, waiting, at_once=tables.bounds.at_once)
        if found is None:
            return None
        row, turn = found
        if row["tries"] >= tables.bounds.tries:
            expected = {"_id": row["_id"], "state": row["state"], "lease": row["lease"]}
            await records.end(tables, expected, DocumentState.FAILED, FailureReason.INTERRUPTED)
            continue
        job = await _take(tables, row, pipeline)
        if job is None:
            continue
        if not await take_turn(tables, row["owner"], turn):
            await release(tables, job, counts_try=False)  # another process took one of this owner's at the same time
            continue
        content = await records.file_of(tables, row)
        if content is not None:
            return replace(job, content=content)
        await release(tables, job, counts_try=True)
    return None


async def next_of_turn(tables: Tables, waiting: Row, *, at_once: int) -> tuple[Row, tuple[int | None, int]] | None:
    """The oldest waiting document of the owner whose turn it is, and the turn before and after it was taken.

    The turns are read first: whoever takes a document of the same owner meanwhile changes the turn.

    Args:
        tables: The collections.
        waiting: What a document that can be taken is like, beside that nobody holds it.
        at_once: Documents of one owner that may be held.
    """
    now = tables.now()
    free, held = {**waiting, "lease_until": {"$lte": now}}, {**waiting, "lease_until": {"$gt": now}}
    owners: list[str] = await tables.call(lambda: tables.documents.distinct("owner", free))
    known = await tables.call(lambda: tables.owners.find({"_id": {"$in": owners}}).to_list(None))
    turns = {one["_id"]: int(one["turn"]) for one in known}
    last = await tables.call(lambda: tables.owners.find().sort("turn", -1).limit(1).to_list(None))
    latest = int(last[0]["turn"]) if last else 0
    counts = await tables.counts_by_owner(held)
    oldest: list[Row] = []
    for owner in sorted((one for one in owners if counts.get(one, 0) < at_once), key=lambda one: turns.get(one, 0)):
        if len(oldest) == _COMPARED or (oldest and turns.get(owner, 0) > turns.get(oldest[0]["owner"], 0)):
            break
        cursor = tables.documents.find({**free, "owner": owner}).sort("added", 1).limit(1)
        oldest += await tables.call(lambda cursor=cursor: cursor.to_list(None))  # type: ignore[misc]
    if not oldest:
        return None
    row = min(oldest, key=lambda one: (turns.get(one["owner"], 0), one["added"]))
    return row, (turns.get(row["owner"]), latest + 1)


async def take_turn(tables: Tables, owner: str, turn: tuple[int | None, int]) -> bool:
    """Move an owner behind the others; False where somebody else did meanwhile."""
    before, after = turn

    async def write() -> bool:
        if before is None:
            try:
                await tables.owners.insert_one({"_id": owner, "turn": after})
            except DuplicateKeyError:
                return False
            return True
        done = await tables.owners.update_one({"_id": owner, "turn": before}, {"$set": {"turn": after}})
        return bool(done.matched_count == 1)

    return await tables.call(write)


async def _take(tables: Tables, row: Row, pipeline: int) -> Job | None:
    """A claim on a document; None where it changed since it was read."""
    expected = {name: row[name] for name in ("_id", "state", "lease", "lease_until", "tries", "file")}
    lease = uuid4().hex
    is_other_code = row["pipeline"] != pipeline
    change: Row = {
        "state": DocumentState.PARSING.value,
        "pipeline": pipeline,
        "lease": lease,
        "lease_until": tables.until(),
        **(NOTHING_MADE if is_other_code else {}),
    }
    if row["lease"] or is_other_code:  # what the lost worker stored last may not count
        await note(tables, row["_id"])
    write = {"$set": change, "$inc": {"tries": 1}}
    done = await tables.call(lambda: tables.documents.update_one(expected, write))
    if not done.matched_count:
        return None
    if is_other_code and row["chunks_done"]:
        await sweep(tables, row["_id"])
    return Job(row["_id"], lease, row["name"], b"", 0 if is_other_code else row["chunks_done"])


async def beat(tables: Tables, document_id: str, lease: str) -> None:
    """Renew a claim."""
    await _write(tables, {"_id": document_id, "lease": lease}, {"$set": {"lease_until": tables.until()}})


async def store(tables: Tables, job: Job, chunks: Sequence[IndexedChunk]) -> None:
    """Store the next passages and renew the claim: first the passages, then the row that names them."""
    row = await tables.call(lambda: tables.documents.find_one(_held(job)))
    if row is None or chunks[0].chunk.number != row["chunks_done"]:
        raise LeaseLost
    text_bytes = sum(len(one.chunk.text.encode()) for one in chunks)
    await _check_bounds(tables, row, len(chunks), text_bytes)
    await _insert(tables, row, job, chunks)
    change: Row = {
        "$inc": {"chunks_done": len(chunks), "text_bytes": text_bytes},
        "$set": {"state": DocumentState.INDEXING.value, "lease_until": tables.until()},
    }
    if all(run["lease"] != job.lease for run in row["runs"]):
        change["$push"] = {"runs": {"lease": job.lease, "first": row["chunks_done"]}}
    expected = {**_held(job), "chunks_done": row["chunks_done"]}
    done = await tables.call(lambda: tables.documents.update_one(expected, change))
    if not done.matched_count:
        await sweep(tables, job.document_id)
        raise LeaseLost


async def _check_bounds(tables: Tables, row: Row, chunks: int, text_bytes: int) -> None:
    if row["chunks_done"] + chunks > tables.bounds.chunks:
        raise Unreadable(FailureReason.TOO_LARGE)
    kept = await tables.sum_of("text_bytes", {"owner": row["owner"]})
    if kept + text_bytes > tables.bounds.text_bytes:
        raise Unreadable(FailureReason.QUOTA)


async def _insert(tables: Tables, row: Row, job: Job, chunks: Sequence[IndexedChunk]) -> None:
    """The texts, then what they are found by. What is there already is the same: a call whose answer was lost."""
    passages = [
        {
            "_id": text_name(row["owner"], job.document_id, job.lease, one.chunk.number),
            "heading": one.chunk.heading,
            "text": one.chunk.text,
            "page": one.chunk.page,
            "start": one.chunk.start,
            "end": one.chunk.end,
        }
        for one in chunks
    ]
    for begin in range(0, len(passages), _INSERTED_AT_ONCE):
        await insert_missing(tables, tables.passages, passages[begin : begin + _INSERTED_AT_ONCE])
    await tables.index.add_terms(row, job.lease, chunks)


async def complete(tables: Tables, job: Job, *, awaits_vectors: bool) -> None:
    """Show the document to searches, and let go of its bytes."""
    row = await tables.call(lambda: tables.documents.find_one(_held(job)))
    if row is None:
        raise LeaseLost
    generation = await tables.index.generation()
    if not await tables.index.has_terms(row):
        await _write(tables, _held(job), {"$set": NOTHING_MADE})
        raise DocumentsUnavailable("the index of documents lost passages that it had acknowledged")
    await note(tables, job.document_id)
    state = DocumentState.EMBEDDING if awaits_vectors else DocumentState.COMPLETED
    change = {**NOT_CLAIMED, "state": state.value, "file": None, "chunks_total": row["chunks_done"]}
    await _write(tables, _held(job), {"$set": {**change, "indexed_in": generation}})
    await sweep(tables, job.document_id)


async def fail(tables: Tables, job: Job, reason: FailureReason) -> None:
    """Give a document up."""
    if not await records.end(tables, _held(job), DocumentState.FAILED, reason):
        raise LeaseLost


async def release(tables: Tables, job: Job, *, counts_try: bool) -> None:
    """Give a claim back."""
    change = {"$set": {**NOT_CLAIMED, "state": DocumentState.QUEUED.value}, "$inc": {"tries": 0 if counts_try else -1}}
    await tables.call(lambda: tables.documents.update_one(_held(job), change))


def _held(job: Job) -> Row:
    return {"_id": job.document_id, "lease": job.lease, "state": {"$in": UNREAD}}


async def _write(tables: Tables, expected: Row, change: Row) -> None:
    done = await tables.call(lambda: tables.documents.update_one(expected, change))
    if not done.matched_count:
        raise LeaseLost
