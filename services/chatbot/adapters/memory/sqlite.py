"""Note, pins and summary as columns of `conversations` in the embedded store."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from chatbot.adapters.memory.summary_text import of_text, to_text
from chatbot.adapters.sqlite_file import flush, transaction
from chatbot.domain.chat import Conversation, ConversationKey
from chatbot.domain.memory.standing import Note, Standing
from chatbot.domain.memory.summary import Summary

COLUMNS: Final = {
    "note": "TEXT NOT NULL DEFAULT ''",
    "note_depth": "INTEGER NOT NULL DEFAULT 0",
    "pins": "TEXT NOT NULL DEFAULT '[]'",
    "summary": "TEXT NOT NULL DEFAULT ''",
}
"""Name -> what follows it in a definition."""

CLEARED: Final = "note = '', note_depth = 0, pins = '[]', summary = ''"
"""What an erasure sets."""


def put(
    connection: sqlite3.Connection, key: ConversationKey, note: Note | None, pins: Sequence[str] | None, now: int
) -> bool:
    """Set what is given where the conversation has a turn and has not expired; what was there leaves the file.

    Args:
        connection: The file.
        key: Which conversation.
        note: None leaves it.
        pins: None leaves them.
        now: Unix milliseconds.
    """
    values: dict[str, str | int] = {}
    if note is not None:
        values |= {"note": note.text, "note_depth": note.depth}
    if pins is not None:
        values["pins"] = json.dumps(list(pins), ensure_ascii=False)
    changes = ", ".join(f"{name} = ?" for name in values)
    statement = f"""UPDATE conversations SET {changes} WHERE tenant = ? AND service = ? AND user = ? AND db_id = ?
        AND expires_at > ? AND EXISTS (SELECT 1 FROM turns WHERE conversation = conversations.id)"""  # noqa: S608
    name = (key.caller.tenant, key.service, key.caller.user, key.db_id)
    with transaction(connection):
        done = connection.execute(statement, (*values.values(), *name, now)).rowcount
    flush(connection)
    return bool(done)


def summarise(connection: sqlite3.Connection, read: Conversation, summary: Summary, now: int) -> bool:
    """Keep a summary where the conversation is as it was read, as far as that matters; the text before leaves the file.

    Args:
        connection: The file.
        read: The conversation.
        summary: Of its oldest turns.
        now: Unix milliseconds.
    """
    key, kept = read.key, to_text(summary, read.epoch)
    values = {
        **{"tenant": key.caller.tenant, "service": key.service, "user": key.caller.user, "db_id": key.db_id},
        **{"epoch": read.epoch, "now": now, "kept": kept, "last": summary.last},
        "before": read.summary.last if read.summary is not None else "",
    }
    with transaction(connection):
        done = connection.execute(
            """UPDATE conversations SET summary = :kept WHERE tenant = :tenant AND service = :service AND user = :user
            AND db_id = :db_id AND epoch = :epoch AND expires_at > :now
            AND CASE json_extract(nullif(summary, ''), '$.epoch') WHEN :epoch
                THEN json_extract(summary, '$.last') ELSE '' END = :before
            AND EXISTS (SELECT 1 FROM turns WHERE conversation = conversations.id AND turn_id = :last
                AND at = json_extract(:kept, '$.last_at'))""",
            values,
        ).rowcount
    flush(connection)
    return bool(done)


def summary_of_row(row: sqlite3.Row) -> Summary | None:
    """The summary in a row of `conversations`."""
    return of_text(row["summary"], row["epoch"])


def of_row(row: sqlite3.Row) -> Standing:
    """What a row of `conversations` holds."""
    return Standing(Note(row["note"], row["note_depth"]), tuple(json.loads(row["pins"])))
