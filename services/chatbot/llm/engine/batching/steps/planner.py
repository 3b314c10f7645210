"""What each call of llama_decode computes.

In one pool it is a row of every answer and as much of the prompts as a step's time allows, all in one graph.

Where each sequence has a stream of its own, a prompt is a graph of its own anyway. So it is a call of its own: its
first token waits neither for the prompts behind it nor for the answers. Those have a call when as many rows of prompts
were read as a step's time allows: a round. So they wait as long as if all of it were one call.
"""

from collections.abc import Sequence

from chatbot.llm.engine.batching.generation import Generation
from chatbot.llm.engine.batching.seating import Pool
from chatbot.llm.engine.batching.steps.chunks import NOTHING_READ, Chunk, Round, chunks, n_rows, together
from chatbot.llm.engine.batching.steps.step_model import Load, StepModel
from chatbot.llm.engine.batching.tuning import Tuning


class Planner:
    """Chooses rows, and learns how long they take."""

    def __init__(self, pool: Pool, most_rows: int, tuning: Tuning, *, has_streams: bool) -> None:
        """Plan calls of at most so many rows for what is in a pool."""
        self._pool = pool
        self._most_rows = most_rows
        self._step_model = StepModel(tuning.step_seconds)
        self._may_balance = tuning.may_balance
        self._has_rounds = has_streams and tuning.may_take_turns
        self._round = self._next_round = NOTHING_READ

    def plan(self, seated: Sequence[Generation]) -> list[Chunk]:
        """The rows of the next call, in the order that costs least.

        Args:
            seated: Generations that have a sequence, the oldest ones first.
        """
        answering = [(generation, 1) for generation in seated if len(generation.pending) == 1]
        reading = [generation for generation in seated if len(generation.pending) > 1]
        so_far = self._round if answering else NOTHING_READ
        most = self._most_rows - len(answering)
        room = self._room(answering, reading, most)
        picked = chunks(reading, room, most, so_far=so_far, are_alike=self._may_balance)
        self._next_round = NOTHING_READ
        if not self._has_rounds:
            picked = answering + picked
        elif picked:
            picked = together(picked)
            has_begun = so_far.has_begun or any(generation is reading[0] for generation, _count in picked)
            self._next_round = Round(so_far.rows + n_rows(picked), has_begun)
        else:
            picked = answering
        order = self._pool.order([(generation.running_sequence, count) for generation, count in picked])
        return [picked[place] for place in order]

    def load(self, picked: Sequence[Chunk], outputs: int) -> Load:
        """What computing these rows is, of which so many have logits."""
        answer_cells = prompt_cells = 0
        for generation, count in picked:
            cells = self._pool.n_scanned(generation.running_sequence)
            if count == 1:
                answer_cells += cells
            else:
                prompt_cells += cells * count
        return Load(outputs, n_rows(picked) - outputs, answer_cells, prompt_cells)

    def predict(self, load: Load) -> float:
        """Expected seconds, >= 0; 0 before anything was seen."""
        return self._step_model.predict(load)

    def computed(self, load: Load, seconds: float) -> None:
        """Note that what was planned last is computed, and how long it took."""
        self._step_model.observe(load, seconds)
        self._round = self._next_round

    def _room(self, answering: list[Chunk], reading: list[Generation], most: int) -> int:
        if not reading:
            return 0
        scanned = self._pool.n_scanned(reading[0].running_sequence)
        return self._step_model.chunk(self.load(answering, len(answering)), scanned, most)
