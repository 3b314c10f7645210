"""Runs what a user confirmed: in order, each call once, and to its end, also where whoever confirmed it has left."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from chatbot.core.agent.toolbox import Outcome, Ran, Toolbox, parsed
from chatbot.core.tools.contract import Tool, ToolContext, canonical, reach_of
from chatbot.domain.errors import AuditUnavailable, StoreUnavailable
from chatbot.domain.tools import ToolCall
from chatbot.domain.toolservers.proposal import ConfirmationUsed, Proposal, ProposalState

_LOG = logging.getLogger(__name__)
_STATES: Final[Mapping[Outcome, ProposalState]] = {
    Outcome.OK: ProposalState.DONE,
    Outcome.UNSURE: ProposalState.UNSURE,
}
"""The rest failed: a refusal of the tool, or nothing was run."""


class Books(Protocol):
    """Where calls and their states are kept."""

    async def move(self, proposal: Proposal, before: ProposalState, after: ProposalState) -> None:
        """Change the state of a call, as one atomic update.

        Raises:
            ConfirmationUsed: Its state is another one.
            ConfirmationNotFound: Its conversation was erased.
            StoreUnavailable: It is not known whether it was changed.
        """


@dataclass(frozen=True, slots=True)
class Deeds:
    """What surrounds a confirmed call.

    Attributes:
        books: Lets one of several take it.
        recorded: Records that it begins, and how it ended; raises `AuditUnavailable`.
        start: Starts work that ends by itself, also where whoever waits for it has left.
    """

    books: Books
    recorded: Callable[[Proposal], AbstractAsyncContextManager[object]]
    start: Callable[[Coroutine[Any, Any, tuple[Ran, ...]]], asyncio.Task[tuple[Ran, ...]]]


class _NotDone(Exception):
    """The end of a call that went otherwise than well, for the record of it."""


class Acting:
    """Confirmed calls of one request.

    Args:
        confirmed: With their tools, as they are offered now.
        deeds: Around each.

    Attributes:
        tools: Of the calls.
        calls: As the model is told them.
        is_begun: Whether they were run, or are.
    """

    def __init__(self, confirmed: Sequence[tuple[Proposal, Tool]], deeds: Deeds) -> None:
        self._proposals = tuple(proposal for proposal, _ in confirmed)
        self._deeds = deeds
        self.tools = tuple(tool for _, tool in confirmed)
        self.calls = tuple(ToolCall(one.id, one.tool, one.arguments) for one in self._proposals)
        self.is_begun = False

    async def run(self, toolbox: Toolbox, context: ToolContext) -> tuple[Ran, ...]:
        """Run them, and how each ended.

        Raises:
            ConfirmationUsed, ConfirmationNotFound, AuditUnavailable, StoreUnavailable: None of them was run.
        """
        self.is_begun = True
        return await asyncio.shield(self._deeds.start(self._run(toolbox, context)))

    async def _run(self, toolbox: Toolbox, context: ToolContext) -> tuple[Ran, ...]:
        ended: list[Ran] = []
        for call, proposal in zip(self.calls, self._proposals, strict=True):
            try:
                ended.append(await self._act(toolbox, context, call, proposal))
            except (ConfirmationUsed, AuditUnavailable, StoreUnavailable):
                if not ended:
                    raise
                ended.append(Ran(call, Outcome.UNAVAILABLE, {"error": "not_run"}))
        return tuple(ended)

    async def _act(self, toolbox: Toolbox, context: ToolContext, call: ToolCall, proposal: Proposal) -> Ran:
        """One call.

        Raises:
            ConfirmationUsed, ConfirmationNotFound, AuditUnavailable, StoreUnavailable: It was not run.
        """
        granted = replace(context, granted=frozenset({(call.name, canonical(parsed(call.arguments) or {}))}))
        ran: Ran | None = None
        try:
            async with self._deeds.recorded(proposal):
                await self._deeds.books.move(proposal, ProposalState.OPEN, ProposalState.TAKEN)
                ran = await toolbox.run(call, granted, self._seconds(call, toolbox))
                if ran.outcome is not Outcome.OK:
                    raise _NotDone
        except _NotDone:
            pass
        if ran is None:
            raise StoreUnavailable("a confirmed call was not run")
        state = _STATES.get(ran.outcome, ProposalState.FAILED)
        toolbox.telemetry.call_asked_first(toolbox.service, state)
        try:
            await self._deeds.books.move(proposal, ProposalState.TAKEN, state)
        except Exception as exc:  # it was run, and the user is told how it ended
            _LOG.warning("it is not kept how a confirmed call ended", extra={"error": type(exc).__name__})
        return ran

    def _seconds(self, call: ToolCall, toolbox: Toolbox) -> float:
        tool = toolbox.named(call.name)
        return (reach_of(tool).seconds if tool is not None else None) or toolbox.bounds.tool_seconds
