"""The prompt that a character makes, taken apart: what every author asks for when it does not behave."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from chatbot.core.characters.lore import tokens_of
from chatbot.core.characters.persona import Persona
from chatbot.core.characters.role import Role
from chatbot.core.prompt import PromptTemplates
from chatbot.domain.chat import Dialogue, Message

CountTokens = Callable[[Dialogue], Awaitable[int | None]]
"""Tokens of a whole prompt; None where nobody can count now."""

_ANSWER_TOKENS: Final = 1_024
_NOTHING: Final = Dialogue("", (), (), Message("user", ""))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a prompt. `tokens` is about how many it has where the preview is not exact."""

    name: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A prompt, taken apart.

    Attributes:
        parts: In the order in which the model reads them.
        lore: Numbers of the entries that are told, constant ones included.
        trimmed_lore: Numbers of entries that the book's budget had no room for.
        trimmed: Parts that do not fit the model's context and are left out: examples, then history.
        prompt_tokens: Of all that is left.
        context_tokens: Of the model; 0 where nobody knows.
        is_exact: Whether the model counted; else tokens are estimated from bytes.
    """

    parts: tuple[Part, ...]
    lore: tuple[int, ...]
    trimmed_lore: tuple[int, ...]
    trimmed: tuple[str, ...]
    prompt_tokens: int
    context_tokens: int
    is_exact: bool


class Previewer:
    """Makes previews for one service.

    Args:
        templates: The service's prompt file.
        count: Counts tokens.
        context_tokens: Of the model that is served; 0 where none is.
    """

    def __init__(self, templates: PromptTemplates, count: CountTokens, context_tokens: Callable[[], int]) -> None:
        self.templates = templates
        self._count = count
        self._context_tokens = context_tokens

    async def preview(self, role: Role, brought: Dialogue) -> Preview:
        """What a model would be given for a dialogue."""
        base = role.exchange(self.templates, brought)
        whole = role.directed(base)
        told = role.lore(base)
        empty = await self._count(_NOTHING)
        parts = [Part(name, text, await self._tokens(text, empty)) for name, text in _texts(role, base)]
        context = self._context_tokens()
        total, trimmed = await self._fitted(role, whole, context, sum(part.tokens for part in parts))
        return Preview(tuple(parts), told.entries, told.trimmed, trimmed, total, context, empty is not None)

    async def fixed_tokens(self, persona: Persona) -> tuple[int, bool]:
        """Tokens of what is the same in every prompt of a character; and whether the model counted them."""
        base = Role(persona).exchange(self.templates, _NOTHING)
        empty = await self._count(_NOTHING)
        return await self._tokens(base.system, empty), empty is not None

    async def _fitted(self, role: Role, whole: Dialogue, context: int, about: int) -> tuple[int, tuple[str, ...]]:
        """Tokens of what is left, and what is left out."""
        total = await self._whole(whole, about)
        room = context - min(_ANSWER_TOKENS, context // 2)
        trimmed: list[str] = []
        if context and total > room and role.persona.examples:
            trimmed.append("examples")
            whole = role.shorter(whole)
            total = await self._whole(whole, about - tokens_of(role.persona.examples))
        if context and total > room and whole.history:
            trimmed.append("history")
            total = await self._whole(replace(whole, history=()), about)
        return total, tuple(trimmed)

    async def _whole(self, dialogue: Dialogue, about: int) -> int:
        counted = await self._count(replace(dialogue, may_shorten=False))
        return about if counted is None else counted

    async def _tokens(self, text: str, empty: int | None) -> int:
        if not text:
            return 0
        counted = None if empty is None else await self._count(replace(_NOTHING, question=Message("user", text)))
        return tokens_of(text) if counted is None or empty is None else max(0, counted - empty)


def _texts(role: Role, base: Dialogue) -> list[tuple[str, str]]:
    persona = role.persona
    instructions = base.system
    stable = [(name, text) for name, text in persona.texts.items()]
    for _, text in stable:
        instructions = instructions.replace(text, "", 1)
    said = "\n".join(f"{message.role}: {message.content}" for message in base.history)
    found = [
        ("system", "\n".join(line for line in instructions.splitlines() if line.strip())),
        *stable,
        ("greeting", base.opening[0].content if base.opening else ""),
        ("history", said),
        ("question", base.question.content),
        ("matched_lore", role.lore_text(role.lore(base))),
        ("user_name", role.called()),
        ("post_history", role.post_history()),
    ]
    return [(name, text) for name, text in found if text]
