"""The JSON of a card, bounded before and after it is parsed."""

import json
from typing import Any, Final, NoReturn

from chatbot.domain.errors import MalformedBody

MAX_BYTES: Final = 2 << 20
MAX_DEPTH: Final = 32
MAX_OPENINGS: Final = 300_000
"""Braces and brackets, those in texts included: bounds what parsing may take of memory to some 20 MiB."""


def parse_card(raw: bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        MalformedBody: It is none, or more than a card may be.
    """
    if len(raw) > MAX_BYTES:
        raise MalformedBody("card_too_much")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedBody("not_utf8") from None
    if text.count("{") + text.count("[") > MAX_OPENINGS:
        raise MalformedBody("card_too_much")
    card = _parse(text)
    if not isinstance(card, dict):
        raise MalformedBody("no_card")
    _check_depth(card)
    try:
        json.dumps(card, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedBody("surrogate") from None
    return card


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except json.JSONDecodeError:
        raise MalformedBody("not_json") from None
    except RecursionError:
        raise MalformedBody("too_deep") from None
    except ValueError:  # an integer of more digits than Python converts
        raise MalformedBody("nan") from None


def _refuse(_name: str) -> NoReturn:
    raise MalformedBody("nan")


def _finite(literal: str) -> float:
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        raise MalformedBody("nan")
    return number


def _check_depth(parsed: object) -> None:
    level = [parsed]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
        if not level:
            return
    raise MalformedBody("too_deep")


def _children(node: object) -> list[object]:
    return [*node.values()] if isinstance(node, dict) else node if isinstance(node, list) else []
