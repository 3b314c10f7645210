"""Opens the loop of one question: with which tools, for whom, in which language, and what moment counts as now."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from chatbot.core.agent.confirming.desk import Offers
from chatbot.core.agent.loop import AgentLoop
from chatbot.core.agent.outside import OutsideAnswer
from chatbot.core.agent.recognised import recognised
from chatbot.core.agent.sentences import answer_without_model, summary_of
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.audit.audit import Audit
from chatbot.core.language import language_of
from chatbot.core.question import Exchange, Question, ToolStep
from chatbot.core.tools.calculate import Calculate
from chatbot.core.tools.contract import Tool, ToolContext
from chatbot.core.tools.convert_units import ConvertUnits
from chatbot.core.tools.current_time import CurrentTime
from chatbot.core.tools.emotion import Emotion
from chatbot.core.tools.fortune import Fortune
from chatbot.domain.ports import TextGenerator
from chatbot.domain.tools import ToolCall, ToolDefinition
from chatbot.domain.toolservers.standing import ToolStanding

_BUILT_IN: Final[tuple[type[Tool], ...]] = (CurrentTime, Calculate, ConvertUnits, Fortune, Emotion)
TOOL_NAMES: Final = tuple(str(tool.name) for tool in _BUILT_IN)
LOCAL_TOOLS: Final = ("current_time", "calculate", "convert_units", "fortune", "emotion")
"""Tools that ask nobody outside: what may still be called beside a user's documents. Whatever quotes hostile text and
private text at once has no way out (arXiv 2506.08837)."""


def built_in() -> tuple[Tool, ...]:
    """The tools that every service may have."""
    return tuple(tool() for tool in _BUILT_IN)


@dataclass(frozen=True, slots=True)
class Alone:
    """What a tool says without a model, and its steps."""

    text: str
    steps: tuple[ToolStep, ...]


@dataclass(frozen=True, slots=True)
class Agent:
    """Our tools for the questions of one service.

    Attributes:
        toolbox: The tools, with what is remembered of them between answers.
        zone: IANA name of the time zone that is meant where nobody names a place.
        now: Aware wall-clock time.
        others: Tools of tool servers that may be called now.
        standings: All tools of tool servers.
        audit: Records calls that do more than read; None where nobody reads it.
    """

    toolbox: Toolbox
    zone: str
    now: Callable[[], datetime] = partial(datetime.now, UTC)
    others: Callable[[], Iterable[Tool]] = tuple
    standings: Callable[[], Iterable[ToolStanding]] = tuple
    audit: Audit | None = None

    def source(
        self, asked: Question | Exchange, generator: TextGenerator, *, may_leave: bool = True
    ) -> OutsideAnswer | AgentLoop | TextGenerator:
        """Where the answer to one question comes from: the loop, or the model alone where it may call nothing.

        Args:
            asked: The user's question; of a dialogue that the caller brought, the last message is it.
            generator: The model.
            may_leave: Whether words of the conversation may leave the house.
        """
        toolbox = self._offered(asked, may_leave=may_leave)
        acting = asked.acting if isinstance(asked, Question) else None
        if acting is not None:
            toolbox = toolbox.plus(acting.tools)
        if not toolbox.definitions:
            return generator
        loop = AgentLoop(toolbox, generator, lambda: self._context(asked), acting)
        return OutsideAnswer(loop, _language(asked)) if toolbox.asks_outside else loop

    def definitions(self, asked: Question | Exchange, *, may_leave: bool = True) -> tuple[ToolDefinition, ...]:
        """The tools that the model is told of, as `source`."""
        return tuple(self._offered(asked, may_leave=may_leave).definitions)

    def offers(self, *, may_leave: bool) -> Offers:
        """What may be confirmed now."""
        count = partial(self.toolbox.telemetry.call_asked_first, self.toolbox.service)
        return Offers(self.others(), self.standings(), self.now().timestamp(), may_leave, self.audit, count)

    async def alone(self, question: Question) -> Alone | None:
        """The answer of one tool, for the time in which no model serves; None where the question takes a model."""
        found = recognised(question.text) if question.acting is None else None
        if found is None:
            return None
        name, arguments = found
        if self._toolbox_of(question).named(name) is None:
            return None
        call = ToolCall("call_1", name, json.dumps(arguments, ensure_ascii=False))
        context = self._context(question)
        ran = await self.toolbox.run(call, context, self.toolbox.bounds.tool_seconds)
        text = answer_without_model(self.toolbox, context.language, (ran,))
        if not text:
            return None
        summary = summary_of(self.toolbox, context.language, ran)
        started, done = ToolStep(call.id, name, "started"), ToolStep(call.id, name, "done", ran.seconds, summary)
        return Alone(text, (started, done))

    def _offered(self, question: Question | Exchange, *, may_leave: bool) -> Toolbox:
        if isinstance(question, Exchange):  # has no place to show what is to be confirmed
            toolbox = self.toolbox.plus(self.others()).only(question.our_tools).reading()
            return toolbox.staying() if question.local_only else toolbox
        toolbox, wishes = self._toolbox_of(question), question.wishes
        # Nothing that others wrote may cause a call that writes: a stored character may be anybody's.
        is_own = question.role is None and not (wishes.wants_web or wishes.passages)
        is_kept = question.db_id is not None and question.may_store
        if not (wishes.may_propose and is_own and is_kept and question.acting is None):
            toolbox = toolbox.reading()
        # The web's pages are read before the first call.
        return toolbox if may_leave and not wishes.wants_web else toolbox.staying()

    def _toolbox_of(self, question: Question) -> Toolbox:
        toolbox, wishes = self.toolbox.plus(self.others()), question.wishes
        if wishes.passages:
            toolbox = toolbox.only(LOCAL_TOOLS)
        return toolbox if wishes.tools is None else toolbox.only(wishes.tools)

    def _context(self, asked: Question | Exchange) -> ToolContext:
        return ToolContext(asked.caller, _language(asked), self.now(), self.zone)


def _language(asked: Question | Exchange) -> str:
    text = asked.text if isinstance(asked, Question) else asked.dialogue.question.content
    return language_of(text, asked.language)
