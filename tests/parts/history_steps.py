"""Generated histories: appends, erasures and time that passes, over a few conversations of a few callers."""

from dataclasses import dataclass
from datetime import datetime

from chatbot.adapters.history_bounds import stored_time
from chatbot.domain.chat import Caller, Conversation, ConversationKey, Turn
from chatbot.domain.memory.standing import Note
from chatbot.domain.memory.summary import Summary
from hypothesis import strategies as st

KEYS = (
    ConversationKey("office", Caller("", "user"), "chat"),
    ConversationKey("office", Caller("", "other"), "chat"),
    ConversationKey("character", Caller("tenant", "user"), "chat"),
)


@dataclass(frozen=True)
class Step:
    """One call.

    Attributes:
        key: Index into `KEYS`.
        covers: Of a summary: its last turn is so many before the newest; it was begun before the pause.
        seconds: Time that passes before the call.
        is_stale: Whether an append, or a summary, began before the last erasure. Its epoch was read before the pause.
    """

    verb: str
    key: int
    seconds: float
    turn_id: str = "t0"
    answer: str = ""
    is_stale: bool = False
    local_only: bool = False
    note: Note | None = None
    pins: tuple[str, ...] | None = None
    covers: int = 1

    def epoch(self, read: int) -> int:
        """The epoch that an append expects, where `read` was the one before the pause."""
        return max(0, read - self.is_stale)

    def summary(self, read: Conversation) -> Summary | None:
        """A summary of a conversation as it was read; None where there is nothing to cover."""
        if len(read.turns) <= self.covers:
            return None
        first, last = read.turns[0], read.turns[-1 - self.covers]  # the newest but so many
        return Summary(f"요약 {self.answer}", first.turn_id, last.turn_id, last.at, 1, "toy@0", stored_time(last.at))

    def turn(self, now: datetime) -> Turn:
        """The turn that this step appends."""
        return Turn(self.turn_id, "q", self.answer, stored_time(now))


def histories(tombstone_seconds: float) -> st.SearchStrategy[list[Step]]:
    """Lists of steps; the pauses lie around the borders of expiry (1,000 s) and tombstone."""
    pauses = st.sampled_from([0.0, 0.0, 0.0, 1.0, 999.0, 1000.0, tombstone_seconds - 1, tombstone_seconds])
    keys = st.integers(0, len(KEYS) - 1)
    append = st.builds(
        Step,
        verb=st.just("append"),
        key=keys,
        seconds=pauses,
        turn_id=st.sampled_from([f"t{number}" for number in range(6)]),
        answer=st.sampled_from(["", "a", "가나다", "long" * 9, "too long" * 9]),
        is_stale=st.sampled_from([False, False, True]),
        local_only=st.booleans(),
    )
    erase = st.builds(Step, verb=st.just("erase"), key=keys, seconds=pauses)
    remember = st.builds(
        Step,
        verb=st.just("remember"),
        key=keys,
        seconds=pauses,
        note=st.sampled_from([None, Note(), Note("가\x00나", 3), Note("짧게", 0)]),
        pins=st.sampled_from([None, (), ("고양이", '{"$gt": ""}')]),
    ).filter(lambda step: (step.note, step.pins) != (None, None))
    summarise = st.builds(
        Step,
        verb=st.just("summarise"),
        key=keys,
        seconds=pauses,
        answer=st.sampled_from(["", "a\x00b", '{"$gt": ""}']),
        covers=st.integers(0, 2),
        is_stale=st.booleans(),
    )
    return st.lists(st.one_of(append, append, append, erase, remember, summarise), max_size=25)
