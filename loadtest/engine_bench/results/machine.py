"""What else happened on the machine while a run was measured (proc(5)), and what machine it is."""

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER, _NICE, _SYSTEM, _STEAL = 0, 1, 2, 7


@dataclass(frozen=True, slots=True)
class Clock:
    """CPU seconds of the whole machine so far."""

    busy_seconds: float
    steal_seconds: float

    @classmethod
    def now(cls) -> Self:
        """Read it."""
        ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return cls((ticks[_USER] + ticks[_NICE] + ticks[_SYSTEM]) / _TICKS, ticks[_STEAL] / _TICKS)

    def since(self, before: "Clock", own_cpu_seconds: float) -> dict[str, float]:
        """Stolen CPU, CPU that others on the machine used, and the load average now."""
        foreign = self.busy_seconds - before.busy_seconds - own_cpu_seconds
        return {
            "steal_seconds": self.steal_seconds - before.steal_seconds,
            "foreign_cpu_seconds": max(0.0, foreign),
            "load_average": os.getloadavg()[0],
        }


_MEASURED: Final = ("services", "loadtest", "pyproject.toml", "uv.lock", ".ci/llama_server.py", ".ci/llama_source.py")
"""What a figure depends on; a commit of anything else may come between two sittings."""


def describe(root: Path) -> dict[str, Any]:
    """The machine, the commit that last changed what is measured, and a digest of what was changed since."""
    changes = _git(root, "diff", "HEAD", "--", *_MEASURED)
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": _git(root, "log", "-1", "--format=%h", "--abbrev=12", "--", *_MEASURED),
        "is_dirty": bool(changes),
        "changes": hashlib.sha256(changes.encode()).hexdigest()[:12] if changes else "",
    }


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip()
