"""A cancelled prompt need not be read to the end of its step: llama.cpp gives the step up, and nothing has changed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chatbot.llm.engine.native.model import Model
from parts.engine_child import engine_child
from parts.toy_engine import ToyEngine, load_toy, open_library, toy_engines
from parts.toy_gguf import make_slow_toy, make_toy

LONG = list(range(300, 700))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    library = open_library()
    yield load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf"))
    assert library.last_words() is not None


@pytest.fixture
def engine(toy: Model) -> Iterator[Callable[..., ToyEngine]]:
    with toy_engines(toy) as open_engine:
        yield open_engine


@pytest.mark.parametrize("is_exact", [True, False], ids=["exact", "as served"])
def test_an_aborted_step_has_changed_nothing(engine: Callable[..., ToyEngine], is_exact: bool) -> None:
    each, alone = engine(kv_tokens=4096, is_exact=is_exact), engine(is_exact=is_exact)
    each.submit("stays", LONG[:90], max_tokens=30)
    each.step(5)
    each.submit("goes", LONG[::-1], max_tokens=4)
    each.step(2)
    rows, decode = each.scheduler.counters.rows, each.context.decode
    each.scheduler.predicted_seconds = 1000.0

    def cancelled_meanwhile(batch: Any) -> int:
        # llama.cpp asks before the first node too: as if the other thread had been quick.
        native = batch.native
        batch.native = lambda: (each.scheduler.interrupt("goes"), native())[1]
        try:
            each.scheduler.predicted_seconds = 1000.0
            return decode(batch)
        finally:
            batch.native = native

    each.context.decode = cancelled_meanwhile  # type: ignore[method-assign]
    each.step()
    each.context.decode = decode  # type: ignore[method-assign]
    assert (each.scheduler.counters.aborted_steps, each.scheduler.counters.rows) == (1, rows)
    each.check_books()
    each.scheduler.cancel("goes")
    each.run()

    assert each.answers["stays"] == alone.answer(LONG[:90], max_tokens=30)
    assert each.finishes.keys() == {"stays"}
    assert each.scheduler.counters.decode_errors == 0


def test_only_a_long_step_that_reads_the_prompt_is_aborted(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    each.submit("answers", LONG[:20], max_tokens=40)
    each.step(2)
    scheduler = each.scheduler
    aborts = []
    each.context.abort = lambda: aborts.append(scheduler.step)  # type: ignore[method-assign]

    scheduler.step_started, scheduler.predicted_seconds = each.clock(), 1000.0
    scheduler.interrupt("answers")
    scheduler._readers = frozenset({"reads"})
    scheduler.interrupt("another")
    scheduler.predicted_seconds = 0.1
    scheduler.interrupt("reads")
    assert aborts == []

    scheduler.predicted_seconds = 1.0
    scheduler.interrupt("reads")
    assert len(aborts) == 1
    scheduler.step_started = 0.0
    scheduler.interrupt("reads")
    assert len(aborts) == 1
    each.run()


def test_a_cancel_frame_ends_a_running_step(tmp_path: Path, figures: Callable[..., None]) -> None:
    stats: dict[str, float] = {}
    with engine_child() as child:
        child.load(make_slow_toy(tmp_path / "slow.gguf"), context_tokens=2048, step_tokens=2048, kv_tokens=4096)
        for attempt in range(12):
            child.generate(f"long{attempt}", f"{attempt} " + "many words " * 200, max_tokens=4)
            time.sleep(0.1 * attempt)  # any moment will do; a step of 1,000 rows takes most of a second
            child.send({"type": "cancel", "id": f"long{attempt}"})
            cancelled = time.monotonic()
            child.generate(f"short{attempt}", "1+1=", max_tokens=1)
            child.answers(f"short{attempt}")
            figures(attempt=attempt, next_answer_seconds=round(time.monotonic() - cancelled, 2))
            stats = child.stats()
            if stats["aborted_steps"]:
                break

        assert stats["aborted_steps"] > 0
        assert stats["decode_errors"] == 0
