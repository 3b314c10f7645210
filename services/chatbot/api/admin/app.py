"""The app of administrators: who may, what is answered where something is wrong, one line in the log per request."""

import logging
import time
from secrets import token_hex

from fastapi import Depends, FastAPI, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chatbot import __version__
from chatbot.api import errors
from chatbot.api.admin.routes import AdminParts, decide, router
from chatbot.api.texts import choose_language
from chatbot.api.wire.context import RequestContext, context_of, put_context
from chatbot.api.wire.departure import ClientGone
from chatbot.api.wire.unknown_error import log_unknown
from chatbot.core.accounts.issue import LifeTooLong, NoSuchKey
from chatbot.domain.errors import ChatError, InvalidInput, KeyNotFound, NotFound

_LOG = logging.getLogger("chatbot.admin")


class AdminApp:
    """ASGI: `/admin/keys`, and an honest 404 for anything else."""

    def __init__(self, parts: AdminParts) -> None:
        self._api = build_admin()
        self._api.state.admin = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        language = choose_language(Headers(scope=scope).get("accept-language", ""))
        context = RequestContext(token_hex(16), language, (scope.get("client") or ("",))[0])
        put_context(scope, context)
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["X-Request-ID"] = context.request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self._api(scope, receive, told)
        except ClientGone:
            status = 499
        except Exception as exc:
            log_unknown(exc, context)
            if not status:
                await _response(exc, context)(scope, receive, told)
        finally:
            _log(scope, context, status)


def build_admin() -> FastAPI:
    """Routes and error handlers, without parts: what the OpenAPI file is made of."""
    app = FastAPI(
        title="Keys, for administrators",
        description="On a service's metrics port (:9090), never through the gateway; for keys with the scope `admin`.",
        version=__version__,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(decide)],
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.include_router(router)
    app.add_exception_handler(ChatError, _tell)
    app.add_exception_handler(NoSuchKey, _tell_key)
    app.add_exception_handler(LifeTooLong, _tell_life)
    app.add_exception_handler(HTTPException, _tell_framework)
    return app


async def _tell(request: Request, error: Exception) -> Response:
    return _response(error, context_of(request.scope))


async def _tell_key(request: Request, _error: Exception) -> Response:
    return await _tell(request, KeyNotFound())


async def _tell_life(request: Request, error: Exception) -> Response:
    if isinstance(error, LifeTooLong):
        error = InvalidInput("lifetime_seconds", "too_large", maximum=int(error.longest_seconds))
    return await _tell(request, error)


async def _tell_framework(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        return await _tell(request, errors.MethodNotAllowed((error.headers or {}).get("Allow", "")))
    return await _tell(request, NotFound())


def _response(error: Exception, context: RequestContext) -> Response:
    return errors.problem(error, language=context.language, request_id=context.request_id, v1=False).response()


def _log(scope: Scope, context: RequestContext, status: int) -> None:
    """Who did what; which key it was done to is in the audit, not here."""
    fields = {
        "request_id": context.request_id,
        "method": scope["method"] if scope["method"] in ("GET", "POST", "PUT") else "other",
        "route": getattr(scope.get("route"), "path", "other"),
        "status": status,
        "seconds": round(time.monotonic() - context.began, 4),
        "key": context.principal.key_id,
    }
    _LOG.info("administration", extra={name: value for name, value in fields.items() if value != ""})
