"""Accounts in one file, for one machine, also with several processes on it. See `AccountStore`."""

import json
import sqlite3
from functools import partial
from pathlib import Path

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, transaction
from chatbot.domain.limits import Change, T

LAYOUT = Layout(
    application_id=0x436B4C6D,
    version=1,
    statements=("CREATE TABLE accounts (id TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",),
)
_SETTING = "CHATBOT_LIMITS_SQLITE_PATH"


class SqliteAccounts:
    """`AccountStore` in a file."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SETTING, partial(_open, layout=LAYOUT), CALL_SECONDS)

    async def update(self, account: str, change: Change[T]) -> T:
        """See `AccountStore`."""
        return await self._file.call(lambda connection: _update(connection, account, change))

    async def close(self) -> None:
        """See `AccountStore`."""
        await self._file.close()


def _open(path: Path, layout: Layout) -> sqlite3.Connection:
    connection = connect(path, layout)
    # A power cut may forget the last moments; each answer waiting for the disk twice would cost more than that.
    connection.execute("PRAGMA synchronous = NORMAL").fetchall()
    return connection


def _update(connection: sqlite3.Connection, account: str, change: Change[T]) -> T:
    with transaction(connection):
        row = connection.execute("SELECT state FROM accounts WHERE id = ?", (account,)).fetchone()
        state, result = change(None if row is None else json.loads(row["state"]))
        if state is not None:
            connection.execute(
                "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
                (account, json.dumps(state)),
            )
        return result
