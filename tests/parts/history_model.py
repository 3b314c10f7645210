"""What a conversation store has to do, as a dictionary: the reference that generated histories are compared with."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chatbot.adapters.history_bounds import TOMBSTONE, HistoryBounds, turn_bytes
from chatbot.domain.chat import Conversation, ConversationKey, Turn
from chatbot.domain.errors import ConversationErased
from chatbot.domain.memory.standing import NOTHING, Note, Standing
from chatbot.domain.memory.summary import Summary

START = datetime(2126, 3, 1, 12, 0, 0, tzinfo=UTC)  # far from now: a real MongoDB sweeps what expired


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Move on."""
        self.now += timedelta(seconds=seconds)


@dataclass
class _Kept:
    epoch: int
    expires_at: datetime
    turns: list[Turn] = field(default_factory=list)
    local_only: bool = False
    standing: Standing = NOTHING
    summary: Summary | None = None


class HistoryModel:
    """The port's semantics without a store. Expired conversations are nothing, erased ones are remembered."""

    def __init__(self, bounds: HistoryBounds, clock: HandClock) -> None:
        self._bounds = bounds
        self._clock = clock
        self._kept: dict[ConversationKey, _Kept] = {}

    def load(self, key: ConversationKey) -> Conversation:
        """As the port says."""
        kept = self._kept.get(key)
        if kept is None or kept.expires_at <= self._clock.now:
            return Conversation(key)
        return Conversation(key, kept.epoch, tuple(kept.turns), kept.local_only, kept.standing, kept.summary)

    def remember(self, key: ConversationKey, note: Note | None, pins: tuple[str, ...] | None) -> bool:
        """As the port says."""
        kept = self._kept.get(key)
        if kept is None or kept.expires_at <= self._clock.now or not kept.turns:
            return False
        before = kept.standing
        kept.standing = Standing(before.note if note is None else note, before.pins if pins is None else pins)
        return True

    def summarise(self, read: Conversation, summary: Summary) -> bool:
        """As the port says."""
        kept = self._kept.get(read.key)
        if kept is None or kept.expires_at <= self._clock.now or kept.epoch != read.epoch:
            return False
        if kept.summary != read.summary or (summary.last, summary.last_at) not in [
            (t.turn_id, t.at) for t in kept.turns
        ]:
            return False
        kept.summary = summary
        return True

    def append(self, key: ConversationKey, turn: Turn, *, epoch: int, local_only: bool = False) -> Turn:
        """As the port says."""
        kept = self._kept.get(key)
        if kept is None or kept.expires_at <= self._clock.now:
            if kept is not None and epoch not in (0, kept.epoch):
                raise ConversationErased
            kept = self._kept[key] = _Kept(epoch, self._clock.now)
        for there in kept.turns:
            if there.turn_id == turn.turn_id:
                return there
        if kept.epoch != epoch:
            raise ConversationErased
        kept.turns.append(turn)
        kept.local_only |= local_only
        kept.expires_at = self._clock.now + timedelta(seconds=self._bounds.ttl_seconds)
        while len(kept.turns) > self._bounds.max_turns or (
            len(kept.turns) > 1 and sum(map(turn_bytes, kept.turns)) > self._bounds.max_bytes
        ):
            del kept.turns[0]
        return turn

    def erase(self, key: ConversationKey) -> None:
        """As the port says."""
        kept = self._kept.setdefault(key, _Kept(0, self._clock.now))
        kept.epoch += 1
        kept.turns.clear()
        kept.standing, kept.summary = NOTHING, None
        kept.expires_at = self._clock.now + TOMBSTONE
