"""Looks up what a request confirms: calls of this conversation, not run yet, in time, of tools as they were shown."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Final

from chatbot.core.agent.confirming.acting import Acting, Deeds
from chatbot.core.agent.toolbox import Ran
from chatbot.core.audit.audit import Audit, Deed, told
from chatbot.core.history import History
from chatbot.core.tools.contract import Tool, reach_of
from chatbot.domain.audit.records import AuditAction
from chatbot.domain.chat import Caller, Conversation, ConversationKey, Turn
from chatbot.domain.errors import ChatError, InvalidInput, StoreUnavailable
from chatbot.domain.toolservers.proposal import (
    ConfirmationChanged,
    ConfirmationExpired,
    ConfirmationNotFound,
    ConfirmationUsed,
    Proposal,
    ProposalState,
    ToolUnavailable,
    of_text,
    to_text,
)
from chatbot.domain.toolservers.standing import ToolStanding, ToolState

_ATTEMPTS: Final = 4
_OUTCOMES: Final[tuple[tuple[type[ChatError], str], ...]] = (
    (ConfirmationNotFound, "not_found"),
    (ConfirmationUsed, "used"),
    (ConfirmationExpired, "expired"),
    (ConfirmationChanged, "changed"),
    (ToolUnavailable, "unavailable"),
)


@dataclass(frozen=True, slots=True)
class Offers:
    """What may be confirmed now.

    Attributes:
        tools: Of tool servers.
        standings: All that are allowed, also where they cannot be called.
        now: Unix seconds.
        may_leave: Whether words of the conversation may leave the house.
        audit: None where nobody reads it.
        count: Told what became of a call, one of `PROPOSAL_OUTCOMES`.
    """

    tools: Iterable[Tool]
    standings: Iterable[ToolStanding]
    now: float
    may_leave: bool
    audit: Audit | None
    count: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """Who confirms which calls; `read` is the conversation, as it is known."""

    caller: Caller
    request_id: str
    ids: tuple[str, ...]
    read: Conversation


class ConfirmationDesk:
    """Confirmations of one service.

    Args:
        history: Where the calls are kept.
        start: As in `Deeds`.
    """

    def __init__(
        self,
        history: History,
        start: Callable[[Coroutine[Any, Any, tuple[Ran, ...]]], asyncio.Task[tuple[Ran, ...]]],
    ) -> None:
        self._history = history
        self._start = start

    def acting(self, request: Request, offers: Offers) -> Acting:
        """The calls, ready to be run.

        Raises:
            ConfirmationNotFound: There is no such call in this conversation.
            ConfirmationUsed, ConfirmationExpired, ConfirmationChanged: It cannot be confirmed any more.
            ToolUnavailable: Its server does not answer.
            InvalidInput: The conversation must not leave the house, and the call would.
        """
        try:
            confirmed = [_confirmed(one, request.read, offers) for one in dict.fromkeys(request.ids)]
        except tuple(kind for kind, _ in _OUTCOMES) as exc:
            offers.count(next(outcome for kind, outcome in _OUTCOMES if isinstance(exc, kind)))
            raise
        books = _Turns(self._history, request.read.key)

        def recorded(proposal: Proposal) -> AbstractAsyncContextManager[Deed]:
            caller = request.caller
            deed = Deed(AuditAction.TOOL_CONFIRM, caller.tenant, caller.key_id, proposal.tool, request.request_id)
            return told(offers.audit, deed)

        return Acting(confirmed, Deeds(books, recorded, self._start))


class _Turns:
    """Calls as turns of a conversation keep them. Implements `Books`."""

    def __init__(self, history: History, key: ConversationKey) -> None:
        self._history = history
        self._key = key

    async def move(self, proposal: Proposal, before: ProposalState, after: ProposalState) -> None:
        """See `Books`."""
        for _ in range(_ATTEMPTS):
            found = _find(proposal.id, await self._history.read(self._key))
            if found is None:
                raise ConfirmationNotFound
            turn, kept = found
            if kept.state is not before:
                raise ConfirmationUsed(kept.state)
            moved = to_text(
                replace(one, state=after) if one.id == proposal.id else one for one in of_text(turn.proposals)
            )
            if await self._history.swap(self._key, turn, moved):
                return
        raise StoreUnavailable("the conversation changed too often")


def _find(call_id: str, read: Conversation) -> tuple[Turn, Proposal] | None:
    for turn in read.turns:
        for one in of_text(turn.proposals):
            if one.id == call_id:
                return turn, one
    return None


def _confirmed(call_id: str, read: Conversation, offers: Offers) -> tuple[Proposal, Tool]:
    found = _find(call_id, read)
    if found is None:
        raise ConfirmationNotFound
    proposal = found[1]
    if proposal.state is not ProposalState.OPEN:
        raise ConfirmationUsed(proposal.state)
    if offers.now >= proposal.until:
        raise ConfirmationExpired
    return proposal, _tool(proposal, offers)


def _tool(proposal: Proposal, offers: Offers) -> Tool:
    """The tool of a call, where it is the one that the model was told of.

    Raises:
        ConfirmationChanged, ToolUnavailable, InvalidInput: See `ConfirmationDesk.acting`.
    """
    tool = next((one for one in offers.tools if one.name == proposal.tool), None)
    if tool is None:
        state = next((one.state for one in offers.standings if one.name == proposal.tool), None)
        raise ToolUnavailable if state is ToolState.UNAVAILABLE else ConfirmationChanged
    approval = reach_of(tool).asks_first
    if approval is None or approval.pin != proposal.pin or not proposal.is_whole:
        raise ConfirmationChanged
    if reach_of(tool).leaves and not offers.may_leave:
        raise InvalidInput("confirm", "leaves_the_house")
    return tool
