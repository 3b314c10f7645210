"""A file that is uploaded, as `multipart/form-data` with the part `file` or as the whole body; bounded either way."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from chatbot.api.errors import BodyTimeout
from chatbot.api.wire.departure import ClientGone
from chatbot.api.wire.guard import READ_TIMEOUT_SECONDS
from chatbot.domain.errors import BodyTooLarge, MalformedBody

_FIELDS_BYTES = 64 * 1024
"""Room for what stands beside the file."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file and what came beside it.

    Attributes:
        name: File name without folders; "" where there is none.
        fields: Texts of the form, by name.
    """

    name: str
    content: bytes
    fields: Mapping[str, str]


def is_form(request: Request) -> bool:
    """Whether the body says that it is a form with files."""
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def read_form(request: Request, file_bytes: int, *, most_fields: int = 4) -> UploadedFile:
    """The part `file` of a form.

    Raises:
        MalformedBody: It is no such form.
        BodyTooLarge: The file is larger than `file_bytes`.
        BodyTimeout, ClientGone: It did not come to its end.
    """
    bounded = Request(request.scope, _bounded(request.receive, file_bytes + _FIELDS_BYTES, file_bytes))
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            async with bounded.form(max_files=1, max_fields=most_fields, max_part_size=_FIELDS_BYTES) as form:
                return await _from_form(form, file_bytes)
    except TimeoutError:
        raise BodyTimeout from None
    except HTTPException:
        raise MalformedBody("not_multipart") from None


async def read_whole(request: Request, file_bytes: int) -> bytes:
    """The body as it is.

    Raises:
        MalformedBody: It is compressed.
        BodyTooLarge, BodyTimeout, ClientGone: As `read_form`.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MalformedBody("content_encoding")
    bounded = _bounded(request.receive, file_bytes, file_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            while True:
                message = await bounded()
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyTimeout from None


async def _from_form(form: FormData, file_bytes: int) -> UploadedFile:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise MalformedBody("not_multipart")
    content = await file.read()
    if len(content) > file_bytes:
        raise BodyTooLarge(file_bytes)
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    return UploadedFile(name, content, {key: value for key, value in form.items() if isinstance(value, str)})


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
