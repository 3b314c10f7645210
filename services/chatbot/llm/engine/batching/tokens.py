"""Rows of token ids, and sequences of them that llama.cpp holds."""

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]
_FIRST_CAPACITY = 256


def common_prefix(left: Tokens, right: Tokens) -> int:
    """Length of the longest common prefix."""
    shorter = min(len(left), len(right))
    differs = left[:shorter] != right[:shorter]
    return int(differs.argmax()) if differs.any() else shorter


class Sequence:
    """One sequence id of llama.cpp and what is resident in it.

    Attributes:
        number: The id.
        length: Tokens that are resident.
        active: Whether a generation owns it.
        pinned: Whether it holds a shared beginning and is evicted last.
        used_at: Order of last use.
        retired_at: Step after which it ran no more.
    """

    __slots__ = ("_cells", "_tokens", "active", "length", "number", "pinned", "retired_at", "used_at")

    def __init__(self, number: int) -> None:
        self.number = number
        self.length = self.used_at = self.retired_at = 0
        self.active = self.pinned = False
        self._tokens = np.zeros(_FIRST_CAPACITY, np.int32)
        self._cells = np.zeros(_FIRST_CAPACITY, np.int32)

    @property
    def tokens(self) -> Tokens:
        """The resident tokens."""
        return self._tokens[: self.length]

    @property
    def cells(self) -> Tokens:
        """The cells that hold them."""
        return self._cells[: self.length]

    def extend(self, tokens: Tokens, cells: Tokens | int = 0) -> None:
        """Note tokens that became resident, and where, if anybody asks."""
        end = self.length + len(tokens)
        if end > len(self._tokens):
            size = max(end, 2 * len(self._tokens))
            self._tokens = np.resize(self._tokens, size)
            self._cells = np.resize(self._cells, size)
        self._tokens[self.length : end] = tokens
        self._cells[self.length : end] = cells
        self.length = end
