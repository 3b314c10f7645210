"""What the core needs to keep the files that users bring, and which of them lie in which store."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from chatbot.domain.chat import Caller


class RowKind(StrEnum):
    """What a row is."""

    FILE = "file"
    STORE = "store"
    PLACE = "place"


@dataclass(frozen=True, slots=True)
class ShelfRow:
    """One thing of an owner.

    Attributes:
        row_id: Names it among those of its kind.
        created_at: Unix seconds.
        fields: Plain JSON.
    """

    kind: RowKind
    row_id: str
    created_at: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ShelfBounds:
    """How much one owner may keep, beside the bounds of documents.

    Attributes:
        files: Files.
        bytes: Of all files together.
        stores: Stores that were made by name.
    """

    files: int = 1000
    bytes: int = 512 * 2**20
    stores: int = 100


class ShelfStore(Protocol):
    """Rows and the bytes of files; everything of an owner is reached by the owner alone.

    Every call raises `StoreUnavailable` where the store does not answer in time.
    """

    async def put(self, owner: Caller, row: ShelfRow) -> None:
        """Keep a row; one of this kind and id is replaced."""

    async def get(self, owner: Caller, kind: RowKind, row_id: str) -> ShelfRow | None:
        """A row of this owner; None for anybody else's."""

    async def rows(self, owner: Caller, kind: RowKind) -> tuple[ShelfRow, ...]:
        """All rows of a kind, the oldest first."""

    async def remove(self, owner: Caller, kind: RowKind, row_id: str) -> bool:
        """Remove a row, and of a file its bytes. False where there is none."""

    async def keep(self, owner: Caller, file_id: str, content: bytes) -> None:
        """Keep the bytes of a file whose row is kept already."""

    async def content(self, owner: Caller, file_id: str) -> bytes | None:
        """The bytes of a file; None where they are not whole or not this owner's."""

    async def close(self) -> None:
        """Give back connections and files."""
