"""What the cache of evicted sequences finds, forgets and counts."""

import numpy as np
from chatbot.llm.engine.batching.host_cache import WORTH_MOVING, HostCache, Saved
from hypothesis import given
from hypothesis import strategies as st

KIB = 1024


def saved(tokens: list[int], start: int, n_bytes: int = KIB) -> Saved:
    return Saved(np.array(tokens, np.int32), start, np.zeros(n_bytes, np.uint8))


def ids(tokens: list[int]) -> np.ndarray:
    return np.array(tokens, np.int32)


PREFIX, FIRST, OTHER = list(range(100)), list(range(500, 600)), list(range(700, 800))


def test_what_continues_a_prompt_is_taken_out_once() -> None:
    cache = HostCache(100 * KIB)
    cache.keep(saved(PREFIX + FIRST, 100))
    cache.keep(saved(PREFIX + OTHER, 100))

    found = cache.take(ids(PREFIX + OTHER[:70] + [1, 2, 3]), 100)

    assert found is not None and (found[0].tokens[100], found[1]) == (700, 170)
    assert cache.take(ids(PREFIX + OTHER), 100) is None
    assert len(cache) == 1


def test_the_longest_is_taken_and_the_last_token_is_left_to_compute() -> None:
    cache = HostCache(100 * KIB)
    cache.keep(saved(PREFIX + FIRST[:50], 100))
    cache.keep(saved(PREFIX + FIRST, 100))

    found = cache.take(ids(PREFIX + FIRST), 100)

    assert found is not None and found[1] == 199


def test_a_state_whose_beginning_is_not_resident_is_of_no_use() -> None:
    cache = HostCache(100 * KIB)
    cache.keep(saved(PREFIX + FIRST, 100))

    assert cache.take(ids(PREFIX + FIRST + [1]), 99) is None
    assert cache.take(ids(PREFIX + FIRST + [1]), 100) is not None


def test_little_more_than_what_is_resident_is_not_moved() -> None:
    cache = HostCache(100 * KIB)
    cache.keep(saved(PREFIX + FIRST, 100))

    assert cache.take(ids(PREFIX + FIRST + [1]), 200 - WORTH_MOVING + 1) is None
    assert cache.take(ids(PREFIX + FIRST + [1]), 200 - WORTH_MOVING) is not None


def test_the_oldest_go_first_and_the_bytes_stay_below_the_limit() -> None:
    cache = HostCache(10 * KIB)
    for number in range(30):
        cache.keep(saved([*PREFIX, *range(number * 100, number * 100 + 60)], 100))
        assert cache.n_bytes <= 10 * KIB

    assert 1 < len(cache) < 10
    assert cache.take(ids([*PREFIX, *range(60)]), 100) is None
    assert cache.take(ids([*PREFIX, *range(2900, 2960)]), 100) is not None


def test_what_is_larger_than_everything_is_not_kept_and_costs_nobody() -> None:
    cache = HostCache(10 * KIB)
    cache.keep(saved(PREFIX + FIRST, 100))

    assert not cache.keep(saved(PREFIX + OTHER, 100, 20 * KIB))
    assert len(cache) == 1
    assert not HostCache(0).keep(saved(PREFIX + OTHER, 100))


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 2), min_size=33, max_size=60), st.integers(0, 25), st.integers(0, 50)),
        max_size=30,
    )
)
def test_whatever_comes_the_books_are_right(steps: list[tuple[list[int], int, int]]) -> None:
    cache = HostCache(8 * KIB)
    for tokens, start, resident in steps:
        if len(tokens) >= start + WORTH_MOVING:
            cache.keep(saved(tokens, start, 300))
        found = cache.take(ids(tokens), resident)
        if found is not None:
            entry, length = found
            assert entry.start <= resident and resident + WORTH_MOVING <= length < len(tokens)
            assert entry.tokens[:length].tolist() == tokens[:length]
        assert cache.n_bytes == sum(each.n_bytes for each in cache._saved.values()) <= cache.limit_bytes
        assert sum(len(names) for group in cache._by_beginning.values() for names in group.values()) == len(cache)


def test_what_is_looked_at_stays_until_nearly_all_of_it_is_resident() -> None:
    cache = HostCache(100 * KIB)
    whole = saved(PREFIX + FIRST, 0)
    cache.keep(whole)

    assert cache.look(ids(PREFIX + OTHER), 0) == (whole, 100)
    cache.used(whole, 100)
    assert cache.look(ids(PREFIX + FIRST + [1]), 100) == (whole, 200)
    cache.used(whole, 200 - 2 * WORTH_MOVING)
    assert len(cache) == cache.n_bytes == 0
    cache.used(whole, 200)


def test_what_is_used_goes_after_what_is_not() -> None:
    cache = HostCache(6 * KIB)
    first, second = saved(PREFIX + FIRST, 0), saved(PREFIX + OTHER, 0)
    cache.keep(first)
    cache.keep(second)
    cache.used(first, 100)

    cache.keep(saved(OTHER + FIRST, 0, 2 * KIB))

    assert cache.look(ids(PREFIX + FIRST + [1]), 0) == (first, 200)
    assert cache.look(ids(PREFIX + OTHER + [1]), 0) == (first, 100)


def test_what_another_one_begins_with_is_dropped_for_it() -> None:
    cache = HostCache(100 * KIB)
    for tokens in (PREFIX + FIRST[:50], PREFIX + OTHER):
        cache.keep(saved(tokens, 0))

    cache.drop_beginnings(ids(PREFIX + FIRST))

    assert len(cache) == 1
    assert cache.look(ids(PREFIX + OTHER + [1]), 100) is not None
