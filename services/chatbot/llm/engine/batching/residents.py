"""Which token sequences are in the KV pool: found again by longest common prefix, taken over, forked, evicted.

A finished answer stays resident, so the next turn of its conversation computes only what is new; a system prompt that
many conversations share is computed once. Idle sequences are bounded, because every row of a step scans their cells.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from chatbot.llm.engine.batching.cells import CellLedger
from chatbot.llm.engine.batching.host_cache import WORTH_MOVING, HostCache, Saved
from chatbot.llm.engine.batching.tokens import Sequence, Tokens, common_prefix
from chatbot.llm.engine.native.model import Context

_MAX_PINNED = 2
_LEAST_PINNED = 32
_MAY_BE_LOST = 64
_COOLING_STEPS = 4


@dataclass(frozen=True, slots=True)
class Match:
    """What has the longest common prefix with a prompt.

    Attributes:
        source: A resident sequence; None where nothing has any.
        length: Tokens that they have in common.
        saved: What is in main memory and has more in common than any resident sequence.
    """

    source: Sequence | None
    length: int
    saved: Saved | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A sequence for a generation.

    Attributes:
        sequence: The sequence.
        kept: Tokens of it that were resident. `how` says where: new, in_place or fork.
        how: Where from.
        restored: Tokens behind them that came back from main memory.
    """

    sequence: Sequence
    kept: int
    how: str
    restored: int = 0


def best_match(sequences: Iterable[Sequence], tokens: Tokens) -> Match:
    """The best prefix for a prompt; at least its last token is always computed, for its logits."""
    best = Match(None, 0)
    for sequence in sequences:
        length = min(common_prefix(sequence.tokens, tokens), len(tokens) - 1)
        # Among equals an idle one: taking it costs no cells.
        if length > best.length or (0 < length == best.length and not sequence.active):
            best = Match(sequence, length)
    return best


def last_use(sequence: Sequence) -> int:
    """What goes first: the sequence with the least."""
    return sequence.used_at


class Residents:
    """The table of sequences.

    Attributes:
        ledger: Cells by use.
        can_share: Whether prefixes are shared at all.
        host: Where evicted sequences go; holds nothing where nothing is shared.
        evictions: Idle sequences that were dropped.
        saves: Those of them that went to the host.
        lost: Saved sequences that llama.cpp did not take back.
    """

    def __init__(
        self,
        context: Context,
        n_sequences: int,
        idle_cells: int,
        *,
        can_share: bool = True,
        cheap_cells: int | None = None,
        host_cache_bytes: int = 0,
    ) -> None:
        self._context = context
        self._sequences = [Sequence(number) for number in range(n_sequences)]
        self._idle_cells = idle_cells
        self._cheap_cells = idle_cells if cheap_cells is None else cheap_cells
        self._step = 0
        self.can_share = can_share
        self._clock = itertools.count(1)
        self.ledger = CellLedger(context.n_cells)
        self.host = HostCache(host_cache_bytes if can_share else 0)
        self.evictions = self.saves = self.lost = 0

    def match(self, tokens: Tokens) -> Match:
        """The best prefix for a prompt."""
        return best_match(self._sequences if self.can_share else (), tokens)

    def fits(self, match: Match, promised: int) -> bool:
        """Whether there are so many cells beside those that run, the idle ones of a match counted as taken."""
        idle = 0 if match.source is None else self.ledger.inactive(match.source.cells[: match.length])
        return self.ledger.active + promised + idle <= self.ledger.n_cells

    def place(self, match: Match, prompt: Tokens) -> Seat:
        """Give a sequence that begins with the match, and bring back what the host has behind it."""
        seat = self.seat(match)
        return replace(seat, restored=self.restore(seat.sequence, prompt))

    def seat(self, match: Match) -> Seat:
        """Give a sequence that begins with the match: the idle one itself where little of it is lost, else a fork."""
        source, kept = match.source, match.length
        if source is None:
            return Seat(self._activated(self._empty(None)), 0, "new")
        if not source.active and not source.pinned and source.length - kept <= _MAY_BE_LOST:
            self.shorten(source, kept)
            return Seat(self._activated(source), kept, "in_place")
        target = self._empty(source)
        self._context.fork(source.number, target.number, kept)
        target.extend(source.tokens[:kept], source.cells[:kept])
        self.ledger.share(target.cells, active=False)
        source.used_at = next(self._clock)
        return Seat(self._activated(target), kept, "fork")

    def restore(self, sequence: Sequence, prompt: Tokens) -> int:
        """Bring back what the host has of a prompt, behind what is resident of it; how many tokens."""
        before = sequence.length
        while (found := self.host.take(prompt, sequence.length)) is not None:
            saved, length = found
            if not self.make_room(len(saved.tokens) - saved.start):
                self.host.keep(saved)
                break
            if not self._context.restore(saved.state, sequence.number, sequence.length, length):
                self.lost += 1
                break
            self.extend(sequence, saved.tokens[sequence.length : length])
        return sequence.length - before

    def extend(self, sequence: Sequence, tokens: Tokens) -> None:
        """Note that a step made these tokens resident in a running sequence."""
        sequence.extend(tokens, self.ledger.take(len(tokens)))

    def retire(self, sequence: Sequence) -> None:
        """End running: the sequence stays resident as long as idle ones are allowed."""
        self.ledger.deactivate(sequence.cells)
        sequence.active = False
        sequence.used_at = next(self._clock)
        sequence.retired_at = self._step
        if self.host.limit_bytes:
            return  # copying takes time: `cool` does it, one sequence a step
        while (excess := self.ledger.used - self.ledger.active - self._idle_cells) > 0:
            idle = [each for each in self._sequences if not each.active and not each.pinned and each.length]
            if idle == [sequence]:  # longer than all that may stay: its beginning is worth keeping
                self.shorten(sequence, max(0, sequence.length - excess))
                return
            if not idle:
                return
            self._evict(idle)

    def cool(self, step: int) -> None:
        """Before a step: one sequence that nobody came back for goes to main memory.

        Beyond what idle sequences may hold it is the least recently used one, beyond what costs little to carry along
        one that had a few steps to be asked for again.
        """
        self._step = step
        idle_cells = self.ledger.used - self.ledger.active
        if not self.host.limit_bytes or idle_cells <= self._cheap_cells:
            return
        cooled_at = step if idle_cells > self._idle_cells else step - _COOLING_STEPS
        idle = [each for each in self._sequences if each.length and not each.active and not each.pinned]
        cold = [each for each in idle if each.retired_at <= cooled_at]
        if cold:
            self._evict(cold)

    def drop(self, sequence: Sequence) -> None:
        """Forget a sequence at once, running or not."""
        self.shorten(sequence, 0)
        sequence.active = sequence.pinned = False

    def make_room(self, cells: int) -> bool:
        """Evict idle sequences, pinned ones last, until so many cells are free; whether they are."""
        while self.ledger.free < cells:
            idle = [each for each in self._sequences if not each.active and each.length]
            unpinned = [each for each in idle if not each.pinned]
            if not idle:
                return False
            self._evict(unpinned or idle)
        return True

    def pin(self, source: Sequence, length: int) -> None:
        """Keep a shared beginning resident in a sequence of its own; by sharing cells, so it costs none now."""
        if not self.can_share or not _LEAST_PINNED <= length <= source.length:
            return
        beginning = source.tokens[:length]
        pinned = [sequence for sequence in self._sequences if sequence.pinned]
        for sequence in pinned:
            if sequence.length == length and common_prefix(sequence.tokens, beginning) == length:
                sequence.used_at = next(self._clock)
                return
        if len(pinned) >= _MAX_PINNED:
            self._evict(pinned)
        target = self._empty(source)
        self._context.fork(source.number, target.number, length)
        target.extend(beginning, source.cells[:length])
        self.ledger.share(target.cells, active=False)
        target.pinned = True
        target.used_at = next(self._clock)

    @property
    def n_cells(self) -> int:
        """Cells of the pool."""
        return self.ledger.n_cells

    @property
    def n_active(self) -> int:
        """Cells that running sequences hold."""
        return self.ledger.active

    @property
    def n_used(self) -> int:
        """Cells that any sequence holds."""
        return self.ledger.used

    def n_scanned(self, sequence: Sequence) -> int:
        """Cells that a row of a sequence scans: all that any of them holds."""
        return self.ledger.used

    def shorten(self, sequence: Sequence, length: int) -> None:
        """Forget what a sequence holds behind a length."""
        self._context.cut(sequence.number, length)
        self.ledger.release(sequence.cells[length:], active=sequence.active)
        sequence.length = length

    def order(self, picks: list[tuple[Sequence, int]]) -> Iterable[int]:
        """In which order runs of rows are computed: any, it is one graph."""
        return range(len(picks))

    def make_more_room(self) -> bool:
        """Evict at least one idle sequence; False where there is none."""
        return self.make_room(self.ledger.free + 1)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._sequences)

    def _activated(self, sequence: Sequence) -> Sequence:
        sequence.active = True
        sequence.used_at = next(self._clock)
        self.ledger.activate(sequence.cells)
        return sequence

    def _empty(self, spared: Sequence | None) -> Sequence:
        """An empty sequence; where there is none, the least recently used idle one is emptied, never `spared`.

        There are more sequences than slots and pins, so one is always found.
        """
        for sequence in self._sequences:
            if not sequence.active and sequence.length == 0:
                return sequence
        idle = [each for each in self._sequences if not each.active and each is not spared]
        return self._evict([each for each in idle if not each.pinned] or idle)

    def _evict(self, candidates: list[Sequence]) -> Sequence:
        chosen = min(candidates, key=last_use)
        self.evictions += 1
        self._save(chosen)
        self.drop(chosen)
        return chosen

    def _save(self, sequence: Sequence) -> None:
        """Keep in main memory what only this sequence holds."""
        start = self.ledger.shared_beginning(sequence.cells)
        if self.host.limit_bytes and sequence.length - start >= 2 * WORTH_MOVING:
            state = self._context.save(sequence.number, start)
            self.saves += self.host.keep(Saved(sequence.tokens.copy(), start, state))
