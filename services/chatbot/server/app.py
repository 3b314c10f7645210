"""One service as an ASGI app: routes, error handlers, what wraps them. `server.wiring` makes its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from chatbot import __version__
from chatbot.api import chat, conversations, errors, operations
from chatbot.api.accounts import own_key, usage_report
from chatbot.api.accounts.decisions import KEY_HEADER, USER_TOKEN_HEADER, check_decisions, decide
from chatbot.api.accounts.spent import SpentFirst, wait_turn
from chatbot.api.accounts.usage_noting import USAGE_HEADER
from chatbot.api.characters import routes as character_routes
from chatbot.api.documents import rag
from chatbot.api.documents import routes as document_routes
from chatbot.api.memory import routes as memory_routes
from chatbot.api.not_found import HTML_HEADERS, VARY, render_not_found
from chatbot.api.openapi import page
from chatbot.api.openapi.document import document
from chatbot.api.personal import routes as personal_routes
from chatbot.api.profiles import Profile
from chatbot.api.service import Parts, parts_of, profile_of
from chatbot.api.sessions import routes as session_routes
from chatbot.api.shelves import files as shelf_files
from chatbot.api.shelves import vector_stores
from chatbot.api.style.told import STYLE_HEADER
from chatbot.api.tools import routes as tool_routes
from chatbot.api.v1 import embeddings as v1_embeddings
from chatbot.api.v1 import routes as v1_routes
from chatbot.api.wire.context import context_of
from chatbot.api.wire.departure import ClientGone
from chatbot.api.wire.front import Front, is_v1, refusal
from chatbot.api.wire.reuse import REUSE_HEADERS
from chatbot.domain.errors import ChatError, NotFound
from chatbot.domain.limits import RateLimited
from chatbot.server.gateway import Prefixed

_ROUTERS: Final = (
    chat.router,
    session_routes.router,
    v1_routes.router,
    v1_embeddings.router,
    conversations.router,
    memory_routes.router,
    personal_routes.router,
    document_routes.router,
    rag.router,
    shelf_files.router,
    vector_stores.router,
    character_routes.router,
    own_key.router,
    tool_routes.router,
    usage_report.router,
    operations.router,
    page.router,
)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What is believed of a request, and where the app stands.

    Attributes:
        root_path: Prefix that the gateway strips, for docs and OpenAPI.
        trusted_proxies: Networks whose `X-Forwarded-For` is believed.
        cors_origins: Origins that browsers may call from.
    """

    root_path: str = ""
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()
    cors_origins: Sequence[str] = ()


def create_app(profile: Profile, parts: Parts, options: HttpOptions = HttpOptions()) -> ASGIApp:
    """The app of one service."""
    app = build_api(profile)
    app.state.parts = parts
    wrapped: ASGIApp = SpentFirst(app, app, parts, profile.name, _ROUTERS)
    if options.cors_origins:
        wrapped = CORSMiddleware(
            wrapped,
            allow_origins=list(options.cors_origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                *("Authorization", KEY_HEADER, USER_TOKEN_HEADER),
                *("Content-Type", "Idempotency-Key", "X-User-ID", "X-Request-ID"),
            ],
            expose_headers=[
                *("X-Request-ID", "X-Backend", "X-History-Saved", "X-References", STYLE_HEADER),
                *("Retry-After", USAGE_HEADER, *REUSE_HEADERS),
            ],
        )
    front = Front(
        wrapped,
        service=profile.name,
        gate=parts.gate,
        telemetry=parts.telemetry,
        trusted_proxies=options.trusted_proxies,
        traces=parts.traces,
    )
    return Prefixed(front, options.root_path) if options.root_path else front


def build_api(profile: Profile) -> FastAPI:
    """Routes and error handlers, without parts: what the OpenAPI file is made of."""
    app = FastAPI(
        title=profile.title,
        description=profile.description,
        version=__version__,
        redirect_slashes=False,  # a redirect would repeat the caller's Host header
        docs_url=None,  # the framework's pages load their scripts from a public CDN
        redoc_url=None,
        dependencies=[Depends(decide)],
        # What the framework would report by itself could hold text of users.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.profile = profile
    check_decisions(_ROUTERS)
    for router in _ROUTERS:
        app.include_router(router)
    app.add_exception_handler(ChatError, _tell)
    app.add_exception_handler(HTTPException, _tell_framework)
    app.add_exception_handler(ClientGone, _tell_nobody)
    app.add_exception_handler(Exception, _tell)
    _describe(app, profile)
    return app


def _describe(app: FastAPI, profile: Profile) -> None:
    """Let the docs show our own OpenAPI document, made when it is first asked for."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app, profile)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


async def _tell(request: Request, error: Exception) -> Response:
    limiter = parts_of(request).limiter
    if limiter is not None and isinstance(error, RateLimited):
        await wait_turn(limiter, request.scope, error)
    return refusal(request.scope, error)


async def _tell_framework(request: Request, error: Exception) -> Response:
    """The framework knows two errors of its own; its texts repeat nothing, but ours are translated."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        return await _tell(request, errors.MethodNotAllowed((error.headers or {}).get("Allow", "")))
    if isinstance(error, HTTPException) and error.status_code == 404:
        return await _tell(request, NotFound()) if is_v1(request.scope) else _show_not_found(request)
    return await _tell(request, error)


def _show_not_found(request: Request) -> Response:
    context = context_of(request.scope)
    media_type, body = render_not_found(
        request.headers.get("accept", ""),
        context.language,
        request.scope.get("root_path", ""),
        service=profile_of(request).name,
        request_id=context.request_id,
    )
    headers = {**HTML_HEADERS, "Content-Type": media_type, "Content-Language": context.language, "Vary": VARY}
    return Response(body, 404, headers=headers)


async def _tell_nobody(request: Request, _error: Exception) -> Response:
    context_of(request.scope).outcome = "client_gone"
    return Response(status_code=499)
