"""The tool `current_time`: what time it is somewhere, from the time zone database."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from chatbot.core.tools.contract import JsonValue, ToolContext, ToolRefused, ToolResult, text_argument
from chatbot.core.tools.places import Place, known_places

MAX_NAME_CHARACTERS: Final = 80
_MAX_OFFSET: Final = timedelta(hours=14)
_ZONE: Final = re.compile(r"[A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*")
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?")
_ABBREVIATIONS: Final = {"kst": "Asia/Seoul", "jst": "Asia/Tokyo", "utc": "UTC", "gmt": "UTC", "z": "UTC"}
_WEEKDAYS: Final = {
    "ko": ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "ja": ("月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日", "日曜日"),
}
_SENTENCES: Final = {
    "ko": "현재 시각({where})은 {now:%Y}년 {now.month}월 {now.day}일 {weekday} {now:%H}시 {now:%M}분입니다.",
    "en": "The time ({where}) is {now:%H:%M} on {weekday}, {now:%Y-%m-%d}.",
    "ja": "現在時刻（{where}）は{now:%Y}年{now.month}月{now.day}日（{weekday}）{now:%H}時{now:%M}分です。",
}


class CurrentTime:
    """The time now, at a place or in a zone."""

    name = "current_time"
    description = "The current date and time, here or at a place (city or country, in Korean, English or Japanese)."
    parameters: Mapping[str, JsonValue] = {
        "type": "object",
        "properties": {
            "place": {"type": "string", "description": "city or country", "maxLength": MAX_NAME_CHARACTERS},
            "zone": {"type": "string", "description": "IANA zone, instead of a place", "maxLength": 40},
        },
        "additionalProperties": False,
    }

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{zone, iso, weekday, utc_offset, dst}`, and `{place, country, also}` for a place.

        Raises:
            ToolRefused: unknown_place with `candidates`, or unknown_zone.
        """
        place = text_argument(arguments, "place", MAX_NAME_CHARACTERS)
        zone = text_argument(arguments, "zone", MAX_NAME_CHARACTERS)
        if place:
            return _at_place(place, context)
        name, there = _zone_of(zone) if zone else (context.zone, ZoneInfo(context.zone))
        return _told(context.now.astimezone(there), name, context.language)

    def say(self, result: ToolResult, language: str) -> str:
        """A sentence with place, date, weekday and time."""
        now = datetime.fromisoformat(str(result["iso"]))
        where = str(result.get("place") or result["zone"])
        return _SENTENCES[language].format(where=where, now=now, weekday=_WEEKDAYS[language][now.weekday()])


def _at_place(name: str, context: ToolContext) -> ToolResult:
    places = known_places()
    found = places.find(name)
    if not found:
        if _ZONE.fullmatch(name) and ("/" in name or name.casefold() in _ABBREVIATIONS):
            zone, there = _zone_of(name)
            return _told(context.now.astimezone(there), zone, context.language)
        raise ToolRefused("unknown_place", candidates=[*places.alike(name)])
    meant, *others = found
    told = _told(context.now.astimezone(ZoneInfo(meant.zone)), meant.zone, context.language)
    country = _country(meant, context.language)
    also: list[JsonValue] = [
        f"{other.shown(context.language)}, {_country(other, context.language)}" for other in others
    ]
    return {"place": meant.shown(context.language), "country": country, **told} | ({"also": also} if also else {})


def _country(place: Place, language: str) -> str:
    return known_places().territories[place.territory].shown(language)


def _zone_of(name: str) -> tuple[str, tzinfo]:
    """A zone by its IANA name, a few abbreviations, or an offset.

    Raises:
        ToolRefused: There is no such zone.
    """
    name = _ABBREVIATIONS.get(name.casefold(), name)
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        sign = -1 if offset[1] == "-" else 1
        distance = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if distance > _MAX_OFFSET:
            raise ToolRefused("unknown_zone")
        there = timezone(sign * distance)
        return str(there), there
    if not _ZONE.fullmatch(name):  # never a path: names are looked up as files
        raise ToolRefused("unknown_zone")
    try:
        return name, ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ToolRefused("unknown_zone") from None


def _told(now: datetime, zone: str, language: str) -> dict[str, JsonValue]:
    iso = now.isoformat(timespec="seconds")
    return {
        "zone": zone,
        "iso": iso,
        "weekday": _WEEKDAYS[language][now.weekday()],
        "utc_offset": iso[-6:],
        "dst": bool(now.dst()),
    }
