"""Which passages suit best: BM25 over the postings of one owner, with the weights of SQLite's FTS5.

Rarity is counted among the passages that are searched, so nobody else's words change an order, and both stores find
the same (https://sqlite.org/fts5.html, section 5.1.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chatbot.adapters.documents.mongo.own.segments import Numbers, Postings, keys_of

_K1 = 1.2
_B = 0.75
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage by its place: number in a document."""

    document_id: str
    number: int
    score: float


def best(postings: Sequence[Postings], visible: Mapping[str, int], terms: Sequence[str], limit: int) -> list[Hit]:
    """The passages that suit the terms best, best first.

    Args:
        postings: Of one owner.
        visible: Documents that are searched, with their places; of equal passages the one of the earlier comes first.
        terms: One or more.
        limit: Passages at most.
    """
    shown = [np.array([one in visible for one in part.documents], bool)[part.document_of] for part in postings]
    passages = sum(int(mask.sum()) for mask in shown)
    total = sum(int(part.lengths[mask].sum()) for part, mask in zip(postings, shown, strict=True))
    if not passages or not total:
        return []
    average = total / passages
    penalties = [_K1 * (1 - _B + _B * part.lengths / average) for part in postings]
    scores = [np.zeros(len(part.lengths)) for part in postings]
    for term in terms:
        found = [_occurrences(part, mask, term) for part, mask in zip(postings, shown, strict=True)]
        hits = sum(len(rows) for rows, _ in found)
        weight = max(float(np.log((passages - hits + 0.5) / (hits + 0.5))), _SMALLEST) if hits else 0.0
        for score, penalty, (rows, counts) in zip(scores, penalties, found, strict=True):
            score[rows] += weight * counts * (_K1 + 1) / (counts + penalty[rows])
    hits_found: list[Hit] = []
    for part, score in zip(postings, scores, strict=True):
        hits_found += _top(part, score, limit)
    hits_found.sort(key=lambda hit: (-hit.score, visible[hit.document_id], hit.number))
    return hits_found[:limit]


def _occurrences(part: Postings, shown: Numbers, term: str) -> tuple[Numbers, Numbers]:
    """The passages of a term, each once, and how often it occurs in them."""
    if not term:
        return part.rows[:0], part.counts[:0]
    low, beyond = keys_of(term)
    first, last = np.searchsorted(part.keys, np.array([low, beyond], np.uint64))
    rows, counts = (one[int(part.starts[first]) : int(part.starts[last])] for one in (part.rows, part.counts))
    if last - first > 1:
        summed = np.bincount(rows, counts, len(part.lengths))
        rows = np.flatnonzero(summed)
        counts = summed[rows]
    seen = shown[rows]
    return rows[seen], counts[seen].astype(float)


def _top(part: Postings, scores: Numbers, limit: int) -> list[Hit]:
    """The best of one part; more than the limit where the last ones are equal, since places decide among those."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > limit:
        threshold = np.partition(scores[rows], len(rows) - limit)[len(rows) - limit]
        rows = rows[scores[rows] >= threshold]
    return [
        Hit(part.documents[part.document_of[row]], int(part.number_of[row]), float(scores[row]))
        for row in rows.tolist()
    ]
