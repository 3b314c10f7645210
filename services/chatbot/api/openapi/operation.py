"""What one operation takes and gives, and the parameters that several share."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from chatbot.api.accounts.upstream_key import HEADER as UPSTREAM_KEY_HEADER
from chatbot.api.accounts.upstream_key import PATTERN as UPSTREAM_KEY_PATTERN
from chatbot.api.schemas import DB_ID_PATTERN, TURN_ID_PATTERN

Json = dict[str, Any]
Body = Literal[
    "",
    "product",
    "session",
    "v1",
    "document",
    "rag",
    "embedding",
    "card",
    "character",
    "preview",
    "file",
    "vector_store",
    "place",
    "search",
    "note",
    "pins",
]
READING: Final = (400, 408, 413, 500)
ANSWERING: Final = (429, 503, 504)
KEYED: Final = (401, 403)


def _header(name: str, description: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


_LANGUAGE: Final = _header("Accept-Language", "Language of error texts: ko, en or ja.", {"type": "string"})
_REQUEST_ID: Final = _header(
    "X-Request-ID", "Taken over where it has 1-64 of `[A-Za-z0-9._-]`.", {"type": "string", "examples": ["order-17"]}
)
_TRACE: Final = _header("traceparent", "W3C trace context; logged.", {"type": "string"})
TURN: Final = _header(
    "Idempotency-Key",
    "Id of this turn; with `db_id`, a repeat of the same question gets the stored answer.",
    {"type": "string", "pattern": TURN_ID_PATTERN},
)
AGAIN: Final = _header(
    "Idempotency-Key",
    "With it, the same request once more gets the same conversation.",
    {"type": "string", "pattern": TURN_ID_PATTERN},
)
USER: Final = _header(
    "X-User-ID",
    "The user: UTF-8, percent-encoded. A key that is bound to one user needs none.",
    {"type": "string", "minLength": 1},
    required=True,
)
UPSTREAM_KEY: Final = _header(
    UPSTREAM_KEY_HEADER,
    "A key of one's own for the second backend, where that answers; kept nowhere.",
    {"type": "string", "format": "password", "pattern": UPSTREAM_KEY_PATTERN},
)
DB_ID: Final[Json] = {"name": "db_id", "in": "path", "required": True, "schema": {"pattern": DB_ID_PATTERN}}
DB_ID["schema"]["type"] = "string"
SESSION_ID: Final[Json] = {**DB_ID, "name": "session_id"}
PAGE: Final[list[Json]] = [
    {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    },
    {
        "name": "after",
        "in": "query",
        "required": False,
        "description": "The last `db_id` of the page before.",
        "schema": {"type": "string", "pattern": DB_ID_PATTERN},
    },
]
COMMON: Final = (_LANGUAGE, _REQUEST_ID, _TRACE)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        errors: Statuses besides 500, 503 and, where a key is asked for, 401 and 403.
        body: Which request body.
        success: Schema component of the 200 response; "" is a bare JSON string, "-" is none, "stream" only events.
        stream_example: Of the event stream, where there is one.
        stream_events: What its events are.
        status: Of success.
        has_picture: Whether the answer can be had as a PNG.
        has_csv: Whether the answer can be had as a table.
    """

    errors: tuple[int, ...] = ()
    body: Body = ""
    success: str = ""
    parameters: tuple[Json, ...] = ()
    headers: tuple[str, ...] = ()
    stream_example: str = ""
    stream_events: str = ""
    status: int = 200
    has_picture: bool = False
    is_v1: bool = False
    has_csv: bool = False
