"""JSON of people outside: what Python's parser takes, and nothing that is sent on should hold.

Python reads NaN, 1e999 and lone surrogates; what is made of them later fails far from here.

Source: RFC 8259, sections 6 and 8.
"""

import json
from typing import NoReturn

from chatbot.domain.errors import MalformedBody


def refuse_constant(_name: str) -> NoReturn:
    """For `parse_constant`: NaN and infinities are no JSON.

    Raises:
        MalformedBody: Always.
    """
    raise MalformedBody("nan")


def finite(literal: str) -> float:
    """For `parse_float`.

    Raises:
        MalformedBody: It is larger than a number can be.
    """
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        raise MalformedBody("nan")
    return number


def check_depth(parsed: object, most: int) -> None:
    """Look at the nesting of objects and lists.

    Raises:
        MalformedBody: It has more than `most` levels.
    """
    level = [parsed]
    for _ in range(most):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise MalformedBody("too_deep")


def check_surrogates(parsed: object) -> None:
    """Look at all texts.

    Raises:
        MalformedBody: One has half of a character.
    """
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedBody("surrogate") from None


def _children(node: object) -> list[object]:
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [child for child in inside if isinstance(child, dict | list)]
