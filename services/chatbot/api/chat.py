"""`POST /Llama` and `POST /OpenAI`: one question, answered by one bare JSON string or by server-sent events."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from chatbot.api import errors
from chatbot.api.accounts.decisions import check_backend
from chatbot.api.accounts.flags import privacy_of
from chatbot.api.accounts.upstream_key import upstream_key_of
from chatbot.api.accounts.users import caller_of, check_claim, name_conversation
from chatbot.api.schemas import ChatRequest, check_turn_id, count_unknown, validated
from chatbot.api.service import parts_of, profile_of
from chatbot.api.style.told import STYLE_HEADER, speech_fields, style_fields
from chatbot.api.tools.confirming import confirmation_fields, confirmation_views
from chatbot.api.wire.context import RequestContext, context_of
from chatbot.api.wire.guard import read_object
from chatbot.api.wire.reuse import oldest_seconds
from chatbot.api.wire.streams import AnswerResponse
from chatbot.core.question import AnswerEvent, Done, Question, Queued, References, SpeechSegment, ToolStep, Wishes
from chatbot.domain.chat import Caller
from chatbot.domain.generation import Backend, TextPiece
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import Proposal

router = APIRouter(tags=["chat"])


@router.post("/Llama", operation_id="askLlama", summary="Ask the local model")
async def llama(request: Request) -> Response:
    """Answer with the local model. It stays in the house unless the fallback is switched on."""
    return await _answer(request, Backend.LLAMA)


@router.post("/OpenAI", operation_id="askOpenAI", summary="Ask the OpenAI-compatible backend")
async def openai(request: Request) -> Response:
    """Answer with the OpenAI-compatible backend; the same request as `/Llama`."""
    return await _answer(request, Backend.OPENAI)


async def _answer(request: Request, backend: Backend) -> Response:
    parts, profile, context = parts_of(request), profile_of(request), context_of(request.scope)
    context.backend = backend
    check_backend(context.principal, backend)
    body = await read_object(request.headers, request.receive, parts.limits.body_bytes)
    asked = validated(profile.request, body)
    if unknown := count_unknown(profile.request, body):
        parts.telemetry.unknown_fields(profile.name, unknown)
    check_claim(request, asked.user_id, "user_id")
    caller = caller_of(request, asked.user_id)
    name_conversation(request, caller, asked.db_id)
    is_stream = wants_event_stream(request)
    asking = _question(asked, context, caller, backend, request.headers.get("idempotency-key"), is_stream)
    shape = ProductFormat(is_stream, asked.wants_references and not parts.has_search, asked.speech is not None)
    question = replace(
        private(asking, privacy_of(request, asked)),
        oldest_seconds=oldest_seconds(request.headers),
        is_whole=not shape.is_stream,
        speech=asked.speech.speech() if asked.speech is not None else None,
        upstream_key=upstream_key_of(request),
    )
    return AnswerResponse(
        lambda: parts.answerer.open(question),
        shape,
        parts.statistics,
        parts.limits.send_timeout_seconds,
    )


def wants_event_stream(request: Request) -> bool:
    """Whether `Accept` names `text/event-stream`."""
    return "text/event-stream" in request.headers.get("accept", "").lower()


def _question(
    asked: ChatRequest,
    context: RequestContext,
    caller: Caller,
    backend: Backend,
    turn_id: str | None,
    is_stream: bool,
) -> Question:
    """The question; in one piece the answer is a bare string, without a place for calls to be confirmed."""
    if asked.db_id is None:
        turn_id = None  # there is no history that a turn could be found in
    elif turn_id is not None:
        check_turn_id(turn_id)
    return Question(
        request_id=context.work_id,
        caller=caller,
        text=asked.input_data,
        fields=asked.prompt_fields(),
        db_id=asked.db_id,
        turn_id=turn_id,
        local_only=asked.local_only,
        backend=backend,
        language=context.language,
        traceparent=context.traceparent,
        wishes=Wishes(wants_web=asked.wants_references, may_propose=is_stream),
        confirm=tuple(asked.confirm),
        wanted=asked.wanted(),
    )


def private(question: Question, privacy: Privacy) -> Question:
    """The question with what must not be done with its words."""
    wishes = question.wishes if privacy.may_recall else replace(question.wishes, recalled_turns=0)
    return replace(question, local_only=privacy.local_only, may_store=privacy.may_store, wishes=wishes)


@dataclass(frozen=True, slots=True)
class ProductFormat:
    """A bare JSON string, or the events queue, token, done and error.

    Attributes:
        without_references: Whether the web was asked for where it is known to be out of reach.
        with_segments: Whether the request asked for segments: then a whole answer is an object with them.
    """

    is_stream: bool
    without_references: bool
    with_segments: bool = False

    def whole(self, done: Done) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of an answer in one piece."""
        headers = self.stream_headers()
        if done.references is not None:
            headers["X-References"] = _state(done.references)
        if done.history_saved is not None:
            headers["X-History-Saved"] = str(done.history_saved).lower()
        if done.violations:
            headers[STYLE_HEADER] = ", ".join(done.violations)
        told = {"text": done.text, "segments": done.segments or ()} if self.with_segments else done.text
        return json.dumps(told, ensure_ascii=False).encode(), headers

    def stream_headers(self) -> dict[str, str]:
        """Headers of a stream."""
        return {"X-References": "unavailable"} if self.without_references else {}

    def event(self, event: AnswerEvent) -> bytes:
        """One server-sent event."""
        match event:
            case Queued():
                return sse("queue", {"position": event.position, "eta_seconds": round(event.eta_seconds, 1)})
            case ToolStep():
                return sse("tool", asdict(replace(event, seconds=round(event.seconds, 4))))
            case TextPiece():
                return sse("token", {"text": event.text})
            case Proposal():
                return sse("confirm", confirmation_views([event])[0].model_dump(mode="json"))
            case SpeechSegment():
                return sse("speech", speech_fields(event))
            case ToolCall():
                return b""  # nobody can bring tools of their own here
            case Done():
                return sse("done", done_fields(event))

    def error(self, error: Exception, context: RequestContext) -> bytes:
        """The body of the HTTP error as an event."""
        return sse("error", errors.describe(error, context.language, context.request_id))


def _state(references: References) -> str:
    return "unavailable" if references.reason else "used"


def _references_fields(references: References | None) -> dict[str, Any]:
    if references is None:
        return {}
    sources = [
        {"number": one.number, "title": one.title, "url": one.url, "cited": one.is_cited} for one in references.sources
    ]
    return {"search": {"state": _state(references), "reason": references.reason or None}, "sources": sources}


def done_fields(done: Done) -> dict[str, Any]:
    """What the event `done` says."""
    return {
        "finish_reason": str(done.finish_reason),
        "usage": asdict(done.usage) | ({} if done.cost_usd is None else {"cost_usd": done.cost_usd}),
        "timings": {name: round(seconds, 4) for name, seconds in asdict(done.timings).items()},
        "history_saved": done.history_saved,
        "tool_calls": [
            {"name": step.name, "ok": step.state == "done", "seconds": round(step.seconds, 4)} for step in done.steps
        ],
        **confirmation_fields(done.proposals),
        **_references_fields(done.references),
        **style_fields(done),
    }


def sse(name: str, data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
