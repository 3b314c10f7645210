"""What the endpoints of documents take and give."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from chatbot.api.schemas import TextModel
from chatbot.api.texts import text
from chatbot.domain.documents import Document, Found

COLLECTION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_KEY = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
_VALUE = Annotated[str, Field(max_length=500)]
_COLLECTION = Annotated[str, Field(pattern=COLLECTION_PATTERN)]
_EQUALITIES = Annotated[dict[_KEY, _VALUE], Field(max_length=16)]


class UploadFields(TextModel):
    """What stands beside a file."""

    name: str = Field("", max_length=200, description="File name; its ending tells the format.", examples=["rules.md"])
    collection: _COLLECTION = Field("default", description="Group that it is put into.")
    metadata: _EQUALITIES = Field({}, description="Texts of yours, shown with each source; `title` is its name.")


class DocumentText(UploadFields):
    """A document as text. Files come as `multipart/form-data` with the part `file`."""

    content: str = Field(min_length=1, description="The text.", examples=["# 휴가\n연차는 15일이다."])


class RagRequest(TextModel):
    """A question to one's documents."""

    question: str = Field(min_length=1, max_length=500, description="The question.", examples=["연차는 며칠인가요?"])
    k: int = Field(5, ge=1, le=20, description="Passages at most.")
    collections: list[_COLLECTION] = Field([], max_length=16, description="Only these; empty means all.")
    filters: _EQUALITIES = Field({}, description="Metadata that must be equal.")
    generate: bool = Field(True, description="Whether the local model answers; else only the passages come.")
    local_only: bool = Field(False, description="Never ask an embedding model elsewhere: words alone find passages.")


class Progress(BaseModel):
    """How far the reading is. `percent` and `chunks_total` are null until the document is complete."""

    chunks_done: int
    chunks_total: int | None
    percent: int | None


class DocumentView(BaseModel):
    """A document. `status` is queued, parsing, indexing, embedding (found by words), completed, failed or cancelled."""

    document_id: str
    status: str
    collection: str
    name: str
    metadata: dict[str, str]
    sha256: str
    progress: Progress
    reason: str | None = Field(description="Why it failed, or waits; from a closed list.")
    remedy: str | None = Field(description="What to do about it, in the language of Accept-Language.")
    links: dict[str, str]


class DocumentPage(BaseModel):
    """A page. `next_after` is the `after` of the next page, null on the last."""

    documents: list[DocumentView]
    next_after: str | None


class Source(BaseModel):
    """A passage; `id` is its number in the answer.

    `score` is 0-1: found by words alone, 1 is the best and the others are shares of it; found in both ways, 1 is first
    in both. The ranks are its places in each, null where it has none.
    """

    id: int
    document_id: str
    chunk: int
    heading: str
    content: str
    metadata: dict[str, Any]
    score: float
    lexical_rank: int | None
    dense_rank: int | None
    cited: bool


class Retrieval(BaseModel):
    """How the passages were found: `mode` is lexical (by words) or hybrid (also by meaning); both count candidates."""

    mode: str
    reason: str | None = Field(
        description="Why by words alone, where there is a model: embedding_unavailable, reindexing or local_only."
    )
    lexical: int
    dense: int
    seconds: float


class RagAnswer(BaseModel):
    """An answer with its sources. `answer` is null with `generate: false`. Times in seconds."""

    answer: str | None
    sources: list[Source]
    execution_time: float
    retrieved_docs: int
    retrieval: Retrieval


def document_view(document: Document, language: str, root: str) -> DocumentView:
    """A document as its owner sees it; links begin with `root`."""
    own = f"{root}/documents/{document.document_id}"
    total = document.chunks_total
    return DocumentView(
        document_id=document.document_id,
        status=document.state,
        collection=document.collection,
        name=document.name,
        metadata=dict(document.metadata),
        sha256=document.sha256,
        progress=Progress(
            chunks_done=document.chunks_done, chunks_total=total, percent=100 if total is not None else None
        ),
        reason=document.reason,
        remedy=text(f"reason.{document.reason}", language) if document.reason else None,
        links={"self": own, "events": f"{own}/events"},
    )


def source_view(number: int, found: Found, *, cited: bool) -> Source:
    """A passage with its number."""
    shown: dict[str, Any] = {"title": found.name, **found.metadata}
    return Source(
        id=number,
        document_id=found.document_id,
        chunk=found.chunk.number,
        heading=found.chunk.heading,
        content=found.chunk.text,
        metadata=shown | ({"page": found.chunk.page} if found.chunk.page is not None else {}),
        score=found.score,
        lexical_rank=found.lexical_rank,
        dense_rank=found.dense_rank,
        cited=cited,
    )
