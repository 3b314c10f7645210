"""Tombstones, jobs and receipts in one file, for one machine, also with several processes on it."""

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.personal.erasure_row import to_erasure
from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, flush, transaction
from chatbot.domain.personal.erasure import Erasure, ErasureGone, Tombstone

LAYOUT: Final = Layout(
    application_id=0x43685065,
    version=1,
    statements=(
        "CREATE TABLE secret (only INTEGER PRIMARY KEY CHECK (only = 1), value BLOB NOT NULL)",
        """CREATE TABLE erasures (
            mark TEXT PRIMARY KEY, epoch INTEGER NOT NULL, state TEXT NOT NULL, begun_at REAL NOT NULL, done_at REAL,
            tenant TEXT NOT NULL, user TEXT NOT NULL, is_self INTEGER NOT NULL, failures INTEGER NOT NULL,
            failing TEXT NOT NULL, found TEXT NOT NULL, receipt TEXT NOT NULL, lease TEXT NOT NULL,
            lease_until REAL NOT NULL, changed_at REAL NOT NULL)""",
        "CREATE INDEX erasures_by_change ON erasures (changed_at)",
        "CREATE INDEX erasures_unfinished ON erasures (lease_until) WHERE state = 'erasing'",
        "CREATE TABLE exports (mark TEXT PRIMARY KEY, until REAL NOT NULL)",
        "CREATE TABLE turns (what TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL)",
    ),
)
_SETTING: Final = "CHATBOT_HISTORY_SQLITE_PATH"
_INSERT: Final = """INSERT INTO erasures VALUES (
    :mark, coalesce((SELECT epoch FROM erasures WHERE mark = :mark), 0) + 1, 'erasing', :begun_at, NULL,
    :tenant, :user, :is_self, 0, '', '{}', '{}', '', 0, :begun_at)
    ON CONFLICT (mark) DO UPDATE SET epoch = excluded.epoch, state = 'erasing', begun_at = excluded.begun_at,
    done_at = NULL, tenant = excluded.tenant, user = excluded.user, is_self = excluded.is_self, failures = 0,
    failing = '', found = '{}', receipt = '{}', lease = '', lease_until = 0, changed_at = excluded.changed_at
    WHERE state = 'done'"""
_HELD: Final = "mark = :mark AND epoch = :epoch AND lease = :lease AND state = 'erasing'"


class SqliteErasures:
    """See `ErasureStore`.

    Args:
        path: The file; it and its folder are made where they are missing, by the first call.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SETTING, partial(connect, layout=LAYOUT), CALL_SECONDS)

    async def secret(self) -> bytes:
        """See `ErasureStore`."""

        def find(connection: sqlite3.Connection) -> bytes:
            with transaction(connection):
                connection.execute("INSERT OR IGNORE INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))
                return bytes(connection.execute("SELECT value FROM secret").fetchone()[0])

        return await self._file.call(find)

    async def begin(self, erasure: Erasure) -> Erasure:
        """See `ErasureStore`."""

        def write(connection: sqlite3.Connection) -> Erasure:
            with transaction(connection):
                connection.execute(_INSERT, asdict(erasure) | {"found": None, "receipt": None})
                return _to_erasure(_find(connection, erasure.mark))

        return await self._file.call(write)

    async def find(self, mark: str) -> Erasure | None:
        """See `ErasureStore`."""
        row = await self._file.call(lambda connection: _find(connection, mark))
        return None if row is None else _to_erasure(row)

    async def changed(self, since: float) -> Sequence[Tombstone]:
        """See `ErasureStore`."""
        sql = "SELECT mark, epoch, state = 'erasing', changed_at FROM erasures WHERE changed_at >= ?"
        rows = await self._file.call(lambda connection: connection.execute(sql, (since,)).fetchall())
        return tuple(Tombstone(row[0], row[1], bool(row[2]), row[3]) for row in rows)

    async def claim(self, now: float, lease_seconds: float) -> Erasure | None:
        """See `ErasureStore`."""

        def take(connection: sqlite3.Connection) -> Erasure | None:
            sql = "SELECT mark FROM erasures WHERE state = 'erasing' AND lease_until <= ? ORDER BY begun_at LIMIT 1"
            if connection.execute(sql, (now,)).fetchone() is None:
                return None  # no write where there is nothing to do
            with transaction(connection):
                row = connection.execute(sql, (now,)).fetchone()
                if row is None:
                    return None
                held = (secrets.token_hex(8), now + lease_seconds, row[0])
                connection.execute("UPDATE erasures SET lease = ?, lease_until = ? WHERE mark = ?", held)
                return _to_erasure(_find(connection, row[0]))

        return await self._file.call(take)

    async def hold(self, erasure: Erasure, until: float) -> None:
        """See `ErasureStore`."""
        sql = f"UPDATE erasures SET failures = :failures, failing = :failing, found = :found, lease_until = :until WHERE {_HELD}"  # noqa: S608, E501
        await self._write(sql, erasure, {"until": until, "found": json.dumps(dict(erasure.found))})

    async def finish(self, erasure: Erasure) -> None:
        """See `ErasureStore`."""
        sql = (
            "UPDATE erasures SET state = 'done', done_at = :done_at, changed_at = :done_at, receipt = :receipt, "  # noqa: S608
            f"tenant = '', user = '', failures = 0, failing = '', lease = '' WHERE {_HELD}"
        )
        receipt = {"erased": dict(erasure.receipt.erased), "kept": dict(erasure.receipt.kept)}
        await self._write(sql, erasure, {"receipt": json.dumps(receipt)})
        await self._file.call(flush)

    async def unfinished(self) -> tuple[int, float]:
        """See `ErasureStore`."""
        sql = "SELECT count(*), coalesce(min(begun_at), 0) FROM erasures WHERE state = 'erasing'"
        row = await self._file.call(lambda connection: connection.execute(sql).fetchone())
        return int(row[0]), float(row[1])

    async def offer_export(self, mark: str, until: float) -> None:
        """See `ErasureStore`."""
        await self._file.call(
            lambda connection: connection.execute("INSERT OR REPLACE INTO exports VALUES (?, ?)", (mark, until))
        )

    async def export_until(self, mark: str) -> float:
        """See `ErasureStore`."""
        sql = "SELECT until FROM exports WHERE mark = ?"
        row = await self._file.call(lambda connection: connection.execute(sql, (mark,)).fetchone())
        return 0.0 if row is None else float(row[0])

    async def take_export(self, mark: str, now: float) -> bool:
        """See `ErasureStore`."""
        sql = "DELETE FROM exports WHERE mark = ? AND until > ?"
        return await self._file.call(lambda connection: connection.execute(sql, (mark, now)).rowcount == 1)

    async def take_turn(self, what: str, holder: str, now: float, seconds: float) -> bool:
        """See `ErasureStore`."""
        sql = """INSERT INTO turns VALUES (:what, :holder, :until) ON CONFLICT (what) DO UPDATE
            SET holder = :holder, until = :until WHERE holder = :holder OR until <= :now"""
        values = {"what": what, "holder": holder, "until": now + seconds, "now": now}
        return await self._file.call(lambda connection: connection.execute(sql, values).rowcount == 1)

    async def forget(self, before: float) -> None:
        """See `ErasureStore`."""

        def remove(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute("DELETE FROM erasures WHERE state = 'done' AND done_at < ?", (before,))
                connection.execute("DELETE FROM exports WHERE until < ?", (before,))

        await self._file.call(remove)

    async def close(self) -> None:
        """See `ErasureStore`."""
        await self._file.close()

    async def _write(self, sql: str, erasure: Erasure, more: dict[str, Any]) -> None:
        values = asdict(erasure) | more
        values = {name: value for name, value in values.items() if not isinstance(value, dict)}

        def write(connection: sqlite3.Connection) -> int:
            with transaction(connection):
                return connection.execute(sql, values).rowcount

        if not await self._file.call(write):
            raise ErasureGone


def _find(connection: sqlite3.Connection, mark: str) -> Any:
    return connection.execute("SELECT * FROM erasures WHERE mark = ?", (mark,)).fetchone()


def _to_erasure(row: Any) -> Erasure:
    return to_erasure(row["mark"], row, json.loads(row["found"]), json.loads(row["receipt"]))
