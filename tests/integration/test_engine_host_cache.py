"""Sequences that went to main memory and came back: the same answers, without computing them again."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from chatbot.llm.engine.native.model import Model, NativeError
from parts.toy_engine import ToyEngine, load_toy, open_library, toy_engines
from parts.toy_gguf import make_toy
from parts.toy_turns import PERSONA, ask, conversation, next_turn

MIB = 1 << 20
IDLE = 300  # the persona and about one conversation


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
def test_a_second_turn_after_eviction_computes_only_what_is_new(
    engine: Callable[..., ToyEngine], is_exact: bool
) -> None:
    each = engine(slots=2, idle_tokens=IDLE, host_cache_bytes=64 * MIB, is_exact=is_exact)
    fresh = engine(slots=1, can_share=False, idle_tokens=0, is_exact=is_exact)
    first = [ask(each, f"first{number}", conversation(number)) for number in range(12)]
    each.check_books()

    for number in range(12):
        turn = next_turn(conversation(number), first[number][1])
        rows, answer = ask(each, f"second{number}", turn)

        assert rows <= 20 + 1 + 7, "new tokens, the answer's last one, and one row per token"
        assert answer == ask(fresh, f"second{number}", turn)[1]
        each.check_books()
    stats = each.scheduler.stats()
    assert stats["host_restores"] >= 10
    assert stats["prefix_hit_host"] >= 10 * 100
    assert stats["evictions_host"] >= 20
    assert stats["host_lost"] == 0


def test_only_the_private_part_is_saved(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, idle_tokens=IDLE, host_cache_bytes=64 * MIB)
    for number in range(6):
        ask(each, f"c{number}", conversation(number))

    saved = list(each.scheduler.residents.host._saved.values())

    assert {entry.start for entry in saved} == {len(PERSONA)}
    per_token = [entry.state.nbytes / (len(entry.tokens) - entry.start) for entry in saved]
    assert max(per_token) < 1.1 * 2 * 2 * 64 * 2 + 32, "two layers, K and V, 64 values of two bytes, and a position"


def test_a_persona_that_went_too_is_brought_back_before_its_conversation(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, idle_tokens=IDLE, host_cache_bytes=64 * MIB)
    _, answer = ask(each, "first", conversation(1))
    ask(each, "other", conversation(2))
    each.scheduler.residents.make_room(each.context.n_cells)
    assert each.scheduler.residents.ledger.used == 0

    turn = next_turn(conversation(1), answer)
    rows, _ = ask(each, "second", turn)

    assert rows <= 20 + 1 + 7
    assert each.scheduler.stats()["prefix_hit_host"] >= 220


def test_main_memory_stays_below_its_limit(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, idle_tokens=IDLE, host_cache_bytes=MIB // 4)
    for number in range(20):
        ask(each, f"c{number}", conversation(number))
        assert each.scheduler.stats()["host_cache_bytes"] <= MIB // 4
    assert each.scheduler.stats()["evictions_host"] > len(each.scheduler.residents.host) > 2


def test_a_state_that_is_refused_is_computed_again(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, idle_tokens=IDLE, host_cache_bytes=64 * MIB)
    first = [ask(each, f"c{number}", conversation(number)) for number in range(6)]
    for saved in each.scheduler.residents.host._saved.values():
        saved.state[:64] = 0xFF

    rows, answer = ask(each, "again", conversation(0))

    assert answer == first[0][1]
    assert rows > 100
    assert each.scheduler.stats()["host_lost"] == 1


def test_a_state_is_never_put_behind_a_gap(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=2, idle_tokens=IDLE, host_cache_bytes=64 * MIB)
    ask(each, "c", conversation(1))
    sequence = max(each.scheduler.residents, key=lambda resident: resident.length)
    state = each.context.save(sequence.number, 100)
    empty = next(resident.number for resident in each.scheduler.residents if not resident.length)

    with pytest.raises(NativeError, match="does not continue"):
        each.context.restore(state, empty, 100, 120)
    assert not each.context.restore(np.zeros(10, np.uint8), sequence.number, sequence.length, sequence.length + 1)


def test_nothing_is_saved_where_nothing_may_be(engine: Callable[..., ToyEngine]) -> None:
    for changes in ({"host_cache_bytes": 0}, {"host_cache_bytes": MIB, "can_share": False}):
        each = engine(slots=2, idle_tokens=0, **changes)
        for number in range(4):
            ask(each, f"c{number}", conversation(number))
        assert each.scheduler.stats()["evictions_host"] == 0


def test_what_nobody_comes_back_for_leaves_the_pool_and_those_who_do_are_not_disturbed(
    engine: Callable[..., ToyEngine],
) -> None:
    each = engine(slots=3, kv_tokens=4096, idle_tokens=4096, cheap_idle_tokens=50, host_cache_bytes=MIB)
    _, answer = ask(each, "gone", conversation(0))
    each.submit("runs", conversation(7), shared_tokens=len(PERSONA), max_tokens=100)
    each.step(2)
    assert each.scheduler.stats()["kv_cells_idle"] >= 100, "they may come back soon"

    each.step(8)

    assert each.scheduler.stats()["kv_cells_idle"] <= 50
    each.run()
    turn = next_turn(conversation(0), answer)
    assert ask(each, "back", turn)[0] <= 20 + 1 + 7
    assert each.scheduler.stats()["host_restores"] == 1


def test_nothing_leaves_early_where_it_could_not_come_back(engine: Callable[..., ToyEngine]) -> None:
    each = engine(slots=3, kv_tokens=4096, idle_tokens=4096, cheap_idle_tokens=0, host_cache_bytes=0)
    ask(each, "gone", conversation(1))
    each.submit("runs", conversation(7), max_tokens=100)
    each.step(60)

    assert each.scheduler.stats()["kv_cells_idle"] >= 100
    each.run()
