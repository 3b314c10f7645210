"""A conversation and its turns as MongoDB's documents hold them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chatbot.adapters.history_bounds import turn_bytes
from chatbot.domain.chat import ConversationKey, Turn

Document = Mapping[str, Any]


def to_id(key: ConversationKey) -> dict[str, str]:
    """The only place that makes an `_id`: the order of its fields is part of its equality."""
    return {"tenant": key.caller.tenant, "service": key.service, "user": key.caller.user, "db_id": key.db_id}


def to_document(turn: Turn) -> dict[str, Any]:
    """A turn, to be kept."""
    return {
        "turn_id": turn.turn_id,
        "question": turn.question,
        "answer": turn.answer,
        "at": turn.at,
        "bytes": turn_bytes(turn),
        "character": turn.character,
        "proposals": turn.proposals,
    }


def to_turn(document: Document) -> Turn:
    """A turn that is kept."""
    said = (document["turn_id"], document["question"], document["answer"], to_time(document["at"]))
    return Turn(*said, document.get("character", ""), document.get("proposals", ""))  # an older version kept none


def to_time(at: datetime) -> datetime:
    """BSON dates are UTC; a bare command returns them without saying so."""
    return at.replace(tzinfo=UTC)


def is_expired(document: Document, now: datetime) -> bool:
    """Whether a conversation is not seen any more."""
    return to_time(document["expires_at"]) <= now
