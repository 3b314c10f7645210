"""A character's prompt in a context that is too short for all of it: examples go before history does."""

from collections.abc import AsyncIterator
from dataclasses import replace

from chatbot.core.answering.pump import AnswerSource
from chatbot.core.characters.role import Role
from chatbot.core.question import SourceEvent
from chatbot.domain.errors import PromptTooLong
from chatbot.domain.generation import GenerationRequest


class FittedSource:
    """An `AnswerSource` that leaves a character's examples out where they would cost history, or a refusal.

    Args:
        source: The backend, or what stands before it.
        role: Who answers.
    """

    def __init__(self, source: AnswerSource, role: Role) -> None:
        self._source = source
        self._role = role
        self._is_short = False

    async def check(self, request: GenerationRequest) -> None:
        """As `TextGenerator.check`; decides what is left out."""
        self._is_short = bool(self._role.persona.examples) and not await self._fits(request)
        await self._source.check(self._fitted(request))

    def generate(self, request: GenerationRequest) -> AsyncIterator[SourceEvent]:
        """As `AnswerSource.generate`."""
        return self._source.generate(self._fitted(request))

    async def _fits(self, request: GenerationRequest) -> bool:
        whole = replace(request, dialogue=replace(request.dialogue, may_shorten=False))
        try:
            await self._source.check(whole)
        except PromptTooLong:
            return False
        return True

    def _fitted(self, request: GenerationRequest) -> GenerationRequest:
        return replace(request, dialogue=self._role.shorter(request.dialogue)) if self._is_short else request
