"""Use in one file, for one machine, also with several processes on it. See `UsageStore`."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, transaction
from chatbot.domain.usage.rows import COUNTS, MOST_GROUPS, OF_DAYS, Ask, Group, Report, Sums, UsageRow

_ROW: Final = tuple(field.name for field in fields(UsageRow))
_DAYS_KEY: Final = ("tenant", *map(str, OF_DAYS))
LAYOUT = Layout(
    application_id=0x43685573,
    version=1,
    statements=(
        """CREATE TABLE requests (
            id TEXT PRIMARY KEY, at REAL NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL, user TEXT NOT NULL,
            service TEXT NOT NULL, route TEXT NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL,
            revision TEXT NOT NULL, outcome TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, queue_seconds REAL NOT NULL,
            first_seconds REAL NOT NULL, seconds REAL NOT NULL, tools TEXT NOT NULL, micro_usd INTEGER NOT NULL,
            price TEXT NOT NULL, is_estimated INTEGER NOT NULL, day TEXT NOT NULL, tool_calls INTEGER NOT NULL,
            unpriced INTEGER NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX requests_of_days ON requests (tenant, day)",
        "CREATE INDEX requests_by_day ON requests (day)",
        """CREATE TABLE days (
            tenant TEXT NOT NULL, day TEXT NOT NULL, key TEXT NOT NULL, service TEXT NOT NULL, backend TEXT NOT NULL,
            model TEXT NOT NULL, outcome TEXT NOT NULL, requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, tool_calls INTEGER NOT NULL,
            micro_usd INTEGER NOT NULL, unpriced INTEGER NOT NULL, estimated INTEGER NOT NULL,
            PRIMARY KEY (tenant, day, key, service, backend, model, outcome)
        ) WITHOUT ROWID""",
    ),
)
_SETTING: Final = "CHATBOT_USAGE_SQLITE_PATH"
_INSERT: Final = f"INSERT OR IGNORE INTO requests VALUES ({', '.join('?' * (len(_ROW) + 3))})"  # noqa: S608 - question marks
_ADD: Final = (
    f"INSERT INTO days ({', '.join((*_DAYS_KEY, *COUNTS))}) "  # noqa: S608 - names of columns, of this module
    f"VALUES ({', '.join('?' * (len(_DAYS_KEY) + len(COUNTS)))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTS)
)
_OF_ROWS: Final = {"requests": "COUNT(*)", "estimated": "SUM(is_estimated)"}


class SqliteUsage:
    """`UsageStore` in a file."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SETTING, partial(_open, layout=LAYOUT), CALL_SECONDS)

    async def add(self, rows: Sequence[UsageRow]) -> None:
        """See `UsageStore`."""
        await self._file.call(lambda connection: _add(connection, rows))

    async def report(self, ask: Ask) -> Report:
        """See `UsageStore`."""
        return await self._file.call(lambda connection: _report(connection, ask))

    async def expire(self, rows_before: date, days_before: date) -> None:
        """See `UsageStore`."""

        def drop(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute("DELETE FROM requests WHERE day < ?", (rows_before.isoformat(),))
                connection.execute("DELETE FROM days WHERE day < ?", (days_before.isoformat(),))

        await self._file.call(drop)

    async def close(self) -> None:
        """See `UsageStore`."""
        await self._file.close()


def _open(path: Path, layout: Layout) -> sqlite3.Connection:
    connection = connect(path, layout)
    # A power cut may forget the last moments; rows wait in memory for up to a second anyway.
    connection.execute("PRAGMA synchronous = NORMAL").fetchall()
    return connection


def _add(connection: sqlite3.Connection, rows: Sequence[UsageRow]) -> None:
    with transaction(connection):
        for row in rows:
            sums = Sums.of(row)
            values = (*(_value(row, name) for name in _ROW), row.day, sums.tool_calls, sums.unpriced)
            if connection.execute(_INSERT, values).rowcount:
                of_day = (row.tenant, *(row.group(group) for group in OF_DAYS))
                connection.execute(_ADD, (*of_day, *(getattr(sums, name) for name in COUNTS)))


def _value(row: UsageRow, name: str) -> Any:
    value = getattr(row, name)
    return json.dumps(value) if name == "tools" else value


def _report(connection: sqlite3.Connection, ask: Ask) -> Report:
    names = [str(group) for group in ask.by]
    counts = [f"SUM({name})" for name in COUNTS]
    if ask.needs_rows:
        counts = [_OF_ROWS.get(name, f"SUM({name})") for name in COUNTS]
    wanted: dict[str, str | None] = {"key": ask.key, "user": ask.user}
    narrowed = {name: value for name, value in wanted.items() if value is not None}
    sql = (
        f"SELECT {', '.join((*names, *counts))} FROM {'requests' if ask.needs_rows else 'days'} "  # noqa: S608 - a
        f"WHERE tenant = ? AND day BETWEEN ? AND ? {''.join(f'AND {name} = ? ' for name in narrowed)}"  # closed set
        + (f"GROUP BY {', '.join(names)} ORDER BY {', '.join(names)} " if names else "")
        + f"LIMIT {MOST_GROUPS + 1}"
    )
    values = (ask.tenant, ask.first.isoformat(), ask.last.isoformat(), *narrowed.values())
    return [_line(ask.by, tuple(row)) for row in connection.execute(sql, values) if row[len(names)]]


def _line(by: tuple[Group, ...], row: tuple[Any, ...]) -> tuple[dict[Group, str], Sums]:
    return dict(zip(by, row[: len(by)], strict=True)), Sums(*(int(count) for count in row[len(by) :]))
