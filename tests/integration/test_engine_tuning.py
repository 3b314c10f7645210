"""What can be left out to measure it is really left out, and the answers stay the same."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from chatbot.llm.engine.batching.steps.graph_costs import measured
from chatbot.llm.engine.batching.steps.graphs import GraphCosts
from chatbot.llm.engine.batching.steps.step_model import Load
from chatbot.llm.engine.batching.streams import Streams
from chatbot.llm.engine.batching.tuning import Tuning
from chatbot.llm.engine.frames import LoadFrame
from chatbot.llm.engine.loading import load_engine
from chatbot.llm.engine.native.model import Model
from parts.engine_child import LOAD
from parts.toy_engine import ToyEngine, load_toy, open_library, toy_engines
from parts.toy_gguf import make_toy

PREFIX = list(range(300, 500))
LONG = list(range(300, 700))
EACH_ALONE = GraphCosts(100, [1, 20, 30, 40])
"""A machine on which two rows in one graph cost twenty times one."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    library = open_library()
    yield load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf"))
    assert library.last_words() is not None


@pytest.fixture
def engine(toy: Model) -> Iterator[Callable[..., ToyEngine]]:
    with toy_engines(toy) as open_plain:

        def open_engine(without: str = "", **wanted: Any) -> ToyEngine:
            frame: LoadFrame = {**LOAD, "without": without.split(",")}  # type: ignore[typeddict-item]
            tuning = Tuning.of(frame, can_share=True, measure=lambda: EACH_ALONE)
            return open_plain(tuning=tuning, is_exact=True, slots=4, kv_tokens=4096, **wanted)

        yield open_engine


def burst(each: ToyEngine) -> tuple[int, dict[str, str]]:
    """Rows that a burst with one new prefix took, and its answers."""
    for number in range(4):
        each.submit(f"b{number}", [*PREFIX, 800 + number], shared_tokens=len(PREFIX), max_tokens=8, repeat_penalty=1.1)
    each.run()
    return each.scheduler.counters.rows, each.answers


def test_without_following_everybody_computes_the_prefix(engine: Callable[..., ToyEngine]) -> None:
    shared, answers = burst(engine())
    alone, same = burst(engine("following"))

    assert shared < 1.3 * len(PREFIX) + 4 * 9
    assert alone > 1.5 * shared
    assert same == answers


def test_without_sharing_nothing_is_found(engine: Callable[..., ToyEngine]) -> None:
    each = engine("sharing,pinning")
    rows, answers = burst(each)

    assert rows >= 4 * len(PREFIX)
    assert each.scheduler.counters.prefix_hit_follower == each.scheduler.counters.prefix_hit_fork == 0
    assert answers == burst(engine())[1]


def test_without_pinning_no_sequence_of_its_own_holds_the_system_prompt(engine: Callable[..., ToyEngine]) -> None:
    pinned, free = engine(), engine("pinning")
    burst(pinned)
    burst(free)

    assert [any(sequence.pinned for sequence in each.scheduler.residents) for each in (pinned, free)] == [True, False]


def watched_burst(each: ToyEngine) -> tuple[list[tuple[list[int], list[int]]], dict[str, str]]:
    """Streams of each step as they were picked and as they were computed, and the answers."""
    seen: list[tuple[list[int], list[int]]] = []
    order = each.scheduler.residents.order

    def watched(picks: Any) -> Any:
        places = list(order(picks))
        numbers = [sequence.number for sequence, _count in picks]
        seen.append((numbers, [numbers[place] for place in places]))
        return places

    each.scheduler.residents.order = watched  # type: ignore[method-assign]
    return seen, burst(each)[1]


def test_without_graphs_answers_are_computed_together_whatever_that_costs(engine: Callable[..., ToyEngine]) -> None:
    parted, answers = watched_burst(engine(has_streams=True))
    joined, same = watched_burst(engine("graphs", has_streams=True))

    assert same == answers
    assert [3, 2, 1, 0] in [computed for _, computed in parted], "the highest first: a graph each"
    assert [0, 1, 2, 3] in [computed for _, computed in joined]


def test_without_order_rows_are_computed_as_they_were_picked(engine: Callable[..., ToyEngine]) -> None:
    ordered, answers = watched_burst(engine(has_streams=True))
    plain, same = watched_burst(engine("order", has_streams=True))

    assert same == answers
    assert any(picked != computed for picked, computed in ordered)
    assert all(picked == computed for picked, computed in plain)


def test_what_graphs_cost_is_measured_and_leaves_nothing_behind(engine: Callable[..., ToyEngine]) -> None:
    each = engine(has_streams=True)
    ticks = (at for step in itertools.count() for at in (float(step), step + (1 + step % 4) / 1000))

    costs = measured(each.context, each.sizes, lambda: next(ticks))

    assert [costs.of(streams) for streams in (1, 2, 3, 4)] == [2048, 4096, 6144, 8192]
    assert [each.context.last_position(number) for number in range(4)] == [-1] * 4


@pytest.mark.parametrize(("row_seconds", "passes"), [(0.001, 4), (0.049, 3)])
def test_measuring_a_slow_model_takes_a_start_no_more_passes_than_needed(
    engine: Callable[..., ToyEngine], row_seconds: float, passes: int
) -> None:
    each, looks = engine(has_streams=True), 0

    def clock() -> float:
        nonlocal looks
        step, is_end = divmod(looks, 2)
        looks += 1
        return step + is_end * (1 + step % 4) * row_seconds

    measured(each.context, each.sizes, clock)

    assert looks == passes * 4 * 2


def test_without_the_short_list_every_choice_is_llama_cpps_own(engine: Callable[..., ToyEngine]) -> None:
    short, whole = engine(), engine("shortlist")
    asked: dict[str, int] = {}
    for name, each in (("short", short), ("whole", whole)):
        sample = each.context.sample

        def count(chain: Any, row: int, name: str = name, sample: Any = sample) -> int:
            asked[name] = asked.get(name, 0) + 1
            return int(sample(chain, row))

        each.context.sample = count  # type: ignore[method-assign]

    assert burst(short)[1] == burst(whole)[1]
    assert asked == {"whole": 4 * 8}


def test_a_shorter_step_makes_smaller_pieces_of_a_prompt(toy: Model) -> None:
    def steps_of_a_long_prompt(step_seconds: float) -> int:
        each = ToyEngine(toy, tuning=Tuning(step_seconds=step_seconds), step_tokens=256)
        model = each.scheduler._planner._step_model
        for rows in (64, 128, 192, 256) * 20:
            model.observe(Load(1, rows, 100, 0), 0.010 + 0.001 * rows)
        model.observe = lambda *_: None  # type: ignore[method-assign]
        each.submit("runs", LONG[:10], max_tokens=100)
        each.step(2)
        before = each.scheduler.counters.steps
        each.submit("reads", LONG[::-1], max_tokens=1)
        while "reads" not in each.finishes:
            each.step()
        steps = each.scheduler.counters.steps - before
        each.close()
        return steps

    few, many = (steps_of_a_long_prompt(seconds) for seconds in (10.0, 0.08))

    assert (few, many) == (2, 6)


def test_without_balance_a_prompt_takes_as_much_as_fits_and_a_rest(engine: Callable[..., ToyEngine]) -> None:
    def rows_of_steps(*without: str) -> list[int]:
        each = engine(*without)
        each.submit("reads", LONG[:150], max_tokens=1)
        return [each.step() for _ in range(3)]

    assert rows_of_steps() == [50, 50, 50]
    assert rows_of_steps("balance") == [64, 64, 22]


def test_without_turns_first_tokens_wait_for_the_prompts_behind_and_the_answers(
    engine: Callable[..., ToyEngine],
) -> None:
    def steps_and_answers(*without: str) -> tuple[dict[str, int], list[int], dict[str, str]]:
        each = engine(*without, has_streams=True, step_tokens=256)
        each.submit("runs", PREFIX[:20], max_tokens=30)
        each.step(4)
        for number in range(3):
            each.submit(f"r{number}", [700 + number, *PREFIX[:69]], max_tokens=1)
        ended: dict[str, int] = {}
        rows = []
        while len(ended) < 3:
            rows.append(each.step())
            ended |= {name: len(rows) for name in each.finishes if name not in ended}
        each.run()
        return ended, rows, each.answers

    in_turn, rows, answers = steps_and_answers()
    at_once, all_rows, same = steps_and_answers("turns")

    assert (in_turn, rows) == ({"r0": 1, "r1": 2, "r2": 3}, [70, 70, 70])
    assert (at_once, all_rows) == ({"r0": 1, "r1": 1, "r2": 1}, [211])
    assert same == answers


def test_answers_go_on_however_many_prompts_come(engine: Callable[..., ToyEngine]) -> None:
    each = engine(has_streams=True, step_tokens=128)
    each.submit("runs", PREFIX[:20], max_tokens=20)
    each.step()
    read, names = [0], itertools.count()
    for _ in range(80):
        for name in itertools.islice(names, 2):
            each.submit(f"r{name}", [700 + name, *PREFIX[:70]], max_tokens=1)
        answer = each.answers["runs"]
        rows = each.step()
        if each.answers["runs"] == answer:
            read[-1] += rows
        else:
            read.append(0)
        if "runs" in each.finishes:
            break

    assert len(read) == 20
    assert 128 <= max(read) <= 128 * 3 // 2


def test_the_further_a_prompt_is_read_the_smaller_its_pieces(toy: Model) -> None:
    sizes = {"slots": 2, "context_tokens": 4096, "kv_tokens": 8192, "step_tokens": 256}
    each = ToyEngine(toy, tuning=Tuning(step_seconds=0.1), has_streams=True, **sizes)
    model = each.scheduler._planner._step_model
    for rows, scanned in itertools.product((64, 128, 192, 256) * 10, (0, 2000, 4000)):
        model.observe(Load(1, rows, 0, rows * scanned), 0.010 + 0.001 * rows + 1e-6 * rows * scanned)
    loads: list[Load] = []
    model.observe = lambda load, _seconds: loads.append(load)  # type: ignore[method-assign]
    each.submit("runs", LONG[:10], max_tokens=200)
    each.step(2)
    each.submit("reads", [700 - number % 400 for number in range(3000)], max_tokens=1)

    rows = []
    while "reads" not in each.finishes:
        rows.append(each.step())
    each.close()

    pieces = [count for count in rows if count > 1]
    scanned = [count * sum(pieces[:before]) for before, count in enumerate(pieces)]
    assert [load.prompt_cells for load in loads if load.prompt_cells] == scanned[1:]
    assert sum(pieces) == 3000
    assert pieces[0] > 75 > 50 > pieces[-1]


@pytest.mark.parametrize(("without", "has_streams", "sequences"), [([], True, 4), (["streams"], False, 3 * 4 + 2)])
def test_without_streams_all_slots_share_one_pool(
    tmp_path: Path, without: list[str], has_streams: bool, sequences: int
) -> None:
    frame: dict[str, Any] = {**LOAD, "model_path": str(make_toy(tmp_path / "toy.gguf")), "kv_tokens": 4 * 1024}
    loaded = load_engine(cast(LoadFrame, {**frame, "without": without}), open_library(), lambda _part: None)

    assert (loaded.sizes.has_streams, loaded.sizes.sequences) == (has_streams, sequences)
    assert isinstance(loaded.scheduler.residents, Streams) == has_streams
    assert loaded.ready["kv_tokens"] == 4 * 1024
