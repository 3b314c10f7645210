"""llama.cpp as a maker of vectors: one step computes several texts, each a sequence of its own.

Pooling over a text needs all its rows in one graph, so a step's rows are never split (`n_ubatch` = `n_ctx`), and the
cells are one pool: with a pool per sequence llama.cpp regroups rows by length, and the mean of some texts is wrong.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from chatbot.llm.engine.native.model import DECODE_OK, Model, NativeError

POOLINGS: Final = {
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
    "last": llama_cpp.LLAMA_POOLING_TYPE_LAST,
}
"""Ways to one vector of a text's rows. Without one, or as a reranker, a model gives none."""


@dataclass(frozen=True, slots=True)
class EmbeddingSizes:
    """How big a step may be.

    Attributes:
        step_tokens: Most rows, and so the longest text.
        texts: Most texts.
        threads: CPU threads of llama.cpp.
        pooling: A key of `POOLINGS`.
    """

    step_tokens: int
    texts: int
    threads: int
    pooling: str


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens of a text from `first` up to `beyond`."""

    tokens: NDArray[np.int32]
    first: int
    beyond: int


class EmbeddingContext:
    """The compute graph of one embedding model; one thread owns it.

    Attributes:
        dimensions: Numbers of a vector.
    """

    def __init__(self, model: Model, sizes: EmbeddingSizes) -> None:
        """Allocate.

        Raises:
            NativeError: llama.cpp cannot; most often for lack of memory.
        """
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = sizes.step_tokens
        params.n_seq_max = sizes.texts
        params.n_threads = params.n_threads_batch = sizes.threads
        params.embeddings = True
        params.pooling_type = POOLINGS[sizes.pooling]
        params.kv_unified = True
        params.no_perf = True
        self._handle = llama_cpp.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise NativeError("llama.cpp cannot allocate the context")
        self.dimensions = int(llama_cpp.llama_model_n_embd(model.handle))
        self._sizes = sizes
        self._batch: Any = llama_cpp.llama_batch_init(sizes.step_tokens, 0, 1)

    def embed(self, texts: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Vectors of length 1, a row for each text; zeros where a text gives none.

        Raises:
            NativeError: They do not fit a step, or llama.cpp fails.
        """
        rows = sum(map(len, texts))
        if not texts or len(texts) > self._sizes.texts or rows > self._sizes.step_tokens or not all(map(len, texts)):
            raise NativeError(f"{len(texts)} texts of {rows} tokens are no step")
        memory = llama_cpp.llama_get_memory(self._handle)
        if memory:  # an encoder has none
            llama_cpp.llama_memory_clear(memory, True)
        whole = [Run(tokens, 0, len(tokens)) for tokens in texts]
        if memory and self._sizes.pooling == "last":
            # Of rows that are pooled llama.cpp computes and copies the logits, too: 1 GiB for 2,000 rows of a usual
            # vocabulary. The last row alone is pooled here, so the others go before it, without outputs.
            begins = [Run(tokens, 0, len(tokens) - 1) for tokens in texts]
            if any(run.beyond for run in begins):
                self._decode(begins, with_outputs=False)
            whole = [Run(tokens, len(tokens) - 1, len(tokens)) for tokens in texts]
        self._decode(whole, with_outputs=True)
        llama_cpp.llama_synchronize(self._handle)
        return unit_rows(np.stack([self._vector(sequence) for sequence in range(len(texts))]))

    def _decode(self, runs: Sequence["Run"], *, with_outputs: bool) -> None:
        """Compute a run of each sequence."""
        batch, at = self._batch, 0
        for sequence, run in enumerate(runs):
            for position, token in enumerate(run.tokens[run.first : run.beyond].tolist(), start=run.first):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, sequence
                batch.logits[at] = with_outputs
                at += 1
        batch.n_tokens = at
        llama_cpp.llama_set_embeddings(self._handle, with_outputs)
        if int(llama_cpp.llama_decode(self._handle, batch)) != DECODE_OK:
            raise NativeError("llama.cpp does not compute the texts")

    def _vector(self, sequence: int) -> NDArray[np.float32]:
        pointer = llama_cpp.llama_get_embeddings_seq(self._handle, ctypes.c_int32(sequence))
        if not pointer:
            raise NativeError("a text has no vector")
        vector: NDArray[np.float32] = np.ctypeslib.as_array(pointer, shape=(self.dimensions,)).copy()
        return vector


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; zeros where a row is none that has a direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    has_direction = np.isfinite(lengths) & (lengths > 0)
    made: NDArray[np.float32] = np.where(has_direction, vectors / np.where(has_direction, lengths, 1), 0)
    return made.astype(np.float32)
