"""Which rows of each file are a person's."""

import base64
import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, Final

from chatbot.adapters import sqlite_tables
from chatbot.adapters.documents import sqlite_documents
from chatbot.adapters.limits import sqlite as limits
from chatbot.adapters.memory.summary_text import of_text, shown_summary
from chatbot.adapters.personal.sqlite.tables import SqlitePersonal, Table, Tables, of_tenants
from chatbot.adapters.shelves import sqlite as shelves
from chatbot.adapters.sqlite_file import connect
from chatbot.adapters.usage import sqlite as usage
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentStore
from chatbot.domain.limits import user_accounts
from chatbot.domain.personal.stores import Overdue, Person, Row

PIECE_BYTES: Final = 1 << 20
"""Of a file's bytes in an export: so much is in memory at once."""

_MINE: Final = "tenant = :tenant AND user = :user"


def conversations(path: Path) -> SqlitePersonal:
    """Conversations with their turns."""
    return SqlitePersonal(
        path,
        Tables(
            name="conversations",
            setting="CHATBOT_HISTORY_SQLITE_PATH",
            opening=sqlite_tables.connect,
            tables=(
                Table(
                    "conversation",
                    "conversations",
                    _MINE,
                    "service, db_id, local_only, updated_at, expires_at, note, note_depth, pins, summary, epoch",
                    show=_with_memory,
                ),
                Table(
                    "turn",
                    "turns AS t JOIN conversations AS c ON c.id = t.conversation",
                    "c.tenant = :tenant AND c.user = :user",
                    "c.service, c.db_id, t.turn_id, t.question, t.answer, t.at, t.character, t.proposals",
                    place="t.id",
                    page=50,
                ),
            ),
            removals=(f"DELETE FROM conversations WHERE {_MINE}",),  # noqa: S608 - their turns go with them
            values=_named,
            oldest="SELECT min(updated_at) / 1000.0 FROM conversations",
            expiry="""DELETE FROM conversations WHERE id IN (
                SELECT id FROM conversations WHERE updated_at < :before * 1000 AND {whose} LIMIT :most)""",
        ),
    )


def documents(path: Path, store: DocumentStore) -> SqlitePersonal:
    """Documents with their passages; what is computed from those is not handed out. `store` erases them."""
    return _Documents(
        store,
        path,
        Tables(
            name="documents",
            setting="CHATBOT_DOCUMENTS_SQLITE_PATH",
            opening=partial(connect, layout=sqlite_documents.LAYOUT),
            tables=(
                Table(
                    "document",
                    "documents AS d JOIN owners AS o ON o.id = d.owner",
                    "o.tenant = :tenant AND o.user = :user",
                    "d.document_id, d.name, d.collection, d.metadata, d.sha256, d.state",
                    place="d.id",
                    show=_with_metadata,
                ),
                Table(
                    "passage",
                    "chunks AS c JOIN documents AS d ON d.id = c.document JOIN owners AS o ON o.id = d.owner",
                    "o.tenant = :tenant AND o.user = :user",
                    "d.document_id, c.number, c.heading, c.text, c.page",
                    place="c.id",
                ),
            ),
            removals=(),
            values=_named,
            oldest="SELECT min(added_at) FROM documents",
        ),
    )


def files(path: Path) -> SqlitePersonal:
    """Files and vector stores."""
    return _Files(
        path,
        Tables(
            name="files",
            setting="CHATBOT_DOCUMENTS_SQLITE_PATH",
            opening=partial(connect, layout=shelves.LAYOUT),
            tables=(Table("thing", "things", _MINE, "kind AS what, id, created_at, fields", show=_with_fields),),
            removals=(f"DELETE FROM contents WHERE {_MINE}", f"DELETE FROM things WHERE {_MINE}"),  # noqa: S608
            values=_named,
            oldest="SELECT min(created_at) FROM things",
            expiry="""DELETE FROM things WHERE rowid IN (
                SELECT rowid FROM things WHERE kind IN ('file', 'place') AND created_at < :before AND {whose}
                LIMIT :most)""",
            leftovers="""DELETE FROM contents AS c WHERE NOT EXISTS (SELECT 1 FROM things AS t
                WHERE t.tenant = c.tenant AND t.user = c.user AND t.kind = 'file' AND t.id = c.id)""",
        ),
    )


def use(path: Path) -> SqlitePersonal:
    """Records of requests: they stay for the bill, without their subject."""
    mine = "tenant = :tenant AND user IN (SELECT value FROM json_each(:pseudonyms))"
    columns = """at, key, service, route, backend, model, outcome, prompt_tokens, cached_tokens, completion_tokens,
        tools, queue_seconds, seconds, micro_usd, price"""
    return SqlitePersonal(
        path,
        Tables(
            name="usage",
            setting="CHATBOT_USAGE_SQLITE_PATH",
            opening=partial(connect, layout=usage.LAYOUT),
            tables=(Table("request", "requests", mine, columns, place="id", first=""),),
            removals=(f"UPDATE requests SET user = '' WHERE {mine}",),  # noqa: S608 - constants
            values=_named,
            oldest="SELECT min(at) FROM requests WHERE user <> ''",
            expiry="""DELETE FROM requests WHERE id IN (
                SELECT id FROM requests WHERE at < :before AND {whose} LIMIT :most)""",
        ),
    )


def accounts(path: Path) -> SqlitePersonal:
    """Counters of a user's limits: an operator may reset them, the user may not."""
    mine = "id IN (SELECT value FROM json_each(:accounts))"
    return SqlitePersonal(
        path,
        Tables(
            name="limits",
            setting="CHATBOT_LIMITS_SQLITE_PATH",
            opening=partial(connect, layout=limits.LAYOUT),
            tables=(Table("account", "accounts", mine, "state", place="id", first="", show=_with_state),),
            removals=(f"DELETE FROM accounts WHERE {mine}",),  # noqa: S608 - constants
            values=lambda person: {"accounts": json.dumps(_account_names(person))},
        ),
        kept=lambda person: "limits" if person.is_self else "",
    )


class _Documents(SqlitePersonal):
    """Erased by the store itself, which also drops the owner's index and what it has in memory."""

    def __init__(self, store: DocumentStore, path: Path, tables: Tables) -> None:
        super().__init__(path, tables)
        self._store = store

    async def erase(self, person: Person) -> None:
        """See `PersonalData`."""
        await self._store.erase_owner(person.caller())

    async def expire(self, overdue: Overdue) -> int:
        """See `PersonalData`; one by one, as their owner would."""
        whose, values = of_tenants(overdue, "tenant")
        sql = f"""SELECT tenant, user, document_id FROM documents AS d JOIN owners AS o ON o.id = d.owner
            WHERE added_at < :before AND {whose} ORDER BY added_at LIMIT :most"""  # noqa: S608 - constants
        values |= {"before": overdue.before, "most": overdue.most}
        found = await self._file.call(lambda connection: connection.execute(sql, values).fetchall())
        for row in found:
            await self._store.erase(Caller(row["tenant"], row["user"]), row["document_id"])
        return len(found)

    async def count(self, person: Person) -> int:
        """See `PersonalData`; an owner without documents counts as well."""
        found = await self._file.call(
            lambda connection: connection.execute(
                f"SELECT count(*) FROM owners LEFT JOIN documents ON documents.owner = owners.id WHERE {_MINE}",  # noqa: S608 - a constant
                _named(person),
            ).fetchone()[0]
        )
        return int(found)


class _Files(SqlitePersonal):
    """With their bytes."""

    async def export(self, person: Person) -> Any:
        """See `PersonalData`."""
        async for row in super().export(person):
            yield row
        for file_id, size in await self._file.call(lambda connection: _files_of(connection, person)):
            for begin in range(0, size, PIECE_BYTES):
                piece = await self._file.call(lambda c, at=begin, of=file_id: _piece(c, person, of, at))  # type: ignore[misc]
                yield {"kind": "content", "id": file_id, "at": begin, "base64": base64.b64encode(piece).decode()}

    async def count(self, person: Person) -> int:
        """See `PersonalData`; bytes without a row count as well."""
        orphans = await self._file.call(lambda connection: len(_files_of(connection, person)))
        return max(await super().count(person), orphans)


def _files_of(connection: sqlite3.Connection, person: Person) -> list[tuple[str, int]]:
    sql = f"SELECT id, length(content) FROM contents WHERE {_MINE} ORDER BY id"  # noqa: S608 - a constant
    return [(row[0], row[1]) for row in connection.execute(sql, _named(person))]


def _piece(connection: sqlite3.Connection, person: Person, file_id: str, at: int) -> bytes:
    sql = f"SELECT substr(content, :from, {PIECE_BYTES}) FROM contents WHERE {_MINE} AND id = :id"  # noqa: S608
    row = connection.execute(sql, {**_named(person), "from": at + 1, "id": file_id}).fetchone()
    return bytes(row[0]) if row is not None else b""


def _named(person: Person) -> dict[str, Any]:
    pseudonyms = json.dumps(person.pseudonyms)
    return {"tenant": person.tenant, "user": person.user, "pseudonyms": pseudonyms}


def _account_names(person: Person) -> list[str]:
    return user_accounts(person.tenant, person.user, person.pseudonyms)


def _with_memory(row: dict[str, Any]) -> Row:
    note = {"text": row["note"], "depth": row["note_depth"]}
    kept = {name: value for name, value in row.items() if name not in ("note_depth", "epoch")}
    summary = shown_summary(of_text(row["summary"], row["epoch"]))
    return {**kept, "note": note, "pins": json.loads(row["pins"]), "summary": summary}


def _with_metadata(row: dict[str, Any]) -> Row:
    return {**row, "metadata": json.loads(row["metadata"])}


def _with_fields(row: dict[str, Any]) -> Row:
    return {**row, "fields": json.loads(row["fields"])}


def _with_state(row: dict[str, Any]) -> Row:
    return {"counters": json.loads(row["state"])}
