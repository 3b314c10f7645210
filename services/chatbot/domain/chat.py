"""Who talks, and what was said: callers, conversations and the dialogue that a model answers."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chatbot.domain.limits import Limited
from chatbot.domain.memory.standing import NOTHING, Standing
from chatbot.domain.memory.summary import Summary
from chatbot.domain.tools import ToolCall

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """One utterance.

    Attributes:
        content: Plain text, never parsed for control tokens. Of the role tool: the result of a call.
        calls: What the assistant called here.
        call_id: Of the role tool: whose result this is.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request this is. Fairness, conversations and erasure live inside the tenant.

    Attributes:
        tenant: Whose key it is, or "" where no keys are asked for.
        user: `user_id` of the request, 1-128 printable characters.
        key_id: Which key; no part of the identity, so that a key can be rotated.
        limited: Whose use is counted for it, from narrow to wide.
        may_go_local: Whether the local model may answer where the money for another one is spent.
        erasures: Of the user, when the request began (`chatbot.domain.personal`); None: not known.
        pseudonym: What stands for the user where his name must not; "" where no secret makes one.
        shadows: Limits that refuse nothing, as `limited`: what they would refuse is counted.
        weight: Requests of its tenant that are served in one turn of the waiting line.
    """

    tenant: str
    user: str
    key_id: str = field(default="", compare=False)
    limited: tuple[Limited, ...] = field(default=(), compare=False)
    may_go_local: bool = field(default=False, compare=False)
    erasures: int | None = field(default=None, compare=False)
    pseudonym: str = field(default="", compare=False)
    weight: int = field(default=1, compare=False)
    shadows: tuple[Limited, ...] = field(default=(), compare=False)

    @property
    def is_counted(self) -> bool:
        """Whether its use is counted for any limit."""
        return bool(self.limited or self.shadows)


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """Identity of a conversation; the same `db_id` of another user is another conversation."""

    service: str
    caller: Caller
    db_id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One question with its answer.

    Attributes:
        turn_id: The caller's `Idempotency-Key`, or an id made here; unique in its conversation.
        at: When the answer was complete, UTC.
        character: Which stored character answered, `name@revision`; "" where none did.
        proposals: Calls that it asked its user for, as `chatbot.domain.toolservers.proposal` writes them; "" for none.
    """

    turn_id: str
    question: str
    answer: str
    at: datetime
    character: str = ""
    proposals: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it was read.

    Attributes:
        epoch: Number of erasures so far; a turn is stored only if it has not moved. 0 where nothing is stored.
        turns: Oldest first.
        local_only: Whether any turn asked to stay on the local model; never becomes False again.
        standing: What its user set beside the turns; nothing where there is no turn.
        summary: Of its oldest turns, None where there is none. Those it covers may be gone by the store's bounds.
    """

    key: ConversationKey
    epoch: int = 0
    turns: tuple[Turn, ...] = ()
    local_only: bool = False
    standing: Standing = NOTHING
    summary: Summary | None = None


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """One line of a listing. `updated_at` is UTC; `turns` is a count."""

    db_id: str
    turns: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What a model is asked to continue.

    Attributes:
        system: The system prompt; never dropped. Empty means none.
        opening: Messages that belong to the persona (the greeting); never dropped.
        history: Earlier messages, oldest first, user and assistant in pairs.
        question: The new user message; never dropped.
        rounds: What came of the question so far: calls of the assistant and their results, in order; never dropped.
        may_shorten: Whether the oldest pairs of `history` may be dropped to fit the context. Where False,
            a dialogue that does not fit is refused.
    """

    system: str
    opening: tuple[Message, ...]
    history: tuple[Message, ...]
    question: Message
    may_shorten: bool = True
    rounds: tuple[Message, ...] = ()
