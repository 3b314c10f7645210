"""Tokens in which a model was trained to speak of tools: found in its vocabulary, and never made of a text.

Files mark most of them as user-defined, which a tokenizer matches inside any text. They are reserved here, so that
only a scaffold that names them by id has them.

Source: the tokens of Qwen 2.5 and 3 (https://qwen.readthedocs.io/en/latest/framework/function_call.html) and of the
Hermes models, whose format it is (https://github.com/NousResearch/Hermes-Function-Calling); those of Llama 3.1
(https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/prompt_format.md); those of Mistral's tokenizers
(https://docs.mistral.ai/cookbook/concept-deep-dive-tokenization-control_tokens).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chatbot.llm.engine.text.vocabulary import Vocabulary

GENERIC: Final = "generic"
HERMES: Final = "hermes"
LLAMA31: Final = "llama31"
MISTRAL: Final = "mistral"
MISTRAL7: Final = "mistral7"
_CALL: Final = ("<tool_call>", "</tool_call>")
_OTHERS: Final = ("<tools>", "</tools>", "<tool_response>", "</tool_response>")
_PYTHON_TAG: Final = "<|python_tag|>"
_OF_LLAMA31: Final = (_PYTHON_TAG, "<|eom_id|>", "<|finetune_right_pad_id|>")
"""All three came with Llama 3.1; a vocabulary with some of them borrowed their names."""
_TOOL_CALLS: Final = "[TOOL_CALLS]"
_OF_MISTRAL: Final = (_TOOL_CALLS, "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]")
_OF_MISTRAL7: Final = ("[TOOL_CONTENT]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
_LATER_MISTRAL: Final = ("[ARGS]", "[CALL_ID]")
"""Of the eleventh tokenizer and after, whose arrangements no token tells apart."""
_THOUGHT: Final = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class ToolTokens:
    """What one vocabulary has.

    Attributes:
        dialect: How its model is told of tools: generic, hermes, llama31, mistral or mistral7.
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
    find = {"chatml": _hermes, "llama3": _llama31, "mistral": _mistral}.get(chat_format)
    found = find(vocabulary) if find is not None and wanted != GENERIC else ToolTokens()
    vocabulary.reserve(found.ids)
    return found


def _hermes(vocabulary: Vocabulary) -> ToolTokens:
    if None in map(vocabulary.named, _CALL):
        return ToolTokens()
    named = {name: vocabulary.named(name) for name in (*_CALL, *_OTHERS)}
    by_name = {name: token for name, token in named.items() if token is not None}
    writable = frozenset(token for token in by_name.values() if vocabulary.pieces[token])
    return ToolTokens(HERMES, by_name, writable, _empty_thought(vocabulary))


def _llama31(vocabulary: Vocabulary) -> ToolTokens:
    token = vocabulary.named(_PYTHON_TAG)
    if token is None or None in map(vocabulary.named, _OF_LLAMA31):
        return ToolTokens()
    return ToolTokens(LLAMA31, {_PYTHON_TAG: token})


def _mistral(vocabulary: Vocabulary) -> ToolTokens:
    third, seventh, later = (
        {name: token for name in names if (token := vocabulary.named(name)) is not None}
        for names in (_OF_MISTRAL, _OF_MISTRAL7, _LATER_MISTRAL)
    )
    if len(third) < len(_OF_MISTRAL) or later or len(seventh) not in (0, len(_OF_MISTRAL7)):
        return ToolTokens()
    return ToolTokens(MISTRAL7, third | seventh) if seventh else ToolTokens(MISTRAL, third)


def _empty_thought(vocabulary: Vocabulary) -> tuple[int, ...]:
    """As the models' own templates write it where no thought is wanted; nothing where a model knows none."""
    begin, end = map(vocabulary.named, _THOUGHT)
    if begin is None or end is None:
        return ()
    gap = vocabulary.encode("\n\n")
    return (begin, *gap, end, *gap)
