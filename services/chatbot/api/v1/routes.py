"""`/v1`: the OpenAI wire format over the same line and the same models; it stores no history."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from chatbot.api import errors
from chatbot.api.accounts.decisions import check_backend
from chatbot.api.accounts.flags import check_place, privacy_of
from chatbot.api.accounts.upstream_key import upstream_key_of
from chatbot.api.accounts.users import bound_user, caller_of, check_claim
from chatbot.api.chat import done_fields
from chatbot.api.schemas import count_unknown, validated
from chatbot.api.service import Parts, parts_of, profile_of
from chatbot.api.style.told import speech_fields, style_fields
from chatbot.api.v1.characters import character_model, character_models, role_of, wanted_of
from chatbot.api.v1.chunks import Completion, call_deltas
from chatbot.api.v1.embeddings import embedding_models
from chatbot.api.v1.schemas import ChatCompletionRequest
from chatbot.api.wire.context import RequestContext, context_of
from chatbot.api.wire.guard import read_object
from chatbot.api.wire.reuse import oldest_seconds
from chatbot.api.wire.streams import AnswerResponse
from chatbot.core.question import AnswerEvent, Done, Exchange, Queued, SpeechSegment, ToolStep
from chatbot.domain.chat import Caller
from chatbot.domain.errors import InvalidInput, ModelNotFound, ModelUnavailable
from chatbot.domain.generation import Backend, Sampling, TextPiece
from chatbot.domain.model import ModelInfo
from chatbot.domain.privacy.flags import Privacy
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import Proposal

router = APIRouter(prefix="/v1", tags=["OpenAI wire format"])


@router.post("/chat/completions", operation_id="createChatCompletion", summary="Chat (OpenAI wire format)")
async def chat_completions(request: Request) -> Response:
    """As the OpenAI API, streaming or not; text only, one choice."""
    parts, profile, context = parts_of(request), profile_of(request), context_of(request.scope)
    body = await read_object(request.headers, request.receive, parts.limits.v1_body_bytes)
    asked = validated(ChatCompletionRequest, body)
    if unknown := count_unknown(ChatCompletionRequest, body):
        parts.telemetry.unknown_fields(profile.name, unknown)
    wanted = wanted_of(asked, parts)
    context.backend = Backend.LLAMA if wanted is not None else backend_of(asked.model, parts)
    check_backend(context.principal, context.backend)
    check_place(context.backend, is_local_only=asked.local_only)
    role, privacy = await role_of(request, wanted), privacy_of(request)
    exchange = Exchange(
        request_id=context.work_id,
        caller=_caller(request, asked),
        dialogue=asked.dialogue(),
        sampling=sampling_of(asked, parts.sampling if role is None else role.sampling(parts.sampling)),
        backend=context.backend,
        traceparent=context.traceparent,
        tools=asked.tool_use(),
        role=role,
        is_whole=not asked.stream,
        speech=asked.speech.speech() if asked.speech is not None else None,
        oldest_seconds=_oldest_seconds(request, body, privacy),
        upstream_key=upstream_key_of(request),
        our_tools=_our_tools(asked, context.backend, parts),
        local_only=privacy.local_only or asked.local_only,
        language=context.language,
    )
    completion = Completion(context.request_id, int(time.time()), asked.model)
    with_usage = asked.stream_options is not None and asked.stream_options.include_usage
    return AnswerResponse(
        lambda: parts.answerer.open_exchange(exchange),
        V1Format(completion, bool(asked.stream), with_usage, tells_tools=asked.chatbot_tools is not None),
        parts.statistics,
        parts.limits.send_timeout_seconds,
    )


@router.get("/models", operation_id="listModels", summary="List models")
async def models(request: Request) -> Response:
    """The local model, the second backend's, the embedding model, stored characters; those that are configured."""
    listed = [_model(backend, info) for backend, info in _allowed(request).items()]
    return _json({"object": "list", "data": [*listed, *embedding_models(request), *await character_models(request)]})


@router.get("/models/{model:path}", operation_id="retrieveModel", summary="One model")
async def model(request: Request, model: str) -> Response:
    """One of the models that the list has."""
    for backend, info in _allowed(request).items():
        if info.name == model:
            return _json(_model(backend, info))
    for embedding in embedding_models(request):
        if embedding["id"] == model:
            return _json(embedding)
    return _json(await character_model(request, model))


def _allowed(request: Request) -> dict[Backend, ModelInfo]:
    """The models that answer now and that the request's key is for."""
    rights = context_of(request.scope).principal.rights
    return {backend: info for backend, info in served(parts_of(request)).items() if rights.allows_backend(backend)}


def _caller(request: Request, asked: ChatCompletionRequest) -> Caller:
    """The named user, else the key's, else the key itself, else the address."""
    check_claim(request, asked.safety_identifier, "safety_identifier")
    check_claim(request, asked.user, "user")
    context = context_of(request.scope)
    named = asked.safety_identifier or asked.user or bound_user(request)
    return caller_of(request, named or context.principal.key_id or context.client)


def _our_tools(asked: ChatCompletionRequest, backend: Backend, parts: Parts) -> frozenset[str]:
    """Tools of ours that the answer may use.

    Raises:
        InvalidInput: There is none of that name, or they are not for this model or this request.
    """
    if not asked.chatbot_tools:
        return frozenset()
    names = parts.tool_names(also_away=True)
    asking = {one.name for one in parts.remote_tools() if one.asks_first}
    for name in asked.chatbot_tools:
        if backend is not Backend.LLAMA:
            raise InvalidInput("chatbot_tools", "not_supported_remotely")
        if asked.tools or asked.tool_choice is not None or asked.response_format is not None:
            raise InvalidInput("chatbot_tools", "ours_or_yours")
        if name not in names:
            raise InvalidInput("chatbot_tools", "wrong_choice", allowed=", ".join(names))
        if name in asking:
            raise InvalidInput("chatbot_tools", "asks_first")
    return frozenset(asked.chatbot_tools)


def _oldest_seconds(request: Request, body: Mapping[str, Any], privacy: Privacy) -> float:
    """As `oldest_seconds`; 0 where the tenant, or `store: false`, says that nothing may be kept."""
    may_keep = privacy.may_store and body.get("store") is not False
    return oldest_seconds(request.headers) if may_keep else 0.0


def served(parts: Parts) -> dict[Backend, ModelInfo]:
    """The models that answer now."""
    found = {backend: generator.model() for backend, generator in parts.generators.items()}
    return {backend: info for backend, info in found.items() if info is not None}


def backend_of(name: str, parts: Parts) -> Backend:
    """Which backend serves a model.

    Raises:
        ModelNotFound: None of ours does.
        ModelUnavailable: Nothing is known yet, because no local model is served.
    """
    known = served(parts)
    for backend, info in known.items():
        if info.name == name:
            return backend
    if Backend.LLAMA in parts.generators and Backend.LLAMA not in known:
        raise ModelUnavailable
    raise ModelNotFound


def sampling_of(asked: ChatCompletionRequest, defaults: Sampling) -> Sampling:
    """What the caller gave, over the service's defaults."""
    names = (
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "seed",
    )
    given: dict[str, Any] = {name: value for name in names if (value := getattr(asked, name)) is not None}
    limit = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    limit = defaults.max_tokens if limit is None else limit
    wanted = asked.response_format.answer_format() if asked.response_format is not None else None
    return replace(defaults, max_tokens=limit, stop=tuple(asked.stop or ()), format=wanted, **given)


@dataclass(slots=True)
class V1Format:
    """Completions and chunks; waiting is told by comments, which every client skips."""

    completion: Completion
    is_stream: bool
    with_usage: bool
    tells_tools: bool = False
    _begun: bool = False
    _calls: int = 0

    def whole(self, done: Done) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of an answer in one piece."""
        told = self.completion.whole(done.text, done.calls, done.finish_reason, done.usage)
        return _dump(told | self._besides(done)), {}

    def stream_headers(self) -> Mapping[str, str]:
        """Headers of a stream."""
        return {}

    def event(self, event: AnswerEvent) -> bytes:
        """Bytes of one event; the first chunk names the role."""
        if isinstance(event, Queued):
            if event.position == 0:  # it does not wait: a client that never waited never sees a comment
                return b""
            return f": queue position={event.position} eta={round(event.eta_seconds)}\n\n".encode()
        if isinstance(event, ToolCall):
            return self._called(event)
        if isinstance(event, Proposal):
            return b""  # nothing is proposed where it could not be shown
        if isinstance(event, ToolStep):
            return f": tool {event.name} {event.state}\n\n".encode()
        first = b"" if self._begun else self._chunk({"role": "assistant", "content": ""})
        self._begun = True
        if isinstance(event, TextPiece):
            return first + self._chunk({"content": event.text})
        if isinstance(event, SpeechSegment):
            return first + self._chunk({}, {"speech": speech_fields(event)})
        return first + b"".join(self._ending(event))

    def error(self, error: Exception, context: RequestContext) -> bytes:
        """An error frame; no `[DONE]` follows."""
        return _data(_dump(errors.describe_v1(error, context.language, context.request_id)))

    def _called(self, call: ToolCall) -> bytes:
        begun, arguments = call_deltas(call, self._calls)
        first: dict[str, Any] = {} if self._begun else {"role": "assistant", "content": None}
        self._begun = True
        self._calls += 1
        return self._chunk(first | {"tool_calls": [begun]}) + self._chunk({"tool_calls": [arguments]})

    def _besides(self, done: Done) -> dict[str, Any]:
        """What the OpenAI API does not have."""
        if not self.tells_tools:
            return style_fields(done)
        told = done_fields(done)
        names = {"tool_calls": "chatbot_tool_calls", "search": "search", "sources": "sources"}
        return style_fields(done) | {ours: told[name] for name, ours in names.items() if name in told}

    def _chunk(self, delta: dict[str, Any], besides: dict[str, Any] | None = None) -> bytes:
        return _data(_dump(self.completion.chunk(delta, with_usage=self.with_usage) | (besides or {})))

    def _ending(self, done: Done) -> list[bytes]:
        last = self.completion.chunk({}, done.finish_reason, with_usage=self.with_usage)
        frames = [_dump(last | self._besides(done))]
        if self.with_usage:
            frames.append(_dump(self.completion.usage_chunk(done.usage)))
        return [_data(frame) for frame in [*frames, b"[DONE]"]]


def _model(backend: Backend, info: ModelInfo) -> dict[str, Any]:
    owner = "local" if backend is Backend.LLAMA else "openai"
    return {"id": info.name, "object": "model", "created": 0, "owned_by": owner}


def _data(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def _json(fields: dict[str, Any]) -> Response:
    return Response(_dump(fields), media_type="application/json")
