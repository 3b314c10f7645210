"""The outermost layer of a service: what every request and every response has.

Pure ASGI: it hands `receive` on untouched, so the routes see a client leave. It gives each request its context
(id, language, address), turns newcomers away while the process shuts down, stamps the response's headers, turns an
unknown exception into a 500 that says nothing internal, and writes one line and one count per request.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from secrets import token_hex

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.api import errors
from chatbot.api.service import Gate, HttpTelemetry
from chatbot.api.texts import choose_language
from chatbot.api.wire.context import RequestContext, context_of, put_context
from chatbot.api.wire.departure import ClientGone
from chatbot.api.wire.rate_headers import rate_headers
from chatbot.api.wire.tracing import Traces
from chatbot.api.wire.unknown_error import log_unknown
from chatbot.domain.errors import Draining

_ACCESS = logging.getLogger("chatbot.access")
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_PROBES = ("/healthz", "/readyz")
Networks = Sequence[IPv4Network | IPv6Network]
_Ended = Callable[[Scope, RequestContext, int, float], None]


class Front:
    """Wraps the application of one service."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        gate: Gate,
        telemetry: HttpTelemetry,
        trusted_proxies: Networks = (),
        traces: Traces | None = None,
    ) -> None:
        self._app = app
        self._service = service
        self._gate = gate
        self._telemetry = telemetry
        self._trusted_proxies = tuple(trusted_proxies)
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = RequestContext(
            request_id=_request_id(headers),
            language=choose_language(headers.get("accept-language", "")),
            client=client_address(scope, headers, self._trusted_proxies),
            traceparent=_traceparent(headers),
        )
        if self._traces is not None:
            context.trace = self._traces.begin(context.traceparent)
            context.traceparent = context.trace.traceparent
        put_context(scope, context)
        await _Exchange(scope, context, send, self._gate).run(self._app, receive, self._ended)

    def _ended(self, scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        route = route_of(scope)
        outcome = context.outcome or ("error" if status >= 500 else "ok")
        self._telemetry.request_ended(self._service, route, status, outcome, seconds)
        is_one_of_very_many = context.refused is not None and context.refused.is_quiet
        if is_one_of_very_many or (route in _PROBES and status < 400):
            return
        fields = {
            "service": self._service,
            "request_id": context.request_id,
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            "route": route,
            "status": status,
            "outcome": outcome,
            "seconds": round(seconds, 4),
        }
        known = {
            "tenant": context.principal.tenant,
            "key": context.principal.key_id,
            "user": context.pseudonym,
            "traceparent": context.traceparent,
        }
        _ACCESS.info("request", extra=fields | {name: value for name, value in known.items() if value})


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, context: RequestContext, send: Send, gate: Gate) -> None:
        self._scope = scope
        self._context = context
        self._raw_send = send
        self._gate = gate
        self._status = 0

    async def run(self, app: ASGIApp, receive: Receive, ended: _Ended) -> None:
        started = time.monotonic()
        try:
            if self._gate.is_refusing and route_path(self._scope) not in _PROBES:
                await self._refuse(Draining(), receive)
            else:
                await app(self._scope, receive, self._send)
        except ClientGone:
            self._context.outcome = "client_gone"
        except Exception as exc:
            log_unknown(exc, self._context)
            if not self._status:
                await self._refuse(exc, receive)
        finally:
            ended(self._scope, self._context, self._status or 499, time.monotonic() - started)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["X-Request-ID"] = self._context.request_id
            headers["X-Backend"] = str(self._context.backend)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            for name, value in rate_headers(self._context.quota, v1=is_v1(self._scope)):
                headers[name] = value
            if self._gate.is_draining:
                headers["Connection"] = "close"
        await self._raw_send(message)

    async def _refuse(self, error: Exception, receive: Receive) -> None:
        await refusal(self._scope, error)(self._scope, receive, self._send)


def refusal(scope: Scope, error: Exception) -> Response:
    """What a request is told that ends in an error, in the shape that its path promises."""
    context = context_of(scope)
    shape = {"v1": is_v1(scope), "session": is_session(scope)}
    return errors.problem(error, language=context.language, request_id=context.request_id, **shape).response()


def route_path(scope: Scope) -> str:
    """The path without the prefix that the gateway tells."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def is_v1(scope: Scope) -> bool:
    """Whether errors take the OpenAI API's shape."""
    return route_path(scope).startswith("/v1/")


def is_session(scope: Scope) -> bool:
    """Whether errors have the members that clients of `/chat` read."""
    path = route_path(scope)
    return path == "/chat" or path.startswith("/chat/")


def route_of(scope: Scope) -> str:
    """The route's template, from a closed set: "other" for whatever we do not serve."""
    found = getattr(scope.get("route"), "path", None)
    return found if isinstance(found, str) else "other"


def client_address(scope: Scope, headers: Headers, trusted: Networks) -> str:
    """The caller's address; `X-Forwarded-For` is read from the right as far as trusted proxies wrote it."""
    address = (scope.get("client") or ("",))[0]
    # A proxy may add a line of its own below the caller's; all lines are one list (RFC 9110, 5.3).
    hops = [hop.strip() for line in headers.getlist("x-forwarded-for") for hop in line.split(",")]
    while hops and _is_in(address, trusted):
        candidate = hops.pop()
        if not _parses(candidate):
            break
        address = candidate
    return str(address)


def _is_in(address: str, networks: Networks) -> bool:
    return _parses(address) and any(ip_address(address) in network for network in networks)


def _parses(address: str) -> bool:
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else token_hex(16)


def _traceparent(headers: Headers) -> str:
    given = headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""
