"""The one table from errors to HTTP: status, code, headers (ADR 0004), and the two shapes of a body.

The product speaks `application/problem+json` (RFC 9457), `/v1/*` the OpenAI API's error object.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from chatbot.api import texts
from chatbot.api.accounts.limit_texts import duration
from chatbot.domain import errors as domain
from chatbot.domain import limits
from chatbot.domain.memory import summary
from chatbot.domain.outside import upstream_key
from chatbot.domain.personal import erasure
from chatbot.domain.toolservers import proposal


class MethodNotAllowed(domain.ChatError):
    """The address exists, the method does not. `allow` is the header's value."""

    def __init__(self, allow: str) -> None:
        super().__init__(allow)
        self.allow = allow


class BodyTimeout(domain.ChatError):
    """The body did not come in time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of error.

    Attributes:
        status: HTTP status of the product's endpoints.
        code: Stable name for programs; also the key of the texts.
        v1_type: `error.type` of the OpenAI API.
        v1_status: Status under `/v1`, where it differs.
        v1_code: `error.code` under `/v1`, where it differs.
    """

    status: int
    code: str
    v1_type: str = "server_error"
    v1_status: int = 0
    v1_code: str = ""


_INVALID: Final = "invalid_request_error"

TABLE: Final[Mapping[type[Exception], Row]] = {
    domain.InvalidInput: Row(422, "invalid_input", _INVALID, v1_status=400),
    domain.PromptTooLong: Row(422, "invalid_input", _INVALID, v1_status=400, v1_code="context_length_exceeded"),
    domain.MalformedBody: Row(400, "malformed_body", _INVALID),
    domain.BodyTooLarge: Row(413, "body_too_large", _INVALID),
    domain.Unauthorized: Row(401, "unauthorized", "authentication_error", v1_code="invalid_api_key"),
    domain.UserTokenInvalid: Row(401, "user_token_invalid", "authentication_error"),
    domain.GatewayUserInvalid: Row(401, "gateway_user_invalid", "authentication_error"),
    upstream_key.UpstreamKeyNeeded: Row(401, "user_key_needed", "authentication_error"),
    upstream_key.UpstreamKeyRefused: Row(401, "user_key_refused", "authentication_error"),
    domain.Forbidden: Row(403, "forbidden", "permission_error"),
    domain.ScopeMissing: Row(403, "scope_missing", "permission_error"),
    domain.ServiceNotAllowed: Row(403, "service_not_allowed", "permission_error"),
    domain.ModelNotAllowed: Row(403, "model_not_allowed", "permission_error"),
    domain.AddressNotAllowed: Row(403, "address_not_allowed", "permission_error"),
    domain.TenantSuspended: Row(403, "tenant_suspended", "permission_error"),
    domain.UserMismatch: Row(403, "user_mismatch", "permission_error"),
    domain.NotFound: Row(404, "not_found", _INVALID),
    domain.ConversationNotFound: Row(404, "conversation_not_found", _INVALID),
    domain.ModelNotFound: Row(404, "model_not_found", _INVALID),
    domain.DocumentNotFound: Row(404, "document_not_found", _INVALID),
    domain.FileNotFound: Row(404, "file_not_found", _INVALID),
    domain.VectorStoreNotFound: Row(404, "vector_store_not_found", _INVALID),
    domain.DocumentsOff: Row(404, "documents_off", _INVALID),
    domain.DocumentQuota: Row(409, "document_quota", _INVALID),
    domain.CharacterNotFound: Row(404, "character_not_found", _INVALID),
    domain.KeyNotFound: Row(404, "key_not_found", _INVALID),
    domain.CharactersOff: Row(404, "characters_off", _INVALID),
    domain.CharacterQuota: Row(409, "character_quota", _INVALID),
    domain.CharacterReadOnly: Row(409, "character_read_only", _INVALID),
    MethodNotAllowed: Row(405, "method_not_allowed", _INVALID),
    BodyTimeout: Row(408, "body_timeout", _INVALID),
    domain.ConversationErased: Row(409, "conversation_erased", _INVALID),
    summary.NothingToCarry: Row(409, "nothing_to_carry", _INVALID),
    erasure.UserErased: Row(409, "user_erased", _INVALID),
    erasure.ErasureNotFound: Row(404, "erasure_not_found", _INVALID),
    erasure.ExportNotFound: Row(404, "export_not_found", _INVALID),
    domain.Busy: Row(429, "queue_full", "rate_limit_error"),
    upstream_key.UpstreamKeyLimited: Row(429, "user_key_limited", "rate_limit_error"),
    limits.RateLimited: Row(429, "rate_limited", "rate_limit_error", v1_code="rate_limit_exceeded"),
    limits.QuotaSpent: Row(429, "insufficient_quota", "insufficient_quota"),
    proposal.ConfirmationNotFound: Row(404, "confirmation_not_found", _INVALID),
    proposal.ConfirmationUsed: Row(409, "confirmation_used", _INVALID),
    proposal.ConfirmationExpired: Row(409, "confirmation_expired", _INVALID),
    proposal.ConfirmationChanged: Row(409, "confirmation_changed", _INVALID),
    domain.Unavailable: Row(503, "unavailable"),
    proposal.ToolUnavailable: Row(503, "tool_unavailable"),
    domain.ModelUnavailable: Row(503, "model_unavailable"),
    domain.BackendUnavailable: Row(503, "backend_unavailable"),
    limits.BudgetUnavailable: Row(503, "budget_unavailable"),
    domain.EmbeddingUnavailable: Row(503, "embedding_unavailable"),
    domain.StoreUnavailable: Row(503, "store_unavailable"),
    domain.DocumentsUnavailable: Row(503, "documents_unavailable"),
    domain.CharactersUnavailable: Row(503, "characters_unavailable"),
    domain.KeysUnavailable: Row(503, "keys_unavailable"),
    domain.AuditUnavailable: Row(503, "audit_unavailable"),
    domain.Draining: Row(503, "draining"),
    domain.EngineLost: Row(503, "engine_lost"),
    domain.TimedOut: Row(504, "timed_out"),
    Exception: Row(500, "internal"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error, ready to be sent; `body` is JSON for `media_type`."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """As it is sent."""
        return Response(self.body, self.status, headers={**self.headers, "Content-Type": self.media_type})


def row_of(error: Exception) -> Row:
    """The row of an error: that of the nearest class."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def describe(error: Exception, language: str, request_id: str) -> dict[str, Any]:
    """The product's body for an error; also the data of a stream's `error` event."""
    row = row_of(error)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": texts.text(f"title.{row.code}", language),
        "status": row.status,
        "detail": _detail(error, row, language),
        "code": row.code,
        "request_id": request_id,
    }
    if isinstance(error, domain.InvalidInput):
        body |= {"field": error.field, "problem": error.problem, **error.limits}
    if isinstance(error, domain.MalformedBody):
        body["problem"] = error.problem
    if isinstance(error, proposal.ConfirmationUsed):
        body["state"] = str(error.state)
    if isinstance(error, domain.Busy):
        body |= {"retry_after": error.retry_after_seconds, "queue_size": error.queue_size}
    if isinstance(error, upstream_key.UpstreamKeyLimited):
        body |= {"retry_after": error.retry_after_seconds, "queue_size": 0}
    if isinstance(error, limits.RateLimited):
        body |= {"retry_after": error.retry_after_seconds, "queue_size": 0, "violated-policies": list(error.violated)}
    return body


def describe_session(error: Exception, language: str, request_id: str) -> dict[str, Any]:
    """The product's body with two more members, which clients of `/chat` read."""
    body = describe(error, language, request_id)
    return body | {"success": False, "error_message": body["detail"]}


def describe_v1(error: Exception, language: str, request_id: str) -> dict[str, Any]:
    """The OpenAI API's error object; `request_id` is what the product adds."""
    row = row_of(error)
    return {
        "error": {
            "message": _detail(error, row, language),
            "type": row.v1_type,
            "param": error.field if isinstance(error, domain.InvalidInput) else None,
            "code": row.v1_code or row.code,
            "request_id": request_id,
        }
    }


def sample(status: int, *, v1: bool) -> Exception:
    """An error that has this status, for examples.

    Raises:
        KeyError: None has.
    """
    samples: tuple[Exception, ...] = (
        domain.MalformedBody("not_json"),
        domain.InvalidInput("max_tokens" if v1 else "input_data", "too_large" if v1 else "too_long", maximum=500),
        domain.Unauthorized(),
        domain.Forbidden(),
        domain.ModelNotFound() if v1 else domain.NotFound(),
        MethodNotAllowed("POST"),
        BodyTimeout(),
        domain.ConversationErased(),
        domain.BodyTooLarge(131072),
        domain.Busy(12, 37),
        domain.ModelUnavailable(),
        domain.TimedOut("queue"),
        Exception(),
    )
    return {status_of(one, v1=v1): one for one in samples}[status]


def status_of(error: Exception, *, v1: bool) -> int:
    """The HTTP status of an error."""
    row = row_of(error)
    return (v1 and row.v1_status) or row.status


def problem(error: Exception, *, language: str, request_id: str, v1: bool, session: bool = False) -> Problem:
    """An error as a response; `session` where it is one of `/chat`."""
    describing = describe_v1 if v1 else describe_session if session else describe
    body = describing(error, language, request_id)
    return Problem(
        status=status_of(error, v1=v1),
        body=json.dumps(body, ensure_ascii=False).encode(),
        media_type="application/json" if v1 else "application/problem+json",
        headers={"Content-Language": language, "Vary": "Accept-Language", **_headers(error)},
    )


def _detail(error: Exception, row: Row, language: str) -> str:
    suffix = f"_{error.phase}" if isinstance(error, domain.TimedOut) else ""
    return texts.text(f"detail.{row.code}{suffix}", language, _values(error, language))


def _values(error: Exception, language: str) -> dict[str, object]:
    """What the text of an error shows."""
    values: dict[str, object] = {}
    match error:
        case domain.InvalidInput():
            values = {
                "field": error.field,
                "problem": texts.text(f"problem.{error.problem}", language, error.limits),
            }
        case domain.MalformedBody():
            values = {"problem": texts.text(f"problem.{error.problem}", language)}
        case domain.BodyTooLarge():
            values = {"limit_bytes": error.limit_bytes}
        case domain.Busy():
            values = {"retry_after": error.retry_after_seconds, "queue_size": error.queue_size}
        case limits.RateLimited():
            limit, whose = (texts.text(name, language) for name in (f"limit.{error.policy}", f"whose.{error.subject}"))
            values = {"limit": limit, "whose": whose, "wait": duration(error.retry_after_seconds, language)}
        case domain.ScopeMissing():
            values = {"scope": error.scope}
        case domain.UserMismatch() | domain.GatewayUserInvalid():
            values = {"field": error.field}
        case _:
            wait = getattr(error, "retry_after_seconds", None)
            values = {"wait": duration(wait, language)} if wait is not None else {}
    return values


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case upstream_key.UpstreamKeyNeeded() | upstream_key.UpstreamKeyRefused():
            return {"WWW-Authenticate": 'Bearer realm="upstream"'}  # not a word about the key for us, which is good
        case domain.Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case MethodNotAllowed():
            return {"Allow": error.allow}
        case limits.QuotaSpent():  # clients of OpenAI's obey the second header: they do not try again by themselves
            return {"Retry-After": str(error.retry_after_seconds), "x-should-retry": "false"}
        case domain.Busy() | limits.RateLimited() | upstream_key.UpstreamKeyLimited():
            return {"Retry-After": str(error.retry_after_seconds)}
        case domain.Draining():
            return {"Retry-After": str(error.retry_after_seconds), "Connection": "close"}
        case domain.Unavailable() if error.retry_after_seconds is not None:
            return {"Retry-After": str(error.retry_after_seconds)}
    return {}
