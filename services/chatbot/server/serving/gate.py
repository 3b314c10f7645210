"""Whether this process takes requests: one object that signals, probes and routes look at."""

import asyncio
from collections.abc import Callable


class Gate:
    """Open until the process shuts down."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._draining = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        """Whether this process is shutting down."""
        return self._draining.is_set()

    def is_ready(self) -> bool:
        """Whether each request gets an answer or an honest 429."""
        return not self.is_draining and self._is_ready()

    def close(self) -> None:
        """Newcomers are refused from now on."""
        self._draining.set()

    async def closed(self) -> None:
        """Return when the process shuts down."""
        await self._draining.wait()
