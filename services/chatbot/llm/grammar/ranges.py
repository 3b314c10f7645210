"""Whole numbers between two bounds as a grammar: digit by digit, so a range of any width is a few rules."""

import math
from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 10**15 - 1
"""A number has at most fifteen digits: every reader of JSON keeps those."""
RANGE_KEYWORDS: Final = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def bounds_of(schema: Mapping[str, Any]) -> tuple[int, int]:
    """The smallest and the largest whole number that a schema allows; the first is larger where it allows none.

    Raises:
        ValueError: A bound is no number; the message is its keyword.
    """
    low, high = -LARGEST, LARGEST
    for keyword in RANGE_KEYWORDS:
        value = schema.get(keyword)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(keyword)
        if keyword == "minimum":
            low = max(low, math.ceil(value))
        elif keyword == "exclusiveMinimum":
            low = max(low, math.floor(value) + 1)
        elif keyword == "maximum":
            high = min(high, math.floor(value))
        else:
            high = min(high, math.ceil(value) - 1)
    return low, high


def between(low: int, high: int) -> str:
    """The right side of a rule for the whole numbers from `low` to `high`, both at most fifteen digits, low <= high."""
    options = []
    if low < 0:
        options.append(f'"-" ({_naturals(max(1, -high), -low)})')
    if high >= 0:
        options.append(_naturals(max(0, low), high))
    return " | ".join(options)


def _naturals(low: int, high: int) -> str:
    """Numbers from 0 on: those of one length after the other."""
    options = []
    while low <= high:
        last = min(high, 10 ** len(str(low)) - 1)
        options.append(_digits(str(low), str(last)))
        low = last + 1
    return " | ".join(options)


def _digits(low: str, high: str) -> str:
    """Numbers of one length: those that share the first digit of a bound go on with its rest."""
    if not low:
        return ""
    rest = len(low) - 1
    if set(low[1:]) <= {"0"} and set(high[1:]) <= {"9"}:
        return f"[{low[0]}-{high[0]}]" + (f" [0-9]{{{rest}}}" if rest else "")
    if low[0] == high[0]:
        return f'"{low[0]}" ({_digits(low[1:], high[1:])})'
    options = [f'"{low[0]}" ({_digits(low[1:], "9" * rest)})']
    first, last = int(low[0]) + 1, int(high[0]) - 1
    if first <= last:
        options.append(f"[{first}-{last}] [0-9]{{{rest}}}")
    options.append(f'"{high[0]}" ({_digits("0" * rest, high[1:])})')
    return " | ".join(options)
