"""What the scheduler promises about ends: cancelled, late, stopped, out of cells; and about work not done twice."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from chatbot.llm.engine.frames import HEADER_BYTES, decode
from chatbot.llm.engine.loading import Engine
from chatbot.llm.engine.native.model import Model
from chatbot.llm.engine.outbox import Outbox
from chatbot.llm.engine.process import serve
from parts.toy_engine import ToyEngine, load_toy, open_library, toy_engines
from parts.toy_gguf import make_toy

LONG = list(range(300, 700))
STEP = 64


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    library = open_library()
    yield load_toy(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf"))
    assert "error" not in library.last_words()


@pytest.fixture
def engine(toy: Model) -> Iterator[Callable[..., ToyEngine]]:
    with toy_engines(toy) as open_engine:
        yield open_engine


def test_cancelled_while_waiting_is_never_computed(engine: Callable[..., ToyEngine]) -> None:
    one_slot = engine(slots=1)
    one_slot.submit("runs", LONG[:10], max_tokens=4)
    one_slot.submit("waits", LONG[:10], max_tokens=4)
    one_slot.step()

    one_slot.scheduler.cancel("waits")
    one_slot.run()

    assert one_slot.finishes.keys() == {"runs"}
    assert one_slot.scheduler.counters.prefix_queried == 10


def test_cancelled_in_its_prompt_costs_one_chunk(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    each.submit("reads", LONG, max_tokens=4)
    first = each.step()

    each.scheduler.cancel("reads")
    rest = each.step(5)

    assert (first, rest) == (58, 0)  # 400 tokens in 7 pieces alike, of at most STEP
    assert not each.scheduler.has_work
    assert each.finishes == {}


def test_cancelled_in_its_answer_costs_no_further_row(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    each.submit("answers", LONG[:20], max_tokens=400)
    each.submit("stays", LONG[5:20], max_tokens=12)
    each.step(4)

    each.scheduler.cancel("answers")
    rows = each.step(2)

    assert rows == 2
    each.run()
    assert each.finishes.keys() == {"stays"}


def test_a_cancelled_prefix_stays_resident(engine: Callable[..., ToyEngine]) -> None:
    each = engine(kv_tokens=4096)
    each.submit("first", LONG, max_tokens=40)
    each.step(10)
    each.scheduler.cancel("first")

    each.submit("again", LONG, max_tokens=2)
    each.run()

    assert each.finishes["again"]["cached_tokens"] == len(LONG) - 1


def test_a_burst_with_one_new_prefix_computes_it_once(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=8, kv_tokens=4096)
    for number in range(8):
        each.submit(f"b{number}", [*LONG, 800 + number, 801], max_tokens=4)

    each.run()

    computed = each.scheduler.counters.rows - 8 * 3
    assert computed <= 1.1 * len(LONG) + 8 * 2
    assert each.scheduler.counters.prefix_hit_follower > 6 * len(LONG) * 0.9


def test_nothing_is_shared_where_a_model_cannot_be_cut(engine: Callable[..., ToyEngine]) -> None:
    each = engine(can_share=False)
    each.submit("first", LONG, max_tokens=2)
    each.submit("same", LONG, max_tokens=2)
    each.step()

    assert each.scheduler.stats()["active"] == 2
    assert all(generation.sequence is not None for generation in each.scheduler._seating.active)
    each.run()
    assert each.answers["first"] == each.answers["same"]
    assert [event["cached_tokens"] for event in each.finishes.values()] == [0, 0]


def test_logits_are_computed_only_where_a_token_is_chosen(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    each.submit("reads", LONG, max_tokens=2)
    outputs = []
    for _ in range(8):
        each.step()
        outputs.append(each.scheduler._batch.n_outputs)

    assert outputs == [0] * 6 + [1, 1]


def test_a_follower_takes_over_when_its_leader_is_cancelled(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=3, kv_tokens=4096)
    for name in ("leader", "second", "third"):
        each.submit(name, [*LONG, len(name)], max_tokens=4)
    each.step(3)
    computed = each.scheduler.counters.rows

    each.scheduler.cancel("leader")
    each.run()

    assert each.finishes.keys() == {"second", "third"}
    assert each.scheduler.counters.rows <= len(LONG) + 2 * 6
    assert computed == 58 + 58 + 57  # of 401 tokens in 7 pieces alike


def test_an_answer_ends_with_what_there_is_at_its_deadline(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    each.submit("slow", LONG[:20], max_tokens=300, timeout_seconds=10)
    each.step(5)

    each.clock.now += 11
    each.step()

    assert each.finishes["slow"]["finish"] == "length"
    assert each.finishes["slow"]["completion_tokens"] == 5


def test_a_deadline_before_the_first_token_is_a_timeout(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=1)
    each.submit("reads", LONG, timeout_seconds=10)
    each.submit("waits", LONG, timeout_seconds=10)
    each.step()

    each.clock.now += 11
    each.step()

    assert {name: event["finish"] for name, event in each.finishes.items()} == {"reads": "timeout", "waits": "timeout"}


def test_counts_and_clocks_of_an_answer(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    each.submit("one", LONG[:100], max_tokens=3)
    each.clock.now += 2
    each.step(2)
    each.clock.now += 5
    each.run()

    end = each.finishes["one"]
    assert (end["prompt_tokens"], end["completion_tokens"], end["cached_tokens"]) == (100, 3, 0)
    assert (end["prompt_seconds"], end["generation_seconds"]) == (2.0, 5.0)


def test_waits_in_order_for_cells(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=4, kv_tokens=512, context_tokens=512)
    each.submit("big", LONG[:300], max_tokens=100)
    each.submit("too big now", LONG[100:350], max_tokens=100)
    each.submit("small", LONG[:5], max_tokens=5)
    each.step(3)

    assert each.scheduler.stats()["active"] == 1
    assert each.scheduler.stats()["waiting"] == 2
    each.run()
    assert list(each.finishes) == ["big", "small", "too big now"]
    assert each.scheduler.counters.preemptions == 0


def test_a_full_pool_puts_the_youngest_back_and_loses_nothing(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, kv_tokens=256, context_tokens=256)
    for number in range(8):  # short answers let the next ones be expected short: more is promised than there is
        each.submit(f"short{number}", LONG[number : number + 4], max_tokens=1)
    each.run()
    each.submit("older", LONG[:60], max_tokens=150)
    each.submit("younger", LONG[100:160], max_tokens=150)

    each.run()

    alone = engine(slots=1, can_share=False, context_tokens=256)
    assert each.scheduler.counters.preemptions > 0
    assert each.answers["younger"] == alone.answer(LONG[100:160], max_tokens=150)
    assert each.answers["older"] == alone.answer(LONG[:60], max_tokens=150)


def test_a_stop_string_ends_the_answer_and_is_no_part_of_it(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    whole = each.answer(LONG[:30], max_tokens=20)
    stop = whole[9:16]

    text = each.answer(LONG[:30], max_tokens=20, stop=[stop])

    assert text == whole[: whole.index(stop)]
    assert each.finishes["alone"]["finish"] == "stop"


def test_a_reader_that_takes_nothing_loses_only_its_own_answer(engine: Callable[..., ToyEngine]) -> None:
    class Inbox:
        """Nothing comes; ends the loop where it would wait."""

        def take(self, *, wait: bool) -> list[str]:
            if wait:
                raise StopIteration
            return []

    each = engine()
    each.submit("long", LONG[:20], max_tokens=200)
    each.submit("short", LONG[5:20], max_tokens=3)
    frames: list[bytes] = []
    outbox = Outbox(frames.append, buffer_bytes=100)

    with pytest.raises(StopIteration):
        serve(cast(Engine, each), cast(Any, Inbox()), outbox)  # nobody sends meanwhile

    outbox.close()
    outbox.run()
    ends = {event["id"]: event for event in decode(frames[0][HEADER_BYTES:])["events"]}
    assert (ends["long"]["finish"], ends["short"]["finish"]) == ("slow", "length")
    assert 0 < ends["long"]["completion_tokens"] < 60


def test_a_seed_repeats_an_answer_and_another_one_does_not(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    hot = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "max_tokens": 24}

    first, again, other = (each.answer(LONG[:30], seed=seed, **hot) for seed in (5, 5, 6))

    assert first == again
    assert first != other


def test_a_repeat_penalty_counts_the_prompt(engine: Callable[..., ToyEngine]) -> None:
    each = engine()
    plain = each.answer(LONG[:30], max_tokens=1)
    prompt = [*LONG[:29], int(plain), LONG[29]]

    punished = each.answer(prompt, max_tokens=1, repeat_penalty=100.0)

    assert int(punished) not in prompt


def test_the_next_turn_computes_only_what_is_new(engine: Callable[..., ToyEngine]) -> None:
    each = engine(kv_tokens=4096)
    answer = [int(word) for word in each.answer(LONG[:200], max_tokens=30).split()]

    each.submit("next", [*LONG[:200], *answer, 900, 901, 902], max_tokens=2)
    each.run()

    assert each.finishes["next"]["cached_tokens"] == 200 + len(answer) - 1


def test_idle_sequences_are_bounded_and_shared_beginnings_stay(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, kv_tokens=1024, idle_tokens=256)
    for number in range(12):
        each.submit(f"c{number}", [*LONG[:60], *range(1000 + 50 * number, 1050 + 50 * number)], shared_tokens=60)
    each.run()

    assert each.scheduler.stats()["kv_cells_idle"] <= 256
    each.submit("late", [*LONG[:60], 290, 291], max_tokens=1)
    each.run()
    assert each.finishes["late"]["cached_tokens"] >= 60


def test_a_conversation_longer_than_the_idle_bound_keeps_its_beginning(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, kv_tokens=1024, idle_tokens=128)
    each.answer(LONG[:300], max_tokens=2)

    each.submit("again", LONG[:300], max_tokens=1)
    each.run()

    assert each.finishes["again"]["cached_tokens"] == 128


@pytest.mark.parametrize(("tokens", "steps"), [(16, 2), (90, 4)])
def test_a_second_turn_does_not_wait_behind_a_document(
    engine: Callable[..., ToyEngine], tokens: int, steps: int
) -> None:
    each = engine(slots=3)
    each.submit("document", LONG, max_tokens=1)
    each.submit("short", LONG[200 : 200 + tokens], max_tokens=1)

    each.step(steps)

    assert list(each.finishes) == ["short"]
