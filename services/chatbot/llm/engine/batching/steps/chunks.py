"""How much of which prompts a step reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot.llm.engine.batching.generation import Generation
from chatbot.llm.engine.batching.steps.step_model import GOOD_CHUNK

_MOST_AT_ONCE: Final = 3
_QUICK_SHARE: Final = 4

Chunk = tuple[Generation, int]
"""A generation, and how many of its pending tokens are computed."""


@dataclass(frozen=True, slots=True)
class Round:
    """What was read between two tokens of the answers.

    Attributes:
        rows: Of prompts.
        has_begun: Whether the oldest prompt had its share of them.
    """

    rows: int = 0
    has_begun: bool = False


NOTHING_READ: Final = Round()


def chunks(
    reading: Sequence[Generation], room: int, most: int, *, so_far: Round = NOTHING_READ, are_alike: bool = True
) -> list[Chunk]:
    """The prompts that are read next, at most three, and how many tokens of each.

    The oldest one has its share of every round. Those behind it that have a quarter of its tokens left, or fewer, come
    first, in at most half of the rows: a second turn never waits behind a document, and cannot starve it.

    Args:
        reading: Generations with more than one token to compute, the oldest ones first.
        room: Rows that the time of a round allows.
        most: Rows that a step has left, at least `room`.
        so_far: What was read in this round.
        are_alike: Whether a prompt is cut into pieces alike, instead of as much as fits and a rest.
    """
    quick = _quick(reading)[: _MOST_AT_ONCE - 1]
    half = _in_order(quick, room // 2 - so_far.rows, most, are_alike=are_alike, is_rest=so_far.rows > 0)
    taken = n_rows(half)
    others, left = reading[: 1 if quick else _MOST_AT_ONCE], room - so_far.rows - taken
    return half + _in_order(others, left, most - taken, are_alike=are_alike, is_rest=so_far.has_begun)


def together(picked: Sequence[Chunk]) -> list[Chunk]:
    """The first ones of those that are read next that are computed in one call where each is a graph of its own.

    A prompt that is computed alone has its first token sooner. Few rows cost a CPU nearly as much as many, so those
    come together: neighbours with equally many are one graph.
    """
    call = list(picked[:1])
    for chunk in picked[1:]:
        if max(n_rows(call), chunk[1]) >= GOOD_CHUNK:
            break
        call.append(chunk)
    return call


def n_rows(picked: Sequence[Chunk]) -> int:
    """Rows of these chunks."""
    return sum(count for _generation, count in picked)


def _quick(reading: Sequence[Generation]) -> list[Generation]:
    """Those that have far less left than the oldest one, the quickest first."""
    most = len(reading[0].pending) // _QUICK_SHARE if reading else 0
    return sorted((one for one in reading if len(one.pending) <= most), key=lambda one: len(one.pending))


def _in_order(reading: Sequence[Generation], room: int, most: int, *, are_alike: bool, is_rest: bool) -> list[Chunk]:
    """As much of each as fits.

    A rest that others left is no beginning of a prompt: few rows are a graph that costs a CPU nearly as much as many.
    """
    picked: list[Chunk] = []
    for generation in reading:
        if room <= 0:
            break
        pending = len(generation.pending)
        count = _piece(pending, room, most) if are_alike else min(pending, room)
        if (picked or is_rest) and count < min(GOOD_CHUNK, pending):
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
