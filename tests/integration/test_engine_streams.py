"""Each sequence in a stream of its own: what is copied between them is what would have been computed."""

from collections.abc import Callable, Iterator
from typing import Any

import llama_cpp
import pytest
from chatbot.llm.engine.batching.steps.graphs import GraphCosts
from chatbot.llm.engine.batching.streams import Streams
from chatbot.llm.engine.batching.tuning import Tuning
from chatbot.llm.engine.native.model import DECODE_ABORTED, Model
from parts.toy_engine import ToyEngine, load_toy, open_library, toy_engines
from parts.toy_gguf import make_toy
from parts.toy_turns import PERSONA, ask, conversation, next_turn

MIB = 1 << 20
LONG = list(range(300, 700))
STEP = 64


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    library = open_library()
    yield load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf"))
    assert library.last_words() is not None


@pytest.fixture(params=[True, False], ids=["exact", "as served"])
def engine(toy: Model, request: pytest.FixtureRequest) -> Iterator[Callable[..., ToyEngine]]:
    with toy_engines(toy) as open_engine:

        def open_streams(**wanted: Any) -> ToyEngine:
            slots = wanted.setdefault("slots", 4)
            return open_engine(**{"kv_tokens": slots * 512, "is_exact": request.param, "has_streams": True} | wanted)

        yield open_streams


@pytest.fixture
def fresh(engine: Callable[..., ToyEngine]) -> ToyEngine:
    return engine(slots=1, can_share=False)


def test_a_burst_with_one_new_prefix_computes_it_once(engine: Callable[..., ToyEngine], fresh: ToyEngine) -> None:
    each = engine(slots=8)
    prompts = {f"b{number}": [*LONG, 800 + number, 801] for number in range(8)}
    for name, ids in prompts.items():
        each.submit(name, ids, max_tokens=4)

    each.run()

    assert each.scheduler.counters.rows - 8 * 3 <= len(LONG) + 8 * 2
    assert each.scheduler.counters.prefix_hit_follower == 7 * len(LONG)
    assert each.answers == {name: fresh.answer(ids, max_tokens=4) for name, ids in prompts.items()}


@pytest.mark.parametrize("shares", [(), (1, 30, 40, 50, 60, 70, 80, 90), (1, 1, 1, 1, 1, 1, 1, 1)], ids=str)
def test_answers_beside_prompts_are_the_same_however_rows_are_parted_into_graphs(
    engine: Callable[..., ToyEngine], fresh: ToyEngine, shares: tuple[float, ...]
) -> None:
    each = engine(slots=8, tuning=Tuning(can_share=False, graph_costs=GraphCosts(3000, shares)))
    prompts = {f"p{number}": [300 + 7 * number, *LONG[: 20 + 53 * (number % 4)], 801] for number in range(12)}
    for name, ids in prompts.items():
        each.submit(name, ids, max_tokens=12)
        each.step()  # the next one's prompt is read while these answer, now here and now there among them

    each.run()

    assert each.answers == {name: fresh.answer(ids, max_tokens=12) for name, ids in prompts.items()}


def test_a_follower_takes_over_when_its_leader_is_cancelled(engine: Callable[..., ToyEngine], fresh: ToyEngine) -> None:
    each = engine(slots=3)
    for name in ("leader", "second", "third"):
        each.submit(name, [*LONG, len(name)], max_tokens=4)
    each.step(3)

    each.scheduler.cancel("leader")
    each.run()

    assert each.answers["second"] == fresh.answer([*LONG, len("second")], max_tokens=4)
    assert each.answers["third"] == fresh.answer([*LONG, len("third")], max_tokens=4)
    assert each.scheduler.counters.rows <= len(LONG) + 2 * 6


def test_the_next_turn_computes_only_what_is_new(engine: Callable[..., ToyEngine], fresh: ToyEngine) -> None:
    each = engine()
    _, answer = ask(each, "first", conversation(1))
    turn = next_turn(conversation(1), answer)

    rows, text = ask(each, "next", turn)

    assert rows <= 20 + 1 + 7
    assert text == ask(fresh, "next", turn)[1]
    assert each.scheduler.counters.prefix_hit_in_place == len(conversation(1)) + 7


def test_a_turn_whose_stream_was_needed_comes_back_from_main_memory(
    engine: Callable[..., ToyEngine], fresh: ToyEngine
) -> None:
    each = engine(slots=2, host_cache_bytes=64 * MIB)
    first = [ask(each, f"first{number}", conversation(number))[1] for number in range(12)]
    assert each.scheduler.counters.prefix_hit_fork == 11 * len(PERSONA), "whoever has the persona gives it"

    for number in range(10):
        turn = next_turn(conversation(number), first[number])
        rows, answer = ask(each, f"second{number}", turn)

        assert rows <= 20 + 1 + 7
        assert answer == ask(fresh, f"second{number}", turn)[1]
        each.check_books()
    stats = each.scheduler.stats()
    assert stats["host_restores"] == 10
    assert stats["evictions_host"] >= 20
    assert stats["host_lost"] == 0


def test_what_many_begin_with_is_read_from_main_memory_and_stays_there(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=1, host_cache_bytes=64 * MIB)
    _, answer = ask(each, "first", conversation(1))
    each.answer(LONG[::-1], max_tokens=2)

    rows, _ = ask(each, "other", conversation(2))
    each.answer(LONG[::-1], max_tokens=2)
    again, _ = ask(each, "first again", next_turn(conversation(1), answer))

    assert rows <= 100 + 8
    assert again <= 20 + 1 + 7


def test_an_older_turn_of_a_conversation_is_not_kept_beside_a_later_one(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=1, host_cache_bytes=64 * MIB)
    _, answer = ask(each, "first", conversation(1))
    each.answer(LONG[::-1], max_tokens=2)
    turn = next_turn(conversation(1), answer) + list(range(700, 800))
    ask(each, "second", turn)
    each.answer(LONG[10:], max_tokens=2)

    kept = [saved.tokens.tolist()[:220] for saved in each.scheduler.residents.host._saved.values()]

    assert kept.count(conversation(1)) == 1


def test_main_memory_stays_below_its_limit(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, host_cache_bytes=MIB // 2)
    for number in range(20):
        ask(each, f"c{number}", conversation(number))
        assert each.scheduler.stats()["host_cache_bytes"] <= MIB // 2
    assert each.scheduler.stats()["evictions_host"] > len(each.scheduler.residents.host) > 1


def test_a_state_that_is_refused_is_computed_again(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, host_cache_bytes=64 * MIB)
    first = [ask(each, f"c{number}", conversation(number)) for number in range(6)]
    for saved in each.scheduler.residents.host._saved.values():
        saved.state[:64] = 0xFF

    rows, answer = ask(each, "again", conversation(0))

    assert answer == first[0][1]
    assert rows > 100
    assert each.scheduler.stats()["host_lost"] == 1


def test_without_main_memory_a_stream_is_taken_all_the_same(engine: Callable[..., ToyEngine], fresh: ToyEngine) -> None:
    each = engine(slots=2)
    answers = [ask(each, f"c{number}", conversation(number))[1] for number in range(6)]

    assert answers == [ask(fresh, f"c{number}", conversation(number))[1] for number in range(6)]
    assert each.scheduler.stats()["evictions"] == 4
    assert each.scheduler.stats()["host_cache_bytes"] == 0


def test_a_request_as_long_as_its_stream_is_answered_beside_others(
    engine: Callable[..., ToyEngine], fresh: ToyEngine
) -> None:
    each = engine(slots=2)
    ids = [300 + number % 1000 for number in range(480)]
    each.submit("long", ids, max_tokens=32)
    each.submit("other", ids[::-1], max_tokens=32)

    each.run()

    assert each.answers["long"] == fresh.answer(ids, max_tokens=32)
    assert each.finishes["long"]["completion_tokens"] == 32
    assert each.scheduler.counters.preemptions == each.scheduler.counters.decode_errors == 0


def test_a_gap_between_running_streams_changes_no_answer(engine: Callable[..., ToyEngine], fresh: ToyEngine) -> None:
    each = engine(slots=6)
    prompts = {f"r{number}": conversation(number, 30 + number) for number in range(6)}
    for name, ids in prompts.items():
        each.submit(name, ids, max_tokens=20)
    each.step(12)

    for name in ("r1", "r3"):
        each.scheduler.cancel(name)
        prompts.pop(name)
    each.submit("late", LONG, max_tokens=20)
    each.run()

    assert {name: each.answers[name] for name in prompts} == {
        name: fresh.answer(ids, max_tokens=20) for name, ids in prompts.items()
    }
    assert each.answers["late"] == fresh.answer(LONG, max_tokens=20)


def test_a_step_that_is_given_up_in_any_of_its_graphs_has_changed_nothing(
    engine: Callable[..., ToyEngine], fresh: ToyEngine
) -> None:
    each = engine(slots=3, tuning=Tuning(graph_costs=GraphCosts(1)))  # so that either answer is a graph
    asked: list[int] = []
    last = [1 << 30]

    @llama_cpp.ggml_abort_callback
    def give_up(_data: object) -> bool:
        asked.append(0)
        return len(asked) >= last[0]

    each.submit("short", conversation(1), max_tokens=20)
    each.submit("long", LONG, max_tokens=20)
    while each.step() != 2:
        pass
    llama_cpp.llama_set_abort_callback(each.context._handle, give_up, None)
    each.step()
    nodes = len(asked)
    cut, decode = each.context.cut, each.context.decode
    undone: list[int] = []
    codes: list[int] = []
    each.context.cut = lambda number, length: (  # type: ignore[method-assign]
        undone.append(each.context.last_position(number) + 1 - length),
        cut(number, length),
    )[1]
    each.context.decode = lambda batch: (codes.append(decode(batch)), codes[-1])[1]  # type: ignore[method-assign]

    for node in range(1, nodes, nodes // 12):
        last[0] = node
        asked.clear()
        each.step()
        each.check_books()

    assert set(codes) == {DECODE_ABORTED} and len(codes) >= 12
    assert any(undone), "some of them had computed the other graph already"
    last[0] = 1 << 30
    each.run()
    assert each.answers["short"] == fresh.answer(conversation(1), max_tokens=20)
    assert each.answers["long"] == fresh.answer(LONG, max_tokens=20)


def test_an_engine_that_shares_nothing_finds_nothing(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, can_share=False, host_cache_bytes=MIB)
    assert isinstance(each.scheduler.residents, Streams)
    first, again = ask(each, "first", conversation(1)), ask(each, "again", conversation(1))

    assert first == again
    assert each.scheduler.stats()["prefix_hit_in_place"] == each.scheduler.stats()["evictions_host"] == 0
