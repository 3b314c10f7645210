"""What the process runs on, for `GET /info`; read beside the event loop, which a hanging disk must not hold.

Source of the GPUs' names: NVIDIA's driver README, chapter "Using the /proc File System Interface".
"""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chatbot.core.performance import Machine, Share
from chatbot.llm.engine.native.machine import container_cpus, container_memory, machine_memory

_FRESH_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 1.0


class MachineFacts:
    """Reads the facts, one reading at a time; who asks meanwhile gets the last ones.

    Args:
        read: Blocks; runs on a thread.
        clock: Monotonic seconds.
    """

    def __init__(self, read: Callable[[], Machine], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._reading: asyncio.Task[Machine] | None = None
        self._known: Machine | None = None
        self._read_at = -_FRESH_SECONDS

    async def __call__(self) -> Machine | None:
        """The facts, at most some seconds old where they can be read; None where that has never ended."""
        if self._known is None or self._clock() - self._read_at >= _FRESH_SECONDS:
            if self._reading is None:
                self._reading = asyncio.create_task(asyncio.to_thread(self._read))
            await asyncio.wait({self._reading}, timeout=_PATIENCE_SECONDS)
            self._take()
        return self._known

    def _take(self) -> None:
        if self._reading is None or not self._reading.done():
            return
        reading, self._reading = self._reading, None
        if reading.exception() is None:
            self._known, self._read_at = reading.result(), self._clock()


def read_machine(folder: Path, root: Path = Path("/")) -> Machine:
    """Read them now.

    Args:
        folder: That the process writes to; where it does not exist yet, the folder above it counts.
        root: Of the system's files.
    """
    share, cpus = container_cpus(root), float(len(os.sched_getaffinity(0)))
    is_limited = share is not None and share < cpus
    return Machine(
        cpus=round(share, 2) if share is not None and is_limited else cpus,
        cpus_limited_by="container" if is_limited else "machine",
        memory=_memory(root),
        disk=_disk(folder),
        gpus=tuple(_gpus(root)),
    )


def _memory(root: Path) -> Share | None:
    container, whole = container_memory(root), machine_memory(root)
    if container is not None and (whole is None or container.limit_bytes < whole.limit_bytes):
        return Share(container.limit_bytes, container.used_bytes, "container")
    return Share(whole.limit_bytes, whole.used_bytes, "machine") if whole is not None else None


def _disk(folder: Path) -> Share | None:
    for place in (folder, *folder.absolute().parents):
        try:
            usage = shutil.disk_usage(place)
        except OSError:
            continue
        return Share(usage.total, usage.total - usage.free, "machine")
    return None


def _gpus(root: Path) -> list[str]:
    names = []
    for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            continue
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return names
