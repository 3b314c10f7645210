"""A file or a text, as it comes in: JSON, or `multipart/form-data` with the parts file, collection and metadata."""

from typing import Any

from fastapi import Request

from chatbot.api.documents.schemas import DocumentText, UploadFields
from chatbot.api.schemas import validated
from chatbot.api.wire.forms import is_form, read_form
from chatbot.api.wire.guard import parse_object, read_object
from chatbot.domain.documents import Upload


async def read_upload(request: Request, file_bytes: int) -> Upload:
    """The upload of a request.

    Raises:
        MalformedBody, InvalidInput: It is none.
        BodyTooLarge: The file is larger than `file_bytes`.
        BodyTimeout, ClientGone: It did not come to its end.
    """
    if is_form(request):
        return await _read_parts(request, file_bytes)
    body = await read_object(request.headers, request.receive, file_bytes)
    asked = validated(DocumentText, body)
    return Upload(asked.name, asked.content.encode(), asked.collection, asked.metadata)


async def _read_parts(request: Request, file_bytes: int) -> Upload:
    file = await read_form(request, file_bytes)
    fields: dict[str, Any] = {"name": file.name}
    if "collection" in file.fields:
        fields["collection"] = file.fields["collection"]
    if "metadata" in file.fields:
        fields["metadata"] = parse_object(file.fields["metadata"].encode("utf-8", "surrogatepass"))
    asked = validated(UploadFields, fields)
    return Upload(asked.name, file.content, asked.collection, asked.metadata)
