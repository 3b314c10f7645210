"""From a character in an answer to what holds the answer to its rules; characters without rules pay nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from chatbot.core.answering.pump import AnswerSource
from chatbot.core.characters.role import Role
from chatbot.core.question import Exchange, Question
from chatbot.core.style.checks import Rules
from chatbot.core.style.source import Spending, Stage, StyledSource
from chatbot.core.style.wording import reminder
from chatbot.domain.style.rules import CharacterStyle, Speech, StyleTelemetry


@dataclass(frozen=True, slots=True)
class Scene:
    """What is the same for all answers of one service."""

    service: str
    telemetry: StyleTelemetry | None
    clock: Callable[[], float]


def rules_of(role: Role) -> Rules | None:
    """The rules of who answers; None where there are none."""
    character = role.persona.character
    if character.style == CharacterStyle():
        return None
    user = role.user_name or role.persona.user_word
    return Rules(character.style, character.repair, character.display_name, user)


def held_to_rules(
    source: AnswerSource, asked: Question | Exchange, role: Role, spending: Spending, scene: Scene
) -> AnswerSource:
    """The source of an answer that keeps the rules of who plays in it."""
    rules = rules_of(role)
    if rules is None:
        return source
    stage = Stage(
        service=scene.service,
        is_whole=asked.is_whole,
        may_stop=not _has_sources(asked),
        reminder=reminder(rules, rules.style.language or role.persona.language),
        spending=spending,
        telemetry=scene.telemetry,
        clock=scene.clock,
    )
    return StyledSource(source, rules, stage)


def speech_of(asked: Question | Exchange) -> Speech | None:
    """How the answer is cut for a voice: as the request says, else as the character wants it."""
    if asked.speech is not None or asked.role is None:
        return asked.speech
    return asked.role.persona.character.speech


def _has_sources(asked: Question | Exchange) -> bool:
    """Whether what the answer was made from is told behind it."""
    return isinstance(asked, Question) and (asked.wishes.wants_web or bool(asked.wishes.passages))
