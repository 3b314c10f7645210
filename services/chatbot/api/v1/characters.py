"""Stored characters as models of the OpenAI API: `character/<name>`, and `character/<name>@<revision>`."""

from typing import Any

from fastapi import Request

from chatbot.api.service import Parts, parts_of
from chatbot.api.v1.schemas import ChatCompletionRequest
from chatbot.api.wire.context import context_of
from chatbot.core.characters.casting import MODEL_PREFIX, Wanted
from chatbot.core.characters.role import Role
from chatbot.domain.characters import CharacterSummary
from chatbot.domain.errors import CharacterNotFound, CharactersUnavailable, InvalidInput, ModelNotFound
from chatbot.domain.generation import Backend

_MOST_LISTED = 1_000


def wanted_of(asked: ChatCompletionRequest, parts: Parts) -> Wanted | None:
    """The character that a request names as its model; None where it names another model."""
    if parts.characters is None or not asked.model.startswith(MODEL_PREFIX):
        return None
    name, _, revision = asked.model.removeprefix(MODEL_PREFIX).partition("@")
    return Wanted(name, revision or None, greeting_index=asked.greeting_index, user_name=asked.user_name)


async def role_of(request: Request, wanted: Wanted | None) -> Role | None:
    """Who plays; None where a model answers as itself.

    Raises:
        ModelNotFound: There is no such character, or not any more in this revision.
        CharactersUnavailable: The store does not answer.
        InvalidInput: It has no such greeting.
    """
    characters, context = parts_of(request).characters, context_of(request.scope)
    if wanted is None or characters is None:
        return None
    role = await characters.book.casting.role(context.principal.tenant, wanted, (), context.work_id)
    if role is None:
        raise ModelNotFound
    return role


async def character_models(request: Request) -> list[dict[str, Any]]:
    """The tenant's characters as models; none while their store does not answer: other models can be used then."""
    parts, principal = parts_of(request), context_of(request.scope).principal
    if parts.characters is None or not principal.rights.allows_backend(Backend.LLAMA):
        return []
    try:
        found = await parts.characters.book.listing(principal.tenant, limit=_MOST_LISTED)
    except CharactersUnavailable:
        return []
    return [_model(one) for one in found]


async def character_model(request: Request, model: str) -> dict[str, Any]:
    """One character as a model.

    Raises:
        ModelNotFound: It is none of this tenant's.
        CharactersUnavailable: The store does not answer.
    """
    parts, principal = parts_of(request), context_of(request.scope).principal
    allowed = parts.characters is not None and principal.rights.allows_backend(Backend.LLAMA)
    if parts.characters is None or not allowed or not model.startswith(MODEL_PREFIX):
        raise ModelNotFound
    try:
        kept = await parts.characters.book.get(principal.tenant, model.removeprefix(MODEL_PREFIX))
    except (CharacterNotFound, InvalidInput):
        raise ModelNotFound from None
    said = kept.kept
    return _model(CharacterSummary(said.name, kept.character.display_name, said.revision, said.updated_at))


def _model(summary: CharacterSummary) -> dict[str, Any]:
    created = int(summary.updated_at.timestamp())
    return {"id": MODEL_PREFIX + summary.name, "object": "model", "created": created, "owned_by": "character"}
