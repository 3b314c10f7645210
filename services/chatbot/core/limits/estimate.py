"""Tokens of a prompt before a model has read it: an upper bound that is sure, and what answers taught us."""

from typing import Final

from chatbot.domain.generation import Backend, GenerationRequest, Sampling

_MESSAGE_TOKENS: Final = 16  # what a chat format puts around a message, generously
_LEARNING: Final = 0.05
ANSWER_TOKENS: Final = 1024
"""Reserved for the answer where the caller names no bound; it is cut there."""


class Estimates:
    """How many tokens prompts have. A token of a byte-level vocabulary is at least one byte of UTF-8."""

    def __init__(self) -> None:
        self._tokens_per_byte: dict[Backend, float] = {}

    def bound(self, request: GenerationRequest, context_tokens: int) -> int:
        """Tokens that the prompt has at most. `context_tokens` is 0 where nobody knows it."""
        tokens = prompt_bytes(request)
        return min(tokens, context_tokens) if context_tokens else tokens

    def likely(self, backend: Backend, request: GenerationRequest, bound: int) -> int:
        """Tokens that it probably has, for answers that were cut before anybody told; at most the bound."""
        return min(bound, round(prompt_bytes(request) * self._tokens_per_byte.get(backend, 1.0)))

    def learn(self, backend: Backend, request: GenerationRequest, tokens: int) -> None:
        """An answer told how many tokens its prompt had."""
        measured = min(1.0, tokens / prompt_bytes(request))
        known = self._tokens_per_byte.get(backend, measured)
        self._tokens_per_byte[backend] = known + _LEARNING * (measured - known)


def prompt_bytes(request: GenerationRequest) -> int:
    """Bytes of everything that the prompt is made of, and room for what stands around it."""
    dialogue = request.dialogue
    messages = (*dialogue.opening, *dialogue.history, dialogue.question, *dialogue.rounds)
    texts = [dialogue.system, *(message.content for message in messages)]
    texts += [call.name + call.arguments for message in messages for call in message.calls]
    if request.tools is not None:
        texts += [tool.name + tool.description + tool.parameters for tool in request.tools.definitions]
    return sum(len(text.encode()) for text in texts) + _MESSAGE_TOKENS * (len(texts) + 2)


def answer_tokens(sampling: Sampling, context_tokens: int) -> int:
    """Tokens of the answer to reserve; `context_tokens` is 0 where nobody knows it."""
    usual = min(ANSWER_TOKENS, context_tokens // 2) if context_tokens else ANSWER_TOKENS
    wanted = usual if sampling.max_tokens is None else sampling.max_tokens
    return wanted if sampling.most_tokens is None else min(wanted, sampling.most_tokens)
