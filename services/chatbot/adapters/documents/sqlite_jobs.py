"""Statements of the jobs: claimed for a while, written under that claim alone.

Each write checks the claim in its own transaction, so a document that was erased, cancelled or claimed by somebody else
meanwhile is never written to again.
"""

import sqlite3
from collections.abc import Sequence
from uuid import uuid4

from chatbot.adapters.documents import sqlite_documents as documents
from chatbot.adapters.documents import sqlite_index as index
from chatbot.adapters.documents.sqlite_leases import held, renew
from chatbot.adapters.sqlite_file import transaction
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import DocumentState, FailureReason, IndexedChunk, Job, LeaseLost, Unreadable

_NEXT = f"""
SELECT d.* FROM documents AS d JOIN owners AS o ON o.id = d.owner
WHERE d.state IN {documents.UNFINISHED} AND d.lease_until <= :now
AND (SELECT count(*) FROM documents AS r
     WHERE r.owner = d.owner AND r.state IN {documents.UNFINISHED} AND r.lease_until > :now) < :at_once
ORDER BY o.turn, d.id LIMIT 1"""  # noqa: S608 - a constant


def claim(connection: sqlite3.Connection, pipeline: int, bounds: DocumentBounds, now: int) -> Job | None:
    """Take the next document. See `DocumentStore.claim`.

    Args:
        connection: The file.
        pipeline: Number of the code that reads and cuts.
        bounds: Lease and tries.
        now: Unix milliseconds.
    """
    with transaction(connection):
        while True:
            row = connection.execute(_NEXT, {"now": now, "at_once": bounds.at_once}).fetchone()
            if row is None:
                return None
            if row["tries"] < bounds.tries:
                return _take(connection, row, pipeline, now + int(bounds.lease_seconds * 1000))
            documents.end(connection, row, DocumentState.FAILED, FailureReason.INTERRUPTED)


def _take(connection: sqlite3.Connection, row: sqlite3.Row, pipeline: int, until: int) -> Job:
    chunks_done = row["chunks_done"]
    if row["pipeline"] != pipeline:
        documents.forget_chunks(connection, row)
        chunks_done = 0
    lease = uuid4().hex
    connection.execute(
        """UPDATE documents SET state = 'parsing', pipeline = ?, tries = tries + 1, lease = ?, lease_until = ?
        WHERE id = ?""",
        (pipeline, lease, until, row["id"]),
    )
    connection.execute("UPDATE owners SET turn = (SELECT max(turn) + 1 FROM owners) WHERE id = ?", (row["owner"],))
    return Job(row["document_id"], lease, row["name"], bytes(row["content"] or b""), chunks_done)


def beat(connection: sqlite3.Connection, job: Job, bounds: DocumentBounds, now: int) -> None:
    """Renew a claim."""
    with transaction(connection):
        renew(connection, held(connection, job, documents.UNFINISHED), bounds, now)


def store(
    connection: sqlite3.Connection, job: Job, chunks: Sequence[IndexedChunk], bounds: DocumentBounds, now: int
) -> None:
    """Store the next passages and renew the claim."""
    with transaction(connection):
        row = held(connection, job, documents.UNFINISHED)
        text_bytes = sum(len(one.chunk.text.encode()) for one in chunks)
        _check_bounds(connection, row, (len(chunks), text_bytes), bounds)
        if chunks[0].chunk.number != row["chunks_done"]:
            raise LeaseLost
        index.add(connection, row["owner"], [(_insert(connection, row["id"], one), one.terms) for one in chunks])
        connection.execute(
            """UPDATE documents SET state = 'indexing', chunks_done = chunks_done + ?, text_bytes = text_bytes + ?
            WHERE id = ?""",
            (len(chunks), text_bytes, row["id"]),
        )
        renew(connection, row, bounds, now)


def _insert(connection: sqlite3.Connection, document: int, one: IndexedChunk) -> int:
    chunk = one.chunk
    made = connection.execute(
        "INSERT INTO chunks (document, number, heading, text, page, first, beyond) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (document, chunk.number, chunk.heading, chunk.text, chunk.page, chunk.start, chunk.end),
    )
    return int(made.lastrowid or 0)


def _check_bounds(
    connection: sqlite3.Connection, row: sqlite3.Row, more: tuple[int, int], bounds: DocumentBounds
) -> None:
    chunks, text_bytes = more
    if row["chunks_done"] + chunks > bounds.chunks:
        raise Unreadable(FailureReason.TOO_LARGE)
    kept = connection.execute("SELECT sum(text_bytes) FROM documents WHERE owner = ?", (row["owner"],)).fetchone()[0]
    if kept + text_bytes > bounds.text_bytes:
        raise Unreadable(FailureReason.QUOTA)


def complete(connection: sqlite3.Connection, job: Job, *, awaits_vectors: bool) -> None:
    """Show the document to searches."""
    state = DocumentState.EMBEDDING if awaits_vectors else DocumentState.COMPLETED
    with transaction(connection):
        row = held(connection, job, documents.UNFINISHED)
        connection.execute(
            """UPDATE documents SET state = ?, content = NULL, chunks_total = chunks_done,
            lease = '', lease_until = 0 WHERE id = ?""",
            (state, row["id"]),
        )


def fail(connection: sqlite3.Connection, job: Job, reason: FailureReason) -> None:
    """Give a document up."""
    with transaction(connection):
        documents.end(connection, held(connection, job, documents.UNFINISHED), DocumentState.FAILED, reason)


def release(connection: sqlite3.Connection, job: Job, *, counts_try: bool) -> None:
    """Give a claim back."""
    with transaction(connection):
        connection.execute(
            "UPDATE documents SET state = 'queued', lease = '', lease_until = 0, tries = tries - ? WHERE lease = ?",
            (0 if counts_try else 1, job.lease),
        )
