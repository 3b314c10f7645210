"""An event loop whose clock jumps to the next timer when nothing is ready: hours of waiting take milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jump(selectors.SelectSelector):
    """Never sleeps; tells how long it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("nothing will ever happen: everything waits, and no timer is set")
        if not events:
            self.slept_seconds += timeout or 0.0
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """`loop.time()` starts at 1000 and moves by jumps alone. Not for sockets or threads."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return 1000.0 + self._jump.slept_seconds


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time. `asyncio.get_running_loop().time` is the clock to inject."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
