"""A loaded model and its context: every call of llama.cpp that could end the process is guarded here.

One thread owns the context and is its only caller; the vocabulary's functions may be called from any thread.
"""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from chatbot.llm.engine.native.batch import Batch
from chatbot.llm.engine.native.sizing import Sizes

_GGML_TYPE_F32 = 0
_FLASH_ATTENTION = (llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED, llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED)
DECODE_OK = 0
DECODE_NO_CELLS = 1
DECODE_ABORTED = 2
DECODE_INVALID = -1


class NativeError(Exception):
    """llama.cpp refused; the message says which call."""


class Model:
    """Weights and vocabulary of one file."""

    def __init__(self, path: Path, gpu_layers: int, on_progress: Callable[[float], None]) -> None:
        """Load.

        Args:
            path: A GGUF whose header was checked.
            gpu_layers: Layers on the GPU; -1 is all.
            on_progress: Called from the loading thread with 0.0-1.0.

        Raises:
            NativeError: llama.cpp does not load it.
        """

        def progress(fraction: float, _user_data: object) -> bool:
            on_progress(fraction)
            return True

        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.split_mode = llama_cpp.LLAMA_SPLIT_MODE_NONE
        params.main_gpu = 0
        self._progress = llama_cpp.llama_progress_callback(progress)  # kept: the C side holds only the address
        params.progress_callback = self._progress
        self.handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise NativeError("llama.cpp does not load the file")
        self.vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.n_vocab = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        if llama_cpp.llama_model_has_encoder(self.handle) or not llama_cpp.llama_model_has_decoder(self.handle):
            raise NativeError("the model does not generate text")

    @property
    def can_share_prefixes(self) -> bool:
        """Whether a sequence can be cut at any position. Recurrent state has no positions."""
        recurrent = llama_cpp.llama_model_is_recurrent(self.handle) or llama_cpp.llama_model_is_hybrid(self.handle)
        return not recurrent


class Context:
    """The KV pool and the compute graph of one model.

    Attributes:
        n_cells: Cells of the pool, as llama.cpp rounded them.
        n_sequence_cells: Most cells of one sequence.
        n_rows_max: Most rows of one batch.
        n_vocab: Logits of a row.
    """

    def __init__(self, model: Model, sizes: Sizes, *, is_exact: bool = False) -> None:
        """Allocate pool and buffers.

        Args:
            model: Whose context.
            sizes: As `choose_sizes` made them.
            is_exact: F32 cells and plain attention, for comparisons. Flash attention on a CPU sums in F16, in the
                order of the cells: the same answer's logits then differ by up to 0.006 with who else is answered.

        Raises:
            NativeError: llama.cpp cannot; most often for lack of memory.
        """
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = sizes.kv_tokens
        # One graph per step: a step that fails has then changed nothing.
        params.n_batch = params.n_ubatch = sizes.step_tokens
        # A sequence of a shared pool more, where states are moved in and out; streams take them in as a whole.
        params.n_seq_max = sizes.sequences + (0 if sizes.has_streams else 1)
        # Below n_seq_max it aborts; 0 would reserve n_batch x n_vocab logits.
        params.n_outputs_max = max(2 * sizes.slots, params.n_seq_max)  # an answer's first token, and its decision
        params.n_threads = params.n_threads_batch = sizes.threads
        # Unified: prefixes are shared by metadata only, and every row scans the cells of all. Streams: only its own.
        params.kv_unified = not sizes.has_streams
        params.swa_full = True  # else a sliding window cannot be cut at any position
        # A CPU scans a sequence's own cells a quarter faster without it, those of a shared pool several times slower.
        has_flash = not (is_exact or sizes.has_streams)
        params.flash_attn_type = _FLASH_ATTENTION[has_flash]
        if is_exact:
            params.type_k = params.type_v = _GGML_TYPE_F32
        params.no_perf = True
        # Asked after every node of the graph, so it must be no Python: the length of a text that is empty or not.
        self._abort_text = ctypes.create_string_buffer(2)
        self._abort_callback = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
        params.abort_callback = self._abort_callback
        params.abort_callback_data = ctypes.cast(self._abort_text, ctypes.c_void_p)
        self._handle = llama_cpp.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise NativeError("llama.cpp cannot allocate the context")
        self._row_types: dict[int, type[ctypes.Array[ctypes.c_float]]] = {}  # making one takes longer than using it
        self._memory = llama_cpp.llama_get_memory(self._handle)
        self.n_vocab = model.n_vocab
        self._n_sequences = sizes.sequences
        self._n_outputs_max = int(params.n_outputs_max)
        self.n_cells = int(llama_cpp.llama_n_ctx(self._handle))
        self.n_sequence_cells = int(llama_cpp.llama_n_ctx_seq(self._handle))
        self.n_rows_max = int(llama_cpp.llama_n_batch(self._handle))

    def decode(self, batch: Batch) -> int:
        """Compute a batch; 0, or llama.cpp's error (1: no cells, 2: aborted), after which nothing has changed.

        Raises:
            NativeError: The batch would abort the process: too many rows or outputs, or positions that do not
                continue their sequences (llama.cpp answers that silently with nonsense).
        """
        if not 0 < len(batch) <= self.n_rows_max or batch.n_outputs > self._n_outputs_max:
            raise NativeError(f"a batch of {len(batch)} rows and {batch.n_outputs} outputs is out of bounds")
        for sequence, start in batch.starts():
            if self.last_position(sequence) != start - 1:
                raise NativeError(f"row at {start} does not continue sequence {sequence}")
        self._abort_text.value = b""
        code = int(llama_cpp.llama_decode(self._handle, batch.native()))
        llama_cpp.llama_synchronize(self._handle)  # a GPU's decode returns before it is done
        if code != DECODE_OK:
            # Rows of streams are computed in several graphs: those before the one that failed have left their cells.
            for sequence, start in batch.starts():
                self.cut(sequence, start)
        return code

    def abort(self) -> None:
        """From any thread: let a running `decode` of a CPU end with 2 at its next node; between two it does nothing."""
        self._abort_text.value = b"x"

    def logits(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Logits of rows that were marked as output: float32 of shape (rows, n_vocab), valid until the next decode.

        Raises:
            NativeError: One of the rows has none.
        """
        pointers = [llama_cpp.llama_get_logits_ith(self._handle, row) for row in rows]
        if not all(pointers):
            raise NativeError("a row has no logits")
        addresses = [ctypes.addressof(pointer.contents) for pointer in pointers]
        row_bytes = 4 * self.n_vocab
        if addresses == list(range(addresses[0], addresses[0] + row_bytes * len(rows), row_bytes)):
            return self._floats(addresses[0], len(rows))
        return np.concatenate([self._floats(address, 1) for address in addresses])

    def sample(self, chain: Any, row: int) -> int:
        """Choose and accept a token; call `logits` of the row first, it proves that there are any."""
        return int(llama_cpp.llama_sampler_sample(chain, self._handle, row))

    def _floats(self, address: int, rows: int) -> NDArray[np.float32]:
        kind = self._row_types.get(rows) or self._row_types.setdefault(rows, ctypes.c_float * (rows * self.n_vocab))
        floats: NDArray[np.float32] = np.ctypeslib.as_array(kind.from_address(address))
        return floats.reshape(rows, self.n_vocab)

    def last_position(self, sequence: int) -> int:
        """Highest position of a sequence, -1 where it is empty."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, self._checked(sequence)))

    def cut(self, sequence: int, length: int) -> None:
        """Forget everything of a sequence from position `length` on.

        Raises:
            NativeError: This kind of memory cannot be cut there.
        """
        if not llama_cpp.llama_memory_seq_rm(self._memory, self._checked(sequence), length, -1):
            raise NativeError("the memory of this model cannot be cut")

    def fork(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence share the first `length` cells of another one."""
        arguments = (self._checked(source), self._checked(target), 0, length)
        llama_cpp.llama_memory_seq_cp(self._memory, *arguments)

    def save(self, sequence: int, start: int) -> NDArray[np.uint8]:
        """The state of a sequence from position `start` on, as bytes of main memory.

        Valid for this model, these cell types and this attention only.

        Raises:
            NativeError: llama.cpp gives none.
        """
        scratch = ctypes.c_int32(self._n_sequences)
        llama_cpp.llama_memory_seq_cp(self._memory, self._checked(sequence), scratch, start, -1)
        state = np.empty(int(llama_cpp.llama_state_seq_get_size(self._handle, scratch)), np.uint8)
        written = int(llama_cpp.llama_state_seq_get_data(self._handle, _address(state), state.nbytes, scratch))
        llama_cpp.llama_memory_seq_rm(self._memory, scratch, -1, -1)
        if not 0 < written <= state.nbytes:
            raise NativeError("llama.cpp does not save a sequence")
        return state[:written]

    def restore(self, state: NDArray[np.uint8], sequence: int, start: int, end: int) -> bool:
        """Let a sequence of `start` tokens go on with those of a saved state, up to position `end`.

        Needs as many free cells as the state has tokens. The caller answers for the tokens being the same.

        Returns:
            Whether llama.cpp took it; nothing has changed where not.

        Raises:
            NativeError: The positions do not meet.
        """
        if self.last_position(sequence) != start - 1:
            raise NativeError(f"a state at {start} does not continue sequence {sequence}")
        scratch = ctypes.c_int32(self._n_sequences)
        read = int(llama_cpp.llama_state_seq_set_data(self._handle, _address(state), state.nbytes, scratch))
        first = int(llama_cpp.llama_memory_seq_pos_min(self._memory, scratch))
        last = int(llama_cpp.llama_memory_seq_pos_max(self._memory, scratch))
        is_whole = read == state.nbytes and 0 <= first <= start < end <= last + 1
        if is_whole:
            llama_cpp.llama_memory_seq_cp(self._memory, scratch, self._checked(sequence), start, end)
        llama_cpp.llama_memory_seq_rm(self._memory, scratch, -1, -1)
        if self.last_position(sequence) != (end if is_whole else start) - 1:
            raise NativeError(f"sequence {sequence} has a gap at {start}")
        return is_whole

    def save_whole(self, sequence: int) -> NDArray[np.uint8]:
        """The state of a whole sequence, as bytes of main memory; of the same use as those of `save`.

        Raises:
            NativeError: llama.cpp gives none.
        """
        number = self._checked(sequence)
        state = np.empty(int(llama_cpp.llama_state_seq_get_size(self._handle, number)), np.uint8)
        written = int(llama_cpp.llama_state_seq_get_data(self._handle, _address(state), state.nbytes, number))
        if not 0 < written <= state.nbytes:
            raise NativeError("llama.cpp does not save a sequence")
        return state[:written]

    def load_whole(self, state: NDArray[np.uint8], sequence: int, length: int) -> bool:
        """Let a sequence be the first `length` tokens of a saved whole one; what it held is forgotten.

        The copy is done when this returns, unlike that of `llama_memory_seq_cp` between streams, which the next decode
        makes: whatever happens to the source before it would be copied instead.

        Returns:
            Whether llama.cpp took it; the sequence is empty where not.
        """
        number = self._checked(sequence)
        read = int(llama_cpp.llama_state_seq_set_data(self._handle, _address(state), state.nbytes, number))
        first = int(llama_cpp.llama_memory_seq_pos_min(self._memory, number))
        is_whole = read == state.nbytes and first == 0 and self.last_position(sequence) >= length - 1
        self.cut(sequence, length if is_whole else 0)
        return is_whole

    def close(self) -> None:
        """Free the pool. The context must not be used afterwards."""
        if self._handle:
            llama_cpp.llama_free(self._handle)
            self._handle = None

    def _checked(self, sequence: int) -> ctypes.c_int32:
        if not 0 <= sequence < self._n_sequences:
            raise NativeError(f"there is no sequence {sequence}")
        return ctypes.c_int32(sequence)


def _address(state: NDArray[np.uint8]) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
