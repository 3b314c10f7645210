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

    def apply(self, sampler: Any, tokens: NDArray[np.int64], logits: NDArray[np.float32]) -> NDArray[np.void]:
        """Run a sampler over some tokens; what is left, with the logits that it gave them, in its order.

        Args:
            sampler: A sampler or a chain.
            tokens: Ids, at least one.
            logits: Of the whole vocabulary.
        """
        count = len(tokens)
        self._data["id"][:count] = tokens
        self._data["logit"][:count] = logits[tokens]
        self._array.data = self._pointer
        self._array.size = count
        self._array.selected = -1
        self._array.sorted = False
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(self._array))
        return self._data[: self._array.size]

    def sample(self, chain: Any, tokens: NDArray[np.int64], logits: NDArray[np.float32]) -> int:
        """Choose among some tokens with a chain that ends in a choice, and let it accept the token."""
        left = self.apply(chain, tokens, logits)
        token = int(left["id"][self._array.selected])
        llama_cpp.llama_sampler_accept(chain, token)
        return token
