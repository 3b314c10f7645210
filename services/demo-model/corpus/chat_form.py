"""Dialogues as token ids in the chat form of Llama 3.

Form: https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/
"""

from collections.abc import Callable, Mapping, Sequence

from corpus.scene import Message

SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|python_tag|>",
    "<|pad|>",
)
_SHOWN_ROLE = {"opening": "assistant"}


def encode(
    messages: Sequence[Message],
    text_ids: Callable[[str], list[int]],
    special: Mapping[str, int],
    *,
    is_open: bool = False,
) -> tuple[list[int], list[bool]]:
    """Turn a dialogue into token ids.

    Args:
        messages: The dialogue. `opening` is a greeting that is given: the assistant's, but not the model's own.
        text_ids: Tokenises text; names of special tokens inside it must stay plain text.
        special: Ids of `SPECIALS`.
        is_open: Whether the head of an answer follows, for the model to go on.

    Returns:
        The ids and, for each, whether the model is to write it.
    """
    ids, own = [special["<|begin_of_text|>"]], [False]

    def head(role: str) -> list[int]:
        shown = _SHOWN_ROLE.get(role, role)
        return [
            special["<|start_header_id|>"],
            *text_ids(shown),
            special["<|end_header_id|>"],
            *text_ids("\n\n"),
        ]

    for role, content in messages:
        start, body = head(role), [*text_ids(content), special["<|eot_id|>"]]
        ids += start + body
        own += [False] * len(start) + [role == "assistant"] * len(body)
    if is_open:
        ids += head("assistant")
        own += [False] * (len(ids) - len(own))
    return ids, own
