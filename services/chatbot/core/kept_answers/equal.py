"""Which questions have answers that may be kept, and when two of them are the same question.

Only what is asked again word by word is the same: answers that are found by their meaning belong to another question
sooner or later, and to whoever wants that (arXiv 2601.23088).
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from chatbot.core.question import Done, Exchange, Question
from chatbot.domain.generation import Backend, FinishReason, GenerationRequest, Sampling
from chatbot.domain.model import ModelInfo
from chatbot.domain.tools import ToolDefinition

DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Shaped:
    """Everything that shapes one answer.

    Attributes:
        model: None where none is served.
        request: Its dialogue has the prompt of the service, as it is now.
        tools: Of ours, that the model is told of.
    """

    asked: Question | Exchange
    backend: Backend
    model: ModelInfo | None
    request: GenerationRequest
    tools: tuple[ToolDefinition, ...] = ()

    @property
    def is_repeatable(self) -> bool:
        """Whether it is one question by itself, which the model answers the same way each time.

        Nothing else has a part in it (no conversation, documents, web, character), and whoever asks lets it be
        repeated.
        """
        dialogue = self.request.dialogue
        is_single = not (dialogue.opening or dialogue.history or dialogue.rounds) and self.request.tools is None
        is_steady = self.model is not None and _is_steady(self.request.sampling)
        return is_single and is_steady and _is_alone(self.asked)

    def digest(self, secret: bytes, service: str, *, for_all_users: bool) -> bytes:
        """The same for the same question, and for no other; without the secret nobody can try questions out.

        Args:
            secret: Of this process.
            service: Whose answer it is.
            for_all_users: Whether the tenant's users have their answers together.
        """
        caller, request = self.asked.caller, self.request
        language = self.asked.language if isinstance(self.asked, Question) else ""
        whose = (service, caller.tenant, None if for_all_users else caller.user)
        shape = (str(self.backend), self.model, request.dialogue, request.sampling, language, self.tools)
        # Written as Python writes it, parts stay apart whatever they hold; every field of these types is in it.
        return blake2b(repr((whose, shape)).encode(), key=secret, digest_size=DIGEST_BYTES).digest()


def is_whole(done: Done) -> bool:
    """Whether an answer is finished, and made of the question alone: no clock, no web, no tool was asked for it."""
    is_own = not (done.steps or done.calls) and done.references is None
    return is_own and done.finish_reason is FinishReason.STOP and bool(done.text)


def _is_alone(asked: Question | Exchange) -> bool:
    if asked.oldest_seconds <= 0 or asked.role is not None or asked.upstream_key is not None:
        return False
    if isinstance(asked, Exchange):
        return True
    is_talk = asked.db_id is not None or asked.wanted is not None
    return asked.may_store and not (is_talk or asked.wishes.wants_web or asked.wishes.passages)


def _is_steady(sampling: Sampling) -> bool:
    """Whether nothing is left to chance: the most likely token each time, or a seed that the caller fixed."""
    return sampling.temperature == 0 or sampling.seed is not None
