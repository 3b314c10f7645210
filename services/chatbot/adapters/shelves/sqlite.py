"""`ShelfStore` in one file, for one machine, also with several processes on it."""

import json
import sqlite3
from functools import partial
from pathlib import Path

from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, flush, transaction
from chatbot.domain.chat import Caller
from chatbot.domain.errors import DocumentsUnavailable
from chatbot.domain.shelves.shelf_store import RowKind, ShelfRow

LAYOUT = Layout(
    application_id=0x43685368,
    version=1,
    statements=(
        """CREATE TABLE things (
            tenant TEXT NOT NULL, user TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
            created_at INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (tenant, user, kind, id))""",
        """CREATE TABLE contents (
            tenant TEXT NOT NULL, user TEXT NOT NULL, id TEXT NOT NULL, content BLOB NOT NULL,
            PRIMARY KEY (tenant, user, id))""",
    ),
)
CALL_SECONDS = 30.0
_SETTING = "CHATBOT_DOCUMENTS_SQLITE_PATH"
_MINE = "tenant = ? AND user = ?"


class SqliteShelves:
    """See `ShelfStore`.

    Args:
        path: The file; it and its folder are made where they are missing, by the first call.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SETTING, partial(connect, layout=LAYOUT), CALL_SECONDS, DocumentsUnavailable)

    async def put(self, owner: Caller, row: ShelfRow) -> None:
        """Keep a row."""
        values = (owner.tenant, owner.user, row.kind, row.row_id, row.created_at, json.dumps(dict(row.fields)))
        await self._file.call(lambda c: _write(c, "INSERT OR REPLACE INTO things VALUES (?, ?, ?, ?, ?, ?)", values))

    async def get(self, owner: Caller, kind: RowKind, row_id: str) -> ShelfRow | None:
        """A row of this owner."""
        found = await self._file.call(
            lambda c: c.execute(
                f"SELECT * FROM things WHERE {_MINE} AND kind = ? AND id = ?",  # noqa: S608 - a constant
                (owner.tenant, owner.user, kind, row_id),
            ).fetchone()
        )
        return _to_row(found) if found is not None else None

    async def rows(self, owner: Caller, kind: RowKind) -> tuple[ShelfRow, ...]:
        """All rows of a kind."""
        found = await self._file.call(
            lambda c: c.execute(
                f"SELECT * FROM things WHERE {_MINE} AND kind = ? ORDER BY created_at, rowid",  # noqa: S608
                (owner.tenant, owner.user, kind),
            ).fetchall()
        )
        return tuple(map(_to_row, found))

    async def remove(self, owner: Caller, kind: RowKind, row_id: str) -> bool:
        """Remove a row, and the bytes of a file."""
        return await self._file.call(lambda c: _remove(c, owner, kind, row_id))

    async def keep(self, owner: Caller, file_id: str, content: bytes) -> None:
        """Keep the bytes of a file."""
        values = (owner.tenant, owner.user, file_id, content)
        await self._file.call(lambda c: _write(c, "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", values))

    async def content(self, owner: Caller, file_id: str) -> bytes | None:
        """The bytes of a file."""
        found = await self._file.call(
            lambda c: c.execute(
                f"SELECT content FROM contents WHERE {_MINE} AND id = ?",  # noqa: S608
                (owner.tenant, owner.user, file_id),
            ).fetchone()
        )
        return bytes(found[0]) if found is not None else None

    async def close(self) -> None:
        """Close the file."""
        await self._file.close()


def _write(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> None:
    with transaction(connection):
        connection.execute(statement, values)


def _remove(connection: sqlite3.Connection, owner: Caller, kind: RowKind, row_id: str) -> bool:
    mine = (owner.tenant, owner.user)
    with transaction(connection):
        if kind is RowKind.FILE:
            connection.execute(f"DELETE FROM contents WHERE {_MINE} AND id = ?", (*mine, row_id))  # noqa: S608
        gone = connection.execute(
            f"DELETE FROM things WHERE {_MINE} AND kind = ? AND id = ?",  # noqa: S608
            (*mine, kind, row_id),
        )
    flush(connection)
    return gone.rowcount == 1


def _to_row(row: sqlite3.Row) -> ShelfRow:
    return ShelfRow(RowKind(row["kind"]), row["id"], row["created_at"], json.loads(row["fields"]))
