"""What is known of a conversation when it is asked in, and how the new turn joins it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from chatbot.core.answering.pump import Stored
from chatbot.core.history import History
from chatbot.core.memory.summarised import uncovered
from chatbot.core.question import Question
from chatbot.domain.chat import Conversation, Turn
from chatbot.domain.errors import TurnReused
from chatbot.domain.memory.standing import NOTHING, Standing
from chatbot.domain.toolservers.proposal import Proposal, ProposalState, of_text, to_text


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a conversation. `read` is None without `db_id`, and where the store is down."""

    read: Conversation | None
    unknown: bool
    local_only: bool

    def standing(self, question: Question) -> Standing:
        """What stands beside the turns for a question; nothing where it wishes that nothing is recalled."""
        if self.read is None or question.wishes.recalled_turns == 0:
            return NOTHING
        return self.read.standing

    def recalled(self, question: Question, *, with_summary: bool) -> tuple[Sequence[Turn], str]:
        """The turns that a question may have told, and the summary that stands for those before them; "" for none."""
        if self.read is None:
            return (), ""
        wishes, summary = question.wishes, self.read.summary
        if not with_summary or summary is None or wishes.history is not None or wishes.recalled_turns is not None:
            return self.read.turns, ""
        return uncovered(self.read), summary.text


class Pasts:
    """The conversations that questions belong to.

    Args:
        task: Starts work that ends by itself, also where whoever waits for it has left.
    """

    def __init__(
        self, history: History, task: Callable[[Coroutine[Any, Any, Turn | None]], asyncio.Task[Turn | None]]
    ) -> None:
        self._history = history
        self._task = task

    async def of(self, question: Question) -> Past:
        """The past of a question.

        Raises:
            StoreUnavailable: History is down and must be kept.
        """
        if question.db_id is None:
            return Past(None, unknown=False, local_only=question.local_only)
        read = await self._history.load(self._history.key(question.caller, question.db_id))
        local_only = question.local_only or (read is not None and read.local_only)
        return Past(read, unknown=read is None, local_only=local_only)

    async def join(self, question: Question, past: Past, answer: str, proposals: tuple[Proposal, ...] = ()) -> Stored:
        """Keep a question with its answer, and the calls that it asks for.

        Raises:
            TurnReused: The `Idempotency-Key` came before with another question.
        """
        if question.db_id is None or not question.may_store:
            return Stored(answer, None)
        if past.read is None:
            return Stored(answer, saved=False)
        character = question.role.persona.played if question.role is not None else ""
        turn = Turn(
            question.turn_id or uuid4().hex, question.text, answer, datetime.now(UTC), character, to_text(proposals)
        )
        append = self._task(self._history.append(past.read, turn, local_only=past.local_only))
        stored = await asyncio.shield(append)  # a client that leaves now does not tear the write
        if stored is None:
            return Stored(answer, saved=False)
        if stored.question != question.text:
            raise TurnReused
        return kept(stored)


def kept(turn: Turn) -> Stored:
    """A turn that is stored, with the calls of it that can still be confirmed."""
    waiting = tuple(one for one in of_text(turn.proposals) if one.state is ProposalState.OPEN)
    return Stored(turn.answer, True, waiting)


async def stored_nowhere(answer: str, _: object) -> Stored:
    """For answers that belong to no conversation."""
    return Stored(answer, None)
