"""`/characters`: a tenant's own characters."""

from contextlib import AbstractAsyncContextManager
from typing import Final, cast
from urllib.parse import quote

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from chatbot.api.accounts.auditing import recorded
from chatbot.api.characters.schemas import (
    CharacterFields,
    CharacterLine,
    CharacterPage,
    CharacterView,
    ImportView,
    PreviewRequest,
    PreviewView,
    character_view,
    line_fields,
    preview_view,
    report_view,
    summary_of,
)
from chatbot.api.conversations import limit_of
from chatbot.api.schemas import count_unknown, validated
from chatbot.api.service import parts_of, profile_of
from chatbot.api.wire.context import context_of
from chatbot.api.wire.forms import is_form, read_form, read_whole
from chatbot.api.wire.guard import read_object
from chatbot.core.audit.audit import Deed
from chatbot.core.characters.book import ExportFormat
from chatbot.core.characters.casting import Wanted, check_name
from chatbot.core.characters.desk import CharacterDesk
from chatbot.domain.audit.records import AuditAction
from chatbot.domain.errors import CharacterNotFound, CharactersOff, InvalidInput

router = APIRouter(prefix="/characters", tags=["characters"])
FORMATS: Final = ("json", "v2", "v3", "png")


@router.get("", operation_id="listCharacters", summary="List characters", response_model=CharacterPage)
async def listing(request: Request) -> Response:
    """One page, ordered by name. Query: `limit` 1-100 (default 20), `after` the last name of the page before."""
    book, tenant = characters_of(request).book, _tenant(request)
    limit = limit_of(request)
    after = request.query_params.get("after", "")
    found = await book.listing(tenant, limit=limit + 1, after=check_name(after, "after") if after else "")
    lines = [CharacterLine(**line_fields(one)) for one in found[:limit]]
    return _json(CharacterPage(characters=lines, next_after=lines[-1].name if len(found) > limit else None))


@router.post("/import", operation_id="importCharacter", summary="Import a card", response_model=ImportView)
async def bring(request: Request) -> Response:
    """Keep a card of version 1, 2 or 3: JSON, PNG, APNG, CHARX, also behind a JPEG. As a form or as the whole body.

    Nothing in it is run, unpacked by its own name or fetched. The report says what is used, kept and left out.
    """
    characters, tenant = characters_of(request), _tenant(request)
    async with characters.book.uploads:
        content, name = await _card(request, characters.book.file_bytes)
        async with _recorded(request, AuditAction.CHARACTER_IMPORT, name) as deed:
            kept = await characters.book.bring(tenant, content, name)
            deed.object = kept.kept.name
    persona = await characters.book.casting.persona(tenant, Wanted(kept.kept.name, kept.kept.revision))
    fixed = (0, False) if persona is None else await characters.previewer.fixed_tokens(persona)
    report = report_view(kept.report, fixed, context_of(request.scope).language)
    return _json(ImportView(**line_fields(summary_of(kept)), report=report))


@router.get("/{name}", operation_id="readCharacter", summary="Read one", response_model=CharacterView)
async def read(request: Request, name: str) -> Response:
    """What it says, as it is played."""
    return _json(character_view(await characters_of(request).book.get(_tenant(request), _known(name))))


@router.put("/{name}", operation_id="putCharacter", summary="Keep one", response_model=CharacterView)
async def put(request: Request, name: str) -> Response:
    """Keep a character in the place of one of that name. Conversations that began go on with what they began with."""
    parts, characters = parts_of(request), characters_of(request)
    name = check_name(name)
    body = await read_object(request.headers, request.receive, parts.limits.v1_body_bytes)
    asked = validated(CharacterFields, body)
    if unknown := count_unknown(CharacterFields, body):
        parts.telemetry.unknown_fields(profile_of(request).name, unknown)
    async with _recorded(request, AuditAction.CHARACTER_PUT, name):
        kept = await characters.book.put(_tenant(request), name, asked.character())
    return _json(character_view(kept))


@router.delete("/{name}", operation_id="eraseCharacter", summary="Erase one", status_code=204)
async def erase(request: Request, name: str) -> Response:
    """Remove it with all its revisions. Always 204."""
    book, name = characters_of(request).book, check_name(name)
    async with _recorded(request, AuditAction.CHARACTER_ERASE, name):
        await book.erase(_tenant(request), name)
    return Response(status_code=204)


@router.get("/{name}/export", operation_id="exportCharacter", summary="Take its card away")
async def export(request: Request, name: str) -> Response:
    """Its card. Query `format`: json (as it came), v2, v3, or png, a plain picture that carries both versions."""
    book, tenant = characters_of(request).book, _tenant(request)
    shape = request.query_params.get("format", "json")
    if shape not in FORMATS:
        raise InvalidInput("format", "wrong_choice", allowed=", ".join(FORMATS))
    content = await book.export(tenant, _known(name), cast(ExportFormat, shape))
    suffix, media_type = ("png", "image/png") if shape == "png" else ("json", "application/json")
    shown = f"attachment; filename*=UTF-8''{quote(name, safe='')}.{suffix}"
    return Response(content, media_type=media_type, headers={"Cache-Control": "no-store", "Content-Disposition": shown})


@router.post("/{name}/preview", operation_id="previewCharacter", summary="See its prompt", response_model=PreviewView)
async def preview(request: Request, name: str) -> Response:
    """The prompt of a conversation with it: its parts, their tokens, lore, what does not fit. No model is asked."""
    parts, characters, tenant = parts_of(request), characters_of(request), _tenant(request)
    body = await read_object(request.headers, request.receive, parts.limits.v1_body_bytes)
    asked = validated(PreviewRequest, body)
    wanted = Wanted(_known(name), greeting_index=asked.greeting_index, user_name=asked.user_name)
    role = await characters.book.casting.role(tenant, wanted, (), context_of(request.scope).work_id)
    if role is None:
        raise CharacterNotFound
    made = await characters.previewer.preview(role, asked.dialogue())
    return _json(preview_view(role.persona.name, role.persona.revision, made))


def characters_of(request: Request) -> CharacterDesk:
    """The characters of the service.

    Raises:
        CharactersOff: It has none.
    """
    characters = parts_of(request).characters
    if characters is None:
        raise CharactersOff
    return characters


async def _card(request: Request, file_bytes: int) -> tuple[bytes, str]:
    """The file that a request brings, and the name that the character shall get; "" where none is said."""
    name = request.query_params.get("name", "")
    if not is_form(request):
        return await read_whole(request, file_bytes), name
    file = await read_form(request, file_bytes)
    return file.content, file.fields.get("name", name)


def _recorded(request: Request, action: AuditAction, name: str) -> AbstractAsyncContextManager[Deed]:
    return recorded(parts_of(request).audit, request, Deed(action, _tenant(request), object=name))


def _tenant(request: Request) -> str:
    return context_of(request.scope).principal.tenant


def _known(name: str) -> str:
    """A name that is asked for; one that no character can have is one that none has."""
    try:
        return check_name(name)
    except InvalidInput:
        raise CharacterNotFound from None


def _json(view: BaseModel) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)
