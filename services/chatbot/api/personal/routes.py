"""`/users/{user_id}`: all that is kept about a user, to be fetched and to be erased.

In the place of the user may stand `me`: then the header `X-User-ID` names him, or the key that is bound to him, and no
log of a proxy has his name.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from chatbot.api.accounts.auditing import recorded
from chatbot.api.accounts.users import bound_user, caller_of, check_claim
from chatbot.api.conversations import caller_of_header
from chatbot.api.personal.schemas import ErasureView, ExportView, erasure_view, moment
from chatbot.api.schemas import check_user_id
from chatbot.api.service import parts_of
from chatbot.api.wire.context import context_of
from chatbot.core.audit.audit import Deed
from chatbot.core.personal.desk import PersonalDesk
from chatbot.domain.access import Scope
from chatbot.domain.audit.records import AuditAction
from chatbot.domain.errors import InvalidInput, NotFound, ServiceNotAllowed
from chatbot.domain.personal.erasure import ErasureNotFound, ExportNotFound
from chatbot.domain.tenants.reading import SERVICES

router = APIRouter(prefix="/users", tags=["people"])
ME: Final = "me"
_TENANT: Final = "tenant"
_DOCUMENTS: Final = frozenset({"documents", "files"})
"""Names of the stores that the scope of that name is for."""

_MOST_TENANT_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class _Meant:
    """Whose data; `is_self`: an operator does not ask."""

    tenant: str
    user: str
    is_self: bool


@router.delete(
    "/{user_id}", operation_id="eraseUser", summary="Erase a user", status_code=202, response_model=ErasureView
)
async def erase(request: Request, user_id: str) -> Response:
    """Begin to remove everything of a user, from all stores and of all services. Asking twice is one erasure."""
    meant = _meant(request, user_id)
    async with _recorded(request, AuditAction.USER_ERASE, meant):
        begun = await _desk(request).erase(meant.tenant, meant.user, is_self=meant.is_self)
    return _json(erasure_view(begun, context_of(request.scope).language), 202)


@router.get("/{user_id}/erasure", operation_id="readErasure", summary="Read its state", response_model=ErasureView)
async def read_erasure(request: Request, user_id: str) -> Response:
    """How far it is; in the end the receipt, for 30 days."""
    meant = _meant(request, user_id)
    found = await _desk(request).erasure(meant.tenant, meant.user)
    if found is None:
        raise ErasureNotFound
    return _json(erasure_view(found, context_of(request.scope).language))


@router.post(
    "/{user_id}/export", operation_id="exportUser", summary="Export a user", status_code=202, response_model=ExportView
)
async def export(request: Request, user_id: str) -> Response:
    """Let everything of a user be fetched once within an hour."""
    meant = _meant(request, user_id)
    async with _recorded(request, AuditAction.USER_EXPORT, meant):
        until = await _desk(request).offer(meant.tenant, meant.user)
    return _json(ExportView(state="ready", until=moment(until)), 202)


@router.get("/{user_id}/export", operation_id="readExport", summary="Read its state", response_model=ExportView)
async def read_export(request: Request, user_id: str) -> Response:
    """Whether it can be fetched still."""
    meant = _meant(request, user_id)
    until = await _desk(request).offered_until(meant.tenant, meant.user)
    if not until:
        raise ExportNotFound
    return _json(ExportView(state="ready", until=moment(until)))


@router.get("/{user_id}/export/file", operation_id="fetchExport", summary="Fetch it")
async def fetch(request: Request, user_id: str) -> Response:
    """A zip with a file of JSON lines for each store and a `manifest.json` (rows, sha256), written while it is read.

    One that was cut has no end and opens nowhere: ask again. A key without the scope `documents` gets those left out,
    and the manifest says so.
    """
    meant = _meant(request, user_id)
    archive = await _desk(request).fetch(meant.tenant, meant.user, without=_unread(request))
    if archive is None:
        raise ExportNotFound
    headers = {"Content-Disposition": 'attachment; filename="export.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(archive, media_type="application/zip", headers=headers)


def _recorded(request: Request, action: AuditAction, meant: _Meant) -> AbstractAsyncContextManager[Deed]:
    pseudonym = parts_of(request).keys.pseudonym(meant.tenant, meant.user)
    return recorded(parts_of(request).audit, request, Deed(action, meant.tenant, object=pseudonym))


def _desk(request: Request) -> PersonalDesk:
    desk = parts_of(request).personal
    if desk is None:
        raise NotFound
    return desk


def _meant(request: Request, user_id: str) -> _Meant:
    """Whose data a request is about, if it may be about them.

    A key of an administrator may name anybody of any tenant; any other key its own users alone. One that is for some
    services may not reach into the others, unless it is the user's own.

    Raises:
        InvalidInput: The user or the tenant cannot be one.
        ServiceNotAllowed, UserMismatch: The key may not.
    """
    principal = context_of(request.scope).principal
    rights, is_open = principal.rights, parts_of(request).keys.is_open
    if Scope.ADMIN in rights.scopes:
        user = _named(request, user_id)
        return _Meant(_tenant(request, principal.tenant), user, is_self=False)
    if bound_user(request) is None and not all(map(rights.allows_service, SERVICES)):
        raise ServiceNotAllowed
    user = _named(request, user_id)
    check_claim(request, user, "user_id")
    return _Meant(principal.tenant, user, is_self=not is_open)


def _unread(request: Request) -> frozenset[str]:
    """Stores that the key may not read."""
    scopes = context_of(request.scope).principal.rights.scopes
    return frozenset() if scopes & {Scope.DOCUMENTS, Scope.ADMIN} else _DOCUMENTS


def _named(request: Request, user_id: str) -> str:
    if user_id == ME:
        return caller_of_header(request).user
    return caller_of(request, check_user_id(user_id)).user


def _tenant(request: Request, own: str) -> str:
    given = request.query_params.get(_TENANT, own)
    if len(given) > _MOST_TENANT_CHARACTERS or not given.isprintable():
        raise InvalidInput(_TENANT, "too_long", maximum=_MOST_TENANT_CHARACTERS)
    return given


def _json(view: BaseModel, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(view.model_dump_json(), status, media_type="application/json", headers=headers)
