"""The step: which rows are computed next, what their tokens are, and whose answer ends.

A step is one call of llama_decode. The scheduler knows no socket and no thread; the process around it feeds it and
carries its events away.
"""

import time
from collections.abc import Callable

from chatbot.llm.engine.batching.counters import Counters
from chatbot.llm.engine.batching.generation import Generation, Order
from chatbot.llm.engine.batching.seating import Seating, open_pool
from chatbot.llm.engine.batching.steps.planner import Planner
from chatbot.llm.engine.batching.tuning import Tuning
from chatbot.llm.engine.frames import StepEvent
from chatbot.llm.engine.native.batch import Batch
from chatbot.llm.engine.native.model import (
    DECODE_ABORTED,
    DECODE_INVALID,
    DECODE_NO_CELLS,
    DECODE_OK,
    Context,
    NativeError,
)
from chatbot.llm.engine.native.sizing import Sizes
from chatbot.llm.engine.sampling.chooser import Chooser
from chatbot.llm.engine.text.answer_memory import AnswerMemory
from chatbot.llm.engine.text.vocabulary import Vocabulary

_WORTH_ABORTING_SECONDS = 0.2
_DEFAULT_TUNING = Tuning()

Run = tuple[Generation, int, int]
"""A generation, how many of its pending tokens are computed, and the batch row of the last one."""


class EngineBroken(Exception):
    """llama.cpp failed in a way after which nothing it says can be trusted; the process must end."""


class Scheduler:
    """Runs generations step by step on one context. Not thread-safe: one thread calls it.

    Attributes:
        counters: What it counted.
        residents: What is in the pool.
        step: Number of the running or last step.
        step_started: When the running step began, or 0 between steps; seconds of the clock.
        predicted_seconds: What the running or last step was expected to take.
    """

    def __init__(
        self,
        context: Context,
        sizes: Sizes,
        vocabulary: Vocabulary,
        *,
        tuning: Tuning = _DEFAULT_TUNING,
        memory: AnswerMemory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = Counters()
        self.residents = open_pool(context, sizes, tuning)
        self.step = 0
        self.step_started = self.predicted_seconds = 0.0
        self._context = context
        self._vocabulary = vocabulary
        self._memory = memory or AnswerMemory()
        self._clock = clock
        self._seating = Seating(
            self.residents, sizes.slots, self.counters, may_follow=tuning.may_follow and tuning.can_share
        )
        self._planner = Planner(self.residents, context.n_rows_max, tuning, has_streams=sizes.has_streams)
        self._chooser = Chooser(context, may_shorten=tuning.may_shorten)
        self._batch = Batch(context.n_rows_max)
        self._may_pin = tuning.may_pin
        self._readers: frozenset[str] = frozenset()
        self._by_id: dict[str, Generation] = {}
        self._events: list[StepEvent] = []
        self._heads: list[tuple[Generation, int]] = []

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._by_id)

    def submit(self, order: Order) -> None:
        """Take a generation; it starts as soon as there is a slot and cells for it."""
        generation = Generation(order, self._vocabulary)
        self._by_id[order.request_id] = generation
        self._seating.waiting.append(generation)

    def cancel(self, request_id: str) -> None:
        """End a generation without an event; unknown ids are ignored, for they may just have ended."""
        generation = self._by_id.pop(request_id, None)
        if generation is not None:
            self._seating.remove(generation)
            generation.free()

    def interrupt(self, request_id: str) -> None:
        """From another thread, before `cancel`: end a long step that reads this generation's prompt.

        The whole step is lost and computed again without it, so a step that ends soon anyway is left alone.
        """
        started = self.step_started
        left_seconds = started + self.predicted_seconds - self._clock()
        if started and request_id in self._readers and left_seconds > _WORTH_ABORTING_SECONDS:
            self._context.abort()

    def finish(self, request_id: str, reason: str) -> list[StepEvent]:
        """End a generation between two steps; its last event, none where it had ended already."""
        generation = self._by_id.get(request_id)
        if generation is not None:
            self._finish(generation, reason)
        events, self._events = self._events, []
        return events

    def run_step(self) -> list[StepEvent]:
        """Compute one step and return what it brought; nothing to do is an empty step.

        Raises:
            EngineBroken: The process must end.
        """
        began = self._clock()
        self._end_overdue(began)
        self._seating.admit()
        self.residents.cool(self.step)
        runs = self._fill_within_cells()
        if runs:
            self._compute(runs, began)
        events, self._events = self._events, []
        return events

    def stats(self) -> dict[str, float]:
        """Counters and gauges of the heartbeat. Read from another thread: values may be one step apart."""
        used, active = self.residents.n_used, self.residents.n_active
        return self.counters.as_stats() | {
            "kv_cells": float(self.residents.n_cells),
            "kv_cells_active": float(active),
            "kv_cells_idle": float(max(0, used - active)),
            "evictions": float(self.residents.evictions - self.residents.saves),
            "evictions_host": float(self.residents.saves),
            "host_lost": float(self.residents.lost),
            "host_cache_bytes": float(self.residents.host.n_bytes),
            "active": float(len(self._seating.active)),
            "waiting": float(len(self._seating.waiting)),
        }

    # ---- filling

    def _fill_within_cells(self) -> list[Run]:
        """Rows for which there are cells: idle sequences go first, then the youngest running one waits again."""
        while True:
            runs = self._fill()
            if not runs or self.residents.make_room(len(self._batch)):
                return runs
            self._give_way()

    def _fill(self) -> list[Run]:
        self._batch.clear()
        self._heads.clear()
        seated = [generation for generation in self._seating.active if generation.sequence is not None]
        return [self._add(generation, count) for generation, count in self._planner.plan(seated)]

    def _add(self, generation: Generation, count: int) -> Run:
        sequence = generation.running_sequence
        pending = generation.pending
        wants_output, head = count == len(pending), generation.head(count)
        row = self._batch.add(pending[:count], sequence.length, sequence.number, output=wants_output, also=head)
        if head is not None:
            self._heads.append((generation, row - count + 1 + head))
        return generation, count, row

    # ---- computing

    def _compute(self, runs: list[Run], began: float) -> None:
        load = self._planner.load([(generation, count) for generation, count, _row in runs], self._batch.n_outputs)
        self.predicted_seconds = self._planner.predict(load)
        self.step += 1
        self._readers = frozenset(generation.request_id for generation, _count, _row in runs if generation.is_reading)
        started = self.step_started = self._clock()
        try:
            code = self._context.decode(self._batch)
        except NativeError as exc:
            raise EngineBroken(str(exc)) from exc
        computed = self._clock()
        self.step_started = 0.0
        if code != DECODE_OK:
            self._recover(code, runs)
            return
        self._planner.computed(load, computed - started)
        self.counters.steps += 1
        self.counters.rows += len(self._batch)
        self.counters.overhead_seconds_build += started - began
        self.counters.step_seconds += computed - started
        self._take_tokens(self._extend(runs), computed)

    def _extend(self, runs: list[Run]) -> list[Run]:
        """Note what is resident now; the runs whose last row has logits."""
        outputs = []
        for generation, count, row in runs:
            pending = generation.pending
            is_output, was_reading = count == len(pending), generation.is_reading
            if generation.sequence is not None:
                self.residents.extend(generation.sequence, pending[:count])
                if self._may_pin and was_reading and not generation.is_reading:
                    self.residents.pin(generation.sequence, generation.prompt.shared_tokens)
            if is_output:
                outputs.append((generation, count, row))
        return outputs

    def _take_tokens(self, outputs: list[Run], computed: float) -> None:
        if not outputs and not self._heads:
            return
        chains = [each.answer_chain for each, _row in self._heads] + [each.chain for each, _count, _row in outputs]
        rows = [row for _each, row in self._heads] + [row for _each, _count, row in outputs]
        tokens = self._chooser.choose(chains, rows)
        sampled = self._clock()
        for (generation, _row), token in zip(self._heads, tokens, strict=False):
            generation.begin_with(token)
        for (generation, _count, _row), token in zip(outputs, tokens[len(self._heads) :], strict=True):
            self._take(generation, token, sampled)
        self.counters.overhead_seconds_sample += sampled - computed
        self.counters.overhead_seconds_deliver += self._clock() - sampled

    def _take(self, generation: Generation, token: int | None, now: float) -> None:
        if token is None:
            self._finish(generation, "error")
            return
        event, ending = generation.accept(token, now)
        if generation.has_declined:
            self._take(generation, self._go_on(generation), now)
            return
        if event is not None:
            self._events.append(event)
        if ending is not None:
            self._finish(generation, ending)

    def _go_on(self, generation: Generation) -> int | None:
        """The answer's first token; what decided before it is cut away, or all is read anew where nothing can be."""
        token, sequence, kept = generation.go_on(), generation.running_sequence, len(generation.prompt.ids)
        if self.residents.can_share:
            self.residents.shorten(sequence, kept)
        elif sequence.length > kept:
            self._seating.put_back(generation)
        return token

    # ---- ends and shortages

    def _recover(self, code: int, runs: list[Run]) -> None:
        """After a failed decode, which changed nothing."""
        if code == DECODE_ABORTED:
            self.counters.aborted_steps += 1
            return
        self.counters.decode_errors += 1
        if code == DECODE_NO_CELLS:
            if not self.residents.make_more_room():
                self._give_way()
        elif code == DECODE_INVALID:
            for generation, _count, _row in runs:
                self._finish(generation, "error")
        else:
            raise EngineBroken(f"llama_decode answered {code}")

    def _give_way(self) -> None:
        """One generation less in the pool: the youngest waits again; the only one ends with what it has."""
        if not self._seating.preempt_youngest():
            self._finish(next(each for each in self._seating.active if each.sequence is not None), "length")

    def _end_overdue(self, now: float) -> None:
        for generation in [each for each in self._by_id.values() if each.deadline <= now]:
            self._finish(generation, "length" if generation.n_generated else "timeout")

    def _finish(self, generation: Generation, reason: str) -> None:
        self._by_id.pop(generation.request_id, None)
        self._events.append(generation.finish(reason, self._clock()))
        self._seating.ended(generation)
        self._seating.remove(generation)
        generation.free()
        self.counters.prompt_tokens += len(generation.prompt.ids)
        self.counters.generated_tokens += generation.n_generated
        answer = generation.answer()
        if answer is not None:
            self._memory.keep(*answer)
