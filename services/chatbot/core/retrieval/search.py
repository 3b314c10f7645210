"""A question -> the passages that are read for its answer."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chatbot.core.retrieval.terms import query_terms
from chatbot.domain.chat import Caller
from chatbot.domain.document_store import DocumentStore, Lookup
from chatbot.domain.documents import Found

CANDIDATES = 50
PER_DOCUMENT = 3
DEFAULT_PASSAGES = 5


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and where.

    Attributes:
        passages: How many at most.
        collections: Only these; empty means all.
        filters: Metadata that must be equal.
        ids: Only these documents; empty means all.
        per_document: Passages of one document at most.
    """

    question: str
    passages: int = DEFAULT_PASSAGES
    collections: Sequence[str] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    ids: Sequence[str] = ()
    per_document: int = PER_DOCUMENT


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found, best first.

    Attributes:
        passages: `score` is 1 for the best one and what share of it the others reach.
        candidates: How many passages the index offered.
        seconds: Time of the index.
    """

    passages: tuple[Found, ...]
    candidates: int
    seconds: float


class Retriever:
    """Looks up questions by their words.

    Args:
        store: The documents.
        clock: Monotonic seconds.
    """

    def __init__(self, store: DocumentStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock

    async def search(self, owner: Caller, search: Search) -> Retrieved:
        """The best passages of an owner's documents.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        began = self._clock()
        lookup = Lookup(query_terms(search.question), CANDIDATES, search.collections, search.filters, search.ids)
        found = await self._store.search(owner, lookup) if lookup.terms else ()
        return Retrieved(_chosen(found, search), len(found), self._clock() - began)


def _chosen(found: Sequence[Found], search: Search) -> tuple[Found, ...]:
    """At most so many of one document, scores as shares of the best."""
    taken: Counter[str] = Counter()
    chosen: list[Found] = []
    for one in found:
        if len(chosen) == search.passages:
            break
        if taken[one.document_id] < search.per_document:
            taken[one.document_id] += 1
            share = one.score / found[0].score if found[0].score > 0 else 1.0
            chosen.append(Found(one.document_id, one.name, one.metadata, one.chunk, round(share, 4)))
    return tuple(chosen)
