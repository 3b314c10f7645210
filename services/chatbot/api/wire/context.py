"""What is known about one request while it is served; carried in the ASGI scope."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from typing import Literal, cast

from starlette.types import Scope

from chatbot.api.wire.tracing import Trace
from chatbot.domain.access import ANYBODY, Principal
from chatbot.domain.generation import Backend
from chatbot.domain.limits import NO_QUOTA, Quota, RateLimited

_KEY = "chatbot.context"
Outcome = Literal["ok", "error", "client_gone"]


@dataclass(slots=True)
class RequestContext:
    """One request.

    Attributes:
        request_id: The caller's `X-Request-ID` where it is sane, else made here. For people: it may come twice.
        work_id: Made here, unique in this process.
        language: Language of texts: ko, en or ja.
        client: Address of the caller, behind trusted proxies only.
        traceparent: W3C trace context as it came, "" where none or malformed.
        backend: Which backend answers, for the header `X-Backend`.
        principal: Whose key the request has; nobody's until it was checked.
        pseudonym: Of the user, for the log; "" where he is not known, or there is nothing to make it with.
        quota: What is left of the key's limits, for the headers.
        refused: The limit that was reached; None: none was.
        outcome: How the body ended, also after a 200; None: by the status.
        began: When it came, `time.monotonic()` seconds.
        trace: Follows the request; None where nobody wants to know.
        conversation: Its pseudonym, for the trace; "" where it has none.
        is_decided: Whether it was let pass already, before its route was looked for.
        is_erased: Whether everything of the user was erased since the request came.
    """

    request_id: str
    language: str
    client: str
    work_id: str = field(default_factory=partial(token_hex, 12))
    traceparent: str = ""
    backend: Backend = Backend.LLAMA
    principal: Principal = ANYBODY
    pseudonym: str = ""
    quota: Quota = NO_QUOTA
    refused: RateLimited | None = None
    outcome: Outcome | None = None
    began: float = field(default_factory=time.monotonic)
    is_decided: bool = False
    trace: Trace | None = None
    conversation: str = ""
    is_erased: Callable[[], bool] = lambda: False


def put_context(scope: Scope, context: RequestContext) -> None:
    """Let the routes find the context."""
    scope[_KEY] = context


def context_of(scope: Scope) -> RequestContext:
    """The context of a request.

    Raises:
        KeyError: The request did not come through the front.
    """
    return cast(RequestContext, scope[_KEY])
