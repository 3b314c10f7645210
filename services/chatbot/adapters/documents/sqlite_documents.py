"""Statements about documents, their owners and what is found in them: functions over one connection."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from functools import partial
from uuid import uuid4

from chatbot.adapters.documents import dense, sqlite_vectors
from chatbot.adapters.documents import sqlite_index as index
from chatbot.adapters.sqlite_file import Layout, flush, transaction
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentBounds, Lookup
from chatbot.domain.documents import Document, DocumentState, FailureReason, Found, Unreadable, Upload, VectorSpace

UNFINISHED = "('queued', 'parsing', 'indexing')"
_STOPPABLE = "('queued', 'parsing', 'indexing', 'embedding')"

_NOW = "unixepoch()"
_ADDED = (
    "ALTER TABLE documents ADD COLUMN added_at INTEGER NOT NULL DEFAULT 0",
    f"UPDATE documents SET added_at = {_NOW}",  # noqa: S608 - nobody wrote down when those came
)
LAYOUT = Layout(
    application_id=0x43684244,
    version=3,
    upgrades={1: (*sqlite_vectors.TABLES, *_ADDED), 2: _ADDED},
    statements=(
        # AUTOINCREMENT: the number of an erased owner never comes back, it names a table.
        """CREATE TABLE owners (
            id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, user TEXT NOT NULL,
            turn INTEGER NOT NULL DEFAULT 0, is_untidy INTEGER NOT NULL DEFAULT 0,
            UNIQUE (tenant, user))""",
        """CREATE TABLE documents (
            id INTEGER PRIMARY KEY, document_id TEXT NOT NULL UNIQUE,
            owner INTEGER NOT NULL REFERENCES owners (id) ON DELETE CASCADE,
            name TEXT NOT NULL, collection TEXT NOT NULL, metadata TEXT NOT NULL, sha256 TEXT NOT NULL, content BLOB,
            state TEXT NOT NULL, reason TEXT, pipeline INTEGER NOT NULL DEFAULT 0,
            chunks_done INTEGER NOT NULL DEFAULT 0, chunks_total INTEGER, text_bytes INTEGER NOT NULL DEFAULT 0,
            tries INTEGER NOT NULL DEFAULT 0, lease TEXT NOT NULL DEFAULT '', lease_until INTEGER NOT NULL DEFAULT 0,
            added_at INTEGER NOT NULL DEFAULT 0, UNIQUE (owner, collection, sha256))""",
        f"CREATE INDEX documents_unfinished ON documents (lease_until) WHERE state IN {UNFINISHED}",
        """CREATE TABLE chunks (
            id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
            number INTEGER NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL, page INTEGER,
            first INTEGER NOT NULL, beyond INTEGER NOT NULL,
            UNIQUE (document, number))""",
        *sqlite_vectors.TABLES,
    ),
)
_DOCUMENT = "SELECT d.*, o.tenant, o.user FROM documents AS d JOIN owners AS o ON o.id = d.owner"


def add(connection: sqlite3.Connection, owner: Caller, upload: Upload, bounds: DocumentBounds) -> Document:
    """Keep a file and queue it. See `DocumentStore.add`."""
    if len(upload.content) > bounds.file_bytes:
        raise Unreadable(FailureReason.TOO_LARGE)
    sha256 = hashlib.sha256(upload.content).hexdigest()
    with transaction(connection):
        number = _owner(connection, owner) or _new_owner(connection, owner)
        row = connection.execute(
            "SELECT document_id, state FROM documents WHERE owner = ? AND collection = ? AND sha256 = ?",
            (number, upload.collection, sha256),
        ).fetchone()
        if row is None:
            document_id = _insert(connection, number, upload, sha256, bounds)
        else:
            document_id = row["document_id"]
            if row["state"] in (DocumentState.FAILED, DocumentState.CANCELLED):
                connection.execute(
                    """UPDATE documents SET state = 'queued', reason = NULL, tries = 0,
                    content = ?, name = ?, metadata = ? WHERE document_id = ?""",
                    (upload.content, upload.name, json.dumps(dict(upload.metadata)), document_id),
                )
    found = read(connection, owner, document_id)
    if found is None:
        raise sqlite3.IntegrityError("the document was erased at once")
    return found


def _insert(connection: sqlite3.Connection, owner: int, upload: Upload, sha256: str, bounds: DocumentBounds) -> str:
    count = connection.execute("SELECT count(*) FROM documents WHERE owner = ?", (owner,)).fetchone()[0]
    if count >= bounds.documents:
        raise Unreadable(FailureReason.QUOTA)
    document_id = f"doc_{uuid4().hex}"
    connection.execute(
        f"""INSERT INTO documents (document_id, owner, name, collection, metadata, sha256, content, state, added_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', {_NOW})""",  # noqa: S608 - a constant
        (document_id, owner, upload.name, upload.collection, json.dumps(dict(upload.metadata)), sha256, upload.content),
    )
    return document_id


def read(connection: sqlite3.Connection, owner: Caller, document_id: str) -> Document | None:
    """One document of an owner."""
    row = connection.execute(
        f"{_DOCUMENT} WHERE d.document_id = ? AND o.tenant = ? AND o.user = ?", (document_id, owner.tenant, owner.user)
    ).fetchone()
    return _to_document(row) if row is not None else None


def listing(connection: sqlite3.Connection, owner: Caller, limit: int, after: str) -> tuple[Document, ...]:
    """One page of an owner's documents."""
    rows = connection.execute(
        f"{_DOCUMENT} WHERE o.tenant = ? AND o.user = ? AND d.document_id > ? ORDER BY d.document_id LIMIT ?",
        (owner.tenant, owner.user, after, limit),
    )
    return tuple(map(_to_document, rows))


def cancel(connection: sqlite3.Connection, owner: Caller, document_id: str) -> Document | None:
    """Stop a job and throw away what it made."""
    with transaction(connection):
        row = connection.execute(
            f"{_DOCUMENT} WHERE d.document_id = ? AND o.tenant = ? AND o.user = ? AND d.state IN {_STOPPABLE}",
            (document_id, owner.tenant, owner.user),
        ).fetchone()
        if row is not None:
            end(connection, row, DocumentState.CANCELLED, None)
    return read(connection, owner, document_id)


def end(connection: sqlite3.Connection, row: sqlite3.Row, state: DocumentState, reason: FailureReason | None) -> None:
    """End a job without a searchable document, inside the caller's transaction."""
    forget_chunks(connection, row)
    connection.execute(
        """UPDATE documents SET state = ?, reason = ?, content = NULL, lease = '', lease_until = 0, chunks_total = NULL
        WHERE id = ?""",
        (state, reason, row["id"]),
    )


def forget_chunks(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Throw away the passages of a document, inside the caller's transaction."""
    if not row["chunks_done"]:
        return
    index.remove(connection, row["owner"], row["id"])
    sqlite_vectors.forget(connection, row["id"])
    connection.execute("DELETE FROM chunks WHERE document = ?", (row["id"],))
    connection.execute("UPDATE documents SET chunks_done = 0, text_bytes = 0 WHERE id = ?", (row["id"],))
    connection.execute("UPDATE owners SET is_untidy = 1 WHERE id = ?", (row["owner"],))


def erase(connection: sqlite3.Connection, owner: Caller, document_id: str) -> bool:
    """Remove a document; its job, if one runs, finds its lease lost."""
    with transaction(connection):
        row = connection.execute(
            f"{_DOCUMENT} WHERE d.document_id = ? AND o.tenant = ? AND o.user = ?",
            (document_id, owner.tenant, owner.user),
        ).fetchone()
        if row is not None:
            forget_chunks(connection, row)
            connection.execute("DELETE FROM documents WHERE id = ?", (row["id"],))
            _forget_idle_owner(connection, row["owner"])
    tidy(connection)
    return row is not None


def _forget_idle_owner(connection: sqlite3.Connection, number: int) -> None:
    """Remove an owner without documents, inside the caller's transaction: nothing is left that names them."""
    if connection.execute("SELECT 1 FROM documents WHERE owner = ? LIMIT 1", (number,)).fetchone() is None:
        index.drop(connection, number)
        connection.execute("DELETE FROM owners WHERE id = ?", (number,))


def erase_owner(connection: sqlite3.Connection, owner: Caller) -> None:
    """Remove an owner with everything."""
    with transaction(connection):
        number = _owner(connection, owner)
        if number is not None:
            index.drop(connection, number)
            connection.execute("DELETE FROM owners WHERE id = ?", (number,))
    flush(connection)


def tidy(connection: sqlite3.Connection) -> None:
    """Remove the words of erased passages from the file, one owner's at a time."""
    row = connection.execute("SELECT id FROM owners WHERE is_untidy LIMIT 1").fetchone()
    if row is not None:
        with transaction(connection):
            index.merge(connection, row["id"])
            connection.execute("UPDATE owners SET is_untidy = 0 WHERE id = ?", (row["id"],))
    flush(connection)


def search(connection: sqlite3.Connection, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
    """The best passages of an owner."""
    connection.execute("BEGIN")  # the owner's index is not dropped between the two reads
    try:
        number = _owner(connection, owner)
        if number is None or not lookup.terms:
            return ()
        rows = index.search(connection, number, lookup.terms, _conditions(lookup), lookup.limit)
        return tuple(map(_to_found, rows))
    finally:
        connection.execute("ROLLBACK")


def search_vectors(
    connection: sqlite3.Connection,
    owner: Caller,
    question: tuple[VectorSpace, bytes],
    lookup: Lookup,
    kept: dense.Blocks,
) -> tuple[Found, ...]:
    """The nearest passages of an owner.

    Args:
        connection: The file.
        owner: Whose.
        question: Its vector, and the space of that.
        lookup: Where, and how many.
        kept: Vectors that were read before.
    """
    space, vector = question
    connection.execute("BEGIN")  # what is near is still there when its text is read
    try:
        number = sqlite_vectors.space_number(connection, space)
        conditions, values = _conditions(lookup)
        rows = connection.execute(
            f"""{_DOCUMENT.replace("d.*", "d.*, e.id AS embedded")} JOIN embedded AS e ON e.document = d.id
            WHERE o.tenant = ? AND o.user = ? AND e.space = ? AND d.state = 'completed'{conditions} ORDER BY d.id""",
            (owner.tenant, owner.user, number, *values),
        ).fetchall()

        def block(row: sqlite3.Row) -> dense.Block:
            read = partial(sqlite_vectors.read_block, connection, row["id"], number or 0, space.dimensions)
            return kept.get(owner, row["embedded"], read)

        near = dense.nearest(((row, block(row)) for row in rows), vector, lookup.limit)
        return tuple(_to_near(connection, one) for one in near)
    finally:
        connection.execute("ROLLBACK")


def _to_near(connection: sqlite3.Connection, one: dense.Nearest) -> Found:
    row = one.document
    chunk = connection.execute(
        "SELECT * FROM chunks WHERE document = ? AND number = ?", (row["id"], one.number)
    ).fetchone()
    metadata = json.loads(row["metadata"])
    return Found(row["document_id"], row["name"], metadata, sqlite_vectors.to_chunk(chunk), one.score)


def _conditions(lookup: Lookup) -> tuple[str, Sequence[str]]:
    """SQL and values. Keys of metadata go in as values, too."""
    text, values = "", [*lookup.collections, *lookup.ids]
    if lookup.collections:
        text += f" AND d.collection IN ({', '.join('?' * len(lookup.collections))})"
    if lookup.ids:
        text += f" AND d.document_id IN ({', '.join('?' * len(lookup.ids))})"
    for key, value in lookup.filters.items():
        text += " AND EXISTS (SELECT 1 FROM json_each(d.metadata) AS m WHERE m.key = ? AND m.value = ?)"
        values += [key, value]
    return text, values


def _owner(connection: sqlite3.Connection, owner: Caller) -> int | None:
    row = connection.execute(
        "SELECT id FROM owners WHERE tenant = ? AND user = ?", (owner.tenant, owner.user)
    ).fetchone()
    return None if row is None else int(row["id"])


def _new_owner(connection: sqlite3.Connection, owner: Caller) -> int:
    made = connection.execute("INSERT INTO owners (tenant, user) VALUES (?, ?)", (owner.tenant, owner.user))
    number = int(made.lastrowid or 0)
    index.create(connection, number)
    return number


def _to_document(row: sqlite3.Row) -> Document:
    return Document(
        document_id=row["document_id"],
        owner=Caller(row["tenant"], row["user"]),
        name=row["name"],
        collection=row["collection"],
        metadata=json.loads(row["metadata"]),
        sha256=row["sha256"],
        state=DocumentState(row["state"]),
        reason=FailureReason(row["reason"]) if row["reason"] else None,
        chunks_done=row["chunks_done"],
        chunks_total=row["chunks_total"],
        tries=row["tries"],
    )


def _to_found(row: sqlite3.Row) -> Found:
    metadata = json.loads(row["metadata"])
    return Found(row["document_id"], row["name"], metadata, sqlite_vectors.to_chunk(row), row["score"])
