"""One row of use for each request that wanted an answer: whatever became of it, once nothing more is made for it."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from chatbot.api import errors
from chatbot.api.service import Parts, parts_of, profile_of
from chatbot.api.wire.context import RequestContext, context_of
from chatbot.api.wire.tracing import Told
from chatbot.core.answering.pump import Answer
from chatbot.core.usage.meter import Meter, Priced
from chatbot.domain.embedding.source import EmbeddingModel
from chatbot.domain.generation import Usage
from chatbot.domain.model import ModelInfo
from chatbot.domain.usage.prices import NO_PRICES
from chatbot.domain.usage.rows import UsageRow, UseOutcome

USAGE_HEADER: Final = "X-Chatbot-Usage"
_BY_CODE: Final[Mapping[str, UseOutcome]] = {
    "queue_full": UseOutcome.QUEUE_FULL,
    "rate_limited": UseOutcome.RATE_LIMITED,
    "insufficient_quota": UseOutcome.INSUFFICIENT_QUOTA,
    "timed_out": UseOutcome.TIMED_OUT,
}


def note_use(scope: Scope, answer: Answer | None, error: Exception | None, seconds: float) -> None:
    """Record what a request took.

    Args:
        scope: Of the request, when its response is over.
        answer: None where it was refused before there was one.
        error: How it ended, None where it did not fail.
        seconds: From arrival to the response's end.
    """
    parts: Parts = scope["app"].state.parts
    context = context_of(scope)
    if parts.usage is None and context.trace is None:
        return
    outcome = _outcome(context, error)
    if outcome is UseOutcome.OK and answer is not None and answer.reuse is not None and answer.reuse.outcome != "miss":
        outcome = UseOutcome.REPEATED
    meter = answer.meter if answer is not None else Meter(Priced(""), context.backend)

    def record() -> None:
        row = _row(scope, context, meter, outcome, seconds)
        _tell(parts, context, meter, Told(row, "chat", context.conversation, meter.finish))

    if answer is None:
        record()
    else:
        answer.when_over(record)


def note_embedding(request: Request, model: EmbeddingModel, tokens: int, error: Exception | None) -> None:
    """Record what vectors took; `tokens` is 0 where there are none, and `error` says why."""
    parts, profile, context = parts_of(request), profile_of(request), context_of(request.scope)
    if parts.usage is None and context.trace is None:
        return
    prices = parts.limiter.prices if parts.limiter is not None else NO_PRICES
    info = ModelInfo(model.name, "", "", 0, "")
    meter = Priced(profile.name, prices).meter(context.backend, info)
    if tokens:
        meter.spent(Usage(tokens, 0))
    outcome = UseOutcome.OK if error is None else _outcome(context, error)
    row = _row(request.scope, context, meter, outcome, time.monotonic() - context.began)
    _tell(parts, context, meter, Told(row, "embeddings"))


def _tell(parts: Parts, context: RequestContext, meter: Meter, told: Told) -> None:
    """Record a row, and end the request's trace with it; of whom was erased meanwhile the trace names nothing."""
    if parts.usage is not None:
        parts.usage.record(told.row, meter.priced_as, is_erased=context.is_erased)
    if context.trace is not None:
        is_gone = context.is_erased()
        context.trace.end(replace(told, row=replace(told.row, user=""), conversation="") if is_gone else told)


def usage_header(meter: Meter) -> dict[str, str]:
    """What an answer took, for clients that do not read its body."""
    usage = meter.usage
    told = f"prompt={usage.prompt_tokens},completion={usage.completion_tokens},cached={usage.cached_tokens}"
    return {USAGE_HEADER: told if meter.cost_usd is None else f"{told},cost_usd={meter.cost_usd}"}


def _row(scope: Scope, context: RequestContext, meter: Meter, outcome: UseOutcome, seconds: float) -> UsageRow:
    return UsageRow(
        id=context.work_id,
        at=time.time(),
        tenant=context.principal.tenant,
        key=context.principal.key_id,
        user=context.pseudonym,
        service=scope["app"].state.profile.name,
        route=getattr(scope.get("route"), "path", ""),
        backend=str(context.backend),
        model=meter.model,
        revision=meter.revision,
        outcome=outcome,
        prompt_tokens=meter.usage.prompt_tokens,
        cached_tokens=meter.usage.cached_tokens,
        completion_tokens=meter.usage.completion_tokens,
        queue_seconds=round(meter.queue_seconds, 4),
        first_seconds=round(meter.first_seconds, 4),
        seconds=round(seconds, 4),
        tools=meter.tools,
        micro_usd=meter.micro_usd,
        price=meter.price,
        is_estimated=meter.is_estimated,
    )


def _outcome(context: RequestContext, error: Exception | None) -> UseOutcome:
    if context.outcome == "ok":
        return UseOutcome.OK
    if context.outcome == "client_gone" or error is None:
        return UseOutcome.CLIENT_GONE
    row = errors.row_of(error)
    if row.code in _BY_CODE:
        return _BY_CODE[row.code]
    if row.status == 503:
        return UseOutcome.UNAVAILABLE
    return UseOutcome.INVALID if row.status < 500 else UseOutcome.ERROR
