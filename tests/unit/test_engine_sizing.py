"""Sizes of the engine and the arithmetic that refuses what does not fit."""

from pathlib import Path
from typing import Any

import pytest
from chatbot.llm.engine.native.gguf_header import GgufHeader
from chatbot.llm.engine.native.library import GpuMemory
from chatbot.llm.engine.native.machine import MemoryLimit, memory_limit, usable_cpus
from chatbot.llm.engine.native.sizing import (
    GIB,
    MemoryPlan,
    Sizes,
    TooLargeForMachine,
    Wanted,
    choose_sizes,
    fit_sizes,
    host_cache_bytes,
    plan_memory,
)

LLAMA_8B: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.context_length": 131_072,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14_336,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
}
HEADER = GgufHeader(LLAMA_8B, int(4.6 * GIB), 128_256)
MACHINE = MemoryLimit(16 * GIB, "memory limit of the container")


def sizes(*, has_gpu: bool = False, header: GgufHeader = HEADER, **wanted: int) -> Sizes:
    return choose_sizes(Wanted(**{"context_tokens": 8192, **wanted}), header, has_gpu=has_gpu, cpus=6)


def shared(**wanted: int) -> Sizes:
    return sizes(may_split=False, **wanted)


@pytest.mark.parametrize(
    ("has_gpu", "slots", "kv_tokens", "step_tokens"), [(False, 4, 32_768, 256), (True, 8, 32_768, 512)]
)
def test_defaults_of_a_machine(has_gpu: bool, slots: int, kv_tokens: int, step_tokens: int) -> None:
    chosen = sizes(has_gpu=has_gpu)

    assert (chosen.slots, chosen.kv_tokens, chosen.step_tokens) == (slots, kv_tokens, step_tokens)
    assert chosen.threads == 6


def test_each_slot_of_a_cpu_has_cells_for_a_whole_context() -> None:
    chosen = sizes(context_tokens=1000)

    assert (chosen.has_streams, chosen.kv_tokens, chosen.sequences) == (True, 4 * 1024, 4)
    assert sizes(kv_tokens=32_768).has_streams
    assert not sizes(kv_tokens=32_767 - 256).has_streams
    assert not sizes(has_gpu=True, kv_tokens=65_536).has_streams


def test_a_pool_of_half_the_size_is_shared_where_there_is_no_room_for_more() -> None:
    limit = MemoryLimit(9 * GIB, "memory limit of the container")

    chosen, plan = fit_sizes(Wanted(8192), HEADER, limit, cpus=4)

    assert (chosen.has_streams, chosen.kv_tokens, chosen.context_tokens) == (False, 16_384, 8192)
    assert plan.needed_bytes <= limit.available_bytes
    assert fit_sizes(Wanted(8192), HEADER, MACHINE, cpus=4)[0].has_streams
    with pytest.raises(TooLargeForMachine):
        fit_sizes(Wanted(8192, kv_tokens=32_768), HEADER, limit, cpus=4)


def test_the_pool_is_never_below_one_request_and_some() -> None:
    assert shared(slots=1).kv_tokens == 8192 + 1024
    assert shared(slots=1, context_tokens=200).kv_tokens == 1280


def test_the_context_is_clipped_to_the_file() -> None:
    assert sizes(header=GgufHeader(LLAMA_8B | {"llama.context_length": 1000}, GIB, 10)).context_tokens == 1000


def test_the_context_is_clipped_to_the_pool() -> None:
    assert sizes(kv_tokens=1000).context_tokens == 1024


def test_a_small_model_gets_one_thread() -> None:
    assert sizes(header=GgufHeader(LLAMA_8B, 5_000_000, 10)).threads == 1
    assert sizes(header=GgufHeader(LLAMA_8B, 5_000_000, 10), threads=3).threads == 3


@pytest.mark.parametrize("slots", [1, 8, 100, 256])
def test_there_is_always_a_sequence_to_spare(slots: int) -> None:
    chosen = shared(slots=slots, step_tokens=16)

    assert chosen.slots + 4 <= chosen.sequences < 256
    assert chosen.step_tokens >= chosen.slots


def test_the_pool_of_an_8b_model_costs_128_kib_per_token() -> None:
    plan = plan_memory(shared(), HEADER, MACHINE)

    assert plan.pool_bytes == 16_384 * 128 * 1024
    assert plan.needed_bytes < 8 * GIB


def test_what_does_not_fit_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(TooLargeForMachine) as caught:
        plan_memory(shared(), HEADER, MemoryLimit(4 * GIB, "memory limit of the container"))

    assert "weights 4.60 + pool 2.00 + compute" in str(caught.value)
    assert "of 4.00 GiB (memory limit of the container)" in str(caught.value)


def test_a_gpus_memory_counts_where_there_is_one() -> None:
    chosen = sizes(has_gpu=True)

    assert plan_memory(chosen, HEADER, MemoryLimit(GIB, "small"), GpuMemory("A10", 24 * GIB, 24 * GIB))
    with pytest.raises(TooLargeForMachine, match="free memory of A10"):
        plan_memory(chosen, HEADER, MACHINE, GpuMemory("A10", 5 * GIB, 24 * GIB))


def test_a_split_model_needs_room_on_both_sides() -> None:
    chosen = sizes(has_gpu=True)
    small, large = GpuMemory("A2", 3 * GIB, 3 * GIB), MemoryLimit(16 * GIB, "main")

    plan = plan_memory(chosen, HEADER, large, small, 4)

    assert plan.source == "free memory of A2"
    assert plan.weights_bytes == int(4.6 * GIB) * 4 // 33
    with pytest.raises(TooLargeForMachine, match="main"):
        plan_memory(chosen, HEADER, MemoryLimit(GIB, "main"), small, 4)
    with pytest.raises(TooLargeForMachine, match="A2"):
        plan_memory(chosen, HEADER, large, small, 30)


def files(root: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("contents", "gib"),
    [
        ({"sys/fs/cgroup/memory.max": "4294967296", "sys/fs/cgroup/memory.stat": "anon 1073741824\nfile 9"}, 3),
        ({"sys/fs/cgroup/memory.max": "max"}, 8),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648",
                "sys/fs/cgroup/memory/memory.stat": "rss 5\ntotal_rss 1073741824",
            },
            1,
        ),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 8),
        ({}, 8),
    ],
    ids=["v2", "v2 without a limit", "v1", "v1 without a limit", "no cgroup"],
)
def test_memory_is_what_the_container_has_left(tmp_path: Path, contents: dict[str, str], gib: int) -> None:
    root = files(tmp_path, contents | {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {8 * 1024 * 1024} kB\n"})

    assert memory_limit(root).available_bytes == gib * GIB


@pytest.mark.parametrize(
    ("contents", "most"),
    [
        ({"sys/fs/cgroup/cpu.max": "100000 100000"}, 1),
        ({"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
    ids=["v2", "half a CPU", "v1"],
)
def test_cpus_are_those_of_the_quota(tmp_path: Path, contents: dict[str, str], most: int) -> None:
    assert usable_cpus(files(tmp_path, contents)) == most


@pytest.mark.parametrize("quota", ["max 100000", "100000000 100000"])
def test_cpus_are_those_of_the_affinity_mask_where_the_quota_is_wider(tmp_path: Path, quota: str) -> None:
    without = usable_cpus(tmp_path / "nothing")

    assert usable_cpus(files(tmp_path, {"sys/fs/cgroup/cpu.max": quota})) == without


@pytest.mark.parametrize(
    ("wanted_mib", "pool_gib", "has_gpu", "cache_gib"),
    [(-1, 1, False, 4), (-1, 3, False, 5), (-1, 3, True, 8), (0, 1, False, 0), (10 * 1024, 1, False, 10)],
)
def test_evicted_sequences_get_main_memory_that_is_left(
    wanted_mib: int, pool_gib: int, has_gpu: bool, cache_gib: int
) -> None:
    plan = MemoryPlan((5 - pool_gib) * GIB, pool_gib * GIB, GIB, 16 * GIB, MACHINE.source)

    wanted = Wanted(8192, host_cache_mib=wanted_mib)

    assert host_cache_bytes(wanted, plan, MACHINE, has_gpu=has_gpu) == cache_gib * GIB


def test_more_for_evicted_sequences_than_is_left_is_refused() -> None:
    plan = MemoryPlan(4 * GIB, GIB, GIB, 16 * GIB, MACHINE.source)

    with pytest.raises(TooLargeForMachine, match=r"10\.98 GiB .*HOST_CACHE_MIB.* 10\.00 GiB are left"):
        host_cache_bytes(Wanted(8192, host_cache_mib=11_240), plan, MACHINE, has_gpu=False)


def test_idle_sequences_may_keep_what_was_asked_for() -> None:
    assert [sizes(idle_tokens=tokens).idle_tokens for tokens in (-1, 0, 900)] == [4096, 0, 900]


def test_a_small_model_carries_few_idle_cells_along_a_large_one_many() -> None:
    small = LLAMA_8B | {f"llama.{key}": 8 for key in ("block_count", "attention.head_count", "attention.head_count_kv")}
    small |= {"llama.embedding_length": 512, "llama.feed_forward_length": 1024}

    assert sizes().cheap_idle_tokens == sizes().idle_tokens == 4096
    assert 256 <= (sizes(header=GgufHeader(small, GIB, 16_000)).cheap_idle_tokens or 0) < 1024
    assert sizes(has_gpu=True).cheap_idle_tokens is sizes(idle_tokens=700).cheap_idle_tokens is None
