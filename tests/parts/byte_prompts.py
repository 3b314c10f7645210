"""Prompts of a model with a token for each byte: the worst vocabulary there is."""

from typing import Any

from chatbot.llm.engine.text.answer_memory import AnswerMemory
from chatbot.llm.engine.text.chat_format import ChatFormat
from chatbot.llm.engine.text.prompt_ids import PromptBuilder

ROLES = ("system", "user", "assistant")


class Bytes:
    """A vocabulary."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


def builder(context_tokens: int) -> PromptBuilder:
    """Prompts for a context of so many tokens."""
    before = {role: (300 + number,) for number, role in enumerate(ROLES)}
    form = ChatFormat("bytes", (309,), before, dict.fromkeys(ROLES, (310,)), True, frozenset({310}))
    vocabulary: Any = Bytes()
    return PromptBuilder(vocabulary, form, context_tokens, AnswerMemory())
