"""Waiting on a condition with a deadline."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return when the condition holds.

    Raises:
        TimeoutError: It did not hold in time.
    """
    ends_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError
        await asyncio.sleep(0.005)
