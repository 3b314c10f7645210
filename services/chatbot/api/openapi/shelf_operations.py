"""Operations on files and vector stores, in the OpenAI API's shapes."""

from typing import Any, Final

from chatbot.api.openapi.operation import READING, Json, Operation
from chatbot.api.shelves.schemas import FILE_PURPOSES

_SHARED_USER: Final[Json] = {
    "name": "X-User-ID",
    "in": "header",
    "required": False,
    "description": "The user: UTF-8, percent-encoded. Without it, what all keys of the tenant share.",
    "schema": {"type": "string", "minLength": 1},
}
_ORDER: Final[Json] = {
    "name": "order",
    "in": "query",
    "required": False,
    "description": "By time of creation.",
    "schema": {"enum": ["asc", "desc"], "default": "desc"},
}


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _limit(most: int, default: int) -> Json:
    return _query("limit", "Lines.", {"type": "integer", "minimum": 1, "maximum": most, "default": default})


_AFTER: Final = _query("after", "An id of the page before.", {"type": "string"})
_BEFORE: Final = _query("before", "An id of the page behind.", {"type": "string"})
_NUMBER: Final[Json] = {"type": "integer", "minimum": 0}
_TEXT: Final[Json] = {"type": "string"}


def _object(kind: str, **properties: Json) -> Json:
    described = {"id": _TEXT, "object": {"const": kind}, **properties}
    return {"type": "object", "required": sorted(described), "properties": described}


def _list(name: str) -> Json:
    nullable: Json = {"type": ["string", "null"]}
    properties: dict[str, Any] = {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
        "first_id": nullable,
        "last_id": nullable,
        "has_more": {"type": "boolean"},
    }
    return {"type": "object", "required": sorted(properties), "properties": properties}


_ATTRIBUTES: Final[Json] = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_COUNTS: Final = ("in_progress", "completed", "failed", "cancelled", "total")
_RESULT: Final[Json] = {
    "type": "object",
    "required": ["file_id", "filename", "score", "attributes", "content"],
    "properties": {
        "file_id": _TEXT,
        "filename": _TEXT,
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "attributes": _ATTRIBUTES,
        "content": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "text"],
                "properties": {"type": {"const": "text"}, "text": _TEXT},
            },
        },
    },
}
SHELF_SCHEMAS: Final[Json] = {
    "File": _object(
        "file",
        bytes=_NUMBER,
        created_at=_NUMBER,
        filename=_TEXT,
        purpose={"enum": list(FILE_PURPOSES)},
        status={"enum": ["uploaded", "processed", "error"]},
    ),
    "FileList": _list("File"),
    "VectorStore": _object(
        "vector_store",
        created_at=_NUMBER,
        name=_TEXT,
        usage_bytes=_NUMBER,
        file_counts={
            "type": "object",
            "required": list(_COUNTS),
            "properties": dict.fromkeys(_COUNTS, _NUMBER),
        },
        status={"enum": ["in_progress", "completed"]},
        metadata={"type": "object", "additionalProperties": _TEXT},
    ),
    "VectorStoreList": _list("VectorStore"),
    "VectorStoreFile": _object(
        "vector_store.file",
        created_at=_NUMBER,
        vector_store_id=_TEXT,
        usage_bytes=_NUMBER,
        status={"enum": ["in_progress", "completed", "failed", "cancelled"]},
        last_error={
            "type": ["object", "null"],
            "properties": {"code": {"enum": ["server_error", "unsupported_file", "invalid_file"]}, "message": _TEXT},
        },
        attributes=_ATTRIBUTES,
    ),
    "VectorStoreFileList": _list("VectorStoreFile"),
    "VectorStoreResults": {
        "type": "object",
        "required": ["object", "search_query", "data", "has_more", "next_page"],
        "properties": {
            "object": {"const": "vector_store.search_results.page"},
            "search_query": {"type": "array", "items": _TEXT},
            "data": {"type": "array", "items": _RESULT},
            "has_more": {"const": False},
            "next_page": {"type": "null"},
        },
    },
    "Deleted": {
        "type": "object",
        "required": ["id", "object", "deleted"],
        "properties": {
            "id": _TEXT,
            "object": {"enum": ["file", "vector_store.deleted", "vector_store.file.deleted"]},
            "deleted": {"const": True},
        },
    },
}
FILE_FORM: Final[Json] = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        "purpose": {"enum": list(FILE_PURPOSES)},
    },
}


def _operation(success: str, *parameters: Json, body: Any = "", errors: tuple[int, ...] = ()) -> Operation:
    reading = READING if body else ()
    return Operation(
        errors=(*reading, 400, 404, *errors),
        body=body,
        success=success,
        parameters=(_SHARED_USER, *parameters),
        is_v1=True,
    )


SHELF_OPERATIONS: Final[dict[str, Operation]] = {
    "createFile": _operation("File", body="file", errors=(409,)),
    "listFiles": _operation(
        "FileList",
        _query("purpose", "Only these.", {"enum": list(FILE_PURPOSES)}),
        _limit(10_000, 10_000),
        _ORDER,
        _AFTER,
    ),
    "retrieveFile": _operation("File"),
    "downloadFile": _operation("bytes"),
    "deleteFile": _operation("Deleted"),
    "createVectorStore": _operation("VectorStore", body="vector_store", errors=(409,)),
    "listVectorStores": _operation("VectorStoreList", _limit(100, 20), _ORDER, _AFTER, _BEFORE),
    "retrieveVectorStore": _operation("VectorStore"),
    "deleteVectorStore": _operation("Deleted"),
    "searchVectorStore": _operation("VectorStoreResults", body="search"),
    "createVectorStoreFile": _operation("VectorStoreFile", body="place", errors=(409,)),
    "listVectorStoreFiles": _operation(
        "VectorStoreFileList",
        _query("filter", "Only of this status.", {"enum": ["in_progress", "completed", "failed", "cancelled"]}),
        _limit(100, 20),
        _ORDER,
        _AFTER,
        _BEFORE,
    ),
    "retrieveVectorStoreFile": _operation("VectorStoreFile"),
    "deleteVectorStoreFile": _operation("Deleted"),
}
