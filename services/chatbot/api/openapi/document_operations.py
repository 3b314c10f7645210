"""Operations on documents."""

from typing import Final

from chatbot.api.documents.schemas import COLLECTION_PATTERN
from chatbot.api.openapi.operation import ANSWERING, PAGE, READING, USER, Json, Operation

_STREAM: Final = (
    'event: progress\ndata: {"document_id": "doc_0af7651916cd43dd8448eb211c80319c", "status": "indexing", "progress": '
    '{"chunks_done": 64, "chunks_total": null, "percent": null}}\n\n'
    'event: done\ndata: {"document_id": "doc_0af7651916cd43dd8448eb211c80319c", "status": "completed", "progress": '
    '{"chunks_done": 91, "chunks_total": 91, "percent": 100}}\n\n'
)
_EVENTS: Final = (
    "Server-sent events, each with the whole document (the example leaves fields out). `progress`: at once and on each "
    "change; `done`: it is completed, failed or cancelled. A stream without `done`: the document was erased, or the "
    "process stops; ask again."
)
UPLOAD_FORM: Final[Json] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        "collection": {"type": "string", "pattern": COLLECTION_PATTERN},
        "metadata": {"type": "string", "description": "A JSON object of texts.", "examples": ['{"title": "휴가"}']},
    },
}
DOCUMENT_OPERATIONS: Final[dict[str, Operation]] = {
    "addDocument": Operation(
        errors=(*READING, 404, 409, 422), body="document", success="DocumentView", parameters=(USER,), status=202
    ),
    "listDocuments": Operation(errors=(404, 422), success="DocumentPage", parameters=(USER, *PAGE)),
    "readDocument": Operation(errors=(404, 422), success="DocumentView", parameters=(USER,)),
    "watchDocument": Operation(
        errors=(404, 422), success="stream", parameters=(USER,), stream_example=_STREAM, stream_events=_EVENTS
    ),
    "cancelDocument": Operation(errors=(404, 422), success="DocumentView", parameters=(USER,)),
    "eraseDocument": Operation(errors=(404, 422), success="-", parameters=(USER,)),
    "askDocuments": Operation(
        errors=(*READING, *ANSWERING, 404, 422), body="rag", success="RagAnswer", parameters=(USER,)
    ),
}
