"""`/v1/vector_stores`: collections of documents, their files, and searches in them."""

from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from chatbot.api.accounts.flags import privacy_of
from chatbot.api.schemas import validated
from chatbot.api.service import parts_of
from chatbot.api.shelves.owners import owner_of, shelves_of
from chatbot.api.shelves.schemas import PlaceFields, SearchFields, VectorStoreFields
from chatbot.api.shelves.views import (
    LISTED_AT_MOST,
    deleted_view,
    json_of,
    page_view,
    placed_view,
    results_view,
    status_filter,
    store_view,
)
from chatbot.api.wire.context import context_of
from chatbot.api.wire.guard import read_object
from chatbot.core.retrieval.search import Retrieved, Search
from chatbot.core.shelves.filters import Attributes, BadFilter, Filter, parse
from chatbot.core.shelves.shelves import Shelves
from chatbot.core.shelves.things import Placed
from chatbot.domain.chat import Caller
from chatbot.domain.documents import FailureReason, Unreadable
from chatbot.domain.errors import BodyTooLarge, DocumentQuota, InvalidInput

router = APIRouter(prefix="/v1/vector_stores", tags=["files and vector stores"])


@router.post("", operation_id="createVectorStore", summary="Make a store")
async def create(request: Request) -> Response:
    """Empty, or with `file_ids`, which are then read in the background."""
    shelves, owner = shelves_of(request), owner_of(request)
    asked = validated(VectorStoreFields, await _body(request))
    for file_id in asked.file_ids:
        await shelves.file(owner, file_id)
    store = await shelves.add_store(owner, asked.name, asked.metadata or {})
    placed = [await _place(shelves, owner, store.store_id, file_id, {}) for file_id in dict.fromkeys(asked.file_ids)]
    return json_of(store_view(store, placed))


@router.get("", operation_id="listVectorStores", summary="List stores")
async def listing(request: Request) -> Response:
    """Those that were made here and other collections of `/documents`. Query: `limit`, `order`, `after`, `before`."""
    shelves, owner = shelves_of(request), owner_of(request)
    stores, contents = await shelves.stores(owner), await shelves.contents(owner)
    return json_of(
        page_view(
            request,
            stores,
            lambda one: one.store_id,
            lambda one: store_view(one, contents.get(one.store_id, ())),
            LISTED_AT_MOST,
        )
    )


@router.get("/{store_id}", operation_id="retrieveVectorStore", summary="One store")
async def retrieve(request: Request, store_id: str) -> Response:
    """How its files stand."""
    shelves, owner = shelves_of(request), owner_of(request)
    store = await shelves.vector_store(owner, store_id)
    return json_of(store_view(store, await shelves.all_placed(owner, store_id)))


@router.delete("/{store_id}", operation_id="deleteVectorStore", summary="Delete a store")
async def delete(request: Request, store_id: str) -> Response:
    """With everything that was made of its files. Files of `/v1/files` stay; documents of `/documents` go."""
    shelves, owner = shelves_of(request), owner_of(request)
    await shelves.erase_store(owner, store_id)
    return json_of(deleted_view(store_id, "vector_store.deleted"))


@router.post("/{store_id}/search", operation_id="searchVectorStore", summary="Search a store")
async def search(request: Request, store_id: str) -> Response:
    """The passages that suit a question best."""
    shelves, owner = shelves_of(request), owner_of(request)
    asked = validated(SearchFields, await _body(request))
    await shelves.vector_store(owner, store_id)
    wanted = _filter(asked)
    placed = await shelves.all_placed(owner, store_id)
    meant = shelves.meant(placed, wanted)
    queries = [asked.query] if isinstance(asked.query, str) else asked.query
    retrieved = Retrieved((), 0, 0.0)
    if meant:
        ids = sorted({one.document.document_id for one in meant}) if wanted is not None else ()
        most = asked.max_num_results
        wish = Search("\n".join(queries), most, collections=(store_id,), ids=ids, per_document=most)
        stays = privacy_of(request).local_only or asked.local_only
        retrieved = await shelves.library.retriever.search(owner, replace(wish, local_only=stays))
    floor = asked.ranking_options.score_threshold if asked.ranking_options is not None else 0.0
    return json_of(results_view(queries, retrieved, meant, floor))


@router.post("/{store_id}/files", operation_id="createVectorStoreFile", summary="Put a file in")
async def place(request: Request, store_id: str) -> Response:
    """It is read in the background; the same bytes again are read once."""
    shelves, owner = shelves_of(request), owner_of(request)
    asked = validated(PlaceFields, await _body(request))
    placed = await _place(shelves, owner, store_id, asked.file_id, asked.attributes or {})
    return json_of(placed_view(placed, context_of(request.scope).language))


@router.get("/{store_id}/files", operation_id="listVectorStoreFiles", summary="List its files")
async def files(request: Request, store_id: str) -> Response:
    """Query: `filter` (a status), `limit`, `order`, `after`, `before`."""
    shelves, owner = shelves_of(request), owner_of(request)
    language, status = context_of(request.scope).language, status_filter(request)
    await shelves.vector_store(owner, store_id)
    placed = [one for one in await shelves.all_placed(owner, store_id) if status in (None, one.status)]
    return json_of(
        page_view(
            request, placed, lambda one: one.place.file_id, lambda one: placed_view(one, language), LISTED_AT_MOST
        )
    )


@router.get("/{store_id}/files/{file_id}", operation_id="retrieveVectorStoreFile", summary="One of its files")
async def file(request: Request, store_id: str, file_id: str) -> Response:
    """Where its reading stands; where it failed, why and what to do."""
    shelves, owner = shelves_of(request), owner_of(request)
    placed = await shelves.placed(owner, store_id, file_id)
    return json_of(placed_view(placed, context_of(request.scope).language))


@router.delete("/{store_id}/files/{file_id}", operation_id="deleteVectorStoreFile", summary="Take a file out")
async def unplace(request: Request, store_id: str, file_id: str) -> Response:
    """With what was made of it here; the file itself stays."""
    shelves, owner = shelves_of(request), owner_of(request)
    await shelves.unplace(owner, store_id, file_id)
    return json_of(deleted_view(file_id, "vector_store.file.deleted"))


async def _place(shelves: Shelves, owner: Caller, store_id: str, file_id: str, attributes: Attributes) -> Placed:
    try:
        return await shelves.place(owner, store_id, file_id, attributes)
    except Unreadable as exc:
        if exc.reason is FailureReason.QUOTA:
            raise DocumentQuota from None
        raise BodyTooLarge(shelves.library.file_bytes) from None


async def _body(request: Request) -> dict[str, object]:
    return await read_object(request.headers, request.receive, parts_of(request).limits.body_bytes)


def _filter(asked: SearchFields) -> Filter | None:
    if asked.filters is None:
        return None
    try:
        return parse(asked.filters)
    except BadFilter as exc:
        raise InvalidInput(exc.field, exc.problem, maximum=64) from None
