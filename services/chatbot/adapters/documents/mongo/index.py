"""What passages are found by, apart from the rows that decide.

`documents` says whose a document is, how far it was read and whether searches show it; an index has words and vectors,
and what it answers counts only where a row of `documents` names it. So an index may be behind, ahead or lying, and
nothing foreign, half made or erased is shown (ADR 0029).
"""

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from chatbot.adapters.documents.mongo.tables import Row
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import Lookup
from chatbot.domain.documents import Found, IndexedChunk, VectorSpace


class PassageIndex(Protocol):
    """Words and vectors of passages. Every call raises `DocumentsUnavailable` where it is not answered in time."""

    async def generation(self) -> str:
        """The name of what is there now; another one means that all of before is gone. "" is MongoDB's own."""

    async def add_terms(self, row: Row, lease: str, chunks: Sequence[IndexedChunk]) -> None:
        """Keep what passages are found by, before the row names them; doing it again changes nothing."""

    async def has_terms(self, row: Row) -> bool:
        """Whether everything that the row names is there."""

    async def add_vectors(self, row: Row, space: VectorSpace, packed: Mapping[int, bytes]) -> None:
        """Keep vectors by number of passage, before the row counts them; b"" for a passage that can have none."""

    async def vectors_from(self, row: Row, space: VectorSpace, number: int) -> Set[int]:
        """Passages from that number on whose vectors are kept, though the row does not count them."""

    async def has_vectors(self, row: Row, space: VectorSpace) -> bool:
        """Whether every vector that the row counts is there."""

    async def keep_only(self, document_id: str, row: Row | None) -> None:
        """Remove what the row does not name; all of the document where there is none."""

    async def by_terms(self, owner: Caller, lookup: Lookup) -> tuple[Found, ...]:
        """The best passages by their words."""

    async def by_vector(self, owner: Caller, space: VectorSpace, vector: bytes, lookup: Lookup) -> tuple[Found, ...]:
        """The nearest passages."""

    async def count(self, owner: str) -> int:
        """How much is kept of an owner, by `owner_key`."""

    async def erase_owner(self, owner: str) -> None:
        """Remove all of an owner, by `owner_key`, whatever rows say."""

    def forget(self, owner: Caller) -> None:
        """Let go of what this process keeps of an owner: something of theirs was erased."""

    async def close(self) -> None:
        """Give back connections."""
