"""The audit in one file, for one machine, also with several processes on it. See `AuditStore`."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, flush, transaction
from chatbot.domain.audit.records import AuditEntry, AuditMark, AuditRecord, Bound

LAYOUT: Final = Layout(
    application_id=0x43684175,
    version=1,
    statements=(
        """CREATE TABLE records (
            number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, tenant TEXT NOT NULL, actor TEXT NOT NULL,
            action TEXT NOT NULL, object TEXT NOT NULL, outcome TEXT NOT NULL, request_id TEXT NOT NULL,
            previous TEXT NOT NULL, digest TEXT NOT NULL)""",
        """CREATE TABLE marks (
            bound TEXT PRIMARY KEY, number INTEGER NOT NULL, digest TEXT NOT NULL, seal TEXT NOT NULL)""",
    ),
)
_SETTING: Final = "CHATBOT_AUDIT_SQLITE_PATH"
_LAST: Final = "SELECT * FROM records ORDER BY number DESC LIMIT 1"
_MARK: Final = """INSERT INTO marks VALUES (?, ?, ?, ?) ON CONFLICT (bound) DO UPDATE
    SET number = excluded.number, digest = excluded.digest, seal = excluded.seal WHERE number < excluded.number"""


class SqliteAudit:
    """`AuditStore` in a file."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SETTING, partial(connect, layout=LAYOUT), CALL_SECONDS)

    async def append(self, link: Callable[[AuditRecord | None], AuditRecord]) -> AuditRecord:
        """See `AuditStore`."""

        def add(connection: sqlite3.Connection) -> AuditRecord:
            with transaction(connection):
                record = link(_one(connection.execute(_LAST).fetchone()))
                connection.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(record))
                return record

        return await self._file.call(add)

    async def read(self, after: int, limit: int) -> Sequence[AuditRecord]:
        """See `AuditStore`."""
        sql = "SELECT * FROM records WHERE number > ? ORDER BY number LIMIT ?"
        rows = await self._file.call(lambda connection: connection.execute(sql, (after, limit)).fetchall())
        return tuple(map(_record, rows))

    async def last(self) -> AuditRecord | None:
        """See `AuditStore`."""
        return _one(await self._file.call(lambda connection: connection.execute(_LAST).fetchone()))

    async def mark(self, mark: AuditMark) -> None:
        """See `AuditStore`."""
        row = (str(mark.bound), mark.number, mark.digest, mark.seal)
        await self._file.call(lambda connection: connection.execute(_MARK, row))

    async def marks(self) -> Sequence[AuditMark]:
        """See `AuditStore`."""
        rows = await self._file.call(lambda connection: connection.execute("SELECT * FROM marks").fetchall())
        return tuple(AuditMark(Bound(row["bound"]), row["number"], row["digest"], row["seal"]) for row in rows)

    async def remove_before(self, number: int, limit: int) -> int:
        """See `AuditStore`."""
        sql = (
            "DELETE FROM records WHERE number IN (SELECT number FROM records WHERE number < ? ORDER BY number LIMIT ?)"
        )
        removed = await self._file.call(lambda connection: connection.execute(sql, (number, limit)).rowcount)
        await self._file.call(flush)
        return removed

    async def close(self) -> None:
        """See `AuditStore`."""
        await self._file.close()


def _row(record: AuditRecord) -> tuple[object, ...]:
    entry = record.entry
    return (
        record.number,
        entry.at_ms,
        entry.tenant,
        entry.actor,
        str(entry.action),
        entry.object,
        str(entry.outcome),
        entry.request_id,
        record.previous,
        record.digest,
    )


def _one(row: Any) -> AuditRecord | None:
    return None if row is None else _record(row)


def _record(row: Any) -> AuditRecord:
    entry = AuditEntry(
        row["at_ms"],
        row["tenant"],
        row["actor"],
        row["action"],
        row["object"],
        row["outcome"],
        row["request_id"],
    )
    return AuditRecord(row["number"], entry, row["previous"], row["digest"])
