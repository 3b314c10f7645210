"""Answers that are being made, by whom they are for: an erasure gives up those of its user."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from chatbot.core.answering.delivery import Outbox
from chatbot.core.waiting.ticket import Phase, Ticket
from chatbot.domain.chat import Caller
from chatbot.domain.personal.erasure import UserErased


@dataclass(frozen=True, slots=True)
class _Made:
    caller: Caller
    outbox: Outbox
    ticket: Ticket


class UnderWay:
    """The answers of one service."""

    def __init__(self) -> None:
        self._pumps: dict[asyncio.Task[None], _Made] = {}

    def add(self, caller: Caller, outbox: Outbox, ticket: Ticket, pump: asyncio.Task[None]) -> None:
        """An answer begins; it is forgotten when it is over."""
        self._pumps[pump] = _Made(caller, outbox, ticket)
        pump.add_done_callback(lambda _: self._pumps.pop(pump, None))

    def give_up(self, is_meant: Callable[[str, str], bool]) -> None:
        """End the answers of those whose tenant and user are meant, in the line and out of it; they are told why."""
        for pump, made in list(self._pumps.items()):
            if not is_meant(made.caller.tenant, made.caller.user):
                continue
            made.outbox.end(UserErased())
            if made.ticket.phase is Phase.WAITING:
                made.ticket.leave()
            pump.cancel()
