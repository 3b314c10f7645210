"""The weather as the core sees it: numbers and codes, no text of others."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Day:
    """One day.

    Attributes:
        date: ISO 8601.
        code: Of WMO table 4677, as far as forecasts use it.
        rain_percent: Highest probability of rain or snow; None where it is not told.
    """

    date: str
    code: int
    low_celsius: float
    high_celsius: float
    rain_percent: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The weather at a place.

    Attributes:
        code: Now.
        celsius: Now.
        humidity_percent: Now.
        wind_metres_per_second: Now.
        days: From today.
    """

    code: int
    celsius: float
    humidity_percent: int
    wind_metres_per_second: float
    days: tuple[Day, ...]


class WeatherFailed(Exception):
    """There is no forecast.

    Args:
        reason: One of a closed set of words: refused, limited, timeout, unreachable, garbage, resting.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WeatherService(Protocol):
    """Who knows the weather."""

    async def forecast(self, degrees: tuple[float, float], zone: str, days: int) -> Forecast:
        """The forecast of a place.

        Args:
            degrees: North and east; all that leaves the house.
            zone: IANA name: whose days are told.
            days: 1-7.

        Raises:
            WeatherFailed: It does not answer, or not with a forecast.
        """
