"""`/conversations/{db_id}/note` and `/pins`: what a user sets beside the turns; `/continue`: a new one that knows it.

The user is in the header `X-User-ID`, as everywhere under `/conversations`.
"""

from hashlib import sha256
from typing import TypeVar
from uuid import uuid4

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from chatbot.api.accounts.flags import privacy_of
from chatbot.api.conversations import caller_of_header
from chatbot.api.memory.schemas import (
    ContinuedConversation,
    ConversationNote,
    ConversationPins,
    NoteFields,
    PinsFields,
)
from chatbot.api.schemas import check_db_id, check_turn_id, count_unknown, validated
from chatbot.api.service import parts_of, profile_of
from chatbot.api.wire.guard import read_object
from chatbot.core.memory.continuing import continued
from chatbot.core.memory.told import pins_told
from chatbot.domain.chat import ConversationKey
from chatbot.domain.errors import ConversationNotFound, InvalidInput
from chatbot.domain.generation import Backend
from chatbot.domain.memory.standing import Note, Standing

router = APIRouter(prefix="/conversations", tags=["conversations"])
_Fields = TypeVar("_Fields", bound=BaseModel)


@router.get("/{db_id}/note", operation_id="readNote", summary="Read its note", response_model=ConversationNote)
async def read_note(request: Request, db_id: str) -> Response:
    """How the conversation shall go on."""
    note = (await _standing(request, _key(request, db_id))).note
    return _json(ConversationNote(text=note.text, depth=note.depth))


@router.put("/{db_id}/note", operation_id="putNote", summary="Set its note", response_model=ConversationNote)
async def put_note(request: Request, db_id: str) -> Response:
    """Told with every question from now on, unless `no_memory`. A conversation has one from its first turn on."""
    key = _key(request, db_id)
    asked = await _asked(request, NoteFields, "text")
    await parts_of(request).history.remember(key, note=Note(asked.text, asked.depth))
    return _json(ConversationNote(text=asked.text, depth=asked.depth))


@router.get("/{db_id}/pins", operation_id="readPins", summary="Read its pins", response_model=ConversationPins)
async def read_pins(request: Request, db_id: str) -> Response:
    """Facts that are told with every question."""
    return _pins(request, (await _standing(request, _key(request, db_id))).pins)


@router.put("/{db_id}/pins", operation_id="putPins", summary="Set its pins", response_model=ConversationPins)
async def put_pins(request: Request, db_id: str) -> Response:
    """Told with every question from now on, unless `no_memory`, also when the oldest turns no longer are."""
    key = _key(request, db_id)
    asked = await _asked(request, PinsFields, "pins")
    await parts_of(request).history.remember(key, pins=asked.pins)
    return _pins(request, tuple(asked.pins))


@router.post(
    "/{db_id}/continue", operation_id="continueConversation", summary="Go on anew", response_model=ContinuedConversation
)
async def continue_conversation(request: Request, db_id: str) -> Response:
    """A new conversation begins with its summary, note and pins, and with the newest turns that no summary covers.

    The one before stays as it is. With an `Idempotency-Key` the same request names the same conversation.
    """
    key, turn_id = _key(request, db_id), request.headers.get("idempotency-key")
    name = uuid4().hex if turn_id is None else _named_once(key, check_turn_id(turn_id))
    if not privacy_of(request).may_store:
        raise InvalidInput("db_id", "nothing_is_kept")
    made = await continued(parts_of(request).history, key, name)
    has_note, pins = bool(made.standing.note.text), len(made.standing.pins)
    shown = {"db_id": name, "turns": len(made.turns), "has_summary": made.summary is not None}
    return _json(ContinuedConversation.model_validate(shown | {"has_note": has_note, "pins": pins}))


def _named_once(key: ConversationKey, turn_id: str) -> str:
    """The name that a repeat gets, too; other users' conversations of that name are others."""
    return sha256(f"{key.db_id}\n{turn_id}".encode()).hexdigest()[:32]


def _key(request: Request, db_id: str) -> ConversationKey:
    return ConversationKey(profile_of(request).name, caller_of_header(request), check_db_id(db_id))


async def _standing(request: Request, key: ConversationKey) -> Standing:
    """What stands beside a conversation.

    Raises:
        ConversationNotFound: It has no turn.
    """
    found = await parts_of(request).history.read(key)
    if not found.turns:
        raise ConversationNotFound
    return found.standing


async def _asked(request: Request, fields: type[_Fields], name: str) -> _Fields:
    """The body.

    Raises:
        InvalidInput: A field is wrong, or nothing of this tenant's may be kept; then the field named is `name`.
    """
    parts = parts_of(request)
    body = await read_object(request.headers, request.receive, parts.limits.body_bytes)
    asked = validated(fields, body)
    if unknown := count_unknown(fields, body):
        parts.telemetry.unknown_fields(profile_of(request).name, unknown)
    if not privacy_of(request).may_store:
        raise InvalidInput(name, "nothing_is_kept")
    return asked


def _pins(request: Request, pins: tuple[str, ...]) -> Response:
    generator = parts_of(request).generators.get(Backend.LLAMA)
    model = generator.model() if generator is not None else None
    return _json(ConversationPins(pins=list(pins), told=pins_told(pins, model)))


def _json(view: BaseModel) -> Response:
    return Response(view.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})
