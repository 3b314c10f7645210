"""The tool `weather`: what is asked for, what is told, in three languages."""

from dataclasses import replace
from typing import Any

import pytest
from chatbot.core.tools.contract import ToolRefused
from chatbot.core.tools.outside.weather import ATTRIBUTION_URL, Weather
from chatbot.core.tools.outside.weather_words import WORDS, words_of
from chatbot.core.tools.places import known_places
from chatbot.core.web.kept import KeepPolicy, Kept
from chatbot.domain.outside.weather import Day, Forecast, WeatherFailed
from parts.calling_model import asked_for

FORECAST = Forecast(3, 7.5, 41, 2.0, (Day("2026-11-21", 61, 3.0, 9.0, 80), Day("2026-11-22", 0, -1.5, 6.0, None)))


class Sky:
    """Implements `WeatherService`."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[float, float], str, int]] = []
        self.failure: Exception | None = None

    async def forecast(self, degrees: tuple[float, float], zone: str, days: int) -> Forecast:
        self.asked.append((degrees, zone, days))
        if self.failure is not None:
            raise self.failure
        return FORECAST


class Nobody:
    def cache_asked(self, service: str, cache: str, outcome: str) -> None:
        pass


def weather() -> tuple[Weather, Sky]:
    sky = Sky()
    return Weather(sky, Kept("office", KeepPolicy("weather", 600.0), Nobody(), lambda _: 1)), sky


async def told(language: str = "ko", **arguments: Any) -> str:
    tool, _ = weather()
    result = await tool.run(arguments, replace(asked_for(), language=language))
    listed: Any = result["results"]
    assert [one["url"] for one in listed] == [ATTRIBUTION_URL]
    return str(listed[0]["text"])


async def test_it_is_told_in_the_language_of_the_question() -> None:
    assert await told(place="부산") == (
        "부산 현재 흐림, 7.5°C, 습도 41%, 바람 2 m/s. 2026-11-21: 약한 비, 최저 3°C, 최고 9°C, 강수 확률 80%."
        " 2026-11-22: 맑음, 최저 -1.5°C, 최고 6°C."
    )
    assert (await told("en", place="부산")).startswith("Busan now: overcast, 7.5°C, humidity 41%")
    assert (await told("ja", place="부산")).startswith("釜山の現在: くもり、7.5°C、湿度41%")


async def test_all_that_leaves_are_the_degrees_of_a_known_place_and_only_once_in_a_while() -> None:
    tool, sky = weather()

    for name in ("부산", "Busan", "釜山", "부산광역시"):
        await tool.run({"place": name, "days": 3}, asked_for())
    await tool.run({"place": "Seoul", "days": 99}, asked_for())

    assert sky.asked == [((35.18, 129.08), "Asia/Seoul", 3), ((37.55, 126.97), "Asia/Seoul", 7)]


@pytest.mark.parametrize(
    ("place", "problem"), [("내 비밀은 4711", "unknown_place"), ("", "unknown_place"), ("한국", "not_a_city")]
)
async def test_what_is_no_city_is_asked_of_nobody(place: str, problem: str) -> None:
    tool, sky = weather()

    with pytest.raises(ToolRefused) as refused:
        await tool.run({"place": place}, asked_for())

    assert (refused.value.problem, sky.asked) == (problem, [])


@pytest.mark.parametrize(("country", "city"), [("한국", "부산"), ("Japan", "오사카"), ("미국", "워싱턴")])
async def test_a_country_is_answered_with_cities_that_may_be_meant(country: str, city: str) -> None:
    tool, _ = weather()

    with pytest.raises(ToolRefused) as refused:
        await tool.run({"place": country}, asked_for())

    named: Any = refused.value.details["candidates"]
    assert city in named and len(named) == 5


async def test_a_provider_that_fails_is_left_alone_for_a_while() -> None:
    tool, sky = weather()
    sky.failure = WeatherFailed("timeout")

    for _ in range(3):
        with pytest.raises(WeatherFailed):
            await tool.run({"place": "부산"}, asked_for())

    assert len(sky.asked) == 1


def test_every_code_has_words_of_its_own_in_each_language() -> None:
    codes = [0, 1, 2, 3, 45, 48, 51, 53, 55, 56, 57, 61, 63, 65, 66, 67, 71, 73, 75, 77, 80, 81, 82, 85, 86, 95, 96, 99]

    assert list(WORDS) == codes
    for language in ("ko", "en", "ja"):
        assert len({words_of(code, language) for code in codes}) == len(codes)
        assert words_of(42, language) not in {words_of(code, language) for code in codes}


def test_every_city_lies_somewhere_and_no_country_does() -> None:
    places = known_places()
    all_places = {place for there in places.by_name.values() for place in there}
    countries = set(places.territories.values())

    assert len(all_places - countries) > 550
    assert all(place.degrees is None for place in countries)
    for place in all_places - countries:
        north, east = place.degrees or (999.0, 999.0)
        assert -90 <= north <= 90 and -180 <= east <= 180, place
    for name, degrees in (("도쿄", (35.65, 139.73)), ("뭄바이", (19.08, 72.88)), ("São Paulo", (-23.53, -46.62))):
        assert places.find(name)[0].degrees == degrees
