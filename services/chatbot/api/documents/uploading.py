"""A file or a text, as it comes in: JSON, or `multipart/form-data` with the parts file, collection and metadata."""

import asyncio
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from chatbot.api.documents.schemas import DocumentText, UploadFields
from chatbot.api.errors import BodyTimeout
from chatbot.api.schemas import validated
from chatbot.api.wire.departure import ClientGone
from chatbot.api.wire.guard import READ_TIMEOUT_SECONDS, parse_object, read_object
from chatbot.domain.documents import Upload
from chatbot.domain.errors import BodyTooLarge, MalformedBody

_FIELDS_BYTES = 64 * 1024
"""Room for what stands beside the file."""


async def read_upload(request: Request, file_bytes: int) -> Upload:
    """The upload of a request.

    Raises:
        MalformedBody, InvalidInput: It is none.
        BodyTooLarge: The file is larger than `file_bytes`.
        BodyTimeout, ClientGone: It did not come to its end.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _read_parts(request, file_bytes)
    body = await read_object(request.headers, request.receive, file_bytes)
    asked = validated(DocumentText, body)
    return Upload(asked.name, asked.content.encode(), asked.collection, asked.metadata)


async def _read_parts(request: Request, file_bytes: int) -> Upload:
    bounded = Request(request.scope, _bounded(request.receive, file_bytes + _FIELDS_BYTES, file_bytes))
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            async with bounded.form(max_files=1, max_fields=4, max_part_size=_FIELDS_BYTES) as form:
                return await _from_form(form, file_bytes)
    except TimeoutError:
        raise BodyTimeout from None
    except HTTPException:
        raise MalformedBody("not_multipart") from None


async def _from_form(form: FormData, file_bytes: int) -> Upload:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise MalformedBody("not_multipart")
    content = await file.read()
    if len(content) > file_bytes:
        raise BodyTooLarge(file_bytes)
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    fields: dict[str, Any] = {"name": name}
    collection, metadata = form.get("collection"), form.get("metadata")
    if isinstance(collection, str):
        fields["collection"] = collection
    if isinstance(metadata, str):
        fields["metadata"] = parse_object(metadata.encode("utf-8", "surrogatepass"))
    asked = validated(UploadFields, fields)
    return Upload(asked.name, content, asked.collection, asked.metadata)


def _bounded(receive: Receive, limit_bytes: int, told_bytes: int) -> Receive:
    """Reading that stops at a limit."""
    seen = 0

    async def next_message() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        seen += len(message.get("body", b""))
        if seen > limit_bytes:
            raise BodyTooLarge(told_bytes)
        return message

    return next_message
