"""Note, pins and summary as fields of a conversation's document in MongoDB."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final

from chatbot.adapters.mongo_documents import to_time
from chatbot.domain.chat import Conversation
from chatbot.domain.memory.standing import NOTHING, Note, Standing
from chatbot.domain.memory.summary import Summary

CLEARED: Final[Mapping[str, Any]] = {"note": None, "pins": [], "summary": None}
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


def unchanged(read: Conversation, summary: Summary, now: datetime) -> Mapping[str, Any]:
    """What a document still is where a summary of the conversation may be kept; its `_id` besides."""
    before: dict[str, Any] = {"summary.epoch": {"$ne": read.epoch}}
    if read.summary is not None:
        before = {"summary.epoch": read.epoch, "summary.last": read.summary.last}
    covered = {"$elemMatch": {"turn_id": summary.last, "at": summary.last_at}}
    return {"epoch": read.epoch, "expires_at": {"$gt": now}, "turns": covered, **before}


def summary_values(read: Conversation, summary: Summary) -> Mapping[str, Any]:
    """A summary as a field; with the epoch, because an older version erases turns and knows of no summary."""
    return {"summary": asdict(summary) | {"epoch": read.epoch}}


def summary_of(document: Mapping[str, Any]) -> Summary | None:
    """The summary in a conversation's document; an older version made none."""
    kept = document.get("summary")
    if not kept or not document["turns"] or kept["epoch"] != document["epoch"]:
        return None
    found = {field.name: kept[field.name] for field in fields(Summary)}
    return Summary(**found | {name: to_time(found[name]) for name in ("last_at", "at")})
