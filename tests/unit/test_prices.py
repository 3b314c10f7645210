"""The price table: what it refuses, which row prices, and costs to the micro-dollar."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from chatbot.domain.generation import Backend, Usage
from chatbot.domain.usage.price_rows import meet
from chatbot.domain.usage.prices import NO_PRICES, PriceError, PriceTable, priced_name
from hypothesis import given
from hypothesis import strategies as st

DAY = date(2026, 11, 21)
SMALL = {"model": "small", "from": "2026-07-30", "input": 0.2, "cached_input": "0.02", "output": 1.2}
LONG = SMALL | {"long": {"above": 1000, "input": 0.4, "output": 1.8}}
LOCAL = {"model": "local/office", "from": date(2026, 1, 1), "input": 0.01, "output": Decimal("0.03")}


def table(*rows: dict[str, Any]) -> PriceTable:
    return PriceTable.parse(list(rows))


def micro(rows: PriceTable, model: str, usage: Usage, day: date = DAY) -> int:
    cost = rows.cost(model, usage, day)
    assert cost is not None
    return cost.micro_usd


def test_costs_equal_a_calculation_by_hand() -> None:
    prices = table(SMALL, LOCAL)

    # 212 prompt tokens of which 180 cached, 96 answered: 32 x 0.2 + 180 x 0.02 + 96 x 1.2 = 125.2
    assert micro(prices, "small", Usage(212, 96, 180)) == 125
    # 32 x 0.2 + 0 + 96 x 1.2 = 121.6
    assert micro(prices, "small", Usage(32, 96, 0)) == 122
    # show-back: 83 x 0.01 + 18 x 0.03 = 1.37
    assert micro(prices, priced_name(Backend.LLAMA, "office", "any.gguf"), Usage(83, 18, 82)) == 1
    assert micro(prices, "small", Usage(0, 0)) == 0


def test_the_whole_request_has_the_long_price_where_its_prompt_is_long() -> None:
    prices = table(LONG)

    assert micro(prices, "small", Usage(1000, 10)) == 212  # 1000 x 0.2 + 10 x 1.2
    # 1001 x 0.4 + 10 x 1.8 = 418.4: the long tier names no price of cached tokens, so they cost what others do
    assert micro(prices, "small", Usage(1001, 10, 1000)) == 418


def test_halves_go_to_the_even_side_so_that_sums_are_not_biased() -> None:
    prices = table({"model": "m", "from": "2026-01-01", "input": 0.5, "output": 0})

    assert [micro(prices, "m", Usage(tokens, 0)) for tokens in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_old_use_has_old_prices_and_the_newest_row_prices_today() -> None:
    newer = SMALL | {"from": "2026-11-01", "input": 2}
    future = SMALL | {"from": "2026-11-22", "input": 20}
    prices = table(future, SMALL, newer)

    assert prices.row("small", date(2026, 7, 29)) is None
    assert micro(prices, "small", Usage(1000, 0), date(2026, 10, 31)) == 200
    assert micro(prices, "small", Usage(1000, 0)) == 2000
    assert prices.newest == date(2026, 11, 22)


def test_an_exact_name_wins_over_a_pattern() -> None:
    prices = table(
        {"model": "family", "match": ["fam-*"], "from": "2026-01-01", "input": 1, "output": 1},
        {"model": "fam-special", "match": ["fam-x"], "from": "2026-01-01", "input": 5, "output": 5},
    )

    assert micro(prices, "fam-2026-11", Usage(1, 0)) == 1
    assert micro(prices, "fam-special", Usage(1, 0)) == 5
    assert micro(prices, "fam-x", Usage(1, 0)) == 5
    assert prices.row("other", DAY) is None
    assert prices.cost("other", Usage(1, 1), DAY) is None
    assert prices.bound("other", 1, 1, DAY) is None
    assert prices.models == ("fam-special", "family")


def test_a_version_tells_a_row_that_was_edited_in_place() -> None:
    first, same = table(SMALL), table(SMALL | {"input": "0.20", "note": "read again"})
    edited = table(SMALL | {"input": 0.21})

    versions = [prices.row("small", DAY).version for prices in (first, same, edited)]  # type: ignore[union-attr]

    assert versions[0] == versions[1] != versions[2]
    assert versions[0].startswith("small@2026-07-30#")


BROKEN: dict[str, Any] = {
    "negative": ({"input": -1}, "'input' is negative"),
    "negative cached": ({"cached_input": -0.1}, "'cached_input' is negative"),
    "negative in the long tier": ({"long": {"above": 1, "input": 1, "output": -1}}, "'long.output' is negative"),
    "not a number": ({"output": float("nan")}, "'output' is no finite number"),
    "not a number, as text": ({"output": "nan"}, "'output' is no finite number"),
    "signalling": ({"output": "sNaN"}, "'output' is no finite number"),
    "infinite": ({"output": "inf"}, "'output' is no finite number"),
    "huge": ({"output": "1e9"}, "'output' is above"),
    "true": ({"output": True}, "'output' is no number"),
    "words": ({"output": "cheap"}, "'output' is no number"),
    "list": ({"output": [1]}, "'output' is no number"),
    "too fine": ({"output": "0.0000000001"}, "'output' has more than 9 decimals"),
    "unknown field": ({"inputs": 1}, "is not known here"),
    "unknown field of the long tier": ({"long": {"above": 1, "input": 1, "output": 1, "over": 2}}, "is not known here"),
    "field that is no text": ({7: 1}, "is not known here"),
    "missing in the long tier": ({"long": {"above": 1, "input": 1}}, "'long.output' is missing"),
    "long tier from nowhere": ({"long": {"above": 0, "input": 1, "output": 1}}, "'long.above'"),
    "long tier that is a number": ({"long": 5}, "'long' is no group"),
    "day": ({"from": "yesterday"}, "'from' is no day"),
    "moment": ({"from": datetime(2026, 1, 1, tzinfo=UTC)}, "'from' is no day"),
    "patterns that are text": ({"match": "small*"}, "'match' is no list"),
    "pattern of blanks": ({"match": ["a b"]}, "'match' has something"),
    "stars": ({"match": ["a*b*c*d*e"]}, "'match' has something"),
    "note": ({"note": 5}, "'note' is no text"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_row_is_refused_by_number_field_and_remedy(case: str) -> None:
    change, said = BROKEN[case]

    with pytest.raises(PriceError, match=rf"^row 2 \(small\): .*{re.escape(said)}.*"):
        table(LOCAL, SMALL | change)


@pytest.mark.parametrize("missing", ["from", "input", "output"])
def test_a_missing_price_is_refused(missing: str) -> None:
    with pytest.raises(PriceError, match=rf"row 1 \(small\): '{missing}' is missing"):
        table({name: value for name, value in SMALL.items() if name != missing})


@pytest.mark.parametrize("given", [{"model": "small"}, "small", None, [5], [{"model": "a b"}], [{}], [[SMALL]]])
def test_what_is_no_list_of_rows_is_refused(given: object) -> None:
    with pytest.raises(PriceError, match=r"the file|row 1"):
        PriceTable.parse(given)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (SMALL, "'from' is the day of row 1"),
        (SMALL | {"model": "big", "match": ["small"]}, "shares a name with row 1"),
        (SMALL | {"model": "big", "match": ["sm*x"]}, "overlaps that of row 1"),
        (SMALL | {"model": "big", "match": ["*"]}, "overlaps that of row 1"),
    ],
)
def test_rows_that_price_the_same_are_refused(other: dict[str, Any], said: str) -> None:
    with pytest.raises(PriceError, match=said):
        table(SMALL | {"match": ["small-*", "sma*"]}, other)


_WORDS = st.text("ab*", min_size=1, max_size=6)


@given(_WORDS, _WORDS, st.lists(st.text("ab", max_size=7), min_size=20, max_size=20))
def test_patterns_that_share_a_name_are_known_to_meet(first: str, second: str, names: list[str]) -> None:
    def matches(pattern: str, name: str) -> bool:
        return re.fullmatch(pattern.replace("*", ".*"), name) is not None

    made = [first.replace("*", name) for name in names] + [second.replace("*", name) for name in names]
    if any(matches(first, name) and matches(second, name) for name in made):
        assert meet(first, second)
    if "*" not in first + second:
        assert meet(first, second) == (first == second)


_PRICES = st.decimals(0, 50, places=4)
_COUNTS = st.integers(0, 5000)


@given(st.tuples(*[_PRICES] * 5), st.tuples(_COUNTS, _COUNTS, _COUNTS), _COUNTS, _COUNTS)
def test_no_answer_within_the_bound_costs_more_and_all_are_exact(
    rows: tuple[Decimal, ...], counts: tuple[int, int, int], more_prompt: int, more_answer: int
) -> None:
    low, cached, high, long_low, long_high = rows
    long = {"above": 1000, "input": long_low, "output": long_high}
    prices = table(SMALL | {"input": low, "cached_input": cached, "output": high, "long": long})
    prompt, answer, hit = counts[0], counts[1], min(counts[2], counts[0])

    cost = micro(prices, "small", Usage(prompt, answer, hit))

    bound = prices.bound("small", prompt + more_prompt, answer + more_answer, DAY)
    assert bound is not None
    assert bound >= cost
    rates = (long_low, long_low, long_high) if prompt > 1000 else (low, cached, high)
    exact = sum((Fraction(rate) * n for rate, n in zip(rates, (prompt - hit, hit, answer), strict=True)), Fraction())
    assert abs(exact - cost) <= Fraction(1, 2)


def test_lying_counts_cannot_make_an_answer_cheaper_than_free() -> None:
    prices = table(SMALL)

    assert micro(prices, "small", Usage(10, -5, 99)) == 0  # 10 cached tokens: 0.2
    assert micro(prices, "small", Usage(-10, 10, -99)) == 12


def test_an_empty_table_prices_nothing() -> None:
    assert not NO_PRICES
    assert NO_PRICES.cost("small", Usage(1, 1), DAY) is None
    assert NO_PRICES.newest is None
    assert PriceTable.parse([]).models == ()
