"""Characters in one file, for one machine, also with several processes on it. See `CharacterStore`."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from chatbot.adapters.history_bounds import CALL_SECONDS
from chatbot.adapters.sqlite_file import Layout, SqliteFile, connect, transaction
from chatbot.domain.characters import KEPT_REVISIONS, CharacterSummary, KeptCharacter
from chatbot.domain.errors import CharacterQuota, CharactersUnavailable

LAYOUT: Final = Layout(
    application_id=0x43684368,
    version=1,
    statements=(
        """CREATE TABLE characters (
            tenant TEXT NOT NULL, name TEXT NOT NULL, revision TEXT NOT NULL, display_name TEXT NOT NULL,
            updated_at INTEGER NOT NULL, PRIMARY KEY (tenant, name)) WITHOUT ROWID""",
        """CREATE TABLE revisions (
            tenant TEXT NOT NULL, name TEXT NOT NULL, revision TEXT NOT NULL, card TEXT NOT NULL,
            number INTEGER NOT NULL, PRIMARY KEY (tenant, name, revision),
            FOREIGN KEY (tenant, name) REFERENCES characters (tenant, name) ON DELETE CASCADE)""",
    ),
)
_SETTING: Final = "CHATBOT_CHARACTERS_SQLITE_PATH"


class SqliteCharacters:
    """`CharacterStore` in a file."""

    def __init__(self, path: Path) -> None:
        opening: Callable[[Path], sqlite3.Connection] = partial(connect, layout=LAYOUT)
        self._file = SqliteFile(path, _SETTING, opening, CALL_SECONDS, CharactersUnavailable)

    async def put(self, tenant: str, character: KeptCharacter, display_name: str, *, most: int) -> None:
        """See `CharacterStore`."""
        row = (tenant, character.name, character.revision, display_name, _to_milliseconds(character.updated_at))
        card = json.dumps(character.card, ensure_ascii=False, separators=(",", ":"))
        is_kept = await self._file.call(lambda connection: _put(connection, row, card, most))
        if not is_kept:
            raise CharacterQuota

    async def find(self, tenant: str, name: str, revision: str | None = None) -> KeptCharacter | None:
        """See `CharacterStore`."""
        row = await self._file.call(
            lambda connection: connection.execute(
                """SELECT name, r.revision AS revision, card, updated_at FROM characters AS c
                JOIN revisions AS r USING (tenant, name)
                WHERE tenant = ? AND name = ? AND r.revision = coalesce(?, c.revision)""",
                (tenant, name, revision),
            ).fetchone()
        )
        if row is None:
            return None
        return KeptCharacter(row["name"], row["revision"], json.loads(row["card"]), _to_time(row["updated_at"]))

    async def listing(self, tenant: str, *, limit: int, after: str = "") -> tuple[CharacterSummary, ...]:
        """See `CharacterStore`."""
        rows = await self._file.call(
            lambda connection: connection.execute(
                "SELECT * FROM characters WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?", (tenant, after, limit)
            ).fetchall()
        )
        return tuple(
            CharacterSummary(row["name"], row["display_name"], row["revision"], _to_time(row["updated_at"]))
            for row in rows
        )

    async def erase(self, tenant: str, name: str) -> None:
        """See `CharacterStore`."""

        def remove(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute("DELETE FROM characters WHERE tenant = ? AND name = ?", (tenant, name))

        await self._file.call(remove)

    async def close(self) -> None:
        """See `CharacterStore`."""
        await self._file.close()


def _put(connection: sqlite3.Connection, row: tuple[str, str, str, str, int], card: str, most: int) -> bool:
    """Whether there was room."""
    tenant, name, revision, _, _ = row
    with transaction(connection):
        others = connection.execute(
            "SELECT count(*) FROM characters WHERE tenant = ? AND name <> ?", (tenant, name)
        ).fetchone()[0]
        is_there = connection.execute(
            "SELECT 1 FROM characters WHERE tenant = ? AND name = ?", (tenant, name)
        ).fetchone()
        if is_there is None and others >= most:
            return False
        connection.execute(
            """INSERT INTO characters VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE
            SET revision = excluded.revision, display_name = excluded.display_name, updated_at = excluded.updated_at""",
            row,
        )
        _keep_revision(connection, (tenant, name, revision), card)
    return True


def _keep_revision(connection: sqlite3.Connection, key: tuple[str, str, str], card: str) -> None:
    """Keep it as the newest, and no more of them than are kept."""
    newest = "SELECT coalesce(max(number), 0) FROM revisions WHERE tenant = ? AND name = ?"
    number = connection.execute(newest, key[:2]).fetchone()[0] + 1
    connection.execute(
        """INSERT INTO revisions VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, name, revision) DO UPDATE
        SET card = excluded.card, number = excluded.number""",
        (*key, card, number),
    )
    connection.execute(
        """DELETE FROM revisions WHERE tenant = ?1 AND name = ?2 AND number <= (
            SELECT number FROM revisions WHERE tenant = ?1 AND name = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)""",
        (*key[:2], KEPT_REVISIONS),
    )


def _to_milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _to_time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
