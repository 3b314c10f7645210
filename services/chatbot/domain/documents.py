"""Documents of a user: what is read from a file, how it is cut and found again, and how its job stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chatbot.domain.chat import Caller


class DocumentState(StrEnum):
    """Where a document's job stands. The first three are on the way, the last three are ends."""

    QUEUED = "queued"
    PARSING = "parsing"
    INDEXING = "indexing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FailureReason(StrEnum):
    """Why a document cannot be searched. Closed: each has a remedy of its own."""

    TOO_LARGE = "too_large"
    ENCRYPTED = "encrypted"
    NO_TEXT = "no_text"
    UNSUPPORTED_TYPE = "unsupported_type"
    DAMAGED = "damaged"
    PARSER_TIMEOUT = "parser_timeout"
    PARSER_MEMORY = "parser_memory"
    INTERRUPTED = "interrupted"
    QUOTA = "quota"


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
        reason: Why it failed, None in every other state.
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
    """One passage of a search. `score` is the index's own, larger is better, comparable inside one search."""

    document_id: str
    name: str
    metadata: Mapping[str, str]
    chunk: Chunk
    score: float


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


class LeaseLost(Exception):
    """The document was erased, cancelled or claimed by another worker; what this one has is thrown away."""
