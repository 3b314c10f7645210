"""Keys in one file, for one machine, also with several processes on it. See `KeyStore`."""

import json
import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, transaction
from chatbot.domain.access import KeyRecord, Rights
from chatbot.domain.limits import Limits

LAYOUT = Layout(
    application_id=0x43684B79,
    version=1,
    statements=(
        """CREATE TABLE keys (
            id TEXT PRIMARY KEY, tenant TEXT NOT NULL, digest BLOB NOT NULL, pepper TEXT NOT NULL,
            label TEXT NOT NULL, rights TEXT NOT NULL, created_at REAL NOT NULL, not_before REAL NOT NULL,
            expires_at REAL, is_disabled INTEGER NOT NULL, last_used_at REAL, replaced_by TEXT NOT NULL
        ) WITHOUT ROWID""",
        "CREATE TABLE key_set (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL)",
        "INSERT INTO key_set VALUES (1, 0)",
    ),
)
_LOG = logging.getLogger(__name__)
_SETTING = "CHATBOT_AUTH_SQLITE_PATH"


class SqliteKeys:
    """`KeyStore` in a file."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SETTING, partial(connect, layout=LAYOUT), CALL_SECONDS)

    async def version(self) -> int:
        """See `KeyStore`."""
        return await self._file.call(_version)

    async def find(self, key_ids: Collection[str]) -> Mapping[str, KeyRecord]:
        """See `KeyStore`."""
        wanted = json.dumps(list(key_ids))
        rows = await self._file.call(
            lambda c: c.execute("SELECT * FROM keys WHERE id IN (SELECT value FROM json_each(?))", (wanted,)).fetchall()
        )
        return {record.id: record for record in _to_records(rows)}

    async def listing(self) -> tuple[KeyRecord, ...]:
        """See `KeyStore`."""
        rows = await self._file.call(
            lambda c: c.execute("SELECT * FROM keys ORDER BY tenant, created_at, id").fetchall()
        )
        return tuple(_to_records(rows))

    async def add(self, record: KeyRecord) -> None:
        """See `KeyStore`."""
        await self._file.call(lambda connection: _add(connection, record))

    async def change(self, record: KeyRecord) -> None:
        """See `KeyStore`."""
        await self._file.call(lambda connection: _change(connection, record))

    async def limit(self, key_id: str, limits: Limits) -> None:
        """See `KeyStore`."""
        await self._file.call(lambda connection: _limit(connection, key_id, limits))

    async def mark_used(self, at: Mapping[str, float]) -> None:
        """See `KeyStore`."""
        rows = [(seconds, key_id, seconds) for key_id, seconds in at.items()]

        def mark(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.executemany(
                    "UPDATE keys SET last_used_at = ? WHERE id = ? AND coalesce(last_used_at, 0) < ?", rows
                )

        await self._file.call(mark)

    async def rewrite(self, digests: Mapping[str, tuple[str, bytes]]) -> None:
        """See `KeyStore`."""
        rows = [(pepper, digest, key_id) for key_id, (pepper, digest) in digests.items()]

        def put(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.executemany("UPDATE keys SET pepper = ?, digest = ? WHERE id = ?", rows)

        await self._file.call(put)

    async def close(self) -> None:
        """See `KeyStore`."""
        await self._file.close()


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT version FROM key_set").fetchone()[0])


def _add(connection: sqlite3.Connection, record: KeyRecord) -> None:
    row = (
        record.id,
        record.tenant,
        record.digest,
        record.pepper,
        record.label,
        json.dumps(record.rights.fields()),
        record.created_at,
        record.not_before,
        record.expires_at,
        record.is_disabled,
        record.last_used_at,
        record.replaced_by,
    )
    with transaction(connection):
        done = connection.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
        )
        _raise_version(connection, done.rowcount, record.id)


def _change(connection: sqlite3.Connection, record: KeyRecord) -> None:
    with transaction(connection):
        done = connection.execute(
            "UPDATE keys SET expires_at = ?, is_disabled = ?, replaced_by = ? WHERE id = ?",
            (record.expires_at, record.is_disabled, record.replaced_by, record.id),
        )
        _raise_version(connection, done.rowcount, record.id)


def _limit(connection: sqlite3.Connection, key_id: str, limits: Limits) -> None:
    with transaction(connection):
        done = connection.execute(
            "UPDATE keys SET rights = json_set(rights, '$.limits', json(?)) WHERE id = ?",
            (json.dumps(limits.fields()), key_id),
        )
        _raise_version(connection, done.rowcount, key_id)


def _raise_version(connection: sqlite3.Connection, changed: int, key_id: str) -> None:
    if not changed:
        raise KeyError(key_id)
    connection.execute("UPDATE key_set SET version = version + 1")


def _to_records(rows: Iterable[sqlite3.Row]) -> Iterator[KeyRecord]:
    """One row that somebody spoilt by hand must not lock the others out."""
    for row in rows:
        try:
            yield _to_record(row)
        except (KeyError, TypeError, ValueError) as exc:
            _LOG.error("a row of the table keys is no key: %s", type(exc).__name__)


def _to_record(row: sqlite3.Row) -> KeyRecord:
    return KeyRecord(
        id=row["id"],
        tenant=row["tenant"],
        digest=row["digest"],
        pepper=row["pepper"],
        label=row["label"],
        rights=Rights.of(json.loads(row["rights"])),
        created_at=row["created_at"],
        not_before=row["not_before"],
        expires_at=row["expires_at"],
        is_disabled=bool(row["is_disabled"]),
        last_used_at=row["last_used_at"],
        replaced_by=row["replaced_by"],
    )
