"""Questions that need no model: plain arithmetic, the time at a place, a conversion, the day's fortune.

For the time in which no model serves. Only what matches from end to end is recognised, and only where the tool has an
answer: a question that is about more than this is none of these.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from chatbot.core.tools.contract import JsonValue
from chatbot.core.tools.exact_numbers import CannotCompute
from chatbot.core.tools.expression import MAX_CHARACTERS, compute
from chatbot.core.tools.places import known_places
from chatbot.core.tools.unit_table import unit

Recognised = tuple[str, dict[str, JsonValue]]
"""Name of a tool and its arguments."""

_MAX_FORTUNE_CHARACTERS: Final = 30
_POLITE: Final = (
    r"(?:인가요|인가|이에요|예요|에요|일까요|입니까|이야|야|이니|니|이죠|죠|이지|지|ですか|です|になりますか|か)?"
)
_SUMS: Final = tuple(
    map(
        re.compile,
        (
            r"(?P<sum>.+?)\s*(?:은|는|을|를|이|가)?\s*(?:얼마|몇|뭐|무엇)" + _POLITE,
            r"(?P<sum>.+?)\s*(?:은|는|을|를)?\s*계산해\s*(?:줘|주세요|줘요|줄래요?)?",
            r"(?:what(?:'s| is)|calculate|compute|how much is)\s+(?P<sum>.+)",
            r"(?P<sum>.+?)\s*(?:は|って)\s*(?:いくつ|何|いくら)" + _POLITE,
            r"(?P<sum>.+?)\s*を\s*計算(?:して)?(?:ください)?",
            r"(?P<sum>.+?)\s*(?:=|은|는|は)?",
        ),
    )
)
_NUMBERED: Final = re.compile(r"[0-9]+([-/])[0-9]+(?:\1[0-9]+)+")  # a date or a telephone number
_RANGE: Final = re.compile(r"[0-9]+[-/][0-9]+")
_TIMES: Final = tuple(
    map(
        re.compile,
        (
            r"(?:지금|현재)?\s*(?P<place>.*?)\s*(?:은|는|의|에서는?)?\s*(?:지금|현재)?\s*(?:시간은|시각은)?\s*몇\s*시"
            + _POLITE,
            r"(?P<place>.*?)\s*(?:은|는|의)?\s*(?:지금|현재)\s*(?:시간|시각)(?:은|이)?\s*(?:알려\s*(?:줘|주세요))?",
            r"(?:what(?:'s| is) the (?:current )?time|what time is it)(?: right)?(?: now)?(?: in (?P<place>.+?))?"
            r"(?: right)?(?: now)?",
            r"(?:今|いま|現在)?(?P<place>.*?)(?:は|の)?(?:今|いま|現在)?(?:、)?(?:何時|の?時刻は?)" + _POLITE,
        ),
    )
)
_CONVERSION: Final = re.compile(
    r"(?:convert\s+|how (?:much|many) is\s+)?(?P<value>-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*(?P<from>\S.{0,30}?)"
    r"\s*(?:은|는|을|를|이|가|は|を|=|\bin\b|\bto\b|\bas\b)\s*(?:몇|何)?\s*(?P<to>\S.{0,30}?)"
    rf"(?:으로|로|に)?{_POLITE}\s*(?:변환|환산|바꿔|換算|変換)?(?:해\s*|して)?(?:줘|주세요|ください)?"
)
_FORTUNE: Final = re.compile(
    r"(?:오늘|today|今日|나의|내|my|の|의|s|'|\s|運勢|운세|fortune|占い|占って|알려|줘|주세요|좀|은|는|は|what|is|tell|me|ください|を|教えて|어때|요)+"
)


def recognised(question: str) -> Recognised | None:
    """The tool that answers a question by itself, None where it takes a model."""
    text = " ".join(unicodedata.normalize("NFKC", question).casefold().split()).rstrip("?!.。~ ")
    if not text or len(text) > MAX_CHARACTERS:
        return None
    looks: tuple[Callable[[str], Recognised | None], ...] = (_sum, _time, _conversion, _fortune)
    return next((found for look in looks if (found := look(text)) is not None), None)


def _sum(text: str) -> Recognised | None:
    for pattern in _SUMS:
        match = pattern.fullmatch(text)
        expression = match["sum"].strip() if match else ""
        if not expression or _NUMBERED.fullmatch(expression) or (expression == text and _RANGE.fullmatch(text)):
            continue
        try:
            compute(expression)
        except CannotCompute:
            continue
        if not re.fullmatch(r"[0-9.,\s]*", expression) and re.search(r"[0-9]", expression):
            return "calculate", {"expression": expression}
    return None


def _time(text: str) -> Recognised | None:
    for pattern in _TIMES:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        place = (match["place"] or "").strip()
        if not place:
            return "current_time", {}
        if known_places().find(place):
            return "current_time", {"place": place}
    return None


def _conversion(text: str) -> Recognised | None:
    match = _CONVERSION.fullmatch(text)
    if match is None:
        return None
    source, target = unit(match["from"]), unit(match["to"])
    if source is None or target is None or source.quantity != target.quantity:
        return None
    return "convert_units", {"value": float(match["value"].replace(",", "")), "from": match["from"], "to": match["to"]}


def _fortune(text: str) -> Recognised | None:
    if len(text) > _MAX_FORTUNE_CHARACTERS or not re.search("운세|運勢|占|fortune", text):
        return None
    return ("fortune", {}) if _FORTUNE.fullmatch(text) else None
