"""One running generation as the API process sees it: events of the engine, bounded, until an end."""

import asyncio
from collections import deque

from chatbot.domain.errors import EngineLost, TimedOut, Unavailable
from chatbot.llm.engine.frames import StepEvent

MAX_UNDELIVERED_BYTES = 256 * 1024


class GenerationStream:
    """Events in order, and at most one end: `finish`, loss of the engine, overflow or lapse of the deadline."""

    def __init__(self) -> None:
        self._events: deque[StepEvent] = deque()
        self._undelivered_bytes = 0
        self._arrived = asyncio.Event()
        self._error: Exception | None = None
        self.finished = False

    def put(self, event: StepEvent) -> bool:
        """Add an event of the engine.

        Returns:
            False where the reader is so slow that the generation has to be cancelled.
        """
        self._undelivered_bytes += len(event["text"].encode())
        self._events.append(event)
        self.finished = "finish" in event
        if not self.finished and self._undelivered_bytes > MAX_UNDELIVERED_BYTES:
            self.end(Unavailable("the reader stalled"))
            return False
        self._arrived.set()
        return True

    def lose(self) -> None:
        """The engine died. An answer that is whole stays whole; of any other nothing undelivered is handed out.

        Dropping undelivered text lets a caller that has seen none try again without saying anything twice.
        """
        if not self.finished:
            self.end(EngineLost())

    def lapse(self) -> None:
        """The deadline passed and the engine did not say so in time."""
        if not self.finished:
            self.end(TimedOut("generation"), keep=True)

    def end(self, error: Exception, *, keep: bool = False) -> None:
        """End with an error, undelivered events first only where `keep`."""
        self.finished = True
        self._error = error
        if not keep:
            self._events.clear()
        self._arrived.set()

    async def get(self) -> StepEvent:
        """The next event; the last one has `finish`.

        Raises:
            EngineLost, TimedOut, Unavailable: How it ended otherwise.
        """
        while not self._events:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        self._undelivered_bytes -= len(event["text"].encode())
        return event
