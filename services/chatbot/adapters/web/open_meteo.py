"""Forecasts by the API of Open-Meteo: its own plans, or a server of one's own.

Source:
    https://open-meteo.com/en/docs. A commercial plan has another host and `apikey`; the data is CC BY 4.0.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from chatbot.adapters.web.guard import WebRefused
from chatbot.adapters.web.outbound import Fetched, Outbound
from chatbot.domain.outside.breaker import Attempt, BreakerOpen, BreakerPolicy, CircuitBreaker
from chatbot.domain.outside.weather import Day, Forecast, WeatherFailed

REST_SECONDS: Final = 30.0
LIMITED_REST_SECONDS: Final = 60.0
FAILURES: Final = 3
MAX_DEGREES: Final = 100.0  # of Celsius, on Earth
_NOW: Final = "temperature_2m,relative_humidity_2m,weather_code,wind_speed_10m"
_DAILY: Final = "weather_code,temperature_2m_min,temperature_2m_max,precipitation_probability_max"


class OpenMeteo:
    """Implements `WeatherService`.

    Args:
        base_url: Of the API, without `/v1/forecast`.
        outbound: Trusts that host.
        key_file: Of a commercial plan, read at every question. None: no key.
    """

    def __init__(
        self,
        base_url: str,
        outbound: Outbound,
        key_file: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._outbound = outbound
        self._key_file = key_file
        self._breaker = CircuitBreaker(BreakerPolicy(FAILURES, REST_SECONDS), clock=clock)

    async def forecast(self, degrees: tuple[float, float], zone: str, days: int) -> Forecast:
        """See `WeatherService`."""
        try:
            attempt = self._breaker.attempt()
        except BreakerOpen:
            raise WeatherFailed("resting") from None
        try:
            forecast = _forecast(await self._answer(self._url(degrees, zone, days), attempt), days)
            attempt.succeeded()
        except TimeoutError:
            raise _failed(attempt, "timeout") from None
        except (WebRefused, LookupError, TypeError, ValueError, RecursionError):
            raise _failed(attempt, "garbage") from None
        except OSError:
            raise _failed(attempt, "unreachable") from None
        except WeatherFailed as exc:
            raise _failed(attempt, exc.reason) from None
        finally:
            attempt.release()
        return forecast

    def _url(self, degrees: tuple[float, float], zone: str, days: int) -> str:
        asked = {
            "latitude": f"{degrees[0]:.2f}",
            "longitude": f"{degrees[1]:.2f}",
            "current": _NOW,
            "daily": _DAILY,
            "forecast_days": str(days),
            "timezone": zone,
            "wind_speed_unit": "ms",
        }
        if self._key_file is not None:
            try:
                asked["apikey"] = self._key_file.read_text("ascii").strip()
            except (OSError, ValueError):
                raise WeatherFailed("refused") from None
        return f"{self._base_url}/v1/forecast?{urlencode(asked)}"

    async def _answer(self, url: str, attempt: Attempt) -> Any:
        answer: Fetched = await self._outbound.fetch(url, headers={"Accept": "application/json"})
        if answer.status == 429:
            attempt.refused(LIMITED_REST_SECONDS)
            raise WeatherFailed("limited")
        if 400 <= answer.status < 500:
            attempt.refused(REST_SECONDS)
            raise WeatherFailed("refused")
        if answer.status != 200:
            raise WeatherFailed("unreachable")
        return json.loads(answer.body)


def _failed(attempt: Attempt, reason: str) -> WeatherFailed:
    attempt.failed()  # where it was refused or limited it rests already
    return WeatherFailed(reason)


def _forecast(answer: Any, days: int) -> Forecast:
    """The forecast in an answer.

    Raises:
        LookupError, TypeError, ValueError: It is none.
    """
    now, daily = answer["current"], answer["daily"]
    columns = [daily[name] for name in ("time", *_DAILY.split(","))]
    return Forecast(
        code=_code(now["weather_code"]),
        celsius=_celsius(now["temperature_2m"]),
        humidity_percent=_percent(now["relative_humidity_2m"]) or 0,
        wind_metres_per_second=_number(now["wind_speed_10m"], 0, 200),
        days=tuple(_day(*row) for row in list(zip(*columns, strict=True))[:days]),
    )


def _day(date: Any, code: Any, low: Any, high: Any, rain: Any) -> Day:
    if not isinstance(date, str) or len(date) != 10 or not date.replace("-", "").isdecimal() or not date.isascii():
        raise ValueError("no date")
    return Day(date, _code(code), _celsius(low), _celsius(high), _percent(rain))


def _code(value: Any) -> int:
    return round(_number(value, 0, 99))


def _celsius(value: Any) -> float:
    return round(_number(value, -MAX_DEGREES, MAX_DEGREES), 1)


def _percent(value: Any) -> int | None:
    return None if value is None else round(_number(value, 0, 100))


def _number(value: Any, least: float, most: float) -> float:
    """A number within bounds; a hostile answer has nothing but numbers to say anything with."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError("no such number")
    return float(value)
