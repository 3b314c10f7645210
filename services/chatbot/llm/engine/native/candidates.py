"""A few tokens with their logits, as llama.cpp's samplers take them."""

import ctypes
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

_LAYOUT = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""`llama_token_data` of llama.h; a test compares it with the header."""


class Candidates:
    """A reused `llama_token_data_array`."""

    def __init__(self, capacity: int) -> None:
        self._data = np.zeros(capacity, _LAYOUT)
        self._array = llama_cpp.llama_token_data_array()
        self._pointer = self._data.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))

    def sample(self, chain: Any, tokens: NDArray[np.integer[Any]], logits: NDArray[np.float32]) -> int:
        """Choose among some tokens with a chain that ends in a choice, and let it accept the token.

        Args:
            chain: A chain of samplers.
            tokens: Ids, at least one.
            logits: Of the whole vocabulary.
        """
        token = self.choose(chain, tokens, logits)
        llama_cpp.llama_sampler_accept(chain, token)
        return token

    def choose(self, chain: Any, tokens: NDArray[np.integer[Any]], logits: NDArray[np.float32]) -> int:
        """As `sample`, but nothing is accepted."""
        self._apply(chain, tokens, logits)
        return int(self._data["id"][self._array.selected])

    def allowed(
        self, grammar: Any, tokens: NDArray[np.integer[Any]], logits: NDArray[np.float32]
    ) -> NDArray[np.integer[Any]]:
        """Those of some tokens with which a grammar goes on."""
        self._apply(grammar, tokens, logits)
        left = self._data[: self._array.size]
        return left["id"][left["logit"] > -np.inf].copy()

    def _apply(self, sampler: Any, tokens: NDArray[np.integer[Any]], logits: NDArray[np.float32]) -> None:
        count = len(tokens)
        self._data["id"][:count] = tokens
        self._data["logit"][:count] = logits[tokens]
        self._array.data = self._pointer
        self._array.size = count
        self._array.selected = -1
        self._array.sorted = False
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(self._array))
