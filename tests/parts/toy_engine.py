"""The engine in this process, step by step: what a test of the scheduler drives instead of a child process."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from chatbot.llm.engine.batching.decision import Decision, Trigger
from chatbot.llm.engine.batching.generation import Order
from chatbot.llm.engine.batching.scheduler import Scheduler
from chatbot.llm.engine.batching.streams import Streams
from chatbot.llm.engine.batching.tuning import Tuning
from chatbot.llm.engine.frames import SamplingFrame
from chatbot.llm.engine.native.gguf_header import read_gguf_header
from chatbot.llm.engine.native.library import Library
from chatbot.llm.engine.native.model import Context, Model
from chatbot.llm.engine.native.sizing import Sizes, Wanted, choose_sizes
from chatbot.llm.engine.sampling.chain import SamplerChain
from chatbot.llm.engine.sampling.grammar import Grammar
from chatbot.llm.engine.text.answer_memory import AnswerMemory
from chatbot.llm.engine.text.chat_format import find_chat_format
from chatbot.llm.engine.text.prompt_ids import Prompt, PromptBuilder
from chatbot.llm.engine.text.tool_tokens import find_tool_tokens
from chatbot.llm.engine.text.vocabulary import Vocabulary

GREEDY: SamplingFrame = {
    "temperature": 0.0,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "penalty_last_n": 64,
    "seed": 1,
    "max_tokens": 16,
    "stop": [],
}


class Clock:
    """Time that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ToyEngine:
    """One model with a context of its own.

    Attributes:
        answers: Whole text of ended generations, by id.
        finishes: Last event of ended generations, by id.
    """

    def __init__(
        self,
        model: Model,
        *,
        can_share: bool = True,
        shows_ids: bool = True,
        is_exact: bool = False,
        tuning: Tuning | None = None,
        **wanted: int,
    ) -> None:
        """Sizes as `Wanted`; `idle_tokens` as `Sizes`. With `shows_ids` the text is the ids: equal text, equal ids."""
        self.vocabulary = Vocabulary(model.vocab)
        self.format = find_chat_format(self.vocabulary)
        self.tool_tokens = find_tool_tokens(self.vocabulary, self.format.name)
        if shows_ids:
            self.vocabulary.pieces = [f"{token} ".encode() for token in range(self.vocabulary.n_tokens)]
        self.sizes = _sizes(wanted)
        self.context = Context(model, self.sizes, is_exact=is_exact)
        self.memory, self.clock = AnswerMemory(), Clock()
        self.scheduler = Scheduler(
            self.context,
            self.sizes,
            self.vocabulary,
            tuning=tuning or Tuning(can_share=can_share),
            memory=self.memory,
            clock=self.clock,
        )
        self.prompts = PromptBuilder(
            self.vocabulary, self.format, self.sizes.context_tokens, self.memory, self.tool_tokens
        )
        self.answers: dict[str, str] = {}
        self.finishes: dict[str, Any] = {}

    def submit(self, request_id: str, ids: Sequence[int], *, shared_tokens: int = 0, **changes: Any) -> None:
        """Start a generation on these ids; changes are sampling fields, or `timeout_seconds`.

        `decision` is (ids, grammar, nothing): what is decided before the answer; a number as nothing is a trigger, and
        what comes behind it settles a call without it.
        """
        timeout_seconds, asked = changes.pop("timeout_seconds", 3600.0), changes.pop("decision", None)
        sampling: SamplingFrame = {**GREEDY, **changes}  # type: ignore[typeddict-item]
        prompt = Prompt(np.array(ids, np.int32), shared_tokens, sampling["max_tokens"] or 16)
        grammar = Grammar(self.vocabulary, sampling["grammar"]) if sampling.get("grammar") else None
        chain = SamplerChain(sampling, self.vocabulary.n_tokens, ids, grammar=grammar)
        now, decision = self.clock(), None
        if asked is not None:
            held = SamplerChain(GREEDY, self.vocabulary.n_tokens, grammar=Grammar(self.vocabulary, asked[1]))
            trigger = None
            if isinstance(asked[2], int):
                settled_by = "".join(asked[3:]).encode()
                trigger = Trigger(asked[2], SamplerChain(GREEDY, self.vocabulary.n_tokens), settled_by)
            decision = Decision(np.array(asked[0], np.int32), held, 64, "" if trigger else asked[2], trigger)
        order = Order(request_id, prompt, chain, tuple(sampling["stop"]), now, now + timeout_seconds, decision)
        self.answers[request_id] = ""
        self.scheduler.submit(order)

    def step(self, steps: int = 1) -> int:
        """Run steps; the rows that they computed."""
        before = self.scheduler.counters.rows
        for _ in range(steps):
            for event in self.scheduler.run_step():
                self.answers[event["id"]] += event["text"]
                if "finish" in event:
                    self.finishes[event["id"]] = event
        return self.scheduler.counters.rows - before

    def run(self, most_steps: int = 100_000) -> None:
        """Step until nothing is left."""
        for _ in range(most_steps):
            if not self.scheduler.has_work:
                return
            self.step()
        raise AssertionError("the engine does not come to an end")

    def answer(self, ids: Sequence[int], **changes: Any) -> str:
        """One answer, alone."""
        self.submit("alone", ids, **changes)
        self.run()
        return self.answers["alone"]

    def margin(self, ids: Sequence[int], token: int) -> float:
        """How far a token's logit is below the best one after these ids, computed alone."""
        logits, read = [], self.context.logits
        self.context.logits = lambda rows: logits.append(read(rows)[-1].copy()) or read(rows)  # type: ignore[method-assign]
        self.answer(ids, max_tokens=1)
        self.context.logits = read  # type: ignore[method-assign]
        return float(logits[-1].max() - logits[-1][token])

    def check_books(self) -> None:
        """The mirror of the cells agrees with llama.cpp and with itself."""
        sequences = list(self.scheduler.residents)
        residents = self.scheduler.residents
        assert [self.context.last_position(each.number) for each in sequences] == [
            each.length - 1 for each in sequences
        ]
        assert residents.n_used <= residents.n_cells == self.context.n_cells
        if isinstance(residents, Streams):
            assert all(each.length <= self.context.n_sequence_cells for each in sequences)
            return
        ledger = residents.ledger
        assert ledger.used == _distinct(each.cells for each in sequences)
        assert ledger.active == _distinct(each.cells for each in sequences if each.active)

    def close(self) -> None:
        self.context.close()


@contextmanager
def toy_engines(model: Model) -> Iterator[Callable[..., ToyEngine]]:
    """Open engines on a model, as many as are asked for; in the end the books of each are checked, and it is closed."""
    opened: list[ToyEngine] = []

    def open_engine(**wanted: Any) -> ToyEngine:
        opened.append(ToyEngine(model, **wanted))
        return opened[-1]

    yield open_engine
    for each in opened:
        each.check_books()
        each.close()


def load_toy(path: Path) -> Model:
    """The model of a file; keep one `Library` per process."""
    return Model(path, 0, lambda _fraction: None)


def open_library() -> Library:
    return Library()


def header_sizes(path: Path, **wanted: int) -> Sizes:
    return choose_sizes(Wanted(**wanted), read_gguf_header(path), has_gpu=False, cpus=1)


def _sizes(wanted: dict[str, int]) -> Sizes:
    slots = wanted.get("slots", 4)
    has_streams = bool(wanted.get("has_streams"))
    kv_tokens = wanted.get("kv_tokens", 2048)
    return Sizes(
        context_tokens=wanted.get("context_tokens", 512),
        slots=slots,
        kv_tokens=kv_tokens,
        step_tokens=wanted.get("step_tokens", 64),
        threads=1,
        sequences=wanted.get("sequences", slots if has_streams else 3 * slots + 2),
        idle_tokens=wanted.get("idle_tokens", kv_tokens // 4),
        host_cache_bytes=wanted.get("host_cache_bytes", 0),
        cheap_idle_tokens=wanted.get("cheap_idle_tokens"),
        has_streams=has_streams,
    )


def _distinct(arrays: Iterable[Any]) -> int:
    return len(np.unique(np.concatenate([np.empty(0, np.int32), *arrays])))
