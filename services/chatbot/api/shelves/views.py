"""What the endpoints give, in the OpenAI API's shapes (https://platform.openai.com/docs/api-reference/files)."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from fastapi import Request
from starlette.responses import Response

from chatbot.api.texts import text
from chatbot.core.retrieval.search import Retrieved
from chatbot.core.shelves.things import Placed, StoredFile, VectorStore
from chatbot.domain.documents import FailureReason
from chatbot.domain.errors import InvalidInput

T = TypeVar("T")
_STATUSES: Final = ("in_progress", "completed", "failed", "cancelled")
_CODES: Final = {
    FailureReason.UNSUPPORTED_TYPE: "unsupported_file",
    FailureReason.QUOTA: "server_error",
    FailureReason.INTERRUPTED: "server_error",
}
LISTED_AT_MOST: Final = 100
FILES_AT_MOST: Final = 10_000


def file_view(file: StoredFile, placed: Sequence[Placed] = ()) -> dict[str, Any]:
    """A file. It is `uploaded` while a store reads it, `error` where none could."""
    statuses = [one.status for one in placed]
    if "in_progress" in statuses:
        status = "uploaded"
    else:
        status = "error" if statuses and "completed" not in statuses else "processed"
    return {
        "id": file.file_id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at,
        "expires_at": None,
        "filename": file.name,
        "purpose": file.purpose,
        "status": status,
        "status_details": None,
    }


def store_view(store: VectorStore, placed: Sequence[Placed]) -> dict[str, Any]:
    """A store with how its files stand."""
    statuses = [one.status for one in placed]
    counts = {status: statuses.count(status) for status in _STATUSES}
    return {
        "id": store.store_id,
        "object": "vector_store",
        "created_at": store.created_at,
        "name": store.name or store.store_id,
        "usage_bytes": sum(one.place.size_bytes for one in placed),
        "file_counts": {**counts, "total": len(statuses)},
        "status": "in_progress" if counts["in_progress"] else "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": max((one.place.created_at for one in placed), default=store.created_at),
        "metadata": dict(store.metadata),
    }


def placed_view(placed: Placed, language: str) -> dict[str, Any]:
    """A file of a store; where it failed, why and what to do."""
    place, reason = placed.place, placed.document.reason
    error = None
    if placed.status == "failed" and reason is not None:
        error = {"code": _CODES.get(reason, "invalid_file"), "message": text(f"reason.{reason}", language)}
    return {
        "id": place.file_id,
        "object": "vector_store.file",
        "created_at": place.created_at,
        "vector_store_id": place.store_id,
        "usage_bytes": place.size_bytes,
        "status": placed.status,
        "last_error": error,
        "attributes": dict(place.attributes),
        "chunking_strategy": {"type": "other"},
    }


def results_view(query: Sequence[str], retrieved: Retrieved, placed: Sequence[Placed], floor: float) -> dict[str, Any]:
    """Passages of a search; `score` is 1 for the best."""
    by_document: dict[str, Placed] = {}
    for one in placed:
        by_document.setdefault(one.document.document_id, one)
    data = [
        {
            "file_id": by_document[found.document_id].place.file_id,
            "filename": found.name,
            "score": found.score,
            "attributes": dict(by_document[found.document_id].place.attributes),
            "content": [{"type": "text", "text": found.chunk.text}],
        }
        for found in retrieved.passages
        if found.score >= floor and found.document_id in by_document
    ]
    return {
        "object": "vector_store.search_results.page",
        "search_query": list(query),
        "data": data,
        "has_more": False,
        "next_page": None,
    }


def deleted_view(thing_id: str, kind: str) -> dict[str, Any]:
    """Something is gone."""
    return {"id": thing_id, "object": kind, "deleted": True}


def page_view(
    request: Request, things: Sequence[T], id_of: Callable[[T], str], view: Callable[[T], Mapping[str, Any]], most: int
) -> dict[str, Any]:
    """The part of a list that a request asks for: `limit`, `order` (the newest first), `after`, `before`.

    Args:
        request: Its query.
        things: All of them, the oldest first.
        id_of: Names one.
        view: Shows one.
        most: Largest `limit`.

    Raises:
        InvalidInput: The query names no page of this list.
    """
    query = request.query_params
    limit = _limit(query.get("limit"), most)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidInput("order", "wrong_choice", allowed="'asc' or 'desc'")
    listed = list(things) if order == "asc" else list(reversed(things))
    ids = [id_of(one) for one in listed]
    begin, end = 0, len(listed)
    if (after := query.get("after")) is not None:
        begin = _place(ids, after, "after") + 1
    if (before := query.get("before")) is not None:
        end = _place(ids, before, "before")
    shown = listed[begin:end]
    page = shown[max(0, len(shown) - limit) :] if before is not None and after is None else shown[:limit]
    return {
        "object": "list",
        "data": [view(one) for one in page],
        "first_id": id_of(page[0]) if page else None,
        "last_id": id_of(page[-1]) if page else None,
        "has_more": len(shown) > len(page),
    }


def json_of(view: Mapping[str, Any]) -> Response:
    """As a response that nobody keeps."""
    body = json.dumps(view, ensure_ascii=False).encode()
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def status_filter(request: Request) -> str | None:
    """Of files in a store: those of one status.

    Raises:
        InvalidInput: There is no such status.
    """
    wanted = request.query_params.get("filter")
    if wanted is not None and wanted not in _STATUSES:
        raise InvalidInput("filter", "wrong_choice", allowed=", ".join(_STATUSES))
    return wanted


def _limit(value: str | None, most: int) -> int:
    if value is None:
        return most if most == FILES_AT_MOST else 20
    if not (value.isascii() and value.isdigit() and len(value) <= 6):
        raise InvalidInput("limit", "not_integer")
    if int(value) < 1:
        raise InvalidInput("limit", "too_small", minimum=1)
    if int(value) > most:
        raise InvalidInput("limit", "too_large", maximum=most)
    return int(value)


def _place(ids: Sequence[str], wanted: str, field: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise InvalidInput(field, "unknown_id") from None
