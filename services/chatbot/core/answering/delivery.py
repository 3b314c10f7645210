"""From the task that produces an answer to the client that reads it: a bounded buffer, so that neither waits."""

import asyncio
from collections.abc import AsyncIterator, Callable

from chatbot.core.question import AnswerEvent, Done, Queued, ToolStep
from chatbot.domain.generation import TextPiece
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import Proposal

MAX_UNREAD_BYTES = 256 * 1024


class ReaderTooSlow(Exception):
    """More than 256 KiB of text were not read; the answer is given up."""


class Outbox:
    """What was produced and not read yet. One producer, one reader, one event loop.

    A reader that is behind gets everything that waits as one piece.
    """

    def __init__(self) -> None:
        self.text_left = False
        """Whether text or a call was handed to the reader: from then on the answer cannot be started again."""
        self.is_bounded = True
        """False where the reader wants the end alone: then nothing is handed over before it."""
        self._queued: Queued | None = None
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []
        self._steps: list[ToolStep] = []
        self._tokens = 0
        self._unread_bytes = 0
        self._end: Done | Exception | None = None
        self.on_end: Callable[[], None] = lambda: None
        """Called once, as soon as the last event is there and before anybody reads it."""
        self._changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether the last event is there."""
        return self._end is not None

    @property
    def last_event(self) -> Done | Exception | None:
        """The last event; None where it is not there yet."""
        return self._end

    def queued(self, event: Queued) -> None:
        """Say where the request stands; the older news is dropped."""
        self._queued = event
        self._changed.set()

    def text(self, piece: TextPiece) -> None:
        """Add text.

        Raises:
            ReaderTooSlow: Too much is unread.
        """
        self._texts.append(piece.text)
        self._tokens += piece.tokens
        self._grow(len(piece.text.encode()))

    def step(self, step: ToolStep) -> None:
        """Add news of a tool of ours; it is read before the text that waits. Few, so they are not counted."""
        self._steps.append(step)
        self._changed.set()

    def call(self, call: ToolCall) -> None:
        """Add a whole call of a tool; it is read behind the text before it.

        Raises:
            ReaderTooSlow: Too much is unread.
        """
        self._calls.append(call)
        self._grow(len(call.arguments.encode()))

    def restart(self) -> None:
        """Drop the text and calls that nobody has read: the answer begins anew. Steps of our tools stay true."""
        self._calls = []
        self._forget_text()

    def end(self, end: Done | Exception) -> None:
        """Add the last event; the first one counts."""
        if self._end is None:
            self._end = end
            self._changed.set()
            self.on_end()

    async def events(self) -> AsyncIterator[AnswerEvent]:
        """What was produced, in order, as it comes.

        Raises:
            Exception: The answer's error, after the text before it.
        """
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._queued is not None:
                event, self._queued = self._queued, None
                yield event
            while self._steps:
                yield self._steps.pop(0)
            if self._texts:
                yield self._take()
            while self._calls:
                yield self._take_call()
            if self._end is not None and not (self._steps or self._texts or self._calls):
                for proposal in _asked(self._end):
                    yield proposal
                yield self._finish(self._end)
                return

    async def last(self) -> Done:
        """The end alone.

        Raises:
            Exception: The answer's error.
        """
        self.is_bounded = False
        while self._end is None:
            await self._changed.wait()
            self._changed.clear()
        return self._finish(self._end)

    def _take(self) -> TextPiece:
        piece = TextPiece("".join(self._texts), self._tokens)
        self._forget_text()
        self.text_left = True
        return piece

    def _take_call(self) -> ToolCall:
        call = self._calls.pop(0)
        self._unread_bytes -= len(call.arguments.encode())
        self.text_left = True
        return call

    def _forget_text(self) -> None:
        self._texts, self._tokens = [], 0
        self._unread_bytes = sum(len(call.arguments.encode()) for call in self._calls)

    def _grow(self, n_bytes: int) -> None:
        self._unread_bytes += n_bytes
        if self._unread_bytes > MAX_UNREAD_BYTES and self.is_bounded:
            raise ReaderTooSlow
        self._changed.set()

    def _finish(self, end: Done | Exception) -> Done:
        if isinstance(end, Exception):
            raise end
        return end


def _asked(end: Done | Exception) -> tuple[Proposal, ...]:
    """What the user has to confirm, told in front of the end."""
    return end.proposals if isinstance(end, Done) else ()
