"""What our service may need in memory, by the engine's own arithmetic for this machine."""

from typing import Final

from chatbot.llm.engine.native.gguf_header import read_gguf_header
from chatbot.llm.engine.native.machine import memory_limit
from chatbot.llm.engine.native.sizing import Wanted, choose_sizes, host_cache_bytes, plan_memory

from engine_bench.servers.contestants import Place

OTHER_BYTES: Final = 300_000_000
"""For two interpreters, their libraries and all else."""


def allowed_bytes(place: Place) -> int:
    """Weights, cells, compute and all that the host cache may take, and 300 MB.

    Raises:
        OSError: The model cannot be read.
    """
    header = read_gguf_header(place.model)
    context = -(-place.slot_tokens // 256) * 256
    wanted = Wanted(context, slots=place.slots, kv_tokens=place.kv_tokens, threads=place.threads)
    limit = memory_limit()
    plan = plan_memory(choose_sizes(wanted, header, has_gpu=False, cpus=place.threads), header, limit)
    return plan.needed_bytes + host_cache_bytes(wanted, plan, limit, has_gpu=False) + OTHER_BYTES
