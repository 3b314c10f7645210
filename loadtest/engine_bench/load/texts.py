"""Prompts whose number of tokens is known: digits in groups of three, one token each (`engine_bench.model_file`)."""

import random
from collections.abc import Sequence

DIGITS = 3
"""Characters of one token."""

Message = dict[str, str]


def text_of(rng: random.Random, tokens: int) -> str:
    """Random text of so many tokens."""
    return "".join(f"{rng.randrange(1000):03d}" for _ in range(tokens))


def tokens_in(text: str) -> int:
    """Tokens of an answer, or -1 where it is not made of whole groups of digits: then it is another model's."""
    return len(text) // DIGITS if len(text) % DIGITS == 0 and (text.isdigit() or not text) else -1


def prompt_tokens(messages: Sequence[Message]) -> int:
    """Tokens of a dialogue in ChatML: two control tokens, the role's letters and two line ends around each message."""
    around = sum(len(message["role"]) + 4 for message in messages)
    return around + sum(len(message["content"]) // DIGITS for message in messages) + len("assistant") + 2
