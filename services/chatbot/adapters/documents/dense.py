"""Exact nearest passages: cosine of a question's vector with all of an owner's, in blocks of one document each.

A block never changes, so one that was read once is kept; blocks are let go of by bytes, least recently used first.
20,000 passages of 1,024 numbers take a few milliseconds where they are kept: no approximate index is needed.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from chatbot.domain.chat import Caller

Matrix: TypeAlias = npt.NDArray[np.float32]
KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Block:
    """All vectors of a document in one space.

    Attributes:
        numbers: The passage of each row.
        matrix: A row for each vector, of length 1.
    """

    numbers: npt.NDArray[np.int32]
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Nearest:
    """A passage that is near. `score` is the cosine."""

    document: Any
    number: int
    score: float


def block(rows: Iterable[tuple[int, bytes]], dimensions: int) -> Block:
    """The rows of a store: numbers of passages and their packed vectors. Those without a vector are left out."""
    kept = [(number, packed) for number, packed in rows if packed]
    matrix = np.frombuffer(b"".join(packed for _, packed in kept), dtype="<f2").astype(np.float32)
    return Block(np.array([number for number, _ in kept], dtype=np.int32), matrix.reshape(len(kept), dimensions))


def packed(vector: bytes | None, dimensions: int) -> bytes:
    """A vector as it is stored: half precision moves a cosine by less than 0.001 and halves the file. "" for none.

    Raises:
        ValueError: It has another length, or is not of finite numbers.
    """
    if vector is None:
        return b""
    numbers = np.frombuffer(vector, dtype="<f4")
    if len(numbers) != dimensions or not np.isfinite(numbers).all():
        raise ValueError(f"a vector must have {dimensions} finite numbers")
    return numbers.astype("<f2").tobytes()


class Blocks:
    """Blocks that were read; safe to use from several threads.

    Args:
        kept_bytes: Bytes of all kept blocks at most.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._blocks: OrderedDict[tuple[Caller, Any], Block] = OrderedDict()
        self._lock = threading.Lock()

    def peek(self, owner: Caller, key: Any) -> Block | None:
        """The block of a key where it is kept, for stores that cannot read at once."""
        with self._lock:
            return self._blocks.get((owner, key))

    def get(self, owner: Caller, key: Any, read: Callable[[], Block]) -> Block:
        """The block of a key, which names a document's vectors in one space and never comes back for others."""
        with self._lock:
            found = self._blocks.get((owner, key))
            if found is not None:
                self._blocks.move_to_end((owner, key))
                return found
        found = read()
        with self._lock:
            if (owner, key) not in self._blocks and found.matrix.nbytes <= self._kept_bytes:
                self._blocks[owner, key] = found
                self._bytes += found.matrix.nbytes
            while self._bytes > self._kept_bytes:
                self._bytes -= self._blocks.popitem(last=False)[1].matrix.nbytes
        return found

    def forget(self, owner: Caller) -> None:
        """Let go of an owner's blocks: something of theirs was erased."""
        with self._lock:
            for place in [place for place in self._blocks if place[0] == owner]:
                self._bytes -= self._blocks.pop(place).matrix.nbytes


def nearest(blocks: Iterable[tuple[Any, Block]], vector: bytes, limit: int) -> Sequence[Nearest]:
    """The nearest passages of documents, nearest first; of equals the earlier document and passage."""
    question = np.frombuffer(vector, dtype="<f4")
    best: list[Nearest] = []
    for document, one in blocks:
        if not len(one.numbers):
            continue
        # Not `@`: BLAS asks all cores for each block and waits for the slowest, on a busy machine ten times as long.
        scores = np.einsum("ij,j->i", one.matrix, question)
        top = np.argsort(-scores, kind="stable")[:limit]
        best += [Nearest(document, int(one.numbers[row]), float(scores[row])) for row in top]
        if len(best) > 4 * limit:
            best = sorted(best, key=_by_score)[:limit]
    return sorted(best, key=_by_score)[:limit]


def _by_score(one: Nearest) -> float:
    return -one.score
