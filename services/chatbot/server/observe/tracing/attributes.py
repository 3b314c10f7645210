"""What spans say, in the words of OpenTelemetry's conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/: still in development there, so the words stand here
and come from no package. Attributes with content are not among them: there is no switch for those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chatbot.api.wire.tracing import Told
from chatbot.domain.generation import Backend
from chatbot.domain.usage.prices import MICRO_USD
from chatbot.domain.usage.rows import UsageRow, UseOutcome

Value = str | int | float | bool | tuple[str, ...]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
CONVERSATION: Final = "gen_ai.conversation.id"
USER: Final = "enduser.pseudo.id"
ERROR: Final = "error.type"
ROUTE: Final = "http.route"
SERVICE: Final = "chatbot.service"
TENANT: Final = "chatbot.tenant"
KEY: Final = "chatbot.key.id"
REVISION: Final = "chatbot.model.revision"
OUTCOME: Final = "chatbot.outcome"
TOOLS: Final = "chatbot.tools"
COST: Final = "chatbot.cost.usd"
"""The conventions have none for money."""

_PROVIDERS: Final[Mapping[str, str]] = {Backend.LLAMA: "chatbot", Backend.OPENAI: "openai"}
_FINE: Final = (UseOutcome.OK, UseOutcome.REPEATED, UseOutcome.CLIENT_GONE)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a request; seconds from when it came."""

    name: str
    begins: float
    ends: float


def span_name(told: Told) -> str:
    """As the conventions have it: the operation and the model."""
    return f"{told.operation} {told.row.model}".strip()


def attributes_of(told: Told) -> dict[str, Value]:
    """What is known; what is not is left out."""
    row = told.row
    given: dict[str, Value] = {
        OPERATION: told.operation,
        PROVIDER: _PROVIDERS.get(row.backend, row.backend),
        REQUEST_MODEL: row.model,
        RESPONSE_MODEL: row.model,
        REVISION: row.revision,
        INPUT_TOKENS: row.prompt_tokens,
        CACHED_TOKENS: row.cached_tokens,
        OUTPUT_TOKENS: row.completion_tokens,
        FINISH_REASONS: (told.finish,) if told.finish else (),
        CONVERSATION: told.conversation,
        USER: row.user,
        ROUTE: row.route,
        SERVICE: row.service,
        TENANT: row.tenant,
        KEY: row.key,
        OUTCOME: str(row.outcome),
        TOOLS: row.tools,
        ERROR: str(row.outcome) if is_failed(row) else "",
    }
    if row.price:
        given[COST] = row.micro_usd / MICRO_USD
    return {name: value for name, value in given.items() if value not in ("", ())}


def is_failed(row: UsageRow) -> bool:
    """Whether it ended as nobody wanted; a client that left wanted it."""
    return row.outcome not in _FINE


def phases_of(row: UsageRow) -> tuple[Phase, ...]:
    """The line, what came before the first text (reading the prompt, tools), and the text; those that took time.

    A request that never had text is in the second phase to its end, or in the line where it got no further.
    """
    end = max(row.seconds, 0.0)
    queued = min(max(row.queue_seconds, 0.0), end)
    if not row.completion_tokens and not row.first_seconds:
        return (Phase("queue", 0.0, queued),) if queued else ()
    first = min(max(row.first_seconds, queued), end) if row.first_seconds else end
    found = (Phase("queue", 0.0, queued), Phase("prefill", queued, first), Phase("decode", first, end))
    return tuple(phase for phase in found if phase.ends > phase.begins)
