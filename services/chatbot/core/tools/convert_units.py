"""The tool `convert_units`: exact conversion between units of measure, the traditional ones of Korea and Japan too."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from chatbot.core.tools.contract import JsonValue, ToolContext, ToolRefused, ToolResult, text_argument
from chatbot.core.tools.exact_numbers import MAX_BITS, Number
from chatbot.core.tools.unit_table import Unit, symbols, unit

MAX_NAME_CHARACTERS: Final = 40
_NOTES: Final = {
    "tatami": {
        "ko": "다다미 한 장은 지역에 따라 다릅니다. 일본 부동산 표시 기준인 1.62 m²로 계산했습니다.",
        "en": "A tatami mat differs by region; this is the 1.62 m² of Japan's rules for property advertising.",
        "ja": "畳の大きさは地域で異なります。不動産表示の基準である1.62 m²で計算しました。",
    },
    "majigi": {
        "ko": "마지기는 지역에 따라 다릅니다. 논 200평으로 계산했습니다.",
        "en": "A majigi differs by region; this is a rice field of 200 pyeong.",
        "ja": "マジギは地域で異なります。水田200坪で計算しました。",
    },
    "geun": {
        "ko": "고기 한 근은 600 g입니다. 채소와 과일은 400 g을 한 근으로 치기도 합니다.",
        "en": "A geun is 600 g, for meat; vegetables and fruit are often sold by 400 g.",
        "ja": "斤は600 gです。韓国では野菜や果物は400 gのこともあります。",
    },
    "us": {
        "ko": "미국 단위로 계산했습니다. 영국 단위는 더 큽니다.",
        "en": "This is the US unit; the imperial one is larger.",
        "ja": "米国の単位で計算しました。英国の単位はもう少し大きいです。",
    },
    "cup": {
        "ko": "미국 컵(약 237 mL)입니다. 한국과 일본의 요리용 컵은 200 mL입니다.",
        "en": "This is the US cup of about 237 mL; in Korean and Japanese recipes a cup is 200 mL.",
        "ja": "米国のカップ（約237 mL）です。日本と韓国の料理用カップは200 mLです。",
    },
    "spoon": {
        "ko": "미국 계량스푼입니다. 한국과 일본은 15 mL와 5 mL입니다.",
        "en": "This is the US spoon; Korea and Japan use 15 mL and 5 mL.",
        "ja": "米国の計量スプーンです。日本と韓国では15 mLと5 mLです。",
    },
    "year": {
        "ko": "1년은 365.25일로 계산했습니다.",
        "en": "A year is taken as 365.25 days.",
        "ja": "1年は365.25日として計算しました。",
    },
}


class ConvertUnits:
    """A value in another unit."""

    name = "convert_units"
    description = (
        "Convert a value between units of length, area, volume, mass, temperature, speed, time, data, pressure, energy "
        "and power, also 평, 근, 돈, 坪, 畳, 合."
    )
    parameters: Mapping[str, JsonValue] = {
        "type": "object",
        "properties": {
            "value": {"type": "number"},
            "from": {"type": "string", "description": "unit, for example 평", "maxLength": MAX_NAME_CHARACTERS},
            "to": {"type": "string", "description": "unit, for example m²", "maxLength": MAX_NAME_CHARACTERS},
        },
        "required": ["value", "from", "to"],
        "additionalProperties": False,
    }

    async def run(self, arguments: Mapping[str, JsonValue], context: ToolContext) -> ToolResult:
        """`{value, from, result, to, exact}`, and `note` where a unit is not the same everywhere.

        Raises:
            ToolRefused: unknown_unit, different_quantities with `candidates`, below_absolute_zero, not_a_number
                or too_large.
        """
        value = _value(arguments.get("value"))
        source, target = _unit(arguments, "from"), _unit(arguments, "to")
        if source.quantity != target.quantity:
            names: list[JsonValue] = [*symbols(source.quantity)]
            raise ToolRefused("different_quantities", candidates=names)
        base = value * source.factor + source.offset
        if source.quantity == "temperature" and base < 0:
            raise ToolRefused("below_absolute_zero")
        shown, is_exact = Number((base - target.offset) / target.factor).shown()
        result: dict[str, JsonValue] = {
            "value": Number(value).shown()[0],
            "from": _shown(source, arguments["from"]),
            "result": shown,
            "to": _shown(target, arguments["to"]),
            "exact": is_exact,
        }
        notes = [_NOTES[one.note][context.language] for one in (source, target) if one.note]
        return result | ({"note": " ".join(dict.fromkeys(notes))} if notes else {})

    def say(self, result: ToolResult, language: str) -> str:
        """`10 평 ≈ 33.06 m²`, with its note."""
        sign = "=" if result["exact"] else "≈"
        sentence = f"{result['value']} {result['from']} {sign} {result['result']} {result['to']}"
        return f"{sentence} ({result['note']})" if "note" in result else sentence


def _value(value: JsonValue) -> Fraction:
    """A number as it was written: 0.1 is a tenth.

    Raises:
        ToolRefused: It is none, or has too many digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolRefused("not_a_number", argument="value")
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS // 4:
            raise ToolRefused("too_large", argument="value")
        return Fraction(value)
    if not math.isfinite(value):
        raise ToolRefused("not_a_number", argument="value")
    return Fraction(repr(value))


def _unit(arguments: Mapping[str, JsonValue], name: str) -> Unit:
    found = unit(text_argument(arguments, name, MAX_NAME_CHARACTERS))
    if found is None:
        raise ToolRefused("unknown_unit", argument=name)
    return found


def _shown(unit: Unit, asked: JsonValue) -> str:
    """The unit's symbol, or the name it was asked by where that is in the asker's own script (평, 坪)."""
    return unit.symbol if unit.symbol[:1] < "\u1100" else str(asked).strip()
