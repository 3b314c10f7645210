"""A new conversation that goes on where a long one stands: with what was written down of it, and its newest turns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatbot.core.history import History
from chatbot.core.memory.summarised import uncovered
from chatbot.domain.chat import Conversation, ConversationKey, Turn
from chatbot.domain.errors import ConversationErased, ConversationNotFound, StoreUnavailable
from chatbot.domain.memory.standing import NOTHING
from chatbot.domain.memory.summary import NothingToCarry, Summary

CARRIED_TURNS: Final = 20


@dataclass(frozen=True, slots=True)
class Carried:
    """What of a conversation goes over.

    Attributes:
        turns: The newest that no summary covers, oldest first; where there is a summary, its last one before them.
        summary: None where there is none, or where its turns are gone by the store's bounds.
    """

    turns: tuple[Turn, ...]
    summary: Summary | None


def carried(read: Conversation) -> Carried:
    """What goes over of a conversation that has turns."""
    left, summary = uncovered(read), read.summary
    newest = left[-CARRIED_TURNS:]
    covered = read.turns[: len(read.turns) - len(left)]
    if summary is None or not covered:
        return Carried(_as_said(newest), None)
    return Carried(_as_said((covered[-1], *newest)), summary)


async def continued(history: History, key: ConversationKey, db_id: str) -> Conversation:
    """Begin a conversation of the same user; the same `db_id` once more goes on where that was interrupted.

    Args:
        history: Of the service.
        key: Of the conversation that it continues.
        db_id: Of the new one.

    Returns:
        The new one, as it is now.

    Raises:
        ConversationNotFound: There is none to continue.
        NothingToCarry: It has neither summary nor note nor pins.
        ConversationErased: One of the two, or everything of the user, was erased meanwhile.
        StoreUnavailable: It may be there in part; the same call again completes it.
    """
    read = await history.read(key)
    if not read.turns:
        raise ConversationNotFound
    found = carried(read)
    if found.summary is None and read.standing == NOTHING:
        raise NothingToCarry
    begun = history.key(key.caller, db_id)
    there = await history.read(begun)
    if not _is_whole(there, found, read):
        await _carry(history, there, read, found)
    now = await history.read(key)
    if now.epoch != read.epoch or not now.turns:  # an erasure beats it
        await history.erase(begun)
        raise ConversationErased
    return await history.read(begun)


def _is_whole(there: Conversation, found: Carried, read: Conversation) -> bool:
    """Whether nothing is left to do: all of it is there, or its user went on in it."""
    if [turn.turn_id for turn in there.turns] != [turn.turn_id for turn in found.turns[: len(there.turns)]]:
        return True
    is_bare = there.summary is None and there.standing == NOTHING
    return len(there.turns) == len(found.turns) and not is_bare


async def _carry(history: History, there: Conversation, read: Conversation, found: Carried) -> None:
    """Write it; the first turn goes first, since nothing stands beside no turn, and the last one last."""
    await _append(history, there, found.turns[:1], read)
    standing = read.standing
    if standing != NOTHING:
        await history.remember(there.key, note=standing.note, pins=standing.pins)
    now = await history.read(there.key)
    if found.summary is not None and now.summary is None:
        await history.summarise(now, found.summary)
    await _append(history, there, found.turns[1:], read)


async def _append(history: History, there: Conversation, turns: Sequence[Turn], read: Conversation) -> None:
    for turn in turns:
        if await history.append(there, turn, local_only=read.local_only) is None:
            raise StoreUnavailable("the conversation store does not answer")


def _as_said(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Without calls that wait for a confirmation: those are confirmed where they were asked for, and nowhere else."""
    return tuple(replace(turn, proposals="") for turn in turns)
