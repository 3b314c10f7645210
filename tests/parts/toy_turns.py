"""Conversations with a toy that share a persona: token ids, since the toy's pieces are numbers."""

import random

from parts.toy_engine import ToyEngine

PERSONA = list(range(300, 420))


def conversation(number: int, length: int = 100) -> list[int]:
    """The first turn of a conversation: the persona and a question of its own."""
    rng = random.Random(number)
    return PERSONA + [rng.randrange(500, 1500) for _ in range(length)]


def next_turn(ids: list[int], answer: str) -> list[int]:
    """The same with its answer and one more question."""
    return [*ids, *map(int, answer.split()), *range(600, 620)]


def ask(each: ToyEngine, name: str, ids: list[int]) -> tuple[int, str]:
    """Rows that it took to answer, and the answer."""
    before = each.scheduler.counters.rows
    each.submit(name, ids, shared_tokens=len(PERSONA), max_tokens=8)
    each.run()
    return each.scheduler.counters.rows - before, each.answers[name]
