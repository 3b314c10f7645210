"""Schemas, responses and headers that the operations refer to."""

from typing import Any, Final

from chatbot.api import errors, texts
from chatbot.api.accounts.decisions import KEY_HEADER, USER_TOKEN_HEADER
from chatbot.api.accounts.usage_noting import USAGE_HEADER
from chatbot.api.errors import TABLE, Row
from chatbot.api.openapi.character_operations import CARD_SCHEMA
from chatbot.api.openapi.shelf_operations import SHELF_SCHEMAS
from chatbot.api.style.told import STYLE_HEADER
from chatbot.api.wire.reuse import REUSE_HEADER
from chatbot.core.style.checks import CHECKS

Json = dict[str, Any]


def ref(kind: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


PROBLEM: Final[Json] = {
    "type": "object",
    "description": "RFC 9457. `field` and `problem` where a field is wrong; `retry_after` and `queue_size` with 429.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "In the language of `Accept-Language`: ko, en or ja."},
        "code": {"enum": sorted({row.code for row in TABLE.values()})},
        "request_id": {"type": "string"},
        "field": {"type": "string"},
        "problem": {"type": "string"},
        "retry_after": {"type": "integer", "minimum": 1, "description": "Seconds; the same as `Retry-After`."},
        "queue_size": {"type": "integer", "minimum": 0},
        "success": {"const": False, "description": "On `/chat` only."},
        "error_message": {"type": "string", "description": "On `/chat` only; the same as `detail`."},
    },
}
V1_ERROR: Final[Json] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": sorted({row.v1_type for row in TABLE.values()})},
                "param": {"type": ["string", "null"]},
                "code": {"enum": sorted({row.v1_code or row.code for row in TABLE.values()})},
                "request_id": {"type": "string"},
            },
        }
    },
}
USAGE: Final[Json] = {
    "type": "object",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
    "properties": {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
        "prompt_tokens_details": {"type": "object", "properties": {"cached_tokens": {"type": "integer"}}},
    },
}
_SEGMENTS: Final[Json] = {"type": "array", "items": {"type": "string"}, "description": "With `speech`: for a voice."}
STYLE_FIELDS: Final[Json] = {
    "segments": _SEGMENTS,
    "style_violations": {
        "type": "array",
        "items": {"enum": list(CHECKS)},
        "description": "Rules of the character that the answer does not keep; absent where it has none.",
    },
}
ANSWER: Final[Json] = {
    "description": "The answer; with `speech` an object that has its segments besides.",
    "anyOf": [
        {"type": "string", "examples": ["안녕하세요!"]},
        {
            "type": "object",
            "required": ["text", "segments"],
            "properties": {"text": {"type": "string"}, "segments": _SEGMENTS},
        },
    ],
}
TOOL_CALL: Final[Json] = {
    "type": "object",
    "required": ["id", "type", "function"],
    "properties": {
        "id": {"type": "string", "description": "Name it in the message that holds the result (`tool_call_id`)."},
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name", "arguments"],
            "properties": {
                "name": {"type": "string"},
                "arguments": {"type": "string", "description": "JSON text of an object; `{}` where there are none."},
            },
        },
    },
}
CHAT_COMPLETION: Final[Json] = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer", "description": "Unix seconds."},
        "model": {"type": "string"},
        "choices": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["index", "message", "finish_reason"],
                "properties": {
                    "index": {"const": 0},
                    "message": {
                        "type": "object",
                        "required": ["role", "content"],
                        "properties": {
                            "role": {"const": "assistant"},
                            "content": {"type": ["string", "null"], "description": "null beside calls without text."},
                            "tool_calls": {"type": "array", "minItems": 1, "items": TOOL_CALL},
                        },
                    },
                    "finish_reason": {"enum": ["stop", "length", "tool_calls"]},
                },
            },
        },
        "usage": ref("schemas", "Usage"),
        **STYLE_FIELDS,
    },
}
MODEL: Final[Json] = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"enum": ["local", "openai", "character"]},
    },
}
MODEL_LIST: Final[Json] = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": ref("schemas", "Model")}},
}
EMBEDDING_LIST: Final[Json] = {
    "type": "object",
    "required": ["object", "data", "model", "usage"],
    "properties": {
        "object": {"const": "list"},
        "model": {"type": "string"},
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["object", "index", "embedding"],
                "properties": {
                    "object": {"const": "embedding"},
                    "index": {"type": "integer", "minimum": 0},
                    "embedding": {
                        "description": "Of length 1; as base64 little-endian float32.",
                        "anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}],
                    },
                },
            },
        },
        "usage": {
            "type": "object",
            "required": ["prompt_tokens", "total_tokens"],
            "properties": {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}},
        },
    },
}
SCHEMAS: Final[Json] = {
    "Problem": PROBLEM,
    "V1Error": V1_ERROR,
    "Usage": USAGE,
    "Answer": ANSWER,
    "ChatCompletion": CHAT_COMPLETION,
    "Model": MODEL,
    "ModelList": MODEL_LIST,
    "EmbeddingList": EMBEDDING_LIST,
    "Card": CARD_SCHEMA,
    **SHELF_SCHEMAS,
}
HEADERS: Final[Json] = {
    "X-Request-ID": {"schema": {"type": "string"}, "description": "The caller's where it is sane, else made here."},
    "X-Backend": {
        "schema": {"type": "string", "enum": ["llama", "openai"]},
        "description": "Which backend answers here.",
    },
    "X-History-Saved": {
        "schema": {"enum": ["true", "false"]},
        "description": "Whether the turn is stored; only with `db_id`.",
    },
    "X-References": {
        "schema": {"type": "string", "enum": ["used", "unavailable"]},
        "description": "With `google_access`: whether the answer is from the web; of a stream only `unavailable`.",
    },
    STYLE_HEADER: {
        "schema": {"type": "string", "examples": ["language, suffix"]},
        "description": "Rules of the character that a whole answer does not keep; absent where it keeps all.",
    },
    USAGE_HEADER: {
        "schema": {"type": "string", "examples": ["prompt=212,completion=96,cached=180,cost_usd=0.000125"]},
        "description": "What a whole answer took; the cost where the price table knows the model.",
    },
    REUSE_HEADER: {
        "schema": {"type": "string", "enum": ["hit", "joined", "miss"]},
        "description": "Where answers are kept, and this one may be: whether it was, was being made already, or is new."
        " `Cache-Control: no-cache` asks for a new one.",
    },
    "Age": {"schema": {"type": "integer", "minimum": 0}, "description": "Of a kept answer, seconds."},
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."},
    "Content-Language": {
        "schema": {"type": "string", "enum": list(texts.LANGUAGES)},
        "description": "Language of the texts.",
    },
}
_KEY: Final = (
    "Needed where the operator configured keys; not for users whom a gateway in front names, where it is believed"
    " (`user_from: gateway` in `GET /key`)."
)
SECURITY_SCHEMES: Final[Json] = {
    "key": {"type": "http", "scheme": "bearer", "description": _KEY},
    "keyHeader": {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": "The same key, told otherwise."},
    "userToken": {
        "type": "apiKey",
        "in": "header",
        "name": USER_TOKEN_HEADER,
        "description": "JSON Web Token of the user, beside a key that asks for it (`user_from: token` in `GET /key`).",
    },
}


def error_name(status: int, *, v1: bool) -> str:
    """Name of the response component of an error status."""
    return f"{'V1Error' if v1 else 'Error'}{status}"


def error_responses() -> Json:
    """One response component per status of the error table, in both shapes."""
    found: Json = {}
    for v1 in (False, True):
        by_status: dict[int, list[Row]] = {}
        for row in TABLE.values():
            by_status.setdefault((v1 and row.v1_status) or row.status, []).append(row)
        for status, rows in sorted(by_status.items()):
            found[error_name(status, v1=v1)] = _error_response(status, rows, v1=v1)
    return found


def _error_response(status: int, rows: list[Row], *, v1: bool) -> Json:
    told = "; ".join(dict.fromkeys(texts.text(f"title.{row.code}", "en") for row in rows))
    shown = ["X-Request-ID", "X-Backend", "Content-Language", *(["Retry-After"] if status in (429, 503) else [])]
    media_type, schema = ("application/json", "V1Error") if v1 else ("application/problem+json", "Problem")
    return {
        "description": told,
        "headers": {name: ref("headers", name) for name in shown},
        "content": {media_type: {"schema": ref("schemas", schema), "example": _example(status, v1=v1)}},
    }


def _example(status: int, *, v1: bool) -> Json:
    sample = errors.sample(status, v1=v1)
    describe = errors.describe_v1 if v1 else errors.describe
    return describe(sample, "en", "0af7651916cd43dd8448eb211c80319c")
