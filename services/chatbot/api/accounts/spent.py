"""Who hammers a spent limit is refused again before anything of his request is read: it costs nobody else's answers."""

import time
from collections.abc import Iterable
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chatbot.api.accounts.decisions import decide
from chatbot.api.accounts.usage_noting import note_use
from chatbot.api.accounts.users import limited_of
from chatbot.api.service import Parts
from chatbot.api.wire.context import context_of
from chatbot.api.wire.front import refusal, route_path
from chatbot.domain.errors import ChatError
from chatbot.domain.limits import RateLimited

_COUNTED: Final = ("askLlama", "askOpenAI", "createChatCompletion", "chat")
"""Operations."""


class SpentFirst:
    """Wraps the app of one service.

    Args:
        app: With what is around it.
        api: Its innermost part, which has the routes.
        routers: Of the routes.
    """

    def __init__(self, app: ASGIApp, api: FastAPI, parts: Parts, service: str, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._api = api
        self._parts = parts
        self._service = service
        self._routes: dict[str, BaseRoute] = {
            getattr(route, "path", ""): route
            for router in routers
            for route in router.routes
            if getattr(route, "operation_id", None) in _COUNTED
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        error = await self._refusal(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if error is None:
            await self._app(scope, receive, send)
            return
        await refusal(scope, error)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ChatError | None:
        """What is known already; None: the request takes its way."""
        limiter, route = self._parts.limiter, self._routes.get(route_path(scope))
        if limiter is None or not limiter.is_hammered or route is None:
            return None
        began, context = time.monotonic(), context_of(scope)
        scope["route"], scope["app"] = route, self._api
        request = Request(scope)
        try:
            await decide(request)
        except ChatError as exc:
            return exc
        context.is_decided = True
        principal = context.principal
        limited = limited_of(principal, self._parts.tenants.of(principal.tenant).limits, None)
        error = limiter.repeated(self._service, limited)
        if error is not None:
            self._count(scope, error, time.monotonic() - began)
        return error

    def _count(self, scope: Scope, error: RateLimited, seconds: float) -> None:
        """As it is counted where the request took its way."""
        context = context_of(scope)
        context.quota, context.is_quiet = error.quota, error.is_quiet
        self._parts.statistics.started()
        self._parts.statistics.ended(False, seconds)
        note_use(scope, None, error, seconds)
