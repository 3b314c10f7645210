"""Statements of a claim, whatever it was taken for: whether it still holds, and for how much longer."""

import sqlite3

from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import Job, LeaseLost, VectorJob


def held(connection: sqlite3.Connection, job: Job | VectorJob, states: str) -> sqlite3.Row:
    """The document of a claim.

    Args:
        connection: The file.
        job: The claim.
        states: Those in which it may be, as SQL writes a list; a constant.

    Raises:
        LeaseLost: Somebody else claimed it, or it is in another state or gone.
    """
    row: sqlite3.Row | None = connection.execute(
        f"SELECT * FROM documents WHERE document_id = ? AND lease = ? AND state IN {states}",  # noqa: S608
        (job.document_id, job.lease),
    ).fetchone()
    if row is None:
        raise LeaseLost
    return row


def renew(connection: sqlite3.Connection, row: sqlite3.Row, bounds: DocumentBounds, now: int) -> None:
    """Hold a claim for its full time from now on, milliseconds of Unix time."""
    until = now + int(bounds.lease_seconds * 1000)
    connection.execute("UPDATE documents SET lease_until = ? WHERE id = ?", (until, row["id"]))
