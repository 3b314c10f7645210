"""`/admin/keys`: make, list, rotate, limit and revoke keys of every tenant."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from chatbot.api.accounts.auditing import recorded
from chatbot.api.accounts.decisions import presented
from chatbot.api.admin.schemas import (
    KeyLine,
    KeyPage,
    LimitFields,
    MintedKey,
    NewKeyFields,
    RotateFields,
    line_of,
)
from chatbot.api.admin.wishes import ReadSigner, limits_of, new_key
from chatbot.api.conversations import limit_of
from chatbot.api.schemas import validated
from chatbot.api.wire.context import context_of
from chatbot.api.wire.guard import read_object
from chatbot.core.accounts.desk import KeyDesk
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.accounts.key_text import is_key_id
from chatbot.core.audit.audit import Audit, Deed
from chatbot.domain.access import Scope
from chatbot.domain.audit.records import AuditAction
from chatbot.domain.errors import AddressNotAllowed, KeyNotFound, ScopeMissing

router = APIRouter(prefix="/admin/keys", tags=["keys"])
BODY_BYTES: Final = 64 * 1024
_Body = TypeVar("_Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class AdminParts:
    """What the routes work with.

    Attributes:
        keys: Judges the administrator's own key.
        read_signer: Judges public keys.
        audit: Records what is done; None where nobody reads it.
    """

    desk: KeyDesk
    keys: KeyCheck
    read_signer: ReadSigner
    now: Callable[[], float] = time.time
    audit: Audit | None = None


async def decide(request: Request) -> None:
    """Let administrators pass, and nobody else; a dependency of the whole app.

    Policies of tenants do not bind them: whoever suspends his own tenant can still undo it.

    Raises:
        Unauthorized: There is no valid key.
        Forbidden: It is nobody's who may administrate, or not from here.
        KeysUnavailable: Whether it is valid cannot be found out now.
    """
    context = context_of(request.scope)
    context.principal = await _parts(request).keys.principal(presented(request.headers))
    rights = context.principal.rights
    if Scope.ADMIN not in rights.scopes:
        raise ScopeMissing(Scope.ADMIN)
    if not rights.allows_address(context.client):
        raise AddressNotAllowed


@router.get("", operation_id="listKeys", summary="List keys", response_model=KeyPage)
async def listing(request: Request) -> Response:
    """One page. Query: `tenant`, `limit` 1-100 (default 20), `after` the last id of the page before."""
    limit, after = limit_of(request), request.query_params.get("after", "")
    found = await _parts(request).desk.page(request.query_params.get("tenant"), after=after, limit=limit + 1)
    now = _parts(request).now()
    lines = [line_of(record, now) for record in found[:limit]]
    return _json(KeyPage(keys=lines, next_after=lines[-1].id if len(found) > limit else None))


@router.post("", operation_id="createKey", summary="Make a key", response_model=MintedKey, status_code=201)
async def create(request: Request) -> Response:
    """The key is shown this once; replicas know it with its first request."""
    parts = _parts(request)
    wish = new_key(await _body(request, NewKeyFields), parts.read_signer)
    async with _recorded(request, AuditAction.KEY_CREATE, "", wish.tenant) as deed:
        record, key = await parts.desk.create(wish)
        deed.object = record.id
    return _json(MintedKey(key=key.text, record=line_of(record, parts.now())), 201)


@router.get("/{key_id}", operation_id="readKey", summary="Read one", response_model=KeyLine)
async def read(request: Request, key_id: str) -> Response:
    """A key as it is kept."""
    parts = _parts(request)
    return _json(line_of(await parts.desk.read(_known(key_id)), parts.now()))


@router.post(
    "/{key_id}/rotate", operation_id="rotateKey", summary="Replace one", response_model=MintedKey, status_code=201
)
async def rotate(request: Request, key_id: str) -> Response:
    """A sibling with the same rights and counters; the old key ends after the overlap."""
    parts, asked = _parts(request), await _body(request, RotateFields)
    async with _recorded(request, AuditAction.KEY_ROTATE, _known(key_id)) as deed:
        record, key = await parts.desk.rotate(
            key_id, overlap_seconds=asked.overlap_seconds, life_seconds=asked.lifetime_seconds
        )
        deed.tenant = record.tenant
    return _json(MintedKey(key=key.text, record=line_of(record, parts.now())), 201)


@router.put("/{key_id}/limits", operation_id="limitKey", summary="Limit one", response_model=KeyLine)
async def limit(request: Request, key_id: str) -> Response:
    """Put other limits in the place of a key's, on all replicas within 10 s; what was used stays used."""
    parts = _parts(request)
    limits = limits_of(await _body(request, LimitFields))
    async with _recorded(request, AuditAction.KEY_LIMIT, _known(key_id)) as deed:
        record = await parts.desk.limit(key_id, limits)
        deed.tenant = record.tenant
    return _json(line_of(record, parts.now()))


@router.post("/{key_id}/revoke", operation_id="revokeKey", summary="End one", response_model=KeyLine)
async def revoke(request: Request, key_id: str) -> Response:
    """End a key for good, on all replicas within 10 s. No body; idempotent."""
    parts = _parts(request)
    async with _recorded(request, AuditAction.KEY_REVOKE, _known(key_id)) as deed:
        record = await parts.desk.revoke(key_id)
        deed.tenant = record.tenant
    return _json(line_of(record, parts.now()))


def _recorded(
    request: Request, action: AuditAction, key_id: str, tenant: str = ""
) -> AbstractAsyncContextManager[Deed]:
    return recorded(_parts(request).audit, request, Deed(action, tenant, object=key_id))


def _parts(request: Request) -> AdminParts:
    parts: AdminParts = request.app.state.admin
    return parts


async def _body(request: Request, schema: type[_Body]) -> _Body:
    given: dict[str, Any] = await read_object(request.headers, request.receive, BODY_BYTES)
    return validated(schema, given)


def _known(key_id: str) -> str:
    """The id of a key; whatever else stands there never reaches the store."""
    if not is_key_id(key_id):
        raise KeyNotFound
    return key_id


def _json(view: BaseModel, status: int = 200) -> Response:
    return Response(view.model_dump_json(), status, media_type="application/json")
