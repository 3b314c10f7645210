"""Opens the loop of one question: with which tools, for whom, in which language, and what moment counts as now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from chatbot.core.agent.loop import AgentLoop
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.language import language_of
from chatbot.core.question import Question
from chatbot.core.tools.calculate import Calculate
from chatbot.core.tools.contract import Tool, ToolContext
from chatbot.core.tools.convert_units import ConvertUnits
from chatbot.core.tools.current_time import CurrentTime
from chatbot.core.tools.emotion import Emotion
from chatbot.core.tools.fortune import Fortune
from chatbot.domain.ports import TextGenerator

_BUILT_IN: Final[tuple[type[Tool], ...]] = (CurrentTime, Calculate, ConvertUnits, Fortune, Emotion)
TOOL_NAMES: Final = tuple(str(tool.name) for tool in _BUILT_IN)


def built_in() -> tuple[Tool, ...]:
    """The tools that every service may have."""
    return tuple(tool() for tool in _BUILT_IN)


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
