"""What a caller asks, and what comes back: the core's side of every chat endpoint."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chatbot.core.agent.confirming.acting import Acting
from chatbot.core.characters.casting import Wanted
from chatbot.core.characters.role import Role
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.documents import Found
from chatbot.domain.generation import Backend, FinishReason, GenerationEvent, Sampling, TextPiece, Timings, Usage
from chatbot.domain.outside.upstream_key import UpstreamKey
from chatbot.domain.style.rules import Speech
from chatbot.domain.tools import ToolCall, ToolUse
from chatbot.domain.toolservers.proposal import Proposal


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a question may bring besides its text (`/chat`); the default changes nothing.

    Attributes:
        role: Instruction that stands behind our system prompt and never replaces it.
        notes: What the caller remembers of the user; told to the model, not stored.
        language: ko, en or ja that the answer is wanted in; "" leaves it to the model.
        history: Takes the place of the stored turns for this answer, and is not stored; None: the stored turns.
        recalled_turns: How many of the stored turns, the newest, the model sees; None: all that fit.
        passages: Of the user's documents, best first; quoted before the question under the numbers 1, 2, …
        passage_characters: Of all passages together.
        tools: Names of our tools that may be called; None: all.
        sampling: None: the service's.
        may_fall_back: Whether the second backend may answer with the service's own key where the local model cannot.
        wants_web: Whether the answer shall use the web, as far as the conversation may leave the house.
        may_propose: Whether whoever asks can be shown calls that he has to confirm.
    """

    role: str = ""
    notes: tuple[str, ...] = ()
    language: str = ""
    history: tuple[Message, ...] | None = None
    recalled_turns: int | None = None
    passages: tuple[Found, ...] = ()
    passage_characters: int = 0
    tools: frozenset[str] | None = None
    sampling: Sampling | None = None
    may_fall_back: bool = True
    wants_web: bool = False
    may_propose: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the product's own endpoints, validated.

    Attributes:
        text: The question, NFC.
        fields: Values of the placeholders of the prompt files (`character_name`, `context`, `greeting`).
        db_id: Name of the conversation; None asks without history.
        turn_id: The caller's `Idempotency-Key`; ignored without `db_id`.
        local_only: Whether this conversation must never leave the local model.
        may_store: Whether the turn may be kept: in the conversation, or for equal questions.
        language: Of the texts for people; the answer's language is the model's affair.
        traceparent: W3C trace context, passed on to backends that are asked over HTTP.
        text_field: The caller's name of `text`, for errors.
        wanted: The stored character that answers, if there is one of that name.
        role: It, once it was found.
        oldest_seconds: An answer that was kept may be as old; 0: it is made anew, and not kept.
        is_whole: Whether the answer is handed over in one piece.
        speech: How it is cut for a voice; None: as the character wants it.
        upstream_key: Of the user's own, where the second backend answers; None: the service's.
        confirm: Ids of calls that the user confirms.
        acting: They, once they were found.
    """

    request_id: str
    caller: Caller
    text: str
    fields: Mapping[str, str]
    db_id: str | None
    turn_id: str | None
    local_only: bool
    backend: Backend
    language: str
    traceparent: str = ""
    text_field: str = "input_data"
    wishes: Wishes = field(default_factory=Wishes)
    wanted: Wanted | None = None
    role: Role | None = None
    may_store: bool = True
    oldest_seconds: float = math.inf
    is_whole: bool = False
    speech: Speech | None = None
    upstream_key: UpstreamKey | None = None
    confirm: tuple[str, ...] = ()
    acting: Acting | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A dialogue that the caller brings whole (`/v1`): no history, nothing dropped.

    Attributes:
        tools: The caller's own: calls of them are returned, never run.
        role: The stored character that answers; None: the model itself.
        our_tools: Names of tools of ours that are run for the answer; then there are none of the caller's.
        local_only: Whether what they are called with must not leave the house.
        language: Of the texts for people.
        oldest_seconds, is_whole, speech, upstream_key: As of a question.
    """

    request_id: str
    caller: Caller
    dialogue: Dialogue
    sampling: Sampling
    backend: Backend
    traceparent: str = ""
    tools: ToolUse | None = None
    role: Role | None = None
    oldest_seconds: float = math.inf
    is_whole: bool = False
    speech: Speech | None = None
    upstream_key: UpstreamKey | None = None
    our_tools: frozenset[str] = frozenset()
    local_only: bool = False
    language: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """Where the request stands.

    Attributes:
        position: 1 is next, 0 has started.
        eta_seconds: Predicted time to its start.
    """

    position: int
    eta_seconds: float


@dataclass(frozen=True, slots=True)
class ToolStep:
    """What one of our own tools does for the answer.

    Attributes:
        id: Of the call; the same when it starts and when it ends.
        state: started, done or failed.
        seconds: It took; 0 when it starts.
        summary: One line for a person, in the language of the question; "" when it starts.
    """

    id: str
    name: str
    state: Literal["started", "done", "failed"]
    seconds: float = 0.0
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One page that the model was given. `is_cited`: whether the answer names its number."""

    number: int
    title: str
    url: str
    is_cited: bool


@dataclass(frozen=True, slots=True)
class References:
    """What of the web an answer was made from.

    Attributes:
        sources: Those that the model was given, by number.
        reason: Why there are none, a word of `core.web.sentences.REASONS`; "" where there are some.
    """

    sources: tuple[Source, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Styled:
    """What became of a character's rules. `violations`: checks that the answer does not pass as it is shown."""

    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A part of the answer for a voice. The last one has no text where nothing is left to say."""

    index: int
    text: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class Done:
    """Always the last event of an answer that ended well.

    Attributes:
        text: The whole answer.
        history_saved: Whether the turn is stored; None where nothing was to be stored.
        calls: The caller's tools that the model called, whole and in order.
        steps: Ends of our own tools' calls.
        references: Of the web; None where it was not asked for.
        cost_usd: Dollars, six decimals; None where nothing prices it.
        violations: As of `Styled`; None where the character has no rules.
        segments: For a voice; None where none was asked for.
        proposals: Calls that the user has to confirm; kept with the turn.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    history_saved: bool | None = None
    calls: tuple[ToolCall, ...] = ()
    steps: tuple[ToolStep, ...] = ()
    references: References | None = None
    cost_usd: str | None = None
    violations: tuple[str, ...] | None = None
    segments: tuple[str, ...] | None = None
    proposals: tuple[Proposal, ...] = ()


AnswerEvent = Queued | ToolStep | TextPiece | ToolCall | SpeechSegment | Proposal | Done
SourceEvent = GenerationEvent | ToolStep | References | Styled | Proposal
"""What comes of whatever makes an answer; `ToolStep` and those behind it are never a model's."""
