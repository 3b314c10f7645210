"""Sequences that each have a stream of cells of their own: a row scans the cells of its own sequence and no others.

What several sequences begin with is copied from one to the next through main memory instead of being shared. An idle
stream costs nothing, so a finished answer stays until its stream is needed; then it goes to main memory as a whole.
"""

import itertools
from collections.abc import Iterable, Iterator

from chatbot.llm.engine.batching.host_cache import WORTH_MOVING, HostCache, Saved
from chatbot.llm.engine.batching.residents import Match, Seat, best_match, last_use
from chatbot.llm.engine.batching.steps.graphs import GraphCosts, Rows, in_order
from chatbot.llm.engine.batching.tokens import Sequence, Tokens
from chatbot.llm.engine.native.model import Context
from chatbot.llm.engine.native.sizing import Sizes

_MAY_BE_LOST = 64
_WORTH_COPYING = 8
_COPIES_OF_ONE = 100  # tokens that are copied in the time of computing one; a sequence is copied as a whole


class Streams:
    """The table of streams; as many as there are slots, so a generation that may run always finds one.

    Attributes:
        can_share: Whether what is resident is used again at all.
        host: Whole sequences whose streams were needed.
        evictions: Idle sequences that were dropped.
        saves: Those of them that went to the host.
        lost: Saved sequences that llama.cpp did not take back.
    """

    def __init__(
        self,
        context: Context,
        sizes: Sizes,
        *,
        can_share: bool = True,
        costs: GraphCosts | None = None,
        may_order: bool = True,
    ) -> None:
        self._context = context
        self._sequences = [Sequence(number) for number in range(sizes.sequences)]
        self._costs = costs or GraphCosts(sizes.graph_cells)
        self._may_order = may_order
        self._clock = itertools.count(1)
        self.can_share = can_share
        self.host = HostCache(sizes.host_cache_bytes if can_share else 0)
        self.evictions = self.saves = self.lost = 0

    def match(self, tokens: Tokens) -> Match:
        """The best prefix for a prompt, resident or in main memory."""
        if not self.can_share:
            return Match(None, 0)
        best = best_match(self._sequences, tokens)
        found = self.host.look(tokens, best.length)
        return best if found is None else Match(best.source, found[1], found[0])

    def fits(self, match: Match, promised: int) -> bool:
        """Each stream has room for the longest request, so whoever has a slot has cells."""
        return True

    def place(self, match: Match, prompt: Tokens) -> Seat:
        """Give a stream that begins with the match."""
        if match.saved is not None:
            return self._restored(match.saved, match.length, prompt)
        source, kept = match.source, match.length
        if source is None or kept < max(_WORTH_COPYING, source.length // _COPIES_OF_ONE):
            return Seat(self._activated(self._free(None)), 0, "new")
        if not source.active and source.length - kept <= _MAY_BE_LOST:
            self.shorten(source, kept)
            return Seat(self._activated(source), kept, "in_place")
        target = self._free(source)
        if target is source:  # the only one that does not run
            self._save(source)
            self.shorten(source, kept)
            return Seat(self._activated(source), kept, "in_place")
        if not self._context.load_whole(self._context.save_whole(source.number), target.number, kept):
            self.lost += 1
            return Seat(self._activated(target), 0, "new")
        target.extend(source.tokens[:kept])
        source.used_at = next(self._clock)
        return Seat(self._activated(target), kept, "fork")

    def extend(self, sequence: Sequence, tokens: Tokens) -> None:
        """Note that a step made these tokens resident in a running sequence."""
        sequence.extend(tokens)

    def shorten(self, sequence: Sequence, length: int) -> None:
        """Forget what a sequence holds behind a length."""
        self._context.cut(sequence.number, length)
        sequence.length = length

    def order(self, picks: list[tuple[Sequence, int]]) -> Iterable[int]:
        """In which order runs of rows are computed, so that llama.cpp makes the graphs that cost least."""
        if not self._may_order:
            return range(len(picks))
        return in_order([Rows(sequence.number, sequence.length, count) for sequence, count in picks], self._costs)

    def retire(self, sequence: Sequence) -> None:
        """End running; the sequence stays until its stream is needed."""
        sequence.active = False
        sequence.used_at = next(self._clock)

    def cool(self, step: int) -> None:
        """Nothing has to leave before a step: idle streams are not scanned."""

    def pin(self, source: Sequence, length: int) -> None:
        """Nothing is held in a stream of its own: what many begin with, each of them has."""

    def make_room(self, cells: int) -> bool:
        """Whether so many rows have cells; those of running sequences always do."""
        return cells <= self.n_cells - self.n_active

    def make_more_room(self) -> bool:
        """No stream gains by what another one loses."""
        return False

    @property
    def n_cells(self) -> int:
        """Cells of all streams."""
        return self._context.n_cells

    @property
    def n_active(self) -> int:
        """Cells that running sequences hold."""
        return sum(sequence.length for sequence in self._sequences if sequence.active)

    @property
    def n_used(self) -> int:
        """Cells that any sequence holds."""
        return sum(sequence.length for sequence in self._sequences)

    def n_scanned(self, sequence: Sequence) -> int:
        """Cells that a row of a sequence scans: its own."""
        return sequence.length

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._sequences)

    def _restored(self, saved: Saved, length: int, prompt: Tokens) -> Seat:
        target = self._free(None)
        self.host.used(saved, length)
        if self._context.load_whole(saved.state, target.number, length):
            target.extend(prompt[:length])
        else:
            length, self.lost = 0, self.lost + 1
        return Seat(self._activated(target), 0, "new", restored=length)

    def _free(self, spared: Sequence | None) -> Sequence:
        """An empty stream, else the least recently used idle one, emptied; `spared` as it is where it is the only one.

        Low numbers first: streams that lie beside each other are computed together.
        """
        idle = [each for each in self._sequences if not each.active]
        empty = [each for each in idle if not each.length]
        if empty:
            return empty[0]
        chosen = min((each for each in idle if each is not spared), key=last_use, default=spared)
        if chosen is None:
            raise RuntimeError("more generations run than there are streams")
        if chosen is not spared:
            self._save(chosen)
            self.shorten(chosen, 0)
        return chosen

    def _save(self, sequence: Sequence) -> None:
        """Keep a whole sequence in main memory."""
        self.evictions += 1
        if self.host.limit_bytes and sequence.length >= 2 * WORTH_MOVING:
            state = self._context.save_whole(sequence.number)
            self.host.drop_beginnings(sequence.tokens)
            self.saves += self.host.keep(Saved(sequence.tokens.copy(), 0, state))

    def _activated(self, sequence: Sequence) -> Sequence:
        sequence.active = True
        sequence.used_at = next(self._clock)
        return sequence
