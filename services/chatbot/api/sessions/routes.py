"""`/chat`: a message of a session, and the session's history.

`/chat` only maps fields: a session is a conversation, its id is the `db_id`, and one user's session is as absent for
another one as a session that never was.
"""

import time
from dataclasses import replace
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from chatbot.api.accounts.decisions import check_backend, check_documents
from chatbot.api.accounts.flags import privacy_of
from chatbot.api.accounts.upstream_key import upstream_key_of
from chatbot.api.accounts.users import bound_user, caller_of, check_claim, name_conversation
from chatbot.api.chat import ProductFormat, private, wants_event_stream
from chatbot.api.conversations import TurnView, caller_of_header
from chatbot.api.documents.routes import library_of
from chatbot.api.schemas import check_db_id, check_turn_id, count_unknown, validated
from chatbot.api.service import Parts, parts_of, profile_of
from chatbot.api.sessions.reply import SessionFormat, SessionReply
from chatbot.api.sessions.schemas import SessionRequest
from chatbot.api.v1.routes import backend_of
from chatbot.api.wire.context import context_of
from chatbot.api.wire.guard import read_object
from chatbot.api.wire.reuse import oldest_seconds
from chatbot.api.wire.streams import AnswerResponse
from chatbot.core.answering.pump import Answer
from chatbot.core.question import Question, Wishes
from chatbot.core.retrieval.citations import BUDGETS
from chatbot.core.retrieval.search import Search
from chatbot.domain.chat import Caller, ConversationKey
from chatbot.domain.documents import Found
from chatbot.domain.errors import ConversationNotFound, InvalidInput, PromptTooLong
from chatbot.domain.generation import Backend
from chatbot.domain.outside.upstream_key import UpstreamKey, UpstreamKeyNeeded
from chatbot.domain.privacy.flags import Privacy

router = APIRouter(prefix="/chat", tags=["sessions"])


class SessionHistory(BaseModel):
    """What is remembered of a session, oldest turn first."""

    session_id: str
    local_only: bool
    turns: list[TurnView]


@router.post("", operation_id="chat", summary="Send a message", response_model=SessionReply)
async def chat(request: Request) -> Response:
    """Answer a message of a session: by default with the local model, as `/Llama`."""
    began = time.monotonic()
    parts, profile, context = parts_of(request), profile_of(request), context_of(request.scope)
    body = await read_object(request.headers, request.receive, parts.limits.body_bytes)
    asked = validated(profile.session_request, body)
    if unknown := count_unknown(profile.session_request, body):
        parts.telemetry.unknown_fields(profile.name, unknown)
    if asked.language is not None:
        context.language = asked.language
    key = upstream_key_of(request, asked.api_key, may_fall_back=asked.free_mode is not False)
    context.backend = _backend_of(request, asked, key)
    privacy = privacy_of(request, asked)
    caller, session_id = _caller_of(request, asked, privacy)
    name_conversation(request, caller, session_id)
    passages = await _passages_of(request, asked, caller, privacy)
    wishes = replace(_wishes_of(asked, parts, key), passages=passages)
    question = Question(
        request_id=context.work_id,
        caller=caller,
        text=asked.text,
        fields=asked.prompt_fields(),
        db_id=session_id,
        turn_id=_turn_of(request, asked),
        local_only=asked.local_only,
        backend=context.backend,
        language=context.language,
        traceparent=context.traceparent,
        text_field=asked.text_field,
        wishes=wishes,
        wanted=asked.wanted(),
        confirm=tuple(asked.confirm),
    )
    question = replace(
        private(question, privacy),
        oldest_seconds=oldest_seconds(request.headers),
        is_whole=not wants_event_stream(request),
        speech=asked.speech.speech() if asked.speech is not None else None,
        upstream_key=key,
    )
    product = ProductFormat(wants_event_stream(request), asked.google_access and not parts.has_search)
    return AnswerResponse(
        lambda: _open(parts, question),
        SessionFormat(product, context, session_id, passages, began, key),
        parts.statistics,
        parts.limits.send_timeout_seconds,
    )


@router.get(
    "/{session_id}/history", operation_id="readSession", summary="Read a session", response_model=SessionHistory
)
async def history(request: Request, session_id: str) -> Response:
    """All turns that are kept; the same as `/conversations/{db_id}`."""
    key = _key(request, session_id)
    found = await parts_of(request).history.read(key)
    if not found.turns:
        raise ConversationNotFound
    turns = [TurnView(turn_id=t.turn_id, question=t.question, answer=t.answer, at=t.at) for t in found.turns]
    view = SessionHistory(session_id=key.db_id, local_only=found.local_only, turns=turns)
    return Response(view.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.delete("/{session_id}/history", operation_id="eraseSession", summary="Erase a session", status_code=204)
async def erase(request: Request, session_id: str) -> Response:
    """Always 204; it also beats an answer that is being made."""
    await parts_of(request).history.erase(_key(request, session_id))
    return Response(status_code=204)


def _key(request: Request, session_id: str) -> ConversationKey:
    return ConversationKey(profile_of(request).name, caller_of_header(request), check_db_id(session_id, "session_id"))


def _backend_of(request: Request, asked: SessionRequest, key: UpstreamKey | None) -> Backend:
    """Which backend is asked for, if this request may ask it.

    Raises:
        UpstreamKeyNeeded: The service's key was not to be used, and there is no other.
        ModelNotFound, ModelUnavailable, ModelNotAllowed: Not that one.
    """
    known = {"local": Backend.LLAMA, "openai": Backend.OPENAI}.get(asked.model)
    backend = known or backend_of(asked.model, parts_of(request))
    if backend is Backend.OPENAI and asked.free_mode is False and key is None:
        raise UpstreamKeyNeeded
    check_backend(context_of(request.scope).principal, backend)
    return backend


def _caller_of(request: Request, asked: SessionRequest, privacy: Privacy) -> tuple[Caller, str | None]:
    """Who talks, and in which session; where nobody is named, or nothing may be kept, none is made.

    Raises:
        InvalidInput: Somebody must be named.
        UserMismatch: The key speaks for another user.
    """
    check_claim(request, asked.user_id, "user_id")
    context = context_of(request.scope)
    user = asked.user_id or bound_user(request)
    if user is None:
        if asked.session_id is not None or asked.documents is not None:
            raise InvalidInput("user_id", "required")
        return caller_of(request, context.principal.key_id or context.client), None
    return caller_of(request, user), asked.session_id or (uuid4().hex if privacy.may_store else None)


def _turn_of(request: Request, asked: SessionRequest) -> str | None:
    """The caller's id of this turn; a session that is made now has no turn that it could repeat."""
    turn_id = request.headers.get("idempotency-key")
    return check_turn_id(turn_id) if turn_id is not None and asked.session_id is not None else None


def _wishes_of(asked: SessionRequest, parts: Parts, key: UpstreamKey | None) -> Wishes:
    names = parts.tool_names(also_away=True)
    for name in asked.tools or ():
        if name not in names:
            raise InvalidInput("tools", "wrong_choice", allowed=", ".join(("auto", "none", *names)))
    temperature = parts.sampling.temperature if asked.temperature is None else asked.temperature
    return Wishes(
        role=asked.role,
        notes=tuple(asked.memory_context),
        language=asked.language or "",
        history=asked.history(),
        recalled_turns=asked.memory,
        tools=None if asked.tools is None else frozenset(asked.tools),
        sampling=replace(parts.sampling, temperature=temperature, max_tokens=asked.max_tokens),
        # Documents leave the house only where the second backend was asked for by name.
        may_fall_back=(asked.free_mode is not False or key is not None) and asked.documents is None,
        wants_web=asked.google_access,
        may_propose=True,
    )


async def _passages_of(request: Request, asked: SessionRequest, caller: Caller, privacy: Privacy) -> tuple[Found, ...]:
    """What is found in the user's documents, where they are to be looked at.

    Raises:
        Forbidden: The key, or the address, may not read documents.
        DocumentsOff, DocumentsUnavailable: There are none to read.
        StoreUnavailable: Whether the session may leave the house is not known, and must be.
    """
    wanted = asked.documents
    if wanted is None:
        return ()
    check_documents(request)
    stays = privacy.local_only or await _stays(request, asked, caller)
    search = Search(asked.text, wanted.k, wanted.collections, wanted.filters, wanted.ids, local_only=stays)
    return (await library_of(request).retriever.search(caller, search)).passages


async def _stays(request: Request, asked: SessionRequest, caller: Caller) -> bool:
    """Whether the session, which is read again with the answer, keeps the question in the house."""
    parts = parts_of(request)
    if asked.session_id is None or parts.embeddings is None or parts.embeddings.backend is Backend.LLAMA:
        return False
    read = await parts.history.load(parts.history.key(caller, asked.session_id))
    return read is None or read.local_only


async def _open(parts: Parts, question: Question) -> Answer:
    """Begin the answer, with as much of the passages as the model's context takes."""
    if not question.wishes.passages:
        return await parts.answerer.open(question)
    for budget in BUDGETS[1:-1]:
        try:
            return await parts.answerer.open(_quoting(question, budget))
        except PromptTooLong:
            continue
    return await parts.answerer.open(_quoting(question, BUDGETS[-1]))


def _quoting(question: Question, characters: int) -> Question:
    return replace(question, wishes=replace(question.wishes, passage_characters=characters))
