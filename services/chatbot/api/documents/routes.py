"""`/documents`: to upload, to list, to watch, to stop and to erase. The user is in the header `X-User-ID`."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from chatbot.api.conversations import caller_of_header, page_of
from chatbot.api.documents.schemas import DocumentPage, DocumentView, document_view
from chatbot.api.documents.uploading import read_upload
from chatbot.api.service import Parts, parts_of
from chatbot.api.wire.context import context_of
from chatbot.api.wire.streams import EVENT_STREAM_HEADERS
from chatbot.core.retrieval.library import Library
from chatbot.domain.chat import Caller
from chatbot.domain.documents import Document, DocumentState, FailureReason, Unreadable
from chatbot.domain.errors import BodyTooLarge, DocumentNotFound, DocumentQuota, DocumentsOff

router = APIRouter(prefix="/documents", tags=["documents"])
POLL_SECONDS = 0.5
SILENCE_SECONDS = 10.0
_ENDS = (DocumentState.COMPLETED, DocumentState.FAILED, DocumentState.CANCELLED)


@router.post("", operation_id="addDocument", summary="Upload", status_code=202, response_model=DocumentView)
async def add(request: Request) -> Response:
    """Keep a text or a file and read it in the background. The same bytes again are the same document."""
    library, caller = library_of(request), caller_of_header(request)
    upload = await read_upload(request, library.file_bytes)
    try:
        document = await library.add(caller, upload)
    except Unreadable as exc:
        if exc.reason is FailureReason.QUOTA:
            raise DocumentQuota from None
        raise BodyTooLarge(library.file_bytes) from None
    return _json(_view(request, document), 202)


@router.get("", operation_id="listDocuments", summary="List documents", response_model=DocumentPage)
async def listing(request: Request) -> Response:
    """One page, ordered by id. Query: `limit` 1-100 (default 20), `after` the last id of the page before."""
    library, caller = library_of(request), caller_of_header(request)
    limit, after = page_of(request)
    found = await library.store.listing(caller, limit=limit + 1, after=after)
    shown = [_view(request, one) for one in found[:limit]]
    return _json(DocumentPage(documents=shown, next_after=shown[-1].document_id if len(found) > limit else None))


@router.get("/{document_id}", operation_id="readDocument", summary="Read its state", response_model=DocumentView)
async def read(request: Request, document_id: str) -> Response:
    """Where its reading stands; where it failed, why and what to do."""
    library, caller = library_of(request), caller_of_header(request)
    return _json(_view(request, await _found(library, caller, document_id)))


@router.get("/{document_id}/events", operation_id="watchDocument", summary="Watch its reading")
async def events(request: Request, document_id: str) -> Response:
    """Server-sent events: `progress` on each change, `done` at the end; both are the document."""
    library, caller = library_of(request), caller_of_header(request)
    document = await _found(library, caller, document_id)
    return StreamingResponse(_events(request, library, document), headers=dict(EVENT_STREAM_HEADERS))


@router.post("/{document_id}/cancel", operation_id="cancelDocument", summary="Stop", response_model=DocumentView)
async def cancel(request: Request, document_id: str) -> Response:
    """Stop its reading and throw away what was read. A document that has ended stays as it is."""
    library, caller = library_of(request), caller_of_header(request)
    document = await library.store.cancel(caller, document_id)
    if document is None:
        raise DocumentNotFound
    return _json(_view(request, document))


@router.delete("/{document_id}", operation_id="eraseDocument", summary="Erase", status_code=204)
async def erase(request: Request, document_id: str) -> Response:
    """Remove it with everything made of it, also while it is read. Always 204."""
    library, caller = library_of(request), caller_of_header(request)
    await library.store.erase(caller, document_id)
    return Response(status_code=204)


def library_of(request: Request) -> Library:
    """The documents of the service.

    Raises:
        DocumentsOff: It has none.
    """
    library = parts_of(request).documents
    if library is None:
        raise DocumentsOff
    return library


async def _found(library: Library, caller: Caller, document_id: str) -> Document:
    document = await library.store.read(caller, document_id)
    if document is None:
        raise DocumentNotFound
    return document


async def _events(request: Request, library: Library, document: Document) -> AsyncIterator[bytes]:
    """Ends with the document, or when it is erased or the process stops: clients come again then."""
    parts: Parts = parts_of(request)
    told, silent_seconds = None, 0.0
    found: Document | None = document
    while found is not None and not parts.gate.is_draining:
        if found != told:
            told, silent_seconds = found, 0.0
            data = json.dumps(_view(request, found).model_dump(mode="json"), ensure_ascii=False)
            yield f"event: {'done' if found.state in _ENDS else 'progress'}\ndata: {data}\n\n".encode()
        elif silent_seconds >= SILENCE_SECONDS:
            silent_seconds = 0.0
            yield b": still there\n\n"
        if found.state in _ENDS:
            return
        await asyncio.sleep(POLL_SECONDS)
        silent_seconds += POLL_SECONDS
        found = await library.store.read(document.owner, document.document_id)


def _view(request: Request, document: Document) -> DocumentView:
    embeddings = parts_of(request).embeddings
    if document.state is DocumentState.EMBEDDING and embeddings is not None and embeddings.model() is None:
        document = replace(document, reason=FailureReason.EMBEDDING_UNAVAILABLE)  # nobody could claim it to say so
    return document_view(document, context_of(request.scope).language, request.scope.get("root_path", ""))


def _json(view: BaseModel, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(view.model_dump_json(), status, media_type="application/json", headers=headers)
