"""Conversion of units: exact, in what people of three countries measure, and honest where a unit is not one thing."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from chatbot.core.tools.contract import JsonValue, ToolContext, ToolRefused
from chatbot.core.tools.convert_units import ConvertUnits
from chatbot.core.tools.unit_table import _TABLE, _rows, symbols, unit
from chatbot.domain.chat import Caller
from hypothesis import given
from hypothesis import strategies as st

UNITS = [one for quantity, text in _TABLE.items() for one, _ in _rows(quantity, text)]


def context(language: str = "ko") -> ToolContext:
    return ToolContext(Caller("", "user"), language, datetime(2026, 7, 1, tzinfo=UTC), "Asia/Seoul")


async def converted(value: Any, source: str, target: str) -> str:
    arguments: dict[str, JsonValue] = {"value": value, "from": source, "to": target}
    return str((await ConvertUnits().run(arguments, context()))["result"])


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (1, "mile", "km", "1.609344"),
        (10, "평", "m²", "33.0578512396694"),
        (121, "坪", "㎡", "400"),
        (121, "pyeong", "제곱미터", "400"),
        (6, "畳", "평", "2.9403"),
        (1, "근", "g", "600"),
        (2, "돈", "g", "7.5"),
        (1, "냥", "돈", "10"),
        (10, "合", "升", "1"),
        (1, "되", "L", "1.80390683696469"),
        (1, "리", "里", "0.1"),
        (36.6, "섭씨", "화씨", "97.88"),
        (-40, "℉", "°C", "-40"),
        (0, "K", "c", "-273.15"),
        (100, "km/h", "m/s", "27.7777777777778"),
        (60, "mph", "시속", "96.56064"),
        (1, "GB", "MiB", "953.67431640625"),
        (1, "gb", "mb", "1000"),
        (100, "Mb", "MB", "12.5"),
        (1, "acre", "에이커", "1"),
        (1, "kWh", "kJ", "3600"),
        (1, "기압", "hPa", "1013.25"),
        (0.1, "Square Feet", "cm²", "92.90304"),
        (3, "시간", "min", "180"),
        (1, "마력", "W", "735.49875"),
        (1e300, "km", "m", "1e+303"),
    ],
)
async def test_a_value_is_converted_exactly(value: float, source: str, target: str, result: str) -> None:
    assert await converted(value, source, target) == result


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"value": 1, "from": "kg", "to": "m"}, "different_quantities"),
        ({"value": 1, "from": "달러", "to": "원"}, "unknown_unit"),
        ({"value": 1, "from": "", "to": "m"}, "unknown_unit"),
        ({"value": 1, "from": "m"}, "unknown_unit"),
        ({"value": 1, "from": "m" * 99, "to": "m"}, "too_long"),
        ({"value": -500, "from": "°C", "to": "K"}, "below_absolute_zero"),
        ({"value": "1", "from": "m", "to": "km"}, "not_a_number"),
        ({"value": True, "from": "m", "to": "km"}, "not_a_number"),
        ({"value": float("inf"), "from": "m", "to": "km"}, "not_a_number"),
        ({"value": float("nan"), "from": "m", "to": "km"}, "not_a_number"),
        ({"value": 10**4000, "from": "m", "to": "km"}, "too_large"),
        ({"from": "m", "to": "km"}, "not_a_number"),
    ],
)
async def test_what_cannot_be_converted_is_refused_with_a_word(arguments: dict[str, JsonValue], problem: str) -> None:
    with pytest.raises(ToolRefused, match=problem):
        await ConvertUnits().run(arguments, context())


async def test_other_quantities_are_refused_with_the_units_that_fit() -> None:
    with pytest.raises(ToolRefused) as refused:
        await ConvertUnits().run({"value": 1, "from": "kg", "to": "m"}, context())

    assert refused.value.details == {"candidates": symbols("mass")}


@pytest.mark.parametrize("language", ["ko", "en", "ja"])
async def test_a_unit_that_is_not_the_same_everywhere_says_so(language: str) -> None:
    told = await ConvertUnits().run({"value": 1, "from": "근", "to": "g"}, context(language))

    assert "400 g" in str(told["note"])
    assert ConvertUnits().say(told, language).startswith("1 근 = 600 g (")


async def test_a_unit_is_called_as_it_was_asked_in_its_own_script() -> None:
    told = await ConvertUnits().run({"value": 1, "from": "坪", "to": "m2"}, context("ja"))

    assert (told["from"], told["to"]) == ("坪", "m²")


@given(st.sampled_from(UNITS), st.integers(0, 10**6), st.data())
async def test_there_and_back_is_where_it_began(one: Any, value: int, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from([u for u in UNITS if u.quantity == one.quantity]))

    there = (value * one.factor + one.offset - other.offset) / other.factor
    told = await converted(value, one.symbol, other.symbol)

    assert (there * other.factor + other.offset - one.offset) / one.factor == value
    assert there == 0 or abs(Fraction(told) / there - 1) < Fraction(1, 10**14)


def test_no_name_means_two_units() -> None:
    assert unit("m") is not None  # the table is read, and refuses a name that comes twice


@given(st.text(max_size=60))
def test_any_text_is_a_unit_or_none(name: str) -> None:
    found = unit(name)

    assert found is None or found in UNITS
