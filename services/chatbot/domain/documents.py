"""Documents of a user: what is read from a file, how it is cut and found again, and how its job stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chatbot.domain.chat import Caller


class DocumentState(StrEnum):
    """Where a document's job stands. The last three are ends; one that is `EMBEDDING` is found by its words already."""

    QUEUED = "queued"
    PARSING = "parsing"
    INDEXING = "indexing"
    EMBEDDING = "embedding"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FailureReason(StrEnum):
    """Why a document cannot be searched, or not by its meaning yet. Closed: each has a remedy of its own."""

    TOO_LARGE = "too_large"
    ENCRYPTED = "encrypted"
    NO_TEXT = "no_text"
    UNSUPPORTED_TYPE = "unsupported_type"
    DAMAGED = "damaged"
    PARSER_TIMEOUT = "parser_timeout"
    PARSER_MEMORY = "parser_memory"
    INTERRUPTED = "interrupted"
    QUOTA = "quota"
    EMBEDDING_UNAVAILABLE = "embedding_unavailable"


class Unreadable(Exception):
    """A file gives no text, for a reason that its owner is told."""

    def __init__(self, reason: FailureReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a file as its reader found it: a heading, a paragraph or a row of a table.

    Attributes:
        text: One or more lines, without markup.
        level: 1-6 for a heading, 0 for anything else.
        page: Page, slide or sheet, from 1; None where the format has none.
        table_header: First row of the table that this row belongs to; "" outside of tables.
    """

    text: str
    level: int = 0
    page: int | None = None
    table_header: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage that is found and quoted as one.

    Attributes:
        number: Place in the document, from 0.
        heading: Headings above it, outermost first, joined by " > "; "" where there are none.
        text: What is quoted.
        page: Where it begins; None where the format has no pages.
        start: First character in the document's text; `end` is one past the last.
    """

    number: int
    heading: str
    text: str
    page: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk with the terms that it is found by, repeated as often as they occur."""

    chunk: Chunk
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody brings.

    Attributes:
        name: File name, for its ending; "" where there is none.
        content: The bytes, kept until the job has ended.
        collection: Name of the group that it is put into.
        metadata: Texts of the owner, shown with each source.
    """

    name: str
    content: bytes
    collection: str = "default"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as its owner sees it.

    Attributes:
        sha256: Of its bytes; the same bytes in the same collection of the same owner are the same document.
        reason: Why it failed, or what a document that is `EMBEDDING` waits for; None where all is well.
        chunks_done: Chunks that are stored.
        chunks_total: Chunks that there are; None until the file was read to its end.
        tries: How often its job was begun.
    """

    document_id: str
    owner: Caller
    name: str
    collection: str
    metadata: Mapping[str, str]
    sha256: str
    state: DocumentState
    reason: FailureReason | None = None
    chunks_done: int = 0
    chunks_total: int | None = None
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """One passage of a search.

    Attributes:
        score: The index's own, larger is better, comparable inside one search.
        lexical_rank: Place among those that were found by their words, from 1; None where it was not.
        dense_rank: The same for those that were found by their meaning.
    """

    document_id: str
    name: str
    metadata: Mapping[str, str]
    chunk: Chunk
    score: float
    lexical_rank: int | None = None
    dense_rank: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A document that was claimed by a worker.

    Attributes:
        lease: Names this claim; every write of the job shows it, and fails once the claim is lost.
        chunks_done: Where to go on: chunks before it are stored already.
    """

    document_id: str
    lease: str
    name: str
    content: bytes
    chunks_done: int


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """What makes vectors comparable: those of two spaces never are, even where their lengths are the same.

    Attributes:
        model: Identity of the model that makes them.
        dimensions: Numbers of a vector.
        recipe: Number of the rules by which a passage or a question becomes the text that the model is given.
    """

    model: str
    dimensions: int
    recipe: int


@dataclass(frozen=True, slots=True)
class VectorJob:
    """A document that was claimed to get vectors. `lease` is as in `Job`; `tenant` is its owner's.

    Attributes:
        is_complete: It was completed before, so it had vectors, or went without; else it waits for its first.
    """

    document_id: str
    lease: str
    space: VectorSpace
    tenant: str = ""
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of an owner's passages have vectors; documents that are not `COMPLETED` are not counted.

    Attributes:
        passages: All of them.
        by_space: Passages of documents that have all their vectors in that space.
    """

    passages: int
    by_space: Mapping[VectorSpace, int]


class LeaseLost(Exception):
    """The document was erased, cancelled or claimed by another worker; what this one has is thrown away."""
