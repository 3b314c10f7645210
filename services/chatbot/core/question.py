"""What a caller asks, and what comes back: the core's side of every chat endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chatbot.domain.chat import Caller, Dialogue
from chatbot.domain.generation import Backend, FinishReason, Sampling, TextPiece, Timings, Usage
from chatbot.domain.tools import ToolCall, ToolUse


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the product's own endpoints, validated.

    Attributes:
        text: The question, NFC.
        fields: Values of the placeholders of the prompt files (`character_name`, `context`, `greeting`).
        db_id: Name of the conversation; None asks without history.
        turn_id: The caller's `Idempotency-Key`; ignored without `db_id`.
        local_only: Whether this conversation must never leave the local model.
        language: Of the texts for people; the answer's language is the model's affair.
        traceparent: W3C trace context, passed on to backends that are asked over HTTP.
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


@dataclass(frozen=True, slots=True)
class Exchange:
    """A dialogue that the caller brings whole (`/v1`): no history, nothing dropped.

    Attributes:
        tools: The caller's own: calls of them are returned, never run.
    """

    request_id: str
    caller: Caller
    dialogue: Dialogue
    sampling: Sampling
    backend: Backend
    traceparent: str = ""
    tools: ToolUse | None = None


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
class Done:
    """Always the last event of an answer that ended well.

    Attributes:
        text: The whole answer.
        history_saved: Whether the turn is stored; None where nothing was to be stored.
        calls: The caller's tools that the model called, whole and in order.
        steps: Ends of our own tools' calls.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    history_saved: bool | None = None
    calls: tuple[ToolCall, ...] = ()
    steps: tuple[ToolStep, ...] = ()


AnswerEvent = Queued | ToolStep | TextPiece | ToolCall | Done
