"""The JSON of a card, bounded before and after it is parsed."""

import json
from typing import Any, Final

from chatbot.domain.errors import MalformedBody
from chatbot.domain.outside.strict_json import check_depth, check_surrogates, finite, refuse_constant

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
    check_depth(card, MAX_DEPTH)
    check_surrogates(card)
    return card


def _parse(text: str) -> object:
    try:
        return json.loads(text, parse_constant=refuse_constant, parse_float=finite)
    except json.JSONDecodeError:
        raise MalformedBody("not_json") from None
    except RecursionError:
        raise MalformedBody("too_deep") from None
    except ValueError:  # an integer of more digits than Python converts
        raise MalformedBody("nan") from None
