"""Files, stores and places, and the rows that they are kept as."""

from collections.abc import Mapping
from dataclasses import dataclass

from chatbot.core.shelves.filters import Value
from chatbot.domain.documents import Document, DocumentState
from chatbot.domain.shelves.shelf_store import RowKind, ShelfRow


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose bytes are kept. `size_bytes` of them; `created_at` in Unix seconds."""

    file_id: str
    name: str
    purpose: str
    size_bytes: int
    created_at: int
    is_whole: bool = True

    def row(self) -> ShelfRow:
        """As it is kept."""
        fields = {"name": self.name, "purpose": self.purpose, "bytes": self.size_bytes, "whole": self.is_whole}
        return ShelfRow(RowKind.FILE, self.file_id, self.created_at, fields)

    @classmethod
    def of(cls, row: ShelfRow) -> "StoredFile":
        """From how it was kept."""
        fields = row.fields
        return cls(row.row_id, fields["name"], fields["purpose"], fields["bytes"], row.created_at, fields["whole"])


@dataclass(frozen=True, slots=True)
class VectorStore:
    """A collection of documents, with a name; one that only `/documents` knows is named by itself."""

    store_id: str
    name: str
    metadata: Mapping[str, str]
    created_at: int

    def row(self) -> ShelfRow:
        """As it is kept."""
        return ShelfRow(
            RowKind.STORE, self.store_id, self.created_at, {"name": self.name, "metadata": dict(self.metadata)}
        )

    @classmethod
    def of(cls, row: ShelfRow) -> "VectorStore":
        """From how it was kept."""
        return cls(row.row_id, row.fields["name"], row.fields["metadata"], row.created_at)


@dataclass(frozen=True, slots=True)
class Place:
    """A file in a store, and the document that was made of it there."""

    store_id: str
    file_id: str
    document_id: str
    attributes: Mapping[str, Value]
    size_bytes: int
    created_at: int

    def row(self) -> ShelfRow:
        """As it is kept."""
        fields = {
            "store": self.store_id,
            "file": self.file_id,
            "document": self.document_id,
            "attributes": dict(self.attributes),
            "bytes": self.size_bytes,
        }
        return ShelfRow(RowKind.PLACE, place_id(self.store_id, self.file_id), self.created_at, fields)

    @classmethod
    def of(cls, row: ShelfRow) -> "Place":
        """From how it was kept."""
        fields = row.fields
        return cls(
            fields["store"], fields["file"], fields["document"], fields["attributes"], fields["bytes"], row.created_at
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """A file in a store, with how its reading stands."""

    place: Place
    document: Document

    @property
    def status(self) -> str:
        """In the OpenAI API's words. What can be found by its words and cannot be found by meaning yet is completed."""
        document = self.document
        if document.state is DocumentState.EMBEDDING and document.reason is not None:
            return "completed"
        if document.state in (DocumentState.COMPLETED, DocumentState.FAILED, DocumentState.CANCELLED):
            return document.state.value
        return "in_progress"


def place_id(store_id: str, file_id: str) -> str:
    """Names a place."""
    return f"{store_id}/{file_id}"
