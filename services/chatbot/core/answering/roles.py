"""Where a stored character answers: who it is, the prompt that it makes of a dialogue, how it is sampled."""

from dataclasses import replace

from chatbot.core.answering.past import Past
from chatbot.core.answering.pump import Answer, AnswerSource
from chatbot.core.characters.casting import Casting
from chatbot.core.characters.fitting import FittedSource
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Exchange, Question
from chatbot.core.style.played import Scene, held_to_rules, speech_of
from chatbot.core.style.source import Spending
from chatbot.domain.chat import Dialogue
from chatbot.domain.generation import Sampling


async def with_role(casting: Casting | None, question: Question, past: Past) -> Question:
    """The question with the stored character that it names, where there is one.

    Raises:
        CharactersUnavailable: It is not known whether there is one.
        InvalidInput: The character has no such greeting.
    """
    if casting is None or question.wanted is None:
        return question
    turns = past.read.turns if past.read else ()
    role = await casting.role(question.caller.tenant, question.wanted, turns, question.request_id)
    return replace(question, role=role)


def played(source: AnswerSource, asked: Question | Exchange, spending: Spending, scene: Scene) -> AnswerSource:
    """The source of an answer as a character needs it: its prompt fitted, its rules kept."""
    if asked.role is None:
        return source
    return held_to_rules(FittedSource(source, asked.role), asked, asked.role, spending, scene)


def voiced(answer: Answer, asked: Question | Exchange) -> Answer:
    """The answer, with how it is cut for a voice."""
    answer.speech = speech_of(asked)
    return answer


def brought_dialogue(templates: PromptTemplates, exchange: Exchange) -> Dialogue:
    """The dialogue of an exchange, with the character that plays in it."""
    role = exchange.role
    return exchange.dialogue if role is None else role.directed(role.exchange(templates, exchange.dialogue))


def sampling_of(question: Question, defaults: Sampling) -> Sampling:
    """The caller's sampling, else the character's over the service's."""
    if question.wishes.sampling is not None:
        return question.wishes.sampling
    return defaults if question.role is None else question.role.sampling(defaults)
