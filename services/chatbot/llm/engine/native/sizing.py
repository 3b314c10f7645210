"""How big the engine is on this machine, and the arithmetic that says whether it fits.

A model that does not fit is refused with figures instead of being killed later by the kernel without a word. The
four sizes and their defaults are those of docs/adr/0003.
"""

from dataclasses import dataclass, replace

from chatbot.llm.engine.native.gguf_header import GgufHeader
from chatbot.llm.engine.native.library import GpuMemory
from chatbot.llm.engine.native.machine import MemoryLimit

GIB = 1 << 30
_KV_GRAIN = 256  # llama.cpp rounds its context up to this
_BYTES_F16 = 2
_BYTES_F32 = 4
SMALL_MODEL_BYTES = 50 * 10**6
"""More threads than one only wait for each other in a smaller model."""
_PINNED_SEQUENCES = 2
_MAX_SEQUENCES = 255  # llama_max_parallel_sequences(), and one to move states through
_FIXED_BYTES = 96 << 20  # interpreter, libraries, graph and scheduler of llama.cpp
_HOST_CACHE_POOLS = 4
_LEAST_IDLE_TOKENS = 256
_GRAPH_SHARE = 3  # one more graph takes a CPU 3 ms (one row) to 9 (several), a cell 1.4 us: 52M parameters in F16, AVX2
_FREE_GPU_BYTES = 512 << 20  # left to the driver's own context


class TooLargeForMachine(Exception):
    """Weights, pool and compute buffers need more than there is; the message has the arithmetic."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Sizes as they were configured; 0 asks for this machine's default.

    Attributes:
        context_tokens: Most tokens one request may use.
        slots: Generations at once.
        kv_tokens: Shared pool, tokens.
        step_tokens: Most tokens of one step.
        threads: CPU threads.
        idle_tokens: Cells that idle sequences may keep; -1 asks for the default.
        host_cache_mib: Main memory for evicted sequences; -1 asks for the default.
        may_split: Whether each slot may get cells of its own.
    """

    context_tokens: int
    slots: int = 0
    kv_tokens: int = 0
    step_tokens: int = 0
    threads: int = 0
    idle_tokens: int = -1
    host_cache_mib: int = -1
    may_split: bool = True


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes as they are used.

    Attributes:
        context_tokens: Most tokens one request may use, prompt and answer.
        slots: Generations at once.
        kv_tokens: Cells of all sequences together; a multiple of 256.
        step_tokens: Most rows of one step.
        threads: CPU threads of llama.cpp.
        sequences: Sequences that can be resident: running, idle and pinned ones.
        idle_tokens: Most cells that idle sequences may keep. Every row of a step scans them, so they are not free.
        host_cache_bytes: Main memory for sequences that were evicted from the pool.
        cheap_idle_tokens: Idle cells that are no burden; more of them go to main memory when nobody comes back soon.
        has_streams: Whether each slot has cells of its own, `kv_tokens / slots`, instead of a share of one pool.
        graph_cells: Cells whose scanning takes a row as long as a graph of its own, about.
    """

    context_tokens: int
    slots: int
    kv_tokens: int
    step_tokens: int
    threads: int
    sequences: int
    idle_tokens: int
    host_cache_bytes: int = 0
    cheap_idle_tokens: int | None = None
    has_streams: bool = False
    graph_cells: int = 2048


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes that will be needed, and of how many.

    Attributes:
        weights_bytes: Tensors of the file.
        pool_bytes: KV pool, F16.
        compute_bytes: Activations, masks, logits and a fixed share; an estimate on the safe side.
        available_bytes: What there is.
        source: Where that comes from, in words.
    """

    weights_bytes: int
    pool_bytes: int
    compute_bytes: int
    available_bytes: int
    source: str

    @property
    def needed_bytes(self) -> int:
        """Sum of the three shares."""
        return self.weights_bytes + self.pool_bytes + self.compute_bytes

    def __str__(self) -> str:
        parts = (("weights", self.weights_bytes), ("pool", self.pool_bytes), ("compute", self.compute_bytes))
        shares = " + ".join(f"{name} {_gib(size)}" for name, size in parts)
        return f"{shares} = {_gib(self.needed_bytes)} GiB of {_gib(self.available_bytes)} GiB ({self.source})"


def choose_sizes(wanted: Wanted, header: GgufHeader, *, has_gpu: bool, cpus: int) -> Sizes:
    """Fill in the defaults of this machine and clip the context to what the file was trained on.

    Each slot gets a stream of cells of its own on a CPU where there is room for a whole context in each (and where
    it `may_split`): a row then scans the cells of its own sequence only. Else all share one pool.
    """
    slots = min(wanted.slots or (8 if has_gpu else 4), _MAX_SEQUENCES - 2 * _PINNED_SEQUENCES)
    context = min(wanted.context_tokens, header.size("context_length", wanted.context_tokens))
    may_split = wanted.may_split and not has_gpu
    own = slots * _round_up(context)
    kv_tokens = _round_up(wanted.kv_tokens or (own if may_split else max(slots * context // 2, context + 1024)))
    has_streams = may_split and kv_tokens >= own
    step_tokens = max(wanted.step_tokens or (512 if has_gpu else 256), slots)
    idle_share, idle_limit = (2, 16_384) if has_gpu else (4, 4096)
    idle_tokens = min(kv_tokens // idle_share, idle_limit) if wanted.idle_tokens < 0 else wanted.idle_tokens
    is_free = has_gpu or wanted.idle_tokens >= 0
    return Sizes(
        context_tokens=min(context, kv_tokens),
        slots=slots,
        kv_tokens=kv_tokens,
        step_tokens=min(step_tokens, kv_tokens),
        threads=wanted.threads or (1 if header.weight_bytes < SMALL_MODEL_BYTES else cpus),
        sequences=slots if has_streams else min(3 * slots + _PINNED_SEQUENCES, _MAX_SEQUENCES),
        idle_tokens=idle_tokens,
        cheap_idle_tokens=None if is_free else min(idle_tokens, _cheap_idle_tokens(header)),
        has_streams=has_streams,
        graph_cells=header.weight_bytes // max(1, _cell_bytes(header)) // _GRAPH_SHARE,
    )


def plan_memory(
    sizes: Sizes, header: GgufHeader, limit: MemoryLimit, gpu: GpuMemory | None = None, gpu_layers: int = -1
) -> MemoryPlan:
    """The arithmetic: on the GPU where there is one, else in main memory; of a split model, where there is less room.

    Args:
        sizes: As `choose_sizes` made them.
        header: Of the file.
        limit: Main memory.
        gpu: The GPU that is used, if any.
        gpu_layers: Layers on it; -1 is all.

    Raises:
        TooLargeForMachine: It does not fit.
    """
    share = 0.0 if gpu is None else 1.0
    if gpu is not None and 0 <= gpu_layers <= header.size("block_count", 0):
        share = gpu_layers / (header.size("block_count", 0) + 1)  # llama.cpp counts the output as one more layer
    plans = []
    if gpu is not None:
        available = max(0, gpu.free_bytes - _FREE_GPU_BYTES)
        plans.append(_plan(sizes, header, share, MemoryLimit(available, f"free memory of {gpu.name}")))
    if share < 1:
        plans.append(_plan(sizes, header, 1 - share, limit))
    tightest = min(plans, key=lambda plan: plan.available_bytes - plan.needed_bytes)
    if tightest.needed_bytes > tightest.available_bytes:
        raise TooLargeForMachine(f"the model does not fit: {tightest}")
    return tightest


def fit_sizes(
    wanted: Wanted,
    header: GgufHeader,
    limit: MemoryLimit,
    gpu: GpuMemory | None = None,
    gpu_layers: int = -1,
    *,
    cpus: int,
) -> tuple[Sizes, MemoryPlan]:
    """Sizes that fit, and the arithmetic. By default a pool of half the size where streams have no room.

    Raises:
        TooLargeForMachine: Not even that fits.
    """
    sizes = choose_sizes(wanted, header, has_gpu=gpu is not None, cpus=cpus)
    try:
        return sizes, plan_memory(sizes, header, limit, gpu, gpu_layers)
    except TooLargeForMachine:
        if wanted.kv_tokens or not sizes.has_streams:
            raise
    return fit_sizes(replace(wanted, may_split=False), header, limit, gpu, gpu_layers, cpus=cpus)


def host_cache_bytes(wanted: Wanted, plan: MemoryPlan, limit: MemoryLimit, *, has_gpu: bool) -> int:
    """Main memory for evicted sequences; by default four times the pool, and at most half of what is left.

    Raises:
        TooLargeForMachine: More is wanted than is left.
    """
    left = max(0, limit.available_bytes - (0 if has_gpu else plan.needed_bytes))
    if wanted.host_cache_mib < 0:
        return min(_HOST_CACHE_POOLS * plan.pool_bytes, left // 2)
    wanted_bytes = wanted.host_cache_mib << 20
    if wanted_bytes > left:
        raise TooLargeForMachine(
            f"{_gib(wanted_bytes)} GiB for evicted sequences (CHATBOT_ENGINE_HOST_CACHE_MIB) do not fit: "
            f"{_gib(left)} GiB are left of {limit.source}"
        )
    return wanted_bytes


def _plan(sizes: Sizes, header: GgufHeader, share: float, limit: MemoryLimit) -> MemoryPlan:
    return MemoryPlan(
        weights_bytes=int(header.weight_bytes * share),
        pool_bytes=int(sizes.kv_tokens * _cell_bytes(header) * share),
        compute_bytes=_compute_bytes(sizes, header),
        available_bytes=limit.available_bytes,
        source=limit.source,
    )


def _cell_bytes(header: GgufHeader) -> int:
    heads = max(1, header.size("attention.head_count", 1))
    kv_heads = header.size("attention.head_count_kv", heads)
    head_size = header.size("embedding_length", 0) // heads
    per_head = header.size("attention.key_length", head_size) + header.size("attention.value_length", head_size)
    return header.size("block_count", 0) * kv_heads * per_head * _BYTES_F16


def _compute_bytes(sizes: Sizes, header: GgufHeader) -> int:
    embedding, hidden = header.size("embedding_length", 0), header.size("feed_forward_length", 0)
    activations = sizes.step_tokens * (8 * embedding + 3 * hidden) * _BYTES_F32
    seen_tokens = sizes.kv_tokens // sizes.slots if sizes.has_streams else sizes.kv_tokens
    masks = sizes.step_tokens * seen_tokens * (_BYTES_F32 + _BYTES_F16)
    logits = 3 * sizes.sequences * header.vocabulary_size * _BYTES_F32
    # Without flash attention: the scores of all heads of a layer, before and after the softmax.
    scores = 2 * masks // 6 * header.size("attention.head_count", 1) * _BYTES_F32 if sizes.has_streams else 0
    return activations + masks + scores + logits + _FIXED_BYTES


def _cheap_idle_tokens(header: GgufHeader) -> int:
    """Cells whose scanning makes a row of a CPU's step a twentieth slower.

    A masked cell costs about 1.5 ns per head and layer, a parameter about 0.05 ns per row (AVX2, one thread); more
    threads and wider vectors speed both up.
    """
    heads, layers = max(1, header.size("attention.head_count", 1)), max(1, header.size("block_count", 1))
    embedding, hidden = header.size("embedding_length", 0), header.size("feed_forward_length", 0)
    kv_share = max(1, header.size("attention.head_count_kv", heads)) / heads
    per_layer = embedding * (embedding * (2 + 2 * kv_share) + 3 * hidden)
    row_ns = 0.05 * (layers * per_layer + embedding * header.vocabulary_size)
    return max(_LEAST_IDLE_TOKENS, int(row_ns / 20 / (1.5 * heads * layers)))


def _round_up(tokens: int) -> int:
    return -(-tokens // _KV_GRAIN) * _KV_GRAIN


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.2f}"
