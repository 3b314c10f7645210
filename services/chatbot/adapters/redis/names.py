"""How conversations are named in the server, and how their rows are read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from chatbot.adapters.history_bounds import turn_bytes
from chatbot.domain.chat import Caller, Conversation, ConversationKey, Turn
from chatbot.domain.errors import StoreUnavailable

PREFIX: Final = "chatbot:history:"
AGES: Final = f"{PREFIX}ages"
ENDS: Final = f"{PREFIX}ends"
_UNIX: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation is: JSON keeps ("a", "bc") and ("ab", "c") apart, whatever is in them.

    Attributes:
        key: Of the conversation.
        owned: The sorted set of its user's names.
        name: In the sets of all conversations.
        member: In the set of its user.
    """

    key: str
    owned: str
    name: str
    member: str

    @classmethod
    def of(cls, key: ConversationKey) -> Self:
        """Where this conversation is."""
        name = _text([key.caller.tenant, key.service, key.caller.user, key.db_id])
        return cls(f"{PREFIX}conversation:{name}", owned_by(key.service, key.caller), name, key.db_id)

    @property
    def keys(self) -> list[str]:
        """As scripts of one conversation want them."""
        return [self.key, self.owned, AGES, ENDS]


def owned_by(service: str, caller: Caller) -> str:
    """The sorted set of a user's conversations."""
    return f"{PREFIX}of:{_text([caller.tenant, service, caller.user])}"


def named(name: str) -> ConversationKey:
    """The conversation of a name in the sets of all.

    Raises:
        StoreUnavailable: It is none of ours.
    """
    try:
        tenant, service, user, db_id = json.loads(name)
    except ValueError:
        raise foreign() from None
    return ConversationKey(service, Caller(tenant, user), db_id)


def foreign() -> StoreUnavailable:
    """Something else lies where a conversation should."""
    return StoreUnavailable(f"Redis: a key {PREFIX}* holds what is not ours: delete it")


def turn_row(turn: Turn) -> str:
    """A turn as it is kept."""
    asked = [turn.proposals] if turn.proposals else []  # behind the rest: an older version reads what has none
    return _text([turn.turn_id, turn.question, turn.answer, milliseconds(turn.at), turn.character, *asked])


def read_turn(row: str) -> Turn:
    """A turn that is kept.

    Raises:
        StoreUnavailable: It is none of ours.
    """
    try:
        turn_id, question, answer, at, character, *asked = json.loads(row)
        return Turn(turn_id, question, answer, time_of(at), character, *asked)
    except (ValueError, TypeError):
        raise foreign() from None


def read_conversation(key: ConversationKey, row: Mapping[str, str]) -> Conversation:
    """A conversation that is kept, whether it expired or not.

    Raises:
        StoreUnavailable: It is none of ours.
    """
    try:
        places = sorted(int(field[2:]) for field in row if field.startswith("t:"))
        epoch = int(row["epoch"])
    except (ValueError, KeyError):
        raise foreign() from None
    turns = tuple(read_turn(row[f"t:{place}"]) for place in places)
    return Conversation(key, epoch, turns, "local_only" in row)


def turn_arguments(turn: Turn) -> list[str]:
    """Id, row and size of a turn, as the script wants them."""
    return [turn.turn_id, turn_row(turn), str(turn_bytes(turn))]


def milliseconds(at: datetime) -> int:
    """Unix time."""
    return (at - _UNIX) // _MILLISECOND


def time_of(unix_milliseconds: int) -> datetime:
    """The other way round."""
    return _UNIX + unix_milliseconds * _MILLISECOND


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
