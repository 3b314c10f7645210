"""Evicted sequences in main memory: copying them back takes a small part of the time that computing them took.

Only what no resident sequence shares is kept of each, so a thousand conversations with one system prompt hold it once.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from chatbot.llm.engine.batching.tokens import Tokens, common_prefix

WORTH_MOVING = 32
"""Tokens below which computing again is as good."""


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """The end of a sequence. What is in front of `start` must be resident, token by token, to continue with it.

    Attributes:
        tokens: The whole sequence, the missing beginning included.
        start: Position of the first token that `state` holds.
        state: llama.cpp's own bytes.
    """

    tokens: Tokens
    start: int
    state: NDArray[np.uint8]

    @property
    def n_bytes(self) -> int:
        """Main memory that it takes."""
        return int(self.state.nbytes + self.tokens.nbytes)


class HostCache:
    """Saved sequences, found again by the beginning of a prompt; the least recently saved ones go first.

    Attributes:
        n_bytes: Main memory in use, at most `limit_bytes`.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Keep at most `limit_bytes`."""
        self.limit_bytes = limit_bytes
        self.n_bytes = 0
        self._numbers = count()
        self._saved: OrderedDict[int, Saved] = OrderedDict()
        self._by_beginning: dict[int, dict[bytes, set[int]]] = {}

    def __len__(self) -> int:
        return len(self._saved)

    def keep(self, saved: Saved) -> bool:
        """Keep it and drop older ones for it; False where it is larger than everything may be."""
        if saved.n_bytes > self.limit_bytes:
            return False
        while self.n_bytes + saved.n_bytes > self.limit_bytes:
            self._drop(next(iter(self._saved)))
        number = next(self._numbers)
        self._saved[number] = saved
        self.n_bytes += saved.n_bytes
        cut = _cut(saved)
        self._by_beginning.setdefault(cut, {}).setdefault(_digest(saved.tokens, cut), set()).add(number)
        return True

    def take(self, tokens: Tokens, resident: int) -> tuple[Saved, int] | None:
        """Remove what continues a prompt best.

        Args:
            tokens: The prompt.
            resident: Its tokens that are resident.

        Returns:
            The saved sequence and how many tokens it has in common with the prompt, the last token of the prompt not
            counted; None where nothing helps.
        """
        best = self._find(tokens, resident)
        return None if best is None else (self._drop(best[0]), best[1])

    def look(self, tokens: Tokens, resident: int) -> tuple[Saved, int] | None:
        """As `take`, and leave it where it is."""
        best = self._find(tokens, resident)
        return None if best is None else (self._saved[best[0]], best[1])

    def used(self, saved: Saved, length: int) -> None:
        """So many tokens of it are resident now: what little is left need not stay; else it is used last."""
        number = next((number for number, each in self._saved.items() if each is saved), None)
        if number is not None and len(saved.tokens) - length <= 2 * WORTH_MOVING:
            self._drop(number)
        elif number is not None:
            self._saved.move_to_end(number)

    def drop_beginnings(self, tokens: Tokens) -> None:
        """Forget whole sequences that another one, which is going to be kept, begins with."""
        by_digest = self._by_beginning.get(WORTH_MOVING, {})
        for number in list(by_digest.get(_digest(tokens, WORTH_MOVING), ())):
            known = self._saved[number].tokens
            if common_prefix(known, tokens) == len(known):
                self._drop(number)

    def _find(self, tokens: Tokens, resident: int) -> tuple[int, int] | None:
        best: tuple[int, int] | None = None
        for cut, by_digest in self._by_beginning.items():
            if cut - WORTH_MOVING > resident or cut >= len(tokens):
                continue
            for number in by_digest.get(_digest(tokens, cut), ()):
                length = min(common_prefix(self._saved[number].tokens, tokens), len(tokens) - 1)
                if length >= resident + WORTH_MOVING and (best is None or length > best[1]):
                    best = number, length
        return best

    def _drop(self, number: int) -> Saved:
        saved = self._saved.pop(number)
        self.n_bytes -= saved.n_bytes
        cut = _cut(saved)
        digest = _digest(saved.tokens, cut)
        numbers = self._by_beginning[cut][digest]
        numbers.discard(number)
        if not numbers:
            del self._by_beginning[cut][digest]
        if not self._by_beginning[cut]:
            del self._by_beginning[cut]
        return saved


def _cut(saved: Saved) -> int:
    """Length of the beginning by which it is found: a prompt that has less in common gains nothing by it."""
    return saved.start + WORTH_MOVING


def _digest(tokens: Tokens, length: int) -> bytes:
    return hashlib.blake2b(tokens[:length].tobytes(), digest_size=16).digest()
