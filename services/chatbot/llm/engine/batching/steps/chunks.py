"""How much of which prompts a step reads."""

from collections.abc import Sequence
from typing import Final

from chatbot.llm.engine.batching.generation import Generation
from chatbot.llm.engine.batching.steps.step_model import GOOD_CHUNK

MAX_READING: Final = 3
_SHORT_TOKENS = 64
_SHORT_SHARE = 4


def chunks(reading: Sequence[Generation], room: int) -> list[tuple[Generation, int]]:
    """The prompts that are read now, at most three, and how many tokens of each.

    Args:
        reading: Generations with more than one token to compute, the first ones first.
        room: Rows of the step that are left.
    """
    reading = reading[:MAX_READING]
    short = [generation for generation in reading if len(generation.pending) <= _SHORT_TOKENS]
    long = [generation for generation in reading if len(generation.pending) > _SHORT_TOKENS]
    # A second turn never waits behind a document, but cannot starve it either.
    picked = _in_turn(short, room // _SHORT_SHARE if long else room)
    return picked + _in_turn(long, room - sum(count for _generation, count in picked))


def _in_turn(reading: Sequence[Generation], room: int) -> list[tuple[Generation, int]]:
    """As much of each as fits, the first ones first.

    What is left behind one is no beginning of another: few rows are a graph that costs a CPU nearly as much as many.
    """
    picked: list[tuple[Generation, int]] = []
    for generation in reading:
        count = min(room, len(generation.pending))
        if picked and count < min(GOOD_CHUNK, len(generation.pending)):
            break
        if count > 0:
            picked.append((generation, count))
            room -= count
    return picked
