"""Statements about vectors: claimed by document, stored under that claim alone, searched by owner and space.

A row of `embedded` says that a document has all its vectors in a space; its number never comes back, so that what was
read of it may be kept. A document that was read anew or erased loses its rows with its passages.
"""

import sqlite3
from collections.abc import Mapping
from uuid import uuid4

from chatbot.adapters.documents import dense
from chatbot.adapters.documents.sqlite_leases import held, renew
from chatbot.adapters.sqlite_file import transaction
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds
from chatbot.domain.documents import Chunk, Coverage, FailureReason, VectorJob, VectorSpace

READ = "('embedding', 'completed')"

TABLES = (
    """CREATE TABLE spaces (
        id INTEGER PRIMARY KEY, model TEXT NOT NULL, dimensions INTEGER NOT NULL, recipe INTEGER NOT NULL,
        UNIQUE (model, dimensions, recipe))""",
    """CREATE TABLE vectors (
        id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        space INTEGER NOT NULL REFERENCES spaces (id), number INTEGER NOT NULL, vector BLOB NOT NULL,
        UNIQUE (document, space, number))""",
    """CREATE TABLE embedded (
        id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        space INTEGER NOT NULL REFERENCES spaces (id), UNIQUE (document, space))""",
)
_NEXT = f"""
SELECT d.*, o.tenant FROM documents AS d JOIN owners AS o ON o.id = d.owner
WHERE d.state IN {READ} AND d.lease_until <= :now
AND NOT EXISTS (SELECT 1 FROM embedded AS e WHERE e.document = d.id AND e.space = :space)
ORDER BY d.state = 'completed', o.turn, d.id LIMIT 1"""  # noqa: S608 - a constant
_OLD = f"""
space <> :space AND document IN (SELECT id FROM documents WHERE owner = :owner)
AND NOT EXISTS (
    SELECT 1 FROM documents AS d WHERE d.owner = :owner AND d.state IN {READ}
    AND NOT EXISTS (SELECT 1 FROM embedded AS e WHERE e.document = d.id AND e.space = :space))"""  # noqa: S608


def claim(connection: sqlite3.Connection, space: VectorSpace, bounds: DocumentBounds, now: int) -> VectorJob | None:
    """Take the next document. See `VectorStore.claim_vectors`; `now` is in Unix milliseconds."""
    with transaction(connection):
        row = connection.execute(_NEXT, {"now": now, "space": _space(connection, space)}).fetchone()
        if row is None:
            return None
        job = VectorJob(row["document_id"], uuid4().hex, space, row["tenant"], row["state"] == "completed")
        connection.execute("UPDATE documents SET lease = ? WHERE id = ?", (job.lease, row["id"]))
        connection.execute("UPDATE owners SET turn = (SELECT max(turn) + 1 FROM owners) WHERE id = ?", (row["owner"],))
        renew(connection, row, bounds, now)
        return job


def beat(connection: sqlite3.Connection, job: VectorJob, bounds: DocumentBounds, now: int) -> None:
    """Renew a claim."""
    with transaction(connection):
        renew(connection, held(connection, job, READ), bounds, now)


def missing(connection: sqlite3.Connection, job: VectorJob, limit: int) -> tuple[Chunk, ...]:
    """The next passages without a vector."""
    with transaction(connection):
        row = held(connection, job, READ)
        rows = connection.execute(
            """SELECT c.* FROM chunks AS c WHERE c.document = ? AND NOT EXISTS (
            SELECT 1 FROM vectors AS v WHERE v.document = c.document AND v.space = ? AND v.number = c.number)
            ORDER BY c.number LIMIT ?""",
            (row["id"], _space(connection, job.space), limit),
        )
        return tuple(map(to_chunk, rows))


def store(
    connection: sqlite3.Connection,
    job: VectorJob,
    vectors: Mapping[int, bytes | None],
    bounds: DocumentBounds,
    now: int,
) -> None:
    """Store vectors and renew the claim."""
    with transaction(connection):
        row = held(connection, job, READ)
        space = _space(connection, job.space)
        connection.executemany(
            "INSERT OR REPLACE INTO vectors (document, space, number, vector) VALUES (?, ?, ?, ?)",
            [(row["id"], space, number, dense.packed(one, job.space.dimensions)) for number, one in vectors.items()],
        )
        connection.execute("UPDATE documents SET reason = NULL WHERE id = ?", (row["id"],))
        renew(connection, row, bounds, now)


def finish(connection: sqlite3.Connection, job: VectorJob) -> None:
    """Find the document by its vectors; the owner's old ones go where no document needs them."""
    with transaction(connection):
        row = held(connection, job, READ)
        values = {"space": _space(connection, job.space), "owner": row["owner"]}
        connection.execute("INSERT INTO embedded (document, space) VALUES (?, ?)", (row["id"], values["space"]))
        connection.execute(
            "UPDATE documents SET state = 'completed', reason = NULL, lease = '', lease_until = 0 WHERE id = ?",
            (row["id"],),
        )
        for table in ("vectors", "embedded"):  # vectors first: the condition reads `embedded`, of the new space alone
            connection.execute(f"DELETE FROM {table} WHERE {_OLD}", values)  # noqa: S608 - constants


def release(connection: sqlite3.Connection, job: VectorJob, reason: FailureReason | None) -> None:
    """Give a claim back."""
    with transaction(connection):
        connection.execute(
            """UPDATE documents SET lease = '', lease_until = 0, reason = iif(state = 'embedding', ?, reason)
            WHERE lease = ?""",
            (reason, job.lease),
        )


def forgo(connection: sqlite3.Connection) -> None:
    """Complete the documents that wait for vectors."""
    with transaction(connection):
        connection.execute(
            """UPDATE documents SET state = 'completed', reason = NULL, lease = '', lease_until = 0
            WHERE state = 'embedding'"""
        )


def forget(connection: sqlite3.Connection, document: int) -> None:
    """Throw away the vectors of a document, inside the caller's transaction."""
    for table in ("vectors", "embedded"):
        connection.execute(f"DELETE FROM {table} WHERE document = ?", (document,))  # noqa: S608 - constants


def coverage(connection: sqlite3.Connection, owner: Caller) -> Coverage:
    """How much of an owner's passages has vectors."""
    rows = connection.execute(
        """SELECT s.model, s.dimensions, s.recipe, sum(d.chunks_done) AS passages
        FROM documents AS d JOIN owners AS o ON o.id = d.owner
        LEFT JOIN embedded AS e ON e.document = d.id LEFT JOIN spaces AS s ON s.id = e.space
        WHERE o.tenant = ? AND o.user = ? AND d.state = 'completed' GROUP BY s.id""",
        (owner.tenant, owner.user),
    ).fetchall()
    by_space = {VectorSpace(row["model"], row["dimensions"], row["recipe"]): row["passages"] for row in rows if row[0]}
    total = connection.execute(
        """SELECT coalesce(sum(d.chunks_done), 0) FROM documents AS d JOIN owners AS o ON o.id = d.owner
        WHERE o.tenant = ? AND o.user = ? AND d.state = 'completed'""",
        (owner.tenant, owner.user),
    ).fetchone()[0]
    return Coverage(total, by_space)


def read_block(connection: sqlite3.Connection, document: int, space: int, dimensions: int) -> dense.Block:
    """All vectors of a document in one space."""
    rows = connection.execute(
        "SELECT number, vector FROM vectors WHERE document = ? AND space = ? ORDER BY number", (document, space)
    )
    return dense.block(((row[0], row[1]) for row in rows), dimensions)


def space_number(connection: sqlite3.Connection, space: VectorSpace) -> int | None:
    """Number of a space that something was stored in."""
    row = connection.execute(
        "SELECT id FROM spaces WHERE model = ? AND dimensions = ? AND recipe = ?",
        (space.model, space.dimensions, space.recipe),
    ).fetchone()
    return None if row is None else int(row[0])


def to_chunk(row: sqlite3.Row) -> Chunk:
    """A row of `chunks`."""
    return Chunk(row["number"], row["heading"], row["text"], row["page"], row["first"], row["beyond"])


def _space(connection: sqlite3.Connection, space: VectorSpace) -> int:
    found = space_number(connection, space)
    if found is not None:
        return found
    made = connection.execute(
        "INSERT INTO spaces (model, dimensions, recipe) VALUES (?, ?, ?)", (space.model, space.dimensions, space.recipe)
    )
    return int(made.lastrowid or 0)
