"""The tool `weather`: now and the next days, at a place of our own table.

What leaves the house are the degrees of a place that this table has: no word of anybody.
"""

from collections.abc import Mapping
from typing import Final

from chatbot.core.tools.contract import JsonValue, Reach, ToolContext, ToolRefused, ToolResult, text_argument
from chatbot.core.tools.outside.weather_words import words_of
from chatbot.core.tools.places import MAX_CANDIDATES, Place, known_places
from chatbot.core.web.kept import Kept
from chatbot.domain.outside.weather import Forecast, WeatherService

MAX_NAME_CHARACTERS: Final = 80
MAX_DAYS: Final = 7
SECONDS: Final = 8.0
ATTRIBUTION: Final = "Open-Meteo CC BY 4.0"
ATTRIBUTION_URL: Final = "https://open-meteo.com/"
_NOW: Final = {
    "ko": "{where} 현재 {sky}, {celsius}°C, 습도 {humidity}%, 바람 {wind} m/s.",
    "en": "{where} now: {sky}, {celsius}°C, humidity {humidity}%, wind {wind} m/s.",
    "ja": "{where}の現在: {sky}、{celsius}°C、湿度{humidity}%、風{wind} m/s。",
}
_DAY: Final = {
    "ko": "{date}: {sky}, 최저 {low}°C, 최고 {high}°C{rain}.",
    "en": "{date}: {sky}, low {low}°C, high {high}°C{rain}.",
    "ja": "{date}: {sky}、最低{low}°C、最高{high}°C{rain}。",
}
_RAIN: Final = {"ko": ", 강수 확률 {}%", "en": ", chance of rain {}%", "ja": "、降水確率{}%"}


class Weather:
    """Implements `Tool`. Its numbers are bounded and its words are ours, so that its results are no text of others.

    Args:
        service: Who knows the weather.
        kept: Forecasts of the last minutes.
    """

    name = "weather"
    reach = Reach(leaves=True, seconds=SECONDS, has_sources=True)
    description = "The weather now and for up to 7 days in a city (named in Korean, English or Japanese)."
    parameters: Mapping[str, JsonValue] = {
        "type": "object",
        "properties": {
            "place": {"type": "string", "description": "city", "maxLength": MAX_NAME_CHARACTERS},
            "days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS},
        },
        "required": ["place"],
        "additionalProperties": False,
    }

    def __init__(self, service: WeatherService, kept: Kept[Forecast]) -> None:
        self._service = service
        self._kept = kept

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{place, results: [{title, url, text}]}`, the provider as the only source.

        Raises:
            ToolRefused: unknown_place or not_a_city, with `candidates`.
            WeatherFailed: The provider gave none.
        """
        place = _place(text_argument(arguments, "place", MAX_NAME_CHARACTERS))
        days = arguments.get("days", 2)
        count = min(max(days, 1), MAX_DAYS) if isinstance(days, int) and not isinstance(days, bool) else 2
        degrees = place.degrees
        if degrees is None:
            raise ToolRefused("not_a_city", candidates=[*_cities_of(place, context.language)])
        key = (f"{degrees[0]:.2f}", f"{degrees[1]:.2f}", place.zone, str(count))
        forecast = await self._kept.get(key, lambda: self._service.forecast(degrees, place.zone, count))
        told = _told(forecast, place.shown(context.language), context.language)
        return {
            "place": place.shown(context.language),
            "results": [{"title": ATTRIBUTION, "url": ATTRIBUTION_URL, "text": told}],
        }

    def say(self, result: ToolResult, language: str) -> str:
        """The forecast, and whose it is."""
        listed = result["results"]
        texts = [str(one["text"]) for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        return f"{' '.join(texts)} ({ATTRIBUTION})"


def _place(name: str) -> Place:
    places = known_places()
    found = places.find(name)
    if not found:
        raise ToolRefused("unknown_place", candidates=[*places.alike(name)])
    return found[0]


def _cities_of(country: Place, language: str) -> tuple[str, ...]:
    """The first cities of a country in our table, those in the zone of its capital before others."""
    everywhere = (place for there in known_places().by_name.values() for place in there)
    cities = dict.fromkeys(place for place in everywhere if place.territory == country.territory and place.degrees)
    own_zone = sorted(cities, key=lambda place: place.zone != country.zone)
    return tuple(place.shown(language) for place in own_zone[:MAX_CANDIDATES])


def _told(forecast: Forecast, where: str, language: str) -> str:
    now = _NOW[language].format(
        where=where,
        sky=words_of(forecast.code, language),
        celsius=f"{forecast.celsius:g}",
        humidity=forecast.humidity_percent,
        wind=f"{forecast.wind_metres_per_second:g}",
    )
    days = (
        _DAY[language].format(
            date=day.date,
            sky=words_of(day.code, language),
            low=f"{day.low_celsius:g}",
            high=f"{day.high_celsius:g}",
            rain="" if day.rain_percent is None else _RAIN[language].format(day.rain_percent),
        )
        for day in forecast.days
    )
    return " ".join((now, *days))
