"""How long and how large a conversation may get: what every store keeps alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chatbot.domain.chat import Turn

CALL_SECONDS = 2.5
"""One call of a store ends within this, seconds; the port promises 3."""

TOMBSTONE = timedelta(hours=3)
"""How long an erasure is remembered: longer than the longest request that the settings allow (2 h)."""

GRACE = timedelta(hours=3)
"""How long an expired conversation keeps its row, unseen, before it is deleted.

Without it a row could be deleted and made anew, with the same epoch, while one generation runs, and an
erasure in between would be missed.
"""


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """Bounds of one conversation; the oldest turns go first.

    Attributes:
        max_turns: Turns that are kept, >= 1.
        max_bytes: UTF-8 bytes of questions, answers and proposals that are kept. The newest turn stays in any case: it
            was just acknowledged.
        ttl_seconds: A conversation without a new turn for so long is gone, seconds.
    """

    max_turns: int = 200
    max_bytes: int = 1 << 20
    ttl_seconds: float = 30 * 86400

    def surplus(self, sizes: Sequence[int]) -> int:
        """Count the oldest turns that have to go.

        Args:
            sizes: Bytes of each turn, oldest first.

        Returns:
            How many turns, from the oldest, do not fit; at most all but one.
        """
        kept, total = 0, 0
        for size in reversed(sizes[-self.max_turns :]):
            total += size
            if kept and total > self.max_bytes:
                break
            kept += 1
        return len(sizes) - kept

    def expiry(self, now: datetime) -> datetime:
        """When a conversation whose last turn is stored at `now` stops to be seen."""
        return now + timedelta(seconds=self.ttl_seconds)


def utc_now() -> datetime:
    """The clock of the stores."""
    return datetime.now(UTC)


def stored_time(at: datetime) -> datetime:
    """Cut a time to whole milliseconds, UTC: what every store can keep (BSON dates have no more)."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def stored_turn(turn: Turn) -> Turn:
    """The turn as it will be read again."""
    return replace(turn, at=stored_time(turn.at))


def turn_bytes(turn: Turn) -> int:
    """Size of a turn's text in UTF-8, bytes."""
    return sum(len(text.encode()) for text in (turn.question, turn.answer, turn.proposals))
