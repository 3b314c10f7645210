"""What time it is: names in three languages, both edges of daylight saving, and the table that ships."""

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo, available_timezones

import pytest
from chatbot.core.tools.contract import ToolContext, ToolRefused
from chatbot.core.tools.current_time import CurrentTime
from chatbot.core.tools.places import LANGUAGES, folded, known_places
from chatbot.domain.chat import Caller
from chatbot.server.settings.whole import Settings
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

ROOT = Path(__file__).parents[2]
SUMMER = datetime(2026, 7, 21, 3, 4, 5, tzinfo=UTC)


def context(now: datetime = SUMMER, language: str = "ko") -> ToolContext:
    return ToolContext(Caller("", "user"), language, now, "Asia/Seoul")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("place_names", ROOT / "services/place-names/make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_without_a_place_it_is_the_time_of_the_service() -> None:
    told = await CurrentTime().run({}, context())

    assert told == {
        "zone": "Asia/Seoul",
        "iso": "2026-07-21T12:04:05+09:00",
        "weekday": "화요일",
        "utc_offset": "+09:00",
        "dst": False,
    }


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        *[
            (name, "Asia/Seoul")
            for name in ("서울", "서울시", "부산광역시", "Busan", "釜山", "ソウル", "韓国", "KOREA")
        ],
        *[
            (name, "Asia/Tokyo")
            for name in ("도쿄", "동경", "東京", "東京都", "大阪市", "오사카", "Ｏｓａｋａ", "일본")
        ],
        *[(name, "Asia/Shanghai") for name in ("베이징", "북경", "北京", "Beijing", "중국", "上海")],
        *[(name, "Asia/Ho_Chi_Minh") for name in ("하노이", "Hanoi", "ハノイ", "베트남")],
        *[(name, "America/New_York") for name in ("뉴욕", "New York City", "ニューヨーク", "미국", "USA", "アメリカ")],
        *[(name, "America/Los_Angeles") for name in ("LA", "로스앤젤레스", "샌프란시스코", "シアトル")],
        *[(name, "America/Sao_Paulo") for name in ("São Paulo", "sao paulo", "상파울루", "브라질")],
        *[(name, "Europe/London") for name in ("런던", " London ", "영국", "UK", "イギリス")],
        *[(name, "Europe/Berlin") for name in ("München", "munchen", "뮌헨", "ドイツ")],
        ("Asia/Kathmandu", "Asia/Kathmandu"),
        ("utc", "UTC"),
    ],
)
async def test_a_place_is_known_by_what_people_call_it(name: str, zone: str) -> None:
    told = await CurrentTime().run({"place": name}, context())

    assert told["zone"] == zone
    assert told["iso"] == SUMMER.astimezone(ZoneInfo(zone)).isoformat()


async def test_a_place_is_named_in_the_language_of_the_user_with_its_country() -> None:
    shown = [await CurrentTime().run({"place": "New York"}, context(language=language)) for language in LANGUAGES]

    assert [(told["place"], told["country"]) for told in shown] == [
        ("뉴욕", "미국"),
        ("New York", "United States"),
        ("ニューヨーク", "アメリカ"),
    ]


async def test_a_name_of_two_places_means_the_first_and_names_the_other() -> None:
    two = next(name for name, places in known_places().by_name.items() if len(places) > 1)

    told = await CurrentTime().run({"place": two}, context(language="en"))

    first, second, *_ = known_places().by_name[two]
    assert told["place"] == first.shown("en")
    assert isinstance(told["also"], list)
    assert str(told["also"][0]).startswith(second.shown("en"))


async def test_an_unknown_place_is_answered_with_names_that_look_like_it() -> None:
    with pytest.raises(ToolRefused) as refused:
        await CurrentTime().run({"place": "Washingtonn"}, context())

    assert refused.value.problem == "unknown_place"
    assert isinstance(refused.value.details["candidates"], list)
    assert "washington" in refused.value.details["candidates"]


@pytest.mark.parametrize(
    "zone",
    ["../../etc/passwd", "/etc/localtime", "Asia/Nowhere", "UTC+15", "+99:99", "서울", "a" * 80, "Asia//Seoul", "."],
)
async def test_a_zone_that_is_none_is_refused_and_no_file_is_looked_for(zone: str) -> None:
    with pytest.raises(ToolRefused, match="unknown_zone"):
        await CurrentTime().run({"zone": zone}, context())


@pytest.mark.parametrize(
    ("zone", "offset"), [("KST", "+09:00"), ("UTC-3", "-03:00"), ("GMT+5:30", "+05:30"), ("+0900", "+09:00")]
)
async def test_a_zone_may_be_an_abbreviation_or_an_offset(zone: str, offset: str) -> None:
    told = await CurrentTime().run({"zone": zone}, context())

    assert told["utc_offset"] == offset


@pytest.mark.parametrize(
    ("at", "iso", "dst"),
    [
        ("2026-03-08T06:59:59", "2026-03-08T01:59:59-05:00", False),
        ("2026-03-08T07:00:00", "2026-03-08T03:00:00-04:00", True),  # the hour from 2 to 3 is not there
        ("2026-11-01T05:30:00", "2026-11-01T01:30:00-04:00", True),
        ("2026-11-01T06:30:00", "2026-11-01T01:30:00-05:00", False),  # the hour from 1 to 2 comes twice
    ],
)
async def test_both_edges_of_daylight_saving_are_right(at: str, iso: str, dst: bool) -> None:
    told = await CurrentTime().run({"place": "뉴욕"}, context(datetime.fromisoformat(at).replace(tzinfo=UTC)))

    assert (told["iso"], told["dst"]) == (iso, dst)


@given(
    st.sampled_from(sorted({place.zone for places in known_places().by_name.values() for place in places})),
    st.datetimes(datetime(1990, 1, 1), datetime(2036, 1, 1)),
)
async def test_any_zone_at_any_moment_is_that_of_the_time_zone_database(zone: str, at: datetime) -> None:
    now = at.replace(tzinfo=UTC, microsecond=0)

    told = await CurrentTime().run({"zone": zone}, context(now))

    there = datetime.fromisoformat(str(told["iso"]))
    assert there == now
    assert there.replace(tzinfo=None) == now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert told["dst"] == bool(now.astimezone(ZoneInfo(zone)).dst())


@given(st.text(max_size=80))
async def test_any_text_as_a_place_is_found_or_refused(name: str) -> None:
    try:
        told = await CurrentTime().run({"place": name}, context())
    except ToolRefused as exc:
        assert exc.problem in ("unknown_place", "unknown_zone")
    else:
        assert datetime.fromisoformat(str(told["iso"])) - SUMMER < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("ko", "현재 시각(뉴욕)은 2026년 7월 20일 월요일 23시 04분입니다."),
        ("en", "The time (New York) is 23:04 on Monday, 2026-07-20."),
        ("ja", "現在時刻（ニューヨーク）は2026年7月20日（月曜日）23時04分です。"),
    ],
)
async def test_the_time_is_said_in_three_languages(language: str, sentence: str) -> None:
    told = await CurrentTime().run({"place": "뉴욕"}, context(language=language))

    assert CurrentTime().say(told, language) == sentence


def test_the_table_that_ships_is_what_its_lists_make() -> None:
    module = generator()

    assert module.TABLE.read_text("utf-8") == module.table()


def test_every_row_of_the_table_can_be_used() -> None:
    places = known_places()

    assert {place.zone for found in places.by_name.values() for place in found} - available_timezones() == set()
    assert all(all(place.names) for found in places.by_name.values() for place in found)
    assert all(name == folded(name) for name in places.by_name)
    assert {place.territory for found in places.by_name.values() for place in found} <= set(places.territories)


@pytest.mark.parametrize("name", ["Asia/Nowhere", "../../etc/passwd", "", "서울"])
def test_a_setting_that_names_no_zone_stops_the_start_and_says_what_to_take(name: str) -> None:
    with pytest.raises(ValidationError, match="take one such as Asia/Seoul"):
        Settings.model_validate({"tools": {"time_zone": name}})
