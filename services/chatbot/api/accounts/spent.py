"""Who hammers a limit is refused again before his request is read or parsed, and in his turn: others' answers go on."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.api.accounts.decisions import decide
from chatbot.api.accounts.usage_noting import note_use
from chatbot.api.accounts.users import limited_of
from chatbot.api.service import Parts
from chatbot.api.wire.context import context_of
from chatbot.api.wire.front import refusal, route_path
from chatbot.api.wire.guard import read_body
from chatbot.core.limits.limiter import Limiter
from chatbot.core.limits.refusals import FOUND_SECONDS, REPEATED_SECONDS
from chatbot.domain.errors import ChatError
from chatbot.domain.limits import RateLimited

_COUNTED: Final = ("askLlama", "askOpenAI", "createChatCompletion", "chat")
"""Operations."""

MOST_BYTES: Final = 65_536
"""A longer request is not known again: it takes its way each time."""

_KEY: Final = token_bytes(32)
"""Of digests, so that nobody outside can make two requests that share one."""

_ANEW: Final = frozenset({"date", "forwarded", "traceparent", "tracestate", "x-real-ip", "x-request-id"})
_ANEW_PREFIXES: Final = ("x-forwarded-", "x-stainless-")
"""Headers that change from one attempt of a request to the next, and nothing else with them."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request whose body is here already."""

    body: bytes
    digest: bytes

    def again(self, receive: Receive) -> Receive:
        """The request's messages, to be read once more."""
        messages: list[Message] = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def received() -> Message:
            return messages.pop() if messages else await receive()

        return received


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
        limiter = self._parts.limiter
        route = self._route_of(scope) if limiter is not None and limiter.refusals.are_some else None
        if limiter is None or route is None:
            await self._app(scope, receive, send)
            return
        try:
            asked = await self._asked(limiter, route, scope, receive)
        except ChatError as exc:
            await refusal(scope, exc)(scope, receive, send)
            return
        await self._app(scope, receive if asked is None else asked.again(receive), send)
        refused = context_of(scope).refused
        if asked is not None and refused is not None:
            limiter.refusals.keep_request(asked.digest, refused)

    def _route_of(self, scope: Scope) -> BaseRoute | None:
        """The route of a request that limits count; None for all others."""
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        return self._routes.get(route_path(scope)) if is_post else None

    async def _asked(self, limiter: Limiter, route: BaseRoute, scope: Scope, receive: Receive) -> _Asked | None:
        """What takes its way, with its body where that is worth reading here.

        Raises:
            ChatError: What is known already.
        """
        began, context = time.monotonic(), context_of(scope)
        scope["route"], scope["app"] = route, self._api
        await decide(Request(scope))
        context.is_decided = True
        policy = self._parts.tenants.of(context.principal.tenant).limits
        limited = limited_of(context.principal, policy, None)
        error = limiter.refusals.before_reading(self._service, limited)
        asked = None
        if error is None and 0 < _length(scope) <= MOST_BYTES:
            body = await read_body(receive, MOST_BYTES)
            # With the limits: whoever gets others is asked anew.
            asked = _Asked(body, _digest(scope, body, hash((limited, policy))))
            error = limiter.refusals.of_request(self._service, asked.digest)
        if error is not None:
            self._count(scope, error, time.monotonic() - began)
            await wait_turn(limiter, scope, error, REPEATED_SECONDS)
            raise error
        return asked

    def _count(self, scope: Scope, error: RateLimited, seconds: float) -> None:
        """As it is counted where the request took its way."""
        self._parts.statistics.started()
        self._parts.statistics.ended(False, seconds)
        note_use(scope, None, error, seconds)


async def wait_turn(limiter: Limiter, scope: Scope, error: RateLimited, seconds: float = FOUND_SECONDS) -> None:
    """Let a refusal wait until its account may have one, where it takes so many seconds of the account's pace."""
    context = context_of(scope)
    context.quota, context.refused = error.quota, error
    await asyncio.sleep(limiter.refusals.turn(error, seconds))


def _length(scope: Scope) -> int:
    """Bytes of the body; 0 where it does not say."""
    told = Headers(scope=scope).get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < len("1000000") else 0


def _digest(scope: Scope, body: bytes, limits: int) -> bytes:
    headers = Headers(scope=scope).items()
    told = [(name, value) for name, value in headers if name not in _ANEW and not name.startswith(_ANEW_PREFIXES)]
    asked = repr((scope["path"], scope["query_string"], limits, told)).encode()
    return blake2b(body, digest_size=16, key=_KEY, salt=blake2b(asked, digest_size=16, key=_KEY).digest()).digest()
