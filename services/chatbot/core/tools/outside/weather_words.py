"""What the codes of forecasts mean, in words of our own.

Source:
    WMO code table 4677 as https://open-meteo.com/en/docs uses it.
"""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[int, tuple[str, str, str]]] = {
    0: ("맑음", "clear", "快晴"),
    1: ("대체로 맑음", "mostly clear", "晴れ"),
    2: ("구름 조금", "partly cloudy", "晴れ時々くもり"),
    3: ("흐림", "overcast", "くもり"),
    45: ("안개", "fog", "霧"),
    48: ("서리 안개", "freezing fog", "着氷性の霧"),
    51: ("약한 이슬비", "light drizzle", "弱い霧雨"),
    53: ("이슬비", "drizzle", "霧雨"),
    55: ("강한 이슬비", "dense drizzle", "強い霧雨"),
    56: ("약하게 어는 이슬비", "light freezing drizzle", "弱い着氷性の霧雨"),
    57: ("어는 이슬비", "freezing drizzle", "着氷性の霧雨"),
    61: ("약한 비", "light rain", "小雨"),
    63: ("비", "rain", "雨"),
    65: ("강한 비", "heavy rain", "大雨"),
    66: ("약하게 어는 비", "light freezing rain", "弱い着氷性の雨"),
    67: ("어는 비", "freezing rain", "着氷性の雨"),
    71: ("약한 눈", "light snow", "小雪"),
    73: ("눈", "snow", "雪"),
    75: ("강한 눈", "heavy snow", "大雪"),
    77: ("싸락눈", "snow grains", "霧雪"),
    80: ("약한 소나기", "light showers", "弱いにわか雨"),
    81: ("소나기", "showers", "にわか雨"),
    82: ("강한 소나기", "violent showers", "激しいにわか雨"),
    85: ("약한 소낙눈", "light snow showers", "弱いにわか雪"),
    86: ("소낙눈", "snow showers", "にわか雪"),
    95: ("뇌우", "thunderstorm", "雷雨"),
    96: ("약한 우박을 동반한 뇌우", "thunderstorm with light hail", "弱いひょうを伴う雷雨"),
    99: ("우박을 동반한 뇌우", "thunderstorm with hail", "ひょうを伴う雷雨"),
}
_UNKNOWN: Final = ("알 수 없음", "unknown", "不明")
_LANGUAGES: Final = ("ko", "en", "ja")


def words_of(code: int, language: str) -> str:
    """A code in ko, en or ja."""
    return WORDS.get(code, _UNKNOWN)[_LANGUAGES.index(language)]
