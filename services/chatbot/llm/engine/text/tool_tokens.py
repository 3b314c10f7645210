"""Tokens in which a model was trained to speak of tools: found in its vocabulary, and never made of a text.

Files mark most of them as user-defined, which a tokenizer matches inside any text. They are reserved here, so that
only a scaffold that names them by id has them.

Source: the tokens of Qwen 2.5 and 3 (https://qwen.readthedocs.io/en/latest/framework/function_call.html) and of the
Hermes models, whose format it is (https://github.com/NousResearch/Hermes-Function-Calling).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chatbot.llm.engine.text.vocabulary import Vocabulary

GENERIC: Final = "generic"
HERMES: Final = "hermes"
_CALL: Final = ("<tool_call>", "</tool_call>")
_OTHERS: Final = ("<tools>", "</tools>", "<tool_response>", "</tool_response>")
_THOUGHT: Final = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class ToolTokens:
    """What one vocabulary has.

    Attributes:
        dialect: How its model is told of tools: generic or hermes.
        by_name: Ids by text; none for generic.
        writable: Those that a call may hold: a file that marks them as control tokens gives them no text, and then the
            model writes that text in pieces.
        before_call: Stands in front of a call. An empty thought, of models that would think first: what they decide
            behind a thought, no first token tells.
    """

    dialect: str = GENERIC
    by_name: Mapping[str, int] = field(default_factory=dict)
    writable: frozenset[int] = frozenset()
    before_call: tuple[int, ...] = ()

    @property
    def ids(self) -> frozenset[int]:
        """All of them."""
        return frozenset(self.by_name.values())


def find_tool_tokens(vocabulary: Vocabulary, chat_format: str, wanted: str = "") -> ToolTokens:
    """The tokens of the dialect that a vocabulary was made for; they are reserved in it.

    Args:
        vocabulary: Of the model.
        chat_format: Its name.
        wanted: generic takes that, whatever there is; "" looks.
    """
    if wanted == GENERIC or chat_format != "chatml" or None in map(vocabulary.named, _CALL):
        return ToolTokens()
    named = {name: vocabulary.named(name) for name in (*_CALL, *_OTHERS)}
    by_name = {name: token for name, token in named.items() if token is not None}
    vocabulary.reserve(by_name.values())
    writable = frozenset(token for token in by_name.values() if vocabulary.pieces[token])
    return ToolTokens(HERMES, by_name, writable, _empty_thought(vocabulary))


def _empty_thought(vocabulary: Vocabulary) -> tuple[int, ...]:
    """As the models' own templates write it where no thought is wanted; nothing where a model knows none."""
    begin, end = map(vocabulary.named, _THOUGHT)
    if begin is None or end is None:
        return ()
    gap = vocabulary.encode("\n\n")
    return (begin, *gap, end, *gap)
