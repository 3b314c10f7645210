"""Note, pins and summary as fields of a conversation's hash: they go with it whoever removes it."""

import json
from collections.abc import Mapping, Sequence

from chatbot.adapters.memory.summary_text import of_text, to_text
from chatbot.adapters.redis.names import foreign, milliseconds
from chatbot.domain.chat import Conversation
from chatbot.domain.memory.standing import NOTHING, Note, Standing
from chatbot.domain.memory.summary import Summary


def values(note: Note | None, pins: Sequence[str] | None) -> list[str]:
    """What is given, as fields and values in turn; what is None is left out."""
    made: list[str] = []
    if note is not None:
        made += ["note", json.dumps([note.text, note.depth], ensure_ascii=False)]
    if pins is not None:
        made += ["pins", json.dumps(list(pins), ensure_ascii=False)]
    return made


def of_row(row: Mapping[str, str]) -> Standing:
    """What a conversation's hash holds; nothing stands beside no turn.

    Raises:
        StoreUnavailable: It is none of ours.
    """
    if not int(row.get("turns", 0)):
        return NOTHING
    try:
        text, depth = json.loads(row.get("note", '["", 0]'))
        return Standing(Note(text, depth), tuple(json.loads(row.get("pins", "[]"))))
    except (ValueError, TypeError):
        raise foreign() from None


def summary_arguments(read: Conversation, summary: Summary) -> list[str]:
    """What the script `SUMMARISE` wants behind the time: epoch, the summary that was read, the new one and its turn."""
    before = read.summary.last if read.summary is not None else ""
    last_at = str(milliseconds(summary.last_at))
    return [str(read.epoch), before, to_text(summary, read.epoch), summary.last, last_at]


def summary_of_row(row: Mapping[str, str]) -> Summary | None:
    """The summary in a conversation's hash.

    Raises:
        StoreUnavailable: It is none of ours.
    """
    if not int(row.get("turns", 0)):
        return None
    try:
        return of_text(row.get("summary", ""), int(row["epoch"]))
    except (ValueError, TypeError, KeyError):
        raise foreign() from None
