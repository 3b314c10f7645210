"""Opens the loop of one question: for whom it runs, in which language, and what moment counts as now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from chatbot.core.agent.loop import AgentLoop
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.language import language_of
from chatbot.core.question import Question
from chatbot.core.tools.contract import ToolContext
from chatbot.domain.ports import TextGenerator


@dataclass(frozen=True, slots=True)
class Agent:
    """Our tools for the questions of one service.

    Attributes:
        toolbox: The tools, with what is remembered of them between answers.
        zone: IANA name of the time zone that is meant where nobody names a place.
        now: Aware wall-clock time.
    """

    toolbox: Toolbox
    zone: str
    now: Callable[[], datetime] = partial(datetime.now, UTC)

    def loop(self, question: Question, generator: TextGenerator) -> AgentLoop:
        """The loop of one question."""
        language = language_of(question.text, question.language)

        def context() -> ToolContext:
            return ToolContext(question.caller, language, self.now(), self.zone)

        return AgentLoop(self.toolbox, generator, context)
