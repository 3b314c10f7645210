"""What makes vectors of texts, for documents, for questions to them and for clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from chatbot.domain.documents import VectorSpace


class Purpose(IntEnum):
    """What a vector is for; many models want another text for each. The order is that in which they are computed."""

    QUESTION = 0
    PLAIN = 1
    PASSAGE = 2


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model that makes vectors.

    Attributes:
        name: For clients.
        space: What its vectors can be compared with.
        context_tokens: Longest text; 0 where nobody knows.
        may_shorten: Whether the first numbers of a vector are a vector of their own (Matryoshka training).
    """

    name: str
    space: VectorSpace
    context_tokens: int
    may_shorten: bool


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of texts, in their order.

    Attributes:
        vectors: Little-endian float32 numbers of length 1 each; None where a text has none.
        tokens: Of all texts.
    """

    vectors: tuple[bytes | None, ...]
    tokens: int


class EmbeddingSource(Protocol):
    """A model that makes vectors, here or elsewhere.

    Attributes:
        is_remote: Whether texts leave the house.
    """

    is_remote: bool

    def model(self) -> EmbeddingModel | None:
        """The model, also while it does not answer for a moment; None before anything is known of it."""

    def serves(self, space: VectorSpace) -> bool:
        """Whether questions can be asked in this space, which may be that of an earlier model."""

    async def embed(
        self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None = None
    ) -> Embedded:
        """Make vectors. A passage or a question that is too long is cut; a plain text never is.

        Args:
            texts: One or more, any number.
            purpose: What for.
            deadline: `time.monotonic()` seconds.
            space: None: the model's own.

        Raises:
            EmbeddingUnavailable: The model does not answer, or not in time.
            InvalidInput: It does not take these texts as they are; one that is too long is `PromptTooLong`.
        """

    async def close(self) -> None:
        """Give back processes and connections. Idempotent."""
