"""How much of which prompts a step reads."""

from collections.abc import Sequence
from typing import Final

from chatbot.llm.engine.batching.generation import Generation
from chatbot.llm.engine.batching.steps.step_model import GOOD_CHUNK

MAX_READING: Final = 3
_SHORT_TOKENS = 64
_SHORT_SHARE = 4


def chunks(
    reading: Sequence[Generation], room: int, most: int, *, are_alike: bool = True
) -> list[tuple[Generation, int]]:
    """The prompts that are read now, at most three, and how many tokens of each.

    Args:
        reading: Generations with more than one token to compute, the first ones first.
        room: Rows that the step's time allows.
        most: Rows of the step that are left, at least `room`.
        are_alike: Whether a prompt is cut into pieces alike, instead of as much as fits and a rest.
    """
    reading = reading[:MAX_READING]
    short = [generation for generation in reading if len(generation.pending) <= _SHORT_TOKENS]
    long = [generation for generation in reading if len(generation.pending) > _SHORT_TOKENS]
    # A second turn never waits behind a document, but cannot starve it either.
    picked = _in_turn(short, room // _SHORT_SHARE if long else room, most, are_alike)
    taken = sum(count for _generation, count in picked)
    return picked + _in_turn(long, room - taken, most - taken, are_alike)


def _in_turn(reading: Sequence[Generation], room: int, most: int, are_alike: bool) -> list[tuple[Generation, int]]:
    """As much of each as fits, the first ones first.

    What is left behind one is no beginning of another: few rows are a graph that costs a CPU nearly as much as many.
    """
    picked: list[tuple[Generation, int]] = []
    for generation in reading:
        if room <= 0:
            break
        pending = len(generation.pending)
        count = _piece(pending, room, most) if are_alike else min(pending, room)
        if picked and count < min(GOOD_CHUNK, pending):
            break
        picked.append((generation, count))
        room, most = room - count, most - count
    return picked


def _piece(pending: int, room: int, most: int) -> int:
    """All of a prompt where that takes half as long again, else as much as each of its pieces would have.

    A step that is a little longer costs the others less than one more step for the few rows that it would leave.
    """
    if pending <= min(most, room * 3 // 2):
        return pending
    return -(-pending // -(-pending // room))
