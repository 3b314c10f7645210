"""Whether a request may: one decision for every route, made before the route runs.

An app with a route that has no line here does not start, so nothing is open by being forgotten.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from fastapi import APIRouter, Request
from starlette.datastructures import Headers

from chatbot.api.accounts.gateway_user import bound_by, vouched_user
from chatbot.api.service import Parts, parts_of, profile_of
from chatbot.api.wire.context import RequestContext, context_of
from chatbot.domain.access import Principal, Scope
from chatbot.domain.errors import (
    AddressNotAllowed,
    Forbidden,
    KeysUnavailable,
    ModelNotAllowed,
    ScopeMissing,
    ServiceNotAllowed,
    Unauthorized,
)
from chatbot.domain.generation import Backend

KEY_HEADER: Final = "X-API-Key"
USER_TOKEN_HEADER: Final = "X-User-Token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Decision:
    """What a route wants of its caller.

    Attributes:
        scope: What the key must have; None: any key will do.
        is_open: No key is asked for.
        stays_here: Where no keys are configured, only callers on this machine may.
        admins_too: A key of an administrator may as well, without the scope.
    """

    scope: Scope | None = None
    is_open: bool = False
    stays_here: bool = False
    admins_too: bool = False


_ANY_KEY: Final = Decision()
_OPEN: Final = Decision(is_open=True)
_DOCUMENTS: Final = Decision(Scope.DOCUMENTS, stays_here=True)
_ERASE_PEOPLE: Final = Decision(Scope.CONVERSATIONS_ERASE, stays_here=True, admins_too=True)
_EXPORT_PEOPLE: Final = Decision(Scope.CONVERSATIONS_READ, stays_here=True, admins_too=True)
_READ_CHARACTERS: Final = Decision(Scope.CHARACTERS_READ, stays_here=True)
_WRITE_CHARACTERS: Final = Decision(Scope.CHARACTERS_WRITE, stays_here=True)

SHELF_OPERATIONS: Final = (
    "createFile",
    "listFiles",
    "retrieveFile",
    "downloadFile",
    "deleteFile",
    "createVectorStore",
    "listVectorStores",
    "retrieveVectorStore",
    "deleteVectorStore",
    "searchVectorStore",
    "createVectorStoreFile",
    "listVectorStoreFiles",
    "retrieveVectorStoreFile",
    "deleteVectorStoreFile",
)
"""Files and vector stores: as documents."""

DECISIONS: Final[Mapping[str, Decision]] = {
    "askLlama": Decision(Scope.CHAT),
    "askOpenAI": Decision(Scope.CHAT),
    "createChatCompletion": Decision(Scope.CHAT),
    "createEmbedding": Decision(Scope.CHAT),
    "chat": Decision(Scope.CHAT),
    "readSession": Decision(Scope.CONVERSATIONS_READ, stays_here=True),
    "eraseSession": Decision(Scope.CONVERSATIONS_ERASE, stays_here=True),
    "listModels": _ANY_KEY,
    "retrieveModel": _ANY_KEY,
    "listConversations": Decision(Scope.CONVERSATIONS_READ, stays_here=True),
    "readConversation": Decision(Scope.CONVERSATIONS_READ, stays_here=True),
    "readNote": Decision(Scope.CONVERSATIONS_READ, stays_here=True),
    "putNote": Decision(Scope.CHAT, stays_here=True),
    "readPins": Decision(Scope.CONVERSATIONS_READ, stays_here=True),
    "putPins": Decision(Scope.CHAT, stays_here=True),
    "continueConversation": Decision(Scope.CHAT, stays_here=True),
    "eraseConversation": Decision(Scope.CONVERSATIONS_ERASE, stays_here=True),
    "eraseUser": _ERASE_PEOPLE,
    "readErasure": _ERASE_PEOPLE,
    "exportUser": _EXPORT_PEOPLE,
    "readExport": _EXPORT_PEOPLE,
    "fetchExport": _EXPORT_PEOPLE,
    "addDocument": _DOCUMENTS,
    "listDocuments": _DOCUMENTS,
    "readDocument": _DOCUMENTS,
    "watchDocument": _DOCUMENTS,
    "cancelDocument": _DOCUMENTS,
    "eraseDocument": _DOCUMENTS,
    "askDocuments": _DOCUMENTS,
    "listCharacters": _READ_CHARACTERS,
    "readCharacter": _READ_CHARACTERS,
    "exportCharacter": _READ_CHARACTERS,
    "previewCharacter": _READ_CHARACTERS,
    "importCharacter": _WRITE_CHARACTERS,
    "putCharacter": _WRITE_CHARACTERS,
    "eraseCharacter": _WRITE_CHARACTERS,
    **dict.fromkeys(SHELF_OPERATIONS, _DOCUMENTS),
    "ownKey": _ANY_KEY,
    "listTools": Decision(Scope.CHAT),
    "readUsage": Decision(stays_here=True),  # without the scope, of the key alone
    "performance": _ANY_KEY,
    "info": _OPEN,
    "health": _OPEN,
    "readiness": _OPEN,
}
"""By operation id."""

OPEN_PAGES: Final = frozenset({"/docs", "/docs/{name}"})
"""Routes that are no operations."""


def check_decisions(routers: Iterable[APIRouter]) -> None:
    """Refuse an app with a route that nobody decided about.

    Raises:
        RuntimeError: There is one; the message names it.
    """
    for route in (route for router in routers for route in router.routes):
        _decision_of(route)


async def decide(request: Request) -> None:
    """Let a request pass or refuse it; its context knows the principal afterwards. A dependency of the whole app.

    Raises:
        Unauthorized: There is no valid key.
        Forbidden: The key is valid, but not for this.
        KeysUnavailable: Whether it is valid cannot be found out now.
    """
    decision = _decision_of(request.scope["route"])
    if decision.is_open or context_of(request.scope).is_decided:
        return
    parts, service, context = parts_of(request), profile_of(request).name, context_of(request.scope)
    outcome = "unavailable"
    try:
        user, context.principal = await _known(request, parts)
        outcome = "forbidden"
        context.principal = bound_by(_admitted(context.principal, service, parts), user, parts.keys.gateway)
        _check(decision, service, parts, context)
        outcome = "anonymous" if parts.keys.is_open else "accepted"
    except Unauthorized:
        outcome = "unauthorized"
        raise
    finally:
        parts.telemetry.key_checked(service, outcome)


def presented(headers: Headers) -> str | None:
    """The key that a request brings: as `Authorization: Bearer`, else as `X-API-Key`; None where there is none.

    Two of a kind are none: which of them a proxy looked at cannot be known.
    """
    authorizations, keys = headers.getlist("authorization"), headers.getlist(KEY_HEADER)
    if len(authorizations) == 1:
        scheme, _, key = authorizations[0].partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None
    return keys[0].strip() if len(keys) == 1 and not authorizations else None


def user_token(headers: Headers) -> str | None:
    """The token that says who a key's user is, None where there is none; two are none, as above."""
    tokens = headers.getlist(USER_TOKEN_HEADER)
    return tokens[0].strip() if len(tokens) == 1 else None


def check_backend(principal: Principal, backend: Backend) -> None:
    """Refuse a backend that the key is not for.

    Raises:
        ModelNotAllowed: It is not.
    """
    if not principal.rights.allows_backend(str(backend)):
        raise ModelNotAllowed


async def is_known(request: Request) -> bool:
    """Whether an open route may tell the request more than anybody: it has a valid key, or comes from this machine."""
    parts, context = parts_of(request), context_of(request.scope)
    if parts.keys.is_open:
        return is_loopback(context.client)
    try:
        _user, principal = await _known(request, parts)
        rights = _admitted(principal, profile_of(request).name, parts).rights
    except (Unauthorized, Forbidden, KeysUnavailable):
        return False
    return rights.allows_service(profile_of(request).name) and rights.allows_address(context.client)


def check_documents(request: Request) -> None:
    """Refuse a question that wants the user's documents where `/documents` would be refused.

    Raises:
        Forbidden: It would be.
    """
    _check(_DOCUMENTS, profile_of(request).name, parts_of(request), context_of(request.scope))


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _decision_of(route: object) -> Decision:
    path, operation_id = getattr(route, "path", ""), getattr(route, "operation_id", None)
    if path in OPEN_PAGES:
        return _OPEN
    decision = DECISIONS.get(str(operation_id))
    if decision is None:
        raise RuntimeError(f"{path}: no line in chatbot.api.accounts.decisions says who may")
    return decision


async def _known(request: Request, parts: Parts) -> tuple[str | None, Principal]:
    """The user whom the gateway names, and whose key or token a request brings. Raises as `decide`."""
    user = vouched_user(request, parts.keys.gateway)
    return user, await parts.keys.principal(presented(request.headers), user_token(request.headers), user)


def _admitted(principal: Principal, service: str, parts: Parts) -> Principal:
    """The principal with what its tenant's policy leaves of its rights. Raises as `Tenant.admit`."""
    remote = parts.generators.get(Backend.OPENAI)
    model = remote.model() if remote is not None else None
    return parts.tenants.of(principal.tenant).admit(principal, service, model.name if model else "")


def _check(decision: Decision, service: str, parts: Parts, context: RequestContext) -> None:
    rights = context.principal.rights
    if parts.keys.is_open and decision.stays_here and not is_loopback(context.client):
        raise Forbidden
    if not rights.allows_service(service):
        raise ServiceNotAllowed
    if not rights.allows_address(context.client):
        raise AddressNotAllowed
    # Whatever else a key of an administrator says: a key that makes keys answers no question.
    is_admin = Scope.ADMIN in rights.scopes
    if is_admin and decision.admins_too:
        return
    if decision.scope is not None and (decision.scope not in rights.scopes or is_admin):
        raise ScopeMissing(decision.scope)
