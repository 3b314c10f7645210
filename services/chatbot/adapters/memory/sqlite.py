"""Note and pins as columns of `conversations` in the embedded store."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from chatbot.adapters.sqlite_file import flush, transaction
from chatbot.domain.chat import ConversationKey
from chatbot.domain.memory.standing import Note, Standing

COLUMNS: Final = {
    "note": "TEXT NOT NULL DEFAULT ''",
    "note_depth": "INTEGER NOT NULL DEFAULT 0",
    "pins": "TEXT NOT NULL DEFAULT '[]'",
}
"""Name -> what follows it in a definition."""

CLEARED: Final = "note = '', note_depth = 0, pins = '[]'"
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


def of_row(row: sqlite3.Row) -> Standing:
    """What a row of `conversations` holds."""
    return Standing(Note(row["note"], row["note_depth"]), tuple(json.loads(row["pins"])))
