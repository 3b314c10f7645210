"""`/v1/files`: files that are kept as they are, to be put into stores."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from chatbot.api.schemas import validated
from chatbot.api.shelves.owners import owner_of, shelves_of
from chatbot.api.shelves.schemas import FILE_PURPOSES, FileFields
from chatbot.api.shelves.views import FILES_AT_MOST, deleted_view, file_view, json_of, page_view
from chatbot.api.wire.forms import read_form
from chatbot.core.shelves.shelves import Shelves
from chatbot.core.shelves.things import Placed
from chatbot.domain.chat import Caller
from chatbot.domain.errors import InvalidInput

router = APIRouter(prefix="/v1/files", tags=["files and vector stores"])


@router.post("", operation_id="createFile", summary="Upload a file")
async def create(request: Request) -> Response:
    """A form with `file` and `purpose`. It is kept until it is deleted; a vector store makes it searchable."""
    shelves, owner = shelves_of(request), owner_of(request)
    file = await read_form(request, shelves.library.file_bytes)
    if any(field.startswith("expires_after") for field in file.fields):
        raise InvalidInput("expires_after", "not_supported")
    asked = validated(FileFields, {**file.fields, "name": file.name})
    return json_of(file_view(await shelves.add_file(owner, asked.name, file.content, asked.purpose)))


@router.get("", operation_id="listFiles", summary="List files")
async def listing(request: Request) -> Response:
    """Query: `purpose`, `limit` 1-10000, `order`, `after`."""
    shelves, owner = shelves_of(request), owner_of(request)
    purpose = request.query_params.get("purpose")
    if purpose is not None and purpose not in FILE_PURPOSES:
        raise InvalidInput("purpose", "wrong_choice", allowed=", ".join(FILE_PURPOSES))
    files = [one for one in await shelves.files(owner) if purpose in (None, one.purpose)]
    placed = await _placed(shelves, owner)
    return json_of(
        page_view(
            request,
            files,
            lambda one: one.file_id,
            lambda one: file_view(one, placed.get(one.file_id, ())),
            FILES_AT_MOST,
        )
    )


@router.get("/{file_id}", operation_id="retrieveFile", summary="One file")
async def retrieve(request: Request, file_id: str) -> Response:
    """`status` is `uploaded` while a store reads it, `processed` or `error`."""
    shelves, owner = shelves_of(request), owner_of(request)
    file = await shelves.file(owner, file_id)
    return json_of(file_view(file, (await _placed(shelves, owner)).get(file_id, ())))


@router.get("/{file_id}/content", operation_id="downloadFile", summary="Its bytes")
async def content(request: Request, file_id: str) -> Response:
    """As they were uploaded."""
    shelves, owner = shelves_of(request), owner_of(request)
    headers = {"Cache-Control": "no-store", "Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(await shelves.content(owner, file_id), media_type="application/octet-stream", headers=headers)


@router.delete("/{file_id}", operation_id="deleteFile", summary="Delete a file")
async def delete(request: Request, file_id: str) -> Response:
    """Also from all vector stores, with what was made of it."""
    shelves, owner = shelves_of(request), owner_of(request)
    await shelves.erase_file(owner, file_id)
    return json_of(deleted_view(file_id, "file"))


async def _placed(shelves: Shelves, owner: Caller) -> Mapping[str, list[Placed]]:
    """Where files lie, by file."""
    found: dict[str, list[Placed]] = {}
    for placed in (await shelves.contents(owner)).values():
        for one in placed:
            found.setdefault(one.place.file_id, []).append(one)
    return found
