"""What each operation takes and gives: the part of the OpenAPI file that routes do not say by themselves."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from chatbot.api.accounts.decisions import DECISIONS
from chatbot.api.openapi.components import error_name, ref
from chatbot.api.schemas import DB_ID_PATTERN, TURN_ID_PATTERN

Json = dict[str, Any]
Body = Literal["", "product", "v1"]
_READING: Final = (400, 408, 413, 500)
_ANSWERING: Final = (429, 503, 504)
_KEYED: Final = (401, 403)


def _header(name: str, description: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


_LANGUAGE: Final = _header("Accept-Language", "Language of error texts: ko, en or ja.", {"type": "string"})
_REQUEST_ID: Final = _header(
    "X-Request-ID", "Taken over where it has 1-64 of `[A-Za-z0-9._-]`.", {"type": "string", "examples": ["order-17"]}
)
_TRACE: Final = _header("traceparent", "W3C trace context; logged.", {"type": "string"})
_TURN: Final = _header(
    "Idempotency-Key",
    "Id of this turn; with `db_id`, a repeat of the same question gets the stored answer.",
    {"type": "string", "pattern": TURN_ID_PATTERN},
)
_USER: Final = _header(
    "X-User-ID", "Whose conversations: UTF-8, percent-encoded.", {"type": "string", "minLength": 1}, required=True
)
_DB_ID: Final[Json] = {"name": "db_id", "in": "path", "required": True, "schema": {"pattern": DB_ID_PATTERN}}
_DB_ID["schema"]["type"] = "string"
_PAGE: Final[list[Json]] = [
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
_COMMON: Final = (_LANGUAGE, _REQUEST_ID, _TRACE)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        errors: Statuses besides 500, 503 and, where a key is asked for, 401 and 403.
        body: Which request body.
        success: Schema component of the 200 response; "" is a bare JSON string, "-" is none.
        stream_example: Of the event stream, where there is one.
    """

    errors: tuple[int, ...] = ()
    body: Body = ""
    success: str = ""
    parameters: tuple[Json, ...] = ()
    headers: tuple[str, ...] = ()
    stream_example: str = ""
    is_v1: bool = False


_PRODUCT_STREAM: Final = (
    'event: queue\ndata: {"position": 3, "eta_seconds": 12.4}\n\n'
    'event: queue\ndata: {"position": 0, "eta_seconds": 0.0}\n\n'
    'event: tool\ndata: {"id": "call_1", "name": "current_time", "state": "started", "seconds": 0, "summary": ""}\n\n'
    'event: tool\ndata: {"id": "call_1", "name": "current_time", "state": "done", "seconds": 0.002, '
    '"summary": "현재 시각(서울)은 2026년 7월 21일 화요일 12시 00분입니다."}\n\n'
    'event: token\ndata: {"text": "지금은 낮 12시입니다."}\n\n'
    'event: done\ndata: {"finish_reason": "stop", "usage": {"prompt_tokens": 31, "completion_tokens": 6, '
    '"cached_tokens": 24}, "timings": {"queue_seconds": 12.1, "prompt_seconds": 0.2, "generation_seconds": 0.5}, '
    '"history_saved": null, "tool_calls": [{"name": "current_time", "ok": true, "seconds": 0.002}]}\n\n'
)
_PRODUCT_EVENTS: Final = (
    "Server-sent events. `queue`: the place in the line, at once, on change and at least every 10 s; 1 is next, 0 has "
    "started. `tool`: a tool of the service has started, is done or failed. `token`: new text. Then one `done`, or one "
    "`error` with the body that the HTTP error would have; a stream without either was cut."
)
_V1_STREAM: Final = (
    ": queue position=3 eta=12\n\n"
    'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "chatbot-demo", '
    '"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, '
    '"finish_reason": null}]}\n\n'
    "data: [DONE]\n\n"
)
_V1_EVENTS: Final = (
    "The OpenAI API's chunks. The place in the line is told by comments, which clients skip. After an error there is a "
    "chunk with `error` and no `[DONE]`."
)
_CHAT: Final = Operation(
    errors=(*_READING, *_ANSWERING, 409, 422),
    body="product",
    parameters=(_TURN,),
    headers=("X-History-Saved", "X-References"),
    stream_example=_PRODUCT_STREAM,
)

OPERATIONS: Final[dict[str, Operation]] = {
    "askLlama": _CHAT,
    "askOpenAI": _CHAT,
    "createChatCompletion": Operation(
        errors=(*_READING, *_ANSWERING, 404),
        body="v1",
        success="ChatCompletion",
        stream_example=_V1_STREAM,
        is_v1=True,
    ),
    "listModels": Operation(success="ModelList", is_v1=True),
    "retrieveModel": Operation(errors=(404,), success="Model", is_v1=True),
    "listConversations": Operation(errors=(422,), success="ConversationPage", parameters=(_USER, *_PAGE)),
    "readConversation": Operation(errors=(404, 422), success="ConversationView", parameters=(_USER, _DB_ID)),
    "eraseConversation": Operation(errors=(404, 422), success="-", parameters=(_USER, _DB_ID)),
    "ownKey": Operation(success="KeyView"),
    "performance": Operation(success="PerformanceView"),
    "info": Operation(success="Info"),
    "health": Operation(success="Health"),
    "readiness": Operation(errors=(503,), success="Health"),
}


def complete(operation: Json, request_schema: str) -> None:
    """Add body, parameters, answers and errors to an operation, in place.

    Args:
        operation: As the framework wrote it; its `operationId` is in `OPERATIONS`.
        request_schema: Name of the product's request schema.
    """
    known = OPERATIONS[operation["operationId"]]
    given = [one for one in operation.get("parameters", []) if one["name"] not in ("db_id",)]
    operation["parameters"] = [*given, *known.parameters, *_COMMON]
    decision = DECISIONS[operation["operationId"]]
    scopes = [str(decision.scope)] if decision.scope else []
    operation["security"] = [{}] if decision.is_open else [{"key": scopes}, {"keyHeader": scopes}, {}]
    if known.body:
        name = request_schema if known.body == "product" else "ChatCompletionRequest"
        content = {"application/json": {"schema": ref("schemas", name)}}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = _responses(known, () if decision.is_open else _KEYED)


def _responses(known: Operation, keyed: tuple[int, ...]) -> Json:
    statuses = sorted({*known.errors, *keyed, 500, 503})
    failed = {str(status): ref("responses", error_name(status, v1=known.is_v1)) for status in statuses}
    shown = ("X-Request-ID", "X-Backend", *known.headers)
    ended: Json = {"description": "Answered.", "headers": {name: ref("headers", name) for name in shown}}
    if known.success == "-":
        return {"204": ended | {"description": "Erased, or there was nothing."}, **failed}
    schema = ref("schemas", known.success) if known.success else {"type": "string", "examples": ["안녕하세요!"]}
    content: Json = {"application/json": {"schema": schema}}
    if known.stream_example:
        events = {"type": "string", "description": _V1_EVENTS if known.is_v1 else _PRODUCT_EVENTS}
        content["text/event-stream"] = {"schema": events, "example": known.stream_example}
    return {"200": ended | {"content": content}, **failed}
