"""The task behind one answer: it waits in the line, generates, stores the turn, and never waits for the client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol, cast

from chatbot.core.answering.delivery import Outbox, ReaderTooSlow
from chatbot.core.limits.hold import NO_HOLD, Hold
from chatbot.core.question import AnswerEvent, Done, Queued, References, SourceEvent, Styled, ToolStep
from chatbot.core.usage.meter import Meter, Priced
from chatbot.core.waiting.ticket import Phase, Ticket
from chatbot.domain.errors import Draining, EngineLost, PromptTooLong, TimedOut
from chatbot.domain.generation import Backend, Finished, GenerationRequest, TextPiece
from chatbot.domain.limits import NO_QUOTA, Quota
from chatbot.domain.ports import Telemetry
from chatbot.domain.style.rules import Speech
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import Proposal

CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a turn: answer and `proposals` that count now, and if it is stored (None: nothing to store)."""

    answer: str
    saved: bool | None
    proposals: tuple[Proposal, ...] = ()


class AnswerSource(Protocol):
    """Where an answer comes from: a backend, or the loop of tools before one."""

    async def check(self, request: GenerationRequest) -> None:
        """As `TextGenerator.check`."""

    def generate(self, request: GenerationRequest) -> AsyncIterator[SourceEvent]:
        """As `TextGenerator.generate`; steps of our own tools besides, what it refers to, and how it kept its rules.

        Begun anew after `EngineLost`, it goes on behind the steps that it told.
        """


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that a pump needs.

    Attributes:
        source: Generates the answer.
        arrived_at: Clock seconds; the first token is measured from here.
        generation_seconds: Longest generation, from the dispatch.
        field_names: The generator's names of the parts of a prompt -> the caller's names of fields.
        store: Stores the answer, with what it asks for; called once, after the slot was given back.
        hold: What the request reserved of its key's limits; it learns what was used.
        meter: What the answer takes; told by the source's model, whose every generation it sees.
    """

    service: str
    backend: Backend
    source: AnswerSource
    request: GenerationRequest
    ticket: Ticket
    telemetry: Telemetry
    clock: Callable[[], float]
    arrived_at: float
    generation_seconds: float
    field_names: Mapping[str, str]
    store: Callable[[str, tuple[Proposal, ...]], Awaitable[Stored]]
    meter: Meter
    hold: Hold = NO_HOLD


def in_callers_words(error: PromptTooLong, field_names: Mapping[str, str]) -> PromptTooLong:
    """The same error with the field's name as the caller wrote it."""
    limits = {name: int(value) for name, value in error.limits.items()}
    return PromptTooLong(field_names.get(error.field, error.field), limits["prompt_tokens"], limits["context_tokens"])


class Pump:
    """Produces one answer into an outbox. Every path gives the ticket back and ends the outbox."""

    def __init__(self, work: Work, outbox: Outbox) -> None:
        self._work = work
        self._outbox = outbox
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []
        self._steps: list[ToolStep] = []
        self._proposals: tuple[Proposal, ...] = ()
        self._references: References | None = None
        self._violations: tuple[str, ...] | None = None
        self._last_piece_at: float | None = None

    async def run(self) -> None:
        """Produce the answer; errors go to the reader."""
        end: Done | Exception = Draining()
        try:
            end = await self._produce()
        except ReaderTooSlow:
            end = TimedOut("generation")
        except PromptTooLong as exc:
            end = in_callers_words(exc, self._work.field_names)
        except Exception as exc:  # whatever it is, the reader must learn it
            end = exc
        finally:
            # The time of an answer that broke off says nothing about the next one's.
            self._work.ticket.leave(None if isinstance(end, TimedOut) else "failed")
            self._outbox.end(end)

    async def _produce(self) -> Done:
        work = self._work
        async for place in work.ticket.places():
            self._outbox.queued(Queued(place.position, place.eta_seconds))
        if work.ticket.phase is not Phase.RUNNING:
            raise asyncio.CancelledError
        work.ticket.rest()  # a search may come before the first generation
        work.meter.queue_seconds = work.ticket.waited_seconds
        finished = await self._counted(replace(work.request, deadline=work.clock() + work.generation_seconds))
        work.ticket.leave()
        stored = await work.store("".join(self._texts), self._proposals)
        timings = replace(finished.timings, queue_seconds=work.ticket.waited_seconds)
        calls, steps = tuple(self._calls), tuple(self._steps)
        told = (timings, stored.saved, calls, steps, self._references, work.meter.cost_usd, self._violations)
        return Done(stored.answer, finished.reason, finished.usage, *told, proposals=stored.proposals)

    async def _counted(self, request: GenerationRequest) -> Finished:
        """Generate, and tell the telemetry once how it ended."""
        finish = "error"
        meter = self._work.meter
        try:
            finished = await self._generate(request)
            finish = finished.reason
        except (asyncio.CancelledError, ReaderTooSlow):
            finish = "cancelled"
            raise
        except TimedOut:
            finish = "timeout"
            raise
        finally:
            if finish in ("error", "timeout"):
                self._work.hold.failed()
                meter.failed()
            meter.finish = str(finish)
            tokens = (meter.made.prompt_tokens, meter.made.completion_tokens)
            self._work.telemetry.generation_ended(self._work.service, finish, *tokens)
        return finished

    async def _generate(self, request: GenerationRequest) -> Finished:
        """Generate; once more, with the same deadline, if the engine died before the client had any text."""
        try:
            return await self._attempt(request)
        except EngineLost:
            if self._outbox.text_left:
                raise
        self._outbox.restart()
        self._texts.clear()
        self._calls.clear()
        return await self._attempt(request)

    async def _attempt(self, request: GenerationRequest) -> Finished:
        events = cast("AsyncGenerator[SourceEvent, None]", self._work.source.generate(request))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    return event
                self._take(event)
        raise EngineLost("the generation ended without an end")

    def _take(self, event: TextPiece | ToolCall | ToolStep | References | Styled | Proposal) -> None:
        if isinstance(event, References):
            self._references = event
            return
        if isinstance(event, Styled):
            self._violations = event.violations
            return
        if isinstance(event, ToolStep):
            if event.state != "started":
                self._steps.append(event)
                self._work.meter.tools += (event.name,)
            self._outbox.step(event)
            return
        if isinstance(event, Proposal):
            self._proposals += (event,)
            return
        self._measure()
        if isinstance(event, ToolCall):
            self._calls.append(event)
            self._outbox.call(event)
            return
        self._texts.append(event.text)
        self._outbox.text(event)

    def _measure(self) -> None:
        work, now = self._work, self._work.clock()
        if self._last_piece_at is None:
            work.telemetry.first_token(work.service, now - work.arrived_at)
            work.meter.first_seconds = now - work.arrived_at
        else:
            work.telemetry.inter_token(work.service, now - self._last_piece_at)
        self._last_piece_at = now


@dataclass(frozen=True, slots=True)
class Reuse:
    """Whether the answer to an equal question is given once more.

    Attributes:
        outcome: `hit`: it was kept; `joined`: it was being made for somebody else; `miss`: it is made now.
        age_seconds: Since it was made.
    """

    outcome: str
    age_seconds: float = 0.0


class Answer:
    """An answer on its way. Whoever opened it must close it, on every path.

    Attributes:
        backend: Who answers; the value of the header `X-Backend`.
        quota: What is left of the key's limits beside this answer.
        meter: What it takes; whole once it is over.
        reuse: None where answers are not kept, or this one is none that may be.
        goes_on: Asked when it is closed: whether somebody else waits for it.
        speech: How it is cut for a voice; None: it is not.
    """

    def __init__(
        self,
        backend: Backend,
        outbox: Outbox,
        pump: asyncio.Task[None] | None,
        ticket: Ticket | None,
        quota: Quota = NO_QUOTA,
        meter: Meter | None = None,
    ) -> None:
        self.backend = backend
        self.quota = quota
        self.meter = meter or Meter(Priced(""), backend)
        self.reuse: Reuse | None = None
        self.speech: Speech | None = None
        self.goes_on: Callable[[], bool] = lambda: False
        self._outbox = outbox
        self._pump = pump
        self._ticket = ticket

    def events(self) -> AsyncIterator[AnswerEvent]:
        """Place in the line, text, and `Done` at the end; one reader.

        Raises:
            ChatError: The answer ended otherwise; after the text before it.
        """
        return self._outbox.events()

    async def collect(self) -> Done:
        """The end alone, for callers that do not stream; the generation may be begun anew behind it.

        Raises:
            ChatError: The answer ended otherwise.
        """
        return await self._outbox.last()

    def when_over(self, then: Callable[[], None]) -> None:
        """Do something once nothing more is made for it; at once where it is over."""
        if self._pump is None or self._pump.done():
            then()
        else:
            self._pump.add_done_callback(lambda _: then())

    @property
    def outcome(self) -> Done | Exception | None:
        """How it ended; None while it has not."""
        return self._outbox.last_event

    def when_ended(self, then: Callable[[], None]) -> None:
        """Do something as soon as its outcome is there, before anybody reads it, or once it never will be."""
        self._outbox.on_end = then
        self.when_over(then)

    def give_up(self) -> None:
        """Cancel what still runs; a waiting request is out of the line at once. Idempotent."""
        if self._pump is None or self._pump.done():
            return
        if self._ticket is not None and self._ticket.phase is Phase.WAITING:
            self._ticket.leave()
        self._pump.cancel()

    async def close(self) -> None:
        """Give it up, unless it goes on for somebody else. Idempotent."""
        if self._pump is None or self._pump.done():
            return
        if self.goes_on():
            self._outbox.is_bounded = False  # nobody reads it here any more
            return
        self.give_up()
        await asyncio.wait({self._pump}, timeout=CLOSE_SECONDS)
