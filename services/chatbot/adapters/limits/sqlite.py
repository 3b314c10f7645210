"""Accounts in one file, for one machine, also with several processes on it. See `AccountStore`.

Beside its state a row has the time of its last change, so that those who left do not fill the file for ever.
"""

import json
import sqlite3
import time
from functools import partial
from pathlib import Path

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, transaction
from chatbot.domain.limits import IDLE_SECONDS, Change, T

LAYOUT = Layout(
    application_id=0x436B4C6D,
    version=1,
    statements=("CREATE TABLE accounts (id TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",),
)
SWEEP_UPDATES = 10_000
# A row that somebody spoilt by hand spoils nobody else's.
_SWEEP = "DELETE FROM accounts WHERE CASE WHEN json_valid(state) THEN json_extract(state, '$.changed_at') END < ?"
_SETTING = "CHATBOT_LIMITS_SQLITE_PATH"


class SqliteAccounts:
    """`AccountStore` in a file."""

    def __init__(self, path: Path) -> None:
        self._until_sweep = 0
        self._file = SqliteFile(path, _SETTING, partial(_open, layout=LAYOUT), CALL_SECONDS)

    async def update(self, account: str, change: Change[T]) -> T:
        """See `AccountStore`."""
        self._until_sweep -= 1
        sweeps = self._until_sweep <= 0
        if sweeps:
            self._until_sweep = SWEEP_UPDATES
        return await self._file.call(lambda connection: _update(connection, account, change, sweeps=sweeps))

    async def close(self) -> None:
        """See `AccountStore`."""
        await self._file.close()


def _open(path: Path, layout: Layout) -> sqlite3.Connection:
    connection = connect(path, layout)
    # A power cut may forget the last moments; each answer waiting for the disk twice would cost more than that.
    connection.execute("PRAGMA synchronous = NORMAL").fetchall()
    return connection


def _update(connection: sqlite3.Connection, account: str, change: Change[T], *, sweeps: bool) -> T:
    with transaction(connection):
        if sweeps:
            before = time.time() - IDLE_SECONDS
            connection.execute(_SWEEP, (before,))
        row = connection.execute("SELECT state FROM accounts WHERE id = ?", (account,)).fetchone()
        kept = None if row is None else json.loads(row["state"])
        if kept is not None:
            kept.pop("changed_at", None)
        state, result = change(kept)
        if state is not None:
            connection.execute(
                "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
                (account, json.dumps(state | {"changed_at": time.time()})),
            )
        return result
