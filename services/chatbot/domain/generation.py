"""A generation: what is asked of a model, and the events that come back."""

from dataclasses import dataclass, field
from enum import StrEnum

from chatbot.domain.chat import Dialogue
from chatbot.domain.outside.upstream_key import UpstreamKey
from chatbot.domain.tools import ToolCall, ToolUse


class FinishReason(StrEnum):
    """Why a generation ended well. Names of the OpenAI API."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


class Backend(StrEnum):
    """Which kind of model answers; the value of the header `X-Backend`."""

    LLAMA = "llama"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """What the whole answer must be: JSON.

    Attributes:
        schema: JSON text of the JSON Schema that it follows; "" lets it be any JSON object.
        name: The schema's name, 1-64 of `[A-Za-z0-9_-]`; "" without a schema.
        description: What the answer is for; "" where nothing was said.
        is_strict: As the caller said, None where nothing was. The local model keeps to every schema.
    """

    schema: str = ""
    name: str = ""
    description: str = ""
    is_strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. Names and meaning are llama.cpp's; temperature 0 is greedy.

    Attributes:
        seed: None draws one per request.
        max_tokens: Upper bound of generated tokens, kept whole (a prompt that leaves less is refused). None:
            1024, lowered to half of the context and then to what is left.
        most_tokens: The answer is cut there, whatever room its prompt was made for; None: that room.
        stop: Up to 4 strings that end the answer and are not part of it.
        penalty_last_n: How many last tokens the penalties look at.
        grammar: The only text that may be generated, as llama.cpp's GBNF with the rule `root`; "" allows any.
        format: What the answer must be, None where it may be any text. Each backend sees to it in its own way.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40
    min_p: float = 0.0
    repeat_penalty: float = 1.08
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_last_n: int = 64
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str = ""
    format: AnswerFormat | None = None
    most_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One generation.

    Attributes:
        request_id: For logs and frames; unique in the process.
        deadline: `time.monotonic()` seconds; afterwards the answer ends with what there is.
        traceparent: W3C trace context of the caller, for backends that are asked over HTTP; "" where none.
        tools: Tools that may or must be called instead of an answer in text; they are returned, never run. None: no
            calls, whatever the dialogue holds.
        user: Pseudonym of whoever asks, for backends that want to tell users apart; "" where there is none.
        upstream_key: Of the user's own, for the second backend; it has no part in what two requests have in common.
    """

    request_id: str
    dialogue: Dialogue
    sampling: Sampling
    deadline: float
    traceparent: str = ""
    tools: ToolUse | None = None
    user: str = ""
    upstream_key: UpstreamKey | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. `cached_tokens` of the prompt were resident and not computed again."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds spent by one answer; `queue` is the waiting line, `prompt` ends at the first token."""

    queue_seconds: float = 0.0
    prompt_seconds: float = 0.0
    generation_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TextPiece:
    """New text, whole Unicode characters only.

    Attributes:
        tokens: How many tokens it took (0 if not known).
        prompt: With a generation's first text, where the backend knows: what its prompt took.
    """

    text: str
    tokens: int = 1
    prompt: "Usage | None" = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Always the last event of a generation that ended well."""

    reason: FinishReason
    usage: Usage
    timings: Timings


GenerationEvent = TextPiece | ToolCall | Finished
