"""What each operation takes and gives: the part of the OpenAPI file that routes do not say by themselves."""

from collections.abc import Mapping
from typing import Final

from chatbot.api.accounts.decisions import DECISIONS
from chatbot.api.accounts.usage_noting import USAGE_HEADER
from chatbot.api.openapi.character_operations import CARD_CONTENT, CHARACTER_OPERATIONS
from chatbot.api.openapi.components import error_name, ref
from chatbot.api.openapi.document_operations import DOCUMENT_OPERATIONS, UPLOAD_FORM
from chatbot.api.openapi.memory_operations import MEMORY_OPERATIONS
from chatbot.api.openapi.operation import (
    ANSWERING,
    COMMON,
    DB_ID,
    KEYED,
    PAGE,
    READING,
    TURN,
    UPSTREAM_KEY,
    USER,
    Json,
    Operation,
)
from chatbot.api.openapi.personal_operations import PERSONAL_OPERATIONS
from chatbot.api.openapi.session_operations import SESSION_OPERATIONS
from chatbot.api.openapi.shelf_operations import FILE_FORM, SHELF_OPERATIONS
from chatbot.api.openapi.usage_operations import USAGE_OPERATIONS
from chatbot.api.style.told import STYLE_HEADER
from chatbot.api.wire.reuse import REUSE_HEADERS

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
    "`error` with the body that the HTTP error would have; a stream without either was cut. Where the web was asked "
    "for, `done` has `search` (`state`: used or unavailable, `reason`) and `sources` (`number`, `title`, `url`, "
    "`cited`). With `speech`: `speech` (`index`, `text`, `last`) as soon as a sentence ends, and `segments` in `done`. "
    "Where a character has rules, `done` has `style_violations`, the names of those that the answer does not keep. "
    "`confirm`, in front of `done`: a call that was not run, since its tool does more than read (`id`, `server`, "
    "`tool`, `arguments`, `expires_at`); `done` has all of them as `confirmations`, the next request's `confirm` runs "
    "them."
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
    "chunk with `error` and no `[DONE]`. With `speech` there are chunks with `speech` (`index`, `text`, `last`) and an "
    "empty delta; the last chunk has `segments` and, where a character has rules, `style_violations`."
)
_CHAT: Final = Operation(
    errors=(*READING, *ANSWERING, 404, 409, 422),
    body="product",
    success="Answer",
    parameters=(TURN, UPSTREAM_KEY),
    headers=("X-History-Saved", "X-References", STYLE_HEADER, USAGE_HEADER, *REUSE_HEADERS),
    stream_example=_PRODUCT_STREAM,
    stream_events=_PRODUCT_EVENTS,
)

OPERATIONS: Final[dict[str, Operation]] = {
    "askLlama": _CHAT,
    "askOpenAI": _CHAT,
    "createChatCompletion": Operation(
        errors=(*READING, *ANSWERING, 404),
        body="v1",
        success="ChatCompletion",
        parameters=(UPSTREAM_KEY,),
        headers=(USAGE_HEADER, *REUSE_HEADERS),
        stream_example=_V1_STREAM,
        stream_events=_V1_EVENTS,
        is_v1=True,
    ),
    "createEmbedding": Operation(
        errors=(*READING, *ANSWERING, 404), body="embedding", success="EmbeddingList", is_v1=True
    ),
    "listModels": Operation(success="ModelList", is_v1=True),
    "retrieveModel": Operation(errors=(404,), success="Model", is_v1=True),
    "listConversations": Operation(errors=(422,), success="ConversationPage", parameters=(USER, *PAGE)),
    "readConversation": Operation(errors=(404, 422), success="ConversationView", parameters=(USER, DB_ID)),
    "eraseConversation": Operation(errors=(404, 422), success="-", parameters=(USER, DB_ID)),
    **MEMORY_OPERATIONS,
    **PERSONAL_OPERATIONS,
    **SESSION_OPERATIONS,
    **DOCUMENT_OPERATIONS,
    **SHELF_OPERATIONS,
    **CHARACTER_OPERATIONS,
    "ownKey": Operation(success="KeyView"),
    "listTools": Operation(success="ToolList"),
    **USAGE_OPERATIONS,
    "performance": Operation(success="PerformanceView"),
    "info": Operation(success="Info"),
    "health": Operation(success="Health"),
    "readiness": Operation(errors=(503,), success="Health"),
}


_BODIES: Final = {
    "v1": "ChatCompletionRequest",
    "document": "DocumentText",
    "rag": "RagRequest",
    "vector_store": "VectorStoreFields",
    "place": "PlaceFields",
    "search": "SearchFields",
    "embedding": "EmbeddingsRequest",
    "character": "CharacterFields",
    "preview": "PreviewRequest",
    "note": "NoteFields",
    "pins": "PinsFields",
}


def complete(operation: Json, service_schemas: Mapping[str, str]) -> None:
    """Add body, parameters, answers and errors to an operation, in place.

    Args:
        operation: As the framework wrote it; its `operationId` is in `OPERATIONS`.
        service_schemas: Kind of body -> name of its schema, of those that differ between services.
    """
    known = OPERATIONS[operation["operationId"]]
    given = [one for one in operation.get("parameters", []) if one["name"] not in ("db_id", "session_id")]
    operation["parameters"] = [*given, *known.parameters, *COMMON]
    decision = DECISIONS[operation["operationId"]]
    scopes = [str(decision.scope)] if decision.scope else []
    operation["security"] = (
        [{}] if decision.is_open else [*({"key": scopes}, {"keyHeader": scopes}, {"key": scopes, "userToken": []}, {})]
    )
    if known.body == "file":
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": FILE_FORM}}}
    elif known.body == "card":
        operation["requestBody"] = {"required": True, "content": CARD_CONTENT}
    elif known.body:
        named = {**_BODIES, **service_schemas}[known.body]
        content: Json = {"application/json": {"schema": ref("schemas", named)}}
        if known.body == "document":
            content["multipart/form-data"] = {"schema": UPLOAD_FORM}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = _responses(known, () if decision.is_open else KEYED)


def _responses(known: Operation, keyed: tuple[int, ...]) -> Json:
    statuses = sorted({*known.errors, *keyed, 500, 503})
    failed = {str(status): ref("responses", error_name(status, v1=known.is_v1)) for status in statuses}
    shown = ("X-Request-ID", "X-Backend", *known.headers)
    ended: Json = {"description": "Answered.", "headers": {name: ref("headers", name) for name in shown}}
    if known.success == "-":
        return {"204": ended | {"description": "Erased, or there was nothing."}, **failed}
    schema = ref("schemas", known.success) if known.success else {"type": "string", "examples": ["안녕하세요!"]}
    content: Json = {} if known.success == "stream" else {"application/json": {"schema": schema}}
    if known.success == "bytes":
        content = {"application/octet-stream": {}}
    if known.success == "zip":
        content = {"application/zip": {"schema": {"type": "string", "contentMediaType": "application/zip"}}}
    if known.has_csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    if known.has_picture:
        content["image/png"] = {"schema": {"type": "string", "contentMediaType": "image/png"}}
    if known.stream_example:
        events = {"type": "string", "description": known.stream_events}
        content["text/event-stream"] = {"schema": events, "example": known.stream_example}
    return {str(known.status): ended | {"content": content}, **failed}
