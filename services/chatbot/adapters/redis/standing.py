"""Note and pins as fields of a conversation's hash: they go with it whoever removes it."""

import json
from collections.abc import Mapping, Sequence

from chatbot.adapters.redis.names import foreign
from chatbot.domain.memory.standing import NOTHING, Note, Standing


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
