"""The rows of one step, as arrays that llama.cpp reads in place: no Python loop per token."""

import ctypes
from collections.abc import Iterator
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

_Int32 = ctypes.POINTER(ctypes.c_int32)


class Batch:
    """A `llama_batch` over numpy arrays; refilled for each step. Never give it to `llama_batch_free`."""

    def __init__(self, capacity: int) -> None:
        self._token = np.zeros(capacity, np.int32)
        self._position = np.zeros(capacity, np.int32)
        self._sequence = np.zeros(capacity, np.int32)
        self._output = np.zeros(capacity, np.int8)
        self._sequences_per_row = np.ones(capacity, np.int32)
        self._pointers = (_Int32 * (capacity + 1))()  # NULL-terminated, as llama_batch_init makes it
        addresses = np.frombuffer(memoryview(self._pointers).cast("B"), dtype=np.uintp)
        addresses[:capacity] = self._sequence.ctypes.data + 4 * np.arange(capacity, dtype=np.uintp)
        self._native = llama_cpp.llama_batch(
            n_tokens=0,
            token=self._token.ctypes.data_as(_Int32),
            embd=None,
            pos=self._position.ctypes.data_as(_Int32),
            n_seq_id=self._sequences_per_row.ctypes.data_as(_Int32),
            seq_id=ctypes.cast(self._pointers, ctypes.POINTER(_Int32)),
            logits=self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
        self._capacity = capacity
        self._starts: list[tuple[int, int]] = []
        self._length = 0
        self.n_outputs = 0

    def __len__(self) -> int:
        return self._length

    def clear(self) -> None:
        """Begin the next step."""
        self._length = self.n_outputs = 0
        self._starts.clear()

    def add(
        self, tokens: NDArray[np.int32], start: int, sequence: int, *, output: bool, also: int | None = None
    ) -> int:
        """Append a run of one sequence.

        Args:
            tokens: int32 array of shape (n,), n >= 1.
            start: Position of the first one.
            sequence: Sequence id.
            output: Whether the last row's logits are wanted.
            also: Another row whose logits are wanted; or the last one, too.

        Returns:
            Index of the run's last row, by which its logits are read.

        Raises:
            ValueError: There is no room.
        """
        first, end = self._length, self._length + len(tokens)
        if end > self._capacity:
            raise ValueError(f"no room for {len(tokens)} rows")
        self._token[first:end] = tokens
        self._position[first:end] = np.arange(start, start + len(tokens), dtype=np.int32)
        self._sequence[first:end] = sequence
        self._output[first:end] = 0
        self._output[end - 1] = output
        if also is not None:
            self._output[first + also] = 1
        self._starts.append((sequence, start))
        self.n_outputs += int(np.count_nonzero(self._output[first:end]))
        self._length = end
        return end - 1

    def starts(self) -> Iterator[tuple[int, int]]:
        """Sequence id and first position of each run."""
        return iter(self._starts)

    def native(self) -> Any:
        """The `llama_batch`; valid until the next `clear`."""
        self._native.n_tokens = self._length
        return self._native
