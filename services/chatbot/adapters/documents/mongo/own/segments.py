"""What passages are found by, as numbers: the words of some passages as one row of binary data.

A term is a number: its first character above, a hash of it below. Equal terms are equal numbers, the words that begin
with a character are a range of them, and a number of 43 bits is shared by two words of one beginning once in billions.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEGMENT_PASSAGES = 256
"""Passages of one row: with their words well below the 16 MiB that it may have."""

_HASH_BITS = 43
_HASH = (1 << _HASH_BITS) - 1
_KEY, _ROW, _COUNT, _LENGTH = "<u8", "<u2", "<u2", "<u4"
_MOST = 65535
Numbers = NDArray[Any]


def key_of(term: str) -> int:
    """A term as a number."""
    return (ord(term[0]) << _HASH_BITS) | (
        int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest()) & _HASH
    )


def keys_of(term: str) -> tuple[int, int]:
    """The numbers that a term of a question stands for: from, and below.

    A single character that is not ASCII stands for all terms that begin with it, as in the embedded store.
    """
    if len(term) == 1 and not term.isascii():
        return ord(term) << _HASH_BITS, (ord(term) + 1) << _HASH_BITS
    return key_of(term), key_of(term) + 1


def to_segment(passages: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The terms of passages, at most `SEGMENT_PASSAGES`, as fields of a row."""
    keys: list[int] = []
    rows: list[int] = []
    counts: list[int] = []
    for row, terms in enumerate(passages):
        counted = Counter(term.encode("utf-8", "replace").decode() for term in terms)
        keys += map(key_of, counted)
        rows += [row] * len(counted)
        counts += (min(count, _MOST) for count in counted.values())
    order = np.argsort(np.array(keys, _KEY), kind="stable")
    return {
        "lengths": np.array([len(terms) for terms in passages], _LENGTH).tobytes(),
        "keys": np.array(keys, _KEY)[order].tobytes(),
        "rows": np.array(rows, _ROW)[order].tobytes(),
        "counts": np.array(counts, _COUNT)[order].tobytes(),
    }


@dataclass(frozen=True, slots=True)
class Postings:
    """Where terms occur.

    Attributes:
        documents: Ids.
        document_of: Of each passage its place in `documents`.
        number_of: Of each passage its number in the document.
        lengths: Of each passage how many terms it has.
        keys: Each number of a term once, ascending.
        starts: Where its passages begin in `rows`; one more than keys.
        rows: Passages, ascending for each term.
        counts: How often it occurs there.
    """

    documents: tuple[str, ...]
    document_of: Numbers
    number_of: Numbers
    lengths: Numbers
    keys: Numbers
    starts: Numbers
    rows: Numbers
    counts: Numbers

    @property
    def bytes(self) -> int:
        """Memory."""
        return sum(one.nbytes for one in self._arrays()) + 64 * len(self.documents)

    def _arrays(self) -> Iterable[Numbers]:
        return (self.document_of, self.number_of, self.lengths, self.keys, self.starts, self.rows, self.counts)


def from_segments(segments: Sequence[Mapping[str, Any]]) -> Postings:
    """The postings of segments as they were stored: each with `document` and `first`."""
    places: dict[str, int] = {}
    document_of, number_of, lengths, keys, rows, counts = [], [], [], [], [], []
    begin = 0
    for one in segments:
        place = places.setdefault(one["document"], len(places))
        length = np.frombuffer(one["lengths"], _LENGTH)
        document_of.append(np.full(len(length), place, np.int32))
        number_of.append(np.arange(one["first"], one["first"] + len(length), dtype=np.int32))
        lengths.append(length)
        keys.append(np.frombuffer(one["keys"], _KEY))
        rows.append(np.frombuffer(one["rows"], _ROW).astype(np.uint32) + begin)
        counts.append(np.frombuffer(one["counts"], _COUNT))
        begin += len(length)
    made = (_joined(document_of, np.int32), _joined(number_of, np.int32), _joined(lengths, np.uint32))
    return _sorted(tuple(places), made, _joined(keys, np.uint64), _joined(rows, np.uint32), _joined(counts, np.uint16))


def merged(postings: Sequence[Postings]) -> Postings:
    """Several as one."""
    documents: tuple[str, ...] = ()
    document_of, rows, passages = [], [], 0
    for one in postings:
        document_of.append(one.document_of + len(documents))
        rows.append(one.rows + np.uint32(passages))
        documents += one.documents
        passages += len(one.lengths)
    made = (
        _joined(document_of, np.int32),
        _joined([one.number_of for one in postings], np.int32),
        _joined([one.lengths for one in postings], np.uint32),
    )
    keys = _joined([np.repeat(one.keys, np.diff(one.starts)) for one in postings], np.uint64)
    return _sorted(
        documents, made, keys, _joined(rows, np.uint32), _joined([one.counts for one in postings], np.uint16)
    )


def _sorted(
    documents: tuple[str, ...],
    passages: tuple[Numbers, Numbers, Numbers],
    keys: Numbers,
    rows: Numbers,
    counts: Numbers,
) -> Postings:
    order = np.argsort(keys, kind="stable")  # passages stay ascending inside one term
    once, starts = np.unique(keys[order], return_index=True)
    bounds = np.append(starts, len(keys)).astype(np.uint32)
    return Postings(documents, *passages, once, bounds, rows[order], counts[order])


def _joined(arrays: Sequence[Numbers], kind: Any) -> Numbers:
    return np.concatenate(arrays).astype(kind, copy=False) if arrays else np.array([], kind)
