"""Note and pins as fields of a conversation's document in MongoDB."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatbot.domain.memory.standing import NOTHING, Note, Standing

CLEARED: Final[Mapping[str, Any]] = {"note": None, "pins": []}
"""What an erasure, and a conversation that begins anew, set."""


def values(note: Note | None, pins: Sequence[str] | None) -> Mapping[str, Any]:
    """What is given, as fields; what is None is left out."""
    made: dict[str, Any] = {}
    if note is not None:
        made["note"] = {"text": note.text, "depth": note.depth}
    if pins is not None:
        made["pins"] = list(pins)
    return made


def of_document(document: Mapping[str, Any]) -> Standing:
    """What a conversation's document holds; an older version kept none, and nothing stands beside no turn."""
    if not document["turns"]:
        return NOTHING
    note = document.get("note") or {"text": "", "depth": 0}
    return Standing(Note(note["text"], note["depth"]), tuple(document.get("pins", ())))
