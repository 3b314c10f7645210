"""The calls of one answer: run together, each at most once, and what the model is to read of them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, Literal

from chatbot.core.agent.confirming.acting import Acting
from chatbot.core.agent.confirming.asking import proposed
from chatbot.core.agent.containment import contained
from chatbot.core.agent.sentences import summary_of
from chatbot.core.agent.sources import Sources
from chatbot.core.agent.toolbox import Outcome, Ran, Toolbox, parsed
from chatbot.core.question import ToolStep
from chatbot.core.tools.contract import ToolContext, ToolRefused, canonical, reach_of
from chatbot.domain.chat import Message
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import Proposal

STOP_REASONS: Final = ("rounds", "calls", "time", "repeated", "cut", "context", "outside", "confirm")
"""Why nothing may be called any more; a label of metrics."""
MAX_READ: Final = 16
"""Calls of a round that the model reads an answer to; more come only of a backend that does not obey."""
LEAST_RESULT_BYTES: Final = 64
_TELLS: Final = (Outcome.OK, Outcome.REFUSED)  # a refusal may hold the words of whoever refused
_BYTES_PER_TOKEN: Final = 2  # of Korean in UTF-8, and of the digits and quotes of results; few tokens have less


class Calls:
    """What was called for one answer.

    Args:
        toolbox: The tools and their bounds.
        context: For whom, and what time it is; asked when tools run.

    Attributes:
        messages: Calls and results of all rounds, for the model.
        ran: Calls that ended, once each.
        stopped: Why nothing may be called any more; "" while it may.
        toolbox: What may still be called: after a round that read other people's text, nothing that leaves the cluster.
        has_outside: Whether such text was read.
        sources: Of what was read, by number.
        proposals: Calls that the user is asked for; none of them was run.
    """

    def __init__(self, toolbox: Toolbox, context: Callable[[], ToolContext]) -> None:
        self.toolbox = toolbox
        self.has_outside = False
        self.sources = Sources()
        self.proposals: list[Proposal] = []
        self._bounds = toolbox.bounds
        self._context = context
        self._known: dict[tuple[str, str], Ran] = {}
        self._count = 0
        self._seconds = 0.0
        self._result_bytes = 0
        self.messages: list[Message] = []
        self.ran: list[Ran] = []
        self.stopped = ""

    def stop(self, why: str) -> None:
        """Call nothing any more; the first reason counts."""
        self.stopped = self.stopped or why

    async def run(
        self, said: str, calls: Sequence[ToolCall], deadline: float, context_tokens: int
    ) -> AsyncGenerator[ToolStep, None]:
        """Run the calls of a round together, tell their steps, and keep what the model is to read.

        Args:
            said: What the model said besides.
            calls: As the model made them.
            deadline: Clock seconds, of the whole answer.
            context_tokens: Of the model.
        """
        fresh: dict[tuple[str, str], ToolCall] = {}
        for call in calls[: self._room()]:
            key = _canonical(call)
            if key not in self._known:
                fresh.setdefault(key, call)
        began = self.toolbox.clock()
        async with aclosing(self._together(self._not_asked(fresh), began, deadline)) as steps:
            async for step in steps:
                yield step
        self._seconds += self.toolbox.clock() - began
        shown = calls[:MAX_READ]
        results = [self._read(call, fresh, context_tokens) for call in shown]
        if shown:
            self.messages += [Message("assistant", said, calls=tuple(shown)), *results]
        self._narrow()
        if self.proposals:
            self.stop("confirm")
        if self._count >= self._bounds.calls:
            self.stop("calls")
        if self._seconds >= self._bounds.all_tools_seconds:
            self.stop("time")

    async def act(self, acting: Acting, context_tokens: int) -> AsyncGenerator[ToolStep, None]:
        """Run what the user confirmed, tell its steps, and keep what the model is to read.

        Args:
            acting: The calls.
            context_tokens: Of the model.

        Raises:
            ChatError: As `Acting.run`.
        """
        for call in acting.calls:
            yield ToolStep(call.id, call.name, "started")
        ended = await acting.run(self.toolbox, self._context())
        self.ran += ended
        results = [self._shown(ran, context_tokens) for ran in ended]
        self.messages += [Message("assistant", "", calls=acting.calls), *results]
        self.toolbox = self.toolbox.reading()
        self._narrow()
        for ran in ended:
            yield self._told(ran)

    def _not_asked(self, fresh: Mapping[tuple[str, str], ToolCall]) -> list[ToolCall]:
        """The calls that run at once; the user is asked for the others."""
        at_once = []
        for key, call in fresh.items():
            tool = self.toolbox.named(call.name)
            approval = reach_of(tool).asks_first if tool is not None else None
            if approval is None:
                at_once.append(call)
                continue
            until = self._context().now.timestamp() + self._bounds.confirm_seconds
            try:
                self.proposals.append(proposed(approval, call, until))
                ran = Ran(call, Outcome.ASKED, {"status": "not_run", "note": "the user has to confirm it"})
                self.toolbox.telemetry.call_asked_first(self.toolbox.service, "asked")
            except ToolRefused as exc:
                ran = Ran(call, Outcome.REFUSED, {"error": exc.problem, **exc.details})
            self.toolbox.count(ran)
            self._known[key] = ran
        return at_once

    def _narrow(self) -> None:
        """Plan before reading: text that others wrote cannot cause a call that leaves, or writes (ADR 0015, 0030)."""
        called = [(ran.outcome, self.toolbox.named(ran.call.name)) for ran in self.ran]
        if any(tool and reach_of(tool).is_outside and outcome in _TELLS for outcome, tool in called):
            self.has_outside = True
            self.toolbox = self.toolbox.staying().reading()
            if not self.toolbox.definitions:
                self.stop("outside")

    def _room(self) -> int:
        return min(self._bounds.calls_at_once, self._bounds.calls - self._count)

    async def _together(
        self, calls: Sequence[ToolCall], began: float, deadline: float
    ) -> AsyncGenerator[ToolStep, None]:
        """All at once; a step when each begins and when each ends. Whatever still runs is cancelled when it is left."""
        left = self._bounds.all_tools_seconds - self._seconds
        seconds = max(0.0, min(left, (deadline - began) / 2))  # the other half is for the answer
        context = self._context()
        running = {asyncio.create_task(self.toolbox.run(call, context, seconds)) for call in calls}
        tasks = set(running)
        try:
            for call in calls:
                yield ToolStep(call.id, call.name, "started")
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for ran in sorted((task.result() for task in done), key=lambda ran: calls.index(ran.call)):
                    self._known[_canonical(ran.call)] = ran
                    yield self._told(ran)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _told(self, ran: Ran) -> ToolStep:
        summary = summary_of(self.toolbox, self._context().language, ran)
        state: Literal["done", "failed"] = "done" if ran.outcome is Outcome.OK else "failed"
        return ToolStep(ran.call.id, ran.call.name, state, ran.seconds, summary)

    def _read(self, call: ToolCall, fresh: dict[tuple[str, str], ToolCall], context_tokens: int) -> Message:
        """The message that holds a call's result, for the model."""
        key = _canonical(call)
        known = self._known.get(key)
        if known is None:
            ran = Ran(call, Outcome.LIMIT, {"error": "not_run", "reason": "limit"})
            self.toolbox.count(ran)
        elif fresh.get(key) is call:
            ran = known
            self._count += 1
            self.ran.append(ran)
        else:
            ran = Ran(call, Outcome.REPEATED, {**known.result, "note": "already known"})
            self.toolbox.count(ran)
            self.stop("repeated")
        return self._shown(ran, context_tokens)

    def _shown(self, ran: Ran, context_tokens: int) -> Message:
        """The message that holds a result."""
        tool, limit = self.toolbox.named(ran.call.name), self._limit_bytes(context_tokens)
        has_sources = tool is not None and reach_of(tool).has_sources and "results" in ran.result
        text = self.sources.shown(ran.result, limit) if has_sources else contained(ran.result, limit)
        self._result_bytes += len(text.encode())
        return Message("tool", text, call_id=ran.call.id)

    def _limit_bytes(self, context_tokens: int) -> int:
        room = int(context_tokens * self._bounds.context_share) * _BYTES_PER_TOKEN
        return min(self._bounds.result_bytes, max(LEAST_RESULT_BYTES, room - self._result_bytes))


def _canonical(call: ToolCall) -> tuple[str, str]:
    """Name and arguments, however they were written."""
    arguments = parsed(call.arguments)
    return call.name, call.arguments if arguments is None else canonical(arguments)
