"""What this machine gives the process: CPUs and memory, as the container's limits say.

`cpu_count()` and `/proc/meminfo` speak of the node; a pod's share is in its cgroup. Both cgroup versions are read.

Source: kernel.org, Documentation/admin-guide/cgroup-v2.rst (`cpu.max`, `memory.max`) and cgroup-v1.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60  # cgroup v1 writes a huge number where there is no limit


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """Memory that is left for this process, bytes, and where the limit comes from."""

    available_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory in bytes. Of `used_bytes` nothing is given back under pressure: page cache is not counted."""

    limit_bytes: int
    used_bytes: int


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs that affinity mask and cgroup quota give, >= 1. More threads than that only wait for each other."""
    cpus = len(os.sched_getaffinity(0))
    quota = container_cpus(root)
    return max(1, min(cpus, math.floor(quota)) if quota is not None else cpus)


def memory_limit(root: Path = Path("/")) -> MemoryLimit:
    """The smaller of the cgroup's limit and the machine's available memory."""
    machine = MemoryLimit(_available_memory(root), "free memory of this machine")
    cgroup = container_memory(root)
    if cgroup is None or cgroup.limit_bytes - cgroup.used_bytes >= machine.available_bytes:
        return machine
    return MemoryLimit(cgroup.limit_bytes - cgroup.used_bytes, "memory limit of the container")


def container_cpus(root: Path = Path("/")) -> float | None:
    """The container's share of the CPUs; None where it has no limit."""
    v2 = _words(root / "sys/fs/cgroup/cpu.max")
    if v2:
        return None if v2[0] == "max" else int(v2[0]) / int(v2[1])
    quota = _words(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = _words(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def machine_memory(root: Path = Path("/")) -> MemoryUse | None:
    """Memory of the whole machine; None where it cannot be read."""
    total, available = (_named_value(root / "proc/meminfo", name) * 1024 for name in ("MemTotal:", "MemAvailable:"))
    return MemoryUse(total, total - available) if total else None


def container_memory(root: Path = Path("/")) -> MemoryUse | None:
    """Memory of the container; None where it has no limit."""
    for limit_name, stat_name, used_key in (
        ("memory.max", "memory.stat", "anon"),
        ("memory/memory.limit_in_bytes", "memory/memory.stat", "total_rss"),
    ):
        limit = _words(root / "sys/fs/cgroup" / limit_name)
        if not limit or limit[0] == "max" or int(limit[0]) >= _UNLIMITED_BYTES:
            continue
        # Page cache is given back under pressure, so only anonymous memory counts as used.
        used = _named_value(root / "sys/fs/cgroup" / stat_name, used_key)
        return MemoryUse(int(limit[0]), used)
    return None


def _available_memory(root: Path) -> int:
    kib = _named_value(root / "proc/meminfo", "MemAvailable:")
    return kib * 1024 if kib else _UNLIMITED_BYTES


def _named_value(path: Path, name: str) -> int:
    words = _words(path)
    return int(words[words.index(name) + 1]) if name in words else 0


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
