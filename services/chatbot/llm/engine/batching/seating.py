"""Who may run: slots, cells and prefixes that are being computed right now.

A request waits for cells as it waits for a slot, in order. Of several new requests with the same new prefix one
computes it and the others wait for that, instead of each computing it again.
"""

from collections import deque

from chatbot.llm.engine.batching.counters import Counters
from chatbot.llm.engine.batching.generation import Generation
from chatbot.llm.engine.batching.residents import Match, Residents
from chatbot.llm.engine.batching.streams import Streams
from chatbot.llm.engine.batching.tokens import common_prefix
from chatbot.llm.engine.batching.tuning import Tuning
from chatbot.llm.engine.native.model import Context
from chatbot.llm.engine.native.sizing import Sizes

_WORTH_FOLLOWING = 32
_RECENT_ANSWERS = 64
_ENOUGH_ANSWERS = 8


Pool = Residents | Streams
"""Who keeps the cells."""


def open_pool(context: Context, sizes: Sizes, tuning: Tuning) -> Pool:
    """The table of a context's sequences; what graphs cost matters where each has a stream."""
    if sizes.has_streams:
        return Streams(context, sizes, can_share=tuning.can_share, costs=tuning.graph_costs, may_order=tuning.may_order)
    return Residents(
        context,
        sizes.sequences,
        sizes.idle_tokens,
        can_share=tuning.can_share,
        cheap_cells=sizes.cheap_idle_tokens,
        host_cache_bytes=sizes.host_cache_bytes,
    )


class Seating:
    """Slots and cells of the engine.

    Attributes:
        waiting: Not started, or put back, in order.
        active: Started, in order of start; those without a sequence follow another one's prompt.
    """

    def __init__(self, residents: Pool, slots: int, counters: Counters, *, may_follow: bool = True) -> None:
        self.waiting: deque[Generation] = deque()
        self.active: list[Generation] = []
        self._residents = residents
        self._slots = slots
        self._counters = counters
        self._may_follow = may_follow
        self._answer_lengths: deque[int] = deque(maxlen=_RECENT_ANSWERS)

    def admit(self) -> None:
        """Start waiting generations while there are slots and cells; seat followers whose leader is far enough."""
        for generation in self.active:
            if generation.sequence is None:
                self._seat(generation)
        while self.waiting and len(self.active) < self._slots:
            generation = self.waiting[0]
            match = self._residents.match(generation.findable)
            if not self._has_cells(generation, match) and self.active:
                return
            self.waiting.popleft()
            self.active.append(generation)
            generation.reserved_tokens = self._expected_length(generation)
            self._counters.prefix_queried += len(generation.tokens)
            self._seat(generation, match)

    def preempt_youngest(self) -> bool:
        """Put the youngest generation back to the head of the line, its tokens and its chain kept; False if alone."""
        seated = [generation for generation in self.active if generation.sequence is not None]
        if len(seated) < 2:
            return False
        self.put_back(seated[-1])
        self._counters.preemptions += 1
        return True

    def put_back(self, generation: Generation) -> None:
        """Let a generation that runs wait at the head of the line."""
        self._leave(generation)
        self.waiting.appendleft(generation)

    def remove(self, generation: Generation) -> None:
        """Take a generation out, wherever it is. What it computed stays resident."""
        if generation in self.active:
            self._leave(generation)
        else:
            self.waiting.remove(generation)

    def ended(self, generation: Generation) -> None:
        """Remember how long an answer was: the next ones are expected to be like it."""
        self._answer_lengths.append(generation.n_generated)

    def _leave(self, generation: Generation) -> None:
        self.active.remove(generation)
        if generation.sequence is not None:
            self._residents.retire(generation.sequence)
        generation.sequence = generation.leader = None

    def _seat(self, generation: Generation, match: Match | None = None) -> None:
        """Give it a sequence, unless the prefix it needs is being computed."""
        leader = generation.leader
        if leader is not None and leader.sequence is not None and leader.sequence.length < generation.shared_tokens:
            return
        match = match or self._residents.match(generation.findable)
        if self._follow(generation, match):
            return
        seat = self._residents.place(match, generation.findable)
        generation.sequence = seat.sequence
        if generation.cached_tokens is None:
            generation.cached_tokens = seat.kept + seat.restored
        self._counters.hit("host", seat.restored)
        self._counters.host_restores += seat.restored > 0
        self._counters.hit("follower" if leader is not None else seat.how, seat.kept)
        generation.leader = None

    def _follow(self, generation: Generation, match: Match) -> bool:
        if not self._may_follow:
            return False
        for other in self.active:
            if other is generation or not other.is_reading or other.sequence is None:
                continue
            shared = min(common_prefix(other.prompt.ids, generation.findable), len(generation.findable) - 1)
            if shared >= match.length + _WORTH_FOLLOWING:
                generation.leader, generation.shared_tokens = other, shared
                return True
        return False

    def _has_cells(self, generation: Generation, match: Match) -> bool:
        """Whether everything that runs and this one are expected to fit together."""
        promised = sum(self._promised(other) for other in self.active)
        return self._residents.fits(match, promised + self._expected_length(generation) - match.length)

    def _promised(self, generation: Generation) -> int:
        resident = generation.sequence.length if generation.sequence else generation.shared_tokens
        return max(0, generation.reserved_tokens - resident)

    def _expected_length(self, generation: Generation) -> int:
        """Prompt and the answer that 9 of 10 recent ones were not longer than; few answers say nothing yet."""
        left = generation.max_length - len(generation.tokens)
        if len(self._answer_lengths) >= _ENOUGH_ANSWERS:
            ordered = sorted(self._answer_lengths)
            left = min(left, max(1, ordered[int(0.9 * len(ordered))] - generation.n_generated))
        return len(generation.tokens) + left
