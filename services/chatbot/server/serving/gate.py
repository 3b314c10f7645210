"""Whether this process takes requests: one object that signals, probes and routes look at."""

import asyncio
from collections.abc import Callable


class Gate:
    """Open until the process shuts down, and a little longer for those who do not know that yet.

    Args:
        is_ready: Whether each request gets an answer or an honest 429.
        lame_duck_seconds: Newcomers are served for so long after `close`.
    """

    def __init__(self, is_ready: Callable[[], bool], *, lame_duck_seconds: float = 0.0) -> None:
        self._is_ready = is_ready
        self._lame_duck_seconds = lame_duck_seconds
        self._draining = asyncio.Event()
        self._refusing = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        """Whether this process is shutting down."""
        return self._draining.is_set()

    @property
    def is_refusing(self) -> bool:
        """Whether newcomers are refused."""
        return self._refusing.is_set()

    def is_ready(self) -> bool:
        """Whether each request gets an answer or an honest 429."""
        return not self.is_draining and self._is_ready()

    def close(self) -> None:
        """The process shuts down; newcomers are refused when the lame duck's time is over. Idempotent."""
        if self.is_draining:
            return
        self._draining.set()
        if self._lame_duck_seconds > 0:
            asyncio.get_running_loop().call_later(self._lame_duck_seconds, self._refusing.set)
        else:
            self._refusing.set()

    async def closed(self) -> None:
        """Return when the process shuts down."""
        await self._draining.wait()

    async def refused(self) -> None:
        """Return when newcomers are refused."""
        await self._refusing.wait()
