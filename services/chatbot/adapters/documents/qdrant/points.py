"""Points: their names, what they carry, and passages and questions as sparse vectors.

A point carries no text and no name of a person: an owner is a hash, a term is a number of 32 bits. Its name is made of
the passage's own, so writing it twice is writing it once.

The weight of a term in a passage is BM25's without rarity, which Qdrant adds for the passages that are searched
(Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework", 3.1; the modifier `idf` of sparse vectors).
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from chatbot.adapters.documents.mongo.tables import Row, passage_name, runs_of
from chatbot.domain.documents import IndexedChunk

TERMS: Final = "terms"
"""Name of the sparse vector."""

MEANING: Final = "meaning"
"""Name of the dense one."""

_K1: Final = 1.2
_B: Final = 0.75
_USUAL_TERMS: Final = 64.0
"""Terms of a usual passage: nobody can count an owner's average when a passage is written. Measured on the evaluation's
questions: with 64 as many are answered among passages of 50 terms as with their average, 0.02 to 0.04 fewer among those
of 200 to 500; with Qdrant's own 256 it is the other way round."""

Point = dict[str, Any]
Filter = dict[str, Any]


def owner_mark(owner: str) -> str:
    """What stands for an owner, by `owner_key`."""
    return hashlib.sha256(owner.encode()).hexdigest()[:32]


def point_name(document_id: str, lease: str, number: int) -> str:
    """Name of a passage's point, in each collection."""
    told = passage_name(document_id, lease, number).encode()
    return str(UUID(bytes=hashlib.sha256(told).digest()[:16]))


def term_points(row: Row, lease: str, chunks: Sequence[IndexedChunk]) -> list[Point]:
    """Points with the words of passages."""
    return [
        {
            "id": point_name(row["_id"], lease, one.chunk.number),
            "vector": {TERMS: weights(one.terms)} if one.terms else {},
            "payload": _payload(row, lease, one.chunk.number),
        }
        for one in chunks
    ]


def vector_points(row: Row, packed: Mapping[int, bytes]) -> list[Point]:
    """Points with vectors, as `dense.packed` made them; a passage that can have none is a point without."""
    runs = [(run["lease"], range(run["first"], beyond)) for run, beyond in runs_of(row)]
    return [
        {
            "id": point_name(row["_id"], lease, number),
            "vector": {MEANING: _numbers(packed[number])} if packed[number] else {},
            "payload": _payload(row, lease, number),
        }
        for number in packed
        for lease, numbers in runs
        if number in numbers
    ]


def weights(terms: Sequence[str]) -> dict[str, list[Any]]:
    """A passage's terms as a sparse vector, with the beginnings of those that are not ASCII."""
    counts: Counter[int] = Counter()
    for term in terms:
        counts[_number(term)] += 1
        if term and not term[0].isascii():
            counts[_number(term[0], begins=True)] += 1
    penalty = _K1 * (1 - _B + _B * len(terms) / _USUAL_TERMS)
    values = [round(count * (_K1 + 1) / (count + penalty), 4) for count in counts.values()]
    return {"indices": list(counts), "values": values}


def question(terms: Sequence[str]) -> dict[str, list[Any]]:
    """A question's terms; a single character that is not ASCII stands for all terms that begin with it."""
    numbers = dict.fromkeys(_number(one, begins=len(one) == 1 and not one.isascii()) for one in terms if one)
    return {"indices": list(numbers), "values": [1.0] * len(numbers)}


def of_runs(owner: str, leases: Sequence[str]) -> Filter:
    """Points of an owner that some claims wrote."""
    return {"must": [_equal("owner", owner_mark(owner)), {"key": "run", "match": {"any": list(leases)}}]}


def of_owner(owner: str) -> Filter:
    """All points of an owner."""
    return {"must": [_equal("owner", owner_mark(owner))]}


def of_run(owner: str, lease: str, first: int, beyond: int) -> Filter:
    """The points of a claim that a row names."""
    return {"must": [_equal("owner", owner_mark(owner)), *_run(lease, first, beyond)]}


def unnamed(document_id: str, row: Row | None) -> Filter:
    """Points of a document that its row does not name; the worker that holds it now may be ahead of the row."""
    kept: list[Filter] = []
    if row is not None:
        kept = [{"must": _run(run["lease"], run["first"], beyond)} for run, beyond in runs_of(row)]
        kept += [{"must": [_equal("run", row["lease"])]}] if row["lease"] else []
    return {"must": [_equal("document", document_id)], "must_not": kept}


def _run(lease: str, first: int, beyond: int) -> list[Filter]:
    return [_equal("run", lease), {"key": "number", "range": {"gte": first, "lt": beyond}}]


def _equal(key: str, value: str) -> Filter:
    return {"key": key, "match": {"value": value}}


def _payload(row: Row, lease: str, number: int) -> dict[str, Any]:
    return {"owner": owner_mark(row["owner"]), "document": row["_id"], "run": lease, "number": number}


def _number(term: str, *, begins: bool = False) -> int:
    """A term as 32 bits. Two of a passage's hundreds share one once in tens of thousands of passages."""
    mark = b"^" if begins else b"="
    return int.from_bytes(hashlib.blake2b(mark + term.encode("utf-8", "replace"), digest_size=4).digest())


def _numbers(packed: bytes) -> list[float]:
    return [round(number, 6) for number in _halves(packed)]


def _halves(packed: bytes) -> Iterator[float]:
    return (number for (number,) in struct.iter_unpack("<e", packed))
