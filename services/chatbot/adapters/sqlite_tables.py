"""Tables and statements of the embedded store: plain functions over one connection, one transaction each."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chatbot.adapters import sqlite_file
from chatbot.adapters.history_bounds import GRACE, TOMBSTONE, HistoryBounds, stored_turn, turn_bytes
from chatbot.adapters.memory import sqlite as standing
from chatbot.adapters.sqlite_file import Layout, flush, transaction
from chatbot.domain.chat import Caller, Conversation, ConversationKey, ConversationSummary, Turn
from chatbot.domain.errors import ConversationErased
from chatbot.domain.memory.standing import NOTHING, Note
from chatbot.domain.memory.summary import Summary

SWEEP_ROWS = 200

_SCHEMA = (
    """CREATE TABLE conversations (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL, service TEXT NOT NULL, user TEXT NOT NULL, db_id TEXT NOT NULL,
        epoch INTEGER NOT NULL, local_only INTEGER NOT NULL,
        updated_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        note TEXT NOT NULL DEFAULT '', note_depth INTEGER NOT NULL DEFAULT 0, pins TEXT NOT NULL DEFAULT '[]',
        summary TEXT NOT NULL DEFAULT '',
        UNIQUE (tenant, service, user, db_id))""",
    "CREATE INDEX conversations_by_expiry ON conversations (expires_at)",
    """CREATE TABLE turns (
        id INTEGER PRIMARY KEY,
        conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        turn_id TEXT NOT NULL, question TEXT NOT NULL, answer TEXT NOT NULL,
        at INTEGER NOT NULL, bytes INTEGER NOT NULL, character TEXT NOT NULL DEFAULT '',
        proposals TEXT NOT NULL DEFAULT '',
        UNIQUE (conversation, turn_id))""",
)
LAYOUT = Layout(0x43684254, 1, _SCHEMA)
_EPOCH_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file of conversations, make it and its tables where there is none.

    Raises:
        OSError: The folder or the file cannot be made.
        sqlite3.Error: It cannot be opened, or is no database of ours.
    """
    connection = sqlite_file.connect(path, LAYOUT)
    try:
        _complete(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _complete(connection: sqlite3.Connection) -> None:
    """Add what a file of an older version lacks; that version goes on using the file, too."""
    if _missing(connection):
        with transaction(connection):
            for addition in _missing(connection):  # none, where another process was faster
                connection.execute(f"ALTER TABLE {addition}")


def _missing(connection: sqlite3.Connection) -> list[str]:
    """Columns that were not there in the first version, as `ALTER TABLE` adds them."""
    text = "TEXT NOT NULL DEFAULT ''"
    added = {"turns": {"character": text, "proposals": text}, "conversations": standing.COLUMNS}
    there = {table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} for table in added}
    return [
        f"{table} ADD COLUMN {name} {kind}"
        for table, columns in added.items()
        for name, kind in columns.items()
        if name not in there[table]
    ]


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, unless another process was faster."""
    sqlite_file.create(connection, LAYOUT)


def load(connection: sqlite3.Connection, key: ConversationKey, now: datetime) -> Conversation:
    """Read a conversation; an expired one is nothing."""
    connection.execute("BEGIN")  # both reads see the same moment
    try:
        row = _find(connection, key)
        if row is None or row["expires_at"] <= _to_milliseconds(now):
            return Conversation(key)
        turns = connection.execute("SELECT * FROM turns WHERE conversation = ? ORDER BY id", (row["id"],)).fetchall()
        kept, summary = (standing.of_row(row), standing.summary_of_row(row)) if turns else (NOTHING, None)
        return Conversation(key, row["epoch"], tuple(map(_to_turn, turns)), bool(row["local_only"]), kept, summary)
    finally:
        connection.execute("ROLLBACK")


def append(
    connection: sqlite3.Connection, conversation: Conversation, turn: Turn, bounds: HistoryBounds, now: datetime
) -> Turn:
    """Store a turn.

    Args:
        connection: The file.
        conversation: Key, epoch as it was read, and whether this turn asks to stay local.
        turn: The turn.
        bounds: What is kept.
        now: Time of this call.

    Returns:
        The turn that is stored now: another one where the id was there already.

    Raises:
        ConversationErased: The epoch has moved.
    """
    turn = stored_turn(turn)
    with transaction(connection):
        row = _find(connection, conversation.key)
        if row is not None and row["expires_at"] <= _to_milliseconds(now):
            if conversation.epoch not in (0, row["epoch"]):
                raise ConversationErased
            connection.execute("DELETE FROM conversations WHERE id = ?", (row["id"],))
        elif row is not None:
            there = connection.execute(
                "SELECT * FROM turns WHERE conversation = ? AND turn_id = ?", (row["id"], turn.turn_id)
            ).fetchone()
            if there is not None:
                return _to_turn(there)
            if row["epoch"] != conversation.epoch:
                raise ConversationErased
        _insert(connection, _touch(connection, conversation, now, bounds.expiry(now)), turn, bounds)
    return turn


def _touch(connection: sqlite3.Connection, conversation: Conversation, now: datetime, expires_at: datetime) -> int:
    connection.execute(
        """INSERT INTO conversations (tenant, service, user, db_id, epoch, local_only, updated_at, expires_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, service, user, db_id) DO UPDATE
        SET local_only = max(local_only, excluded.local_only), updated_at = excluded.updated_at,
            expires_at = excluded.expires_at""",
        (
            *_to_parameters(conversation.key),
            conversation.epoch,
            conversation.local_only,
            _to_milliseconds(now),
            _to_milliseconds(expires_at),
        ),
    )
    return _id_of(connection, conversation.key)


def _insert(connection: sqlite3.Connection, conversation_id: int, turn: Turn, bounds: HistoryBounds) -> None:
    connection.execute(
        """INSERT INTO turns (conversation, turn_id, question, answer, at, bytes, character, proposals)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            conversation_id,
            turn.turn_id,
            turn.question,
            turn.answer,
            _to_milliseconds(turn.at),
            turn_bytes(turn),
            turn.character,
            turn.proposals,
        ),
    )
    kept = connection.execute("SELECT id, bytes FROM turns WHERE conversation = ? ORDER BY id", (conversation_id,))
    rows = kept.fetchall()
    for row in rows[: bounds.surplus([row["bytes"] for row in rows])]:
        connection.execute("DELETE FROM turns WHERE id = ?", (row["id"],))


def listing(
    connection: sqlite3.Connection, service: str, caller: Caller, page: tuple[str, int], now: datetime
) -> tuple[ConversationSummary, ...]:
    """One page of a user's conversations that have turns.

    Args:
        connection: The file.
        service: Service whose conversations are meant.
        caller: Whose.
        page: `db_id` after which it starts, and how many at most.
        now: Time of this call.
    """
    after, limit = page
    rows = connection.execute(
        """SELECT db_id, updated_at, (SELECT count(*) FROM turns WHERE conversation = c.id) AS turns
        FROM conversations AS c
        WHERE tenant = ? AND service = ? AND user = ? AND db_id > ? AND expires_at > ? AND turns > 0
        ORDER BY db_id LIMIT ?""",
        (caller.tenant, service, caller.user, after, _to_milliseconds(now), limit),
    )
    return tuple(ConversationSummary(row["db_id"], row["turns"], _to_time(row["updated_at"])) for row in rows)


def remember(
    connection: sqlite3.Connection, key: ConversationKey, note: Note | None, pins: Sequence[str] | None, now: datetime
) -> bool:
    """Set what stands beside the turns; whether there are any."""
    return standing.put(connection, key, note, pins, _to_milliseconds(now))


def summarise(connection: sqlite3.Connection, read: Conversation, summary: Summary, now: datetime) -> bool:
    """Keep a summary of a conversation as it was read; whether it is kept."""
    return standing.summarise(connection, read, summary, _to_milliseconds(now))


def swap(connection: sqlite3.Connection, key: ConversationKey, turn: Turn, proposals: str) -> bool:
    """Put other proposals in the place of a turn's, where they are still the same; whether it was done."""
    with transaction(connection):
        row = _find(connection, key)
        if row is None:
            return False
        statement = "UPDATE turns SET proposals = ? WHERE conversation = ? AND turn_id = ? AND proposals = ?"
        values = (proposals, row["id"], turn.turn_id, turn.proposals)
        return bool(connection.execute(statement, values).rowcount)


def erase(connection: sqlite3.Connection, key: ConversationKey, now: datetime) -> None:
    """Empty a conversation, raise its epoch and leave a tombstone; its text leaves the file too."""
    with transaction(connection):
        connection.execute(
            f"""INSERT INTO conversations (tenant, service, user, db_id, epoch, local_only, updated_at, expires_at)
            VALUES (?, ?, ?, ?, 1, 0, ?, ?) ON CONFLICT (tenant, service, user, db_id) DO UPDATE
            SET epoch = epoch + 1, updated_at = excluded.updated_at, expires_at = excluded.expires_at,
                {standing.CLEARED}""",  # noqa: S608 - a constant
            (*_to_parameters(key), _to_milliseconds(now), _to_milliseconds(now + TOMBSTONE)),
        )
        connection.execute("DELETE FROM turns WHERE conversation = ?", (_id_of(connection, key),))
    flush(connection)


def retract(connection: sqlite3.Connection, key: ConversationKey, turn_id: str) -> None:
    """Take one turn back, and its conversation where that has no other; text and summary leave the file too."""
    with transaction(connection):
        row = _find(connection, key)
        if row is not None:
            connection.execute("DELETE FROM turns WHERE conversation = ? AND turn_id = ?", (row["id"], turn_id))
            connection.execute("UPDATE conversations SET summary = '' WHERE id = ?", (row["id"],))
            no_turns = "NOT EXISTS (SELECT 1 FROM turns WHERE conversation = conversations.id)"
            empty = f"DELETE FROM conversations WHERE id = ? AND {no_turns}"  # noqa: S608 - a constant
            connection.execute(empty, (row["id"],))
    flush(connection)


def sweep(connection: sqlite3.Connection, now: datetime) -> None:
    """Delete what expired long enough ago, a bounded number of rows."""
    with transaction(connection):
        connection.execute(
            "DELETE FROM conversations WHERE id IN (SELECT id FROM conversations WHERE expires_at <= ? LIMIT ?)",
            (_to_milliseconds(now - GRACE), SWEEP_ROWS),
        )


def _find(connection: sqlite3.Connection, key: ConversationKey) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM conversations WHERE tenant = ? AND service = ? AND user = ? AND db_id = ?", _to_parameters(key)
    ).fetchone()
    return row


def _id_of(connection: sqlite3.Connection, key: ConversationKey) -> int:
    found = connection.execute(
        "SELECT id FROM conversations WHERE tenant = ? AND service = ? AND user = ? AND db_id = ?", _to_parameters(key)
    ).fetchone()
    return int(found["id"])


def _to_parameters(key: ConversationKey) -> tuple[str, str, str, str]:
    return key.caller.tenant, key.service, key.caller.user, key.db_id


def _to_turn(row: sqlite3.Row) -> Turn:
    said = (row["turn_id"], row["question"], row["answer"])
    return Turn(*said, _to_time(row["at"]), row["character"], row["proposals"])


def _to_milliseconds(at: datetime) -> int:
    return (at - _EPOCH_UNIX) // timedelta(milliseconds=1)


def _to_time(milliseconds: int) -> datetime:
    return _EPOCH_UNIX + timedelta(milliseconds=milliseconds)
