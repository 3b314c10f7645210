"""What the model sees of a result: data without anything invisible, never longer than a bound.

Marks around it that nobody outside can know are the model adapter's affair.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from chatbot.core.tools.contract import JsonValue, ToolResult

_JOINER: Final = "\u200d"  # of pictographs
_IN_COLOUR: Final = "\ufe0f"  # shows one as an emoji
# Default_Ignorable_Code_Point of Unicode 17 beyond the categories that are left out anyway: fillers, selectors.
_IGNORABLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_SENTENCE_END: Final = re.compile(r"[.!?。！？…\n](?:\s|$)|[。！？\n]")
_MAX_DEPTH: Final = 8
_MAX_CHARACTERS: Final = 16_000  # of one text, before it is looked at: above any bound in bytes
_TOO_LARGE: Final[ToolResult] = {"error": "too_large", "truncated": True}


def contained(result: ToolResult, limit_bytes: int) -> str:
    """A result as JSON text of at most `limit_bytes`; long texts in it are cut at a sentence, and it says so.

    Args:
        result: What a tool gave.
        limit_bytes: Of UTF-8, at least 64.
    """
    cleaned = _cleaned(result, _MAX_DEPTH)
    text = _json(cleaned)
    if not isinstance(cleaned, dict) or len(text.encode()) <= limit_bytes:
        return text
    cleaned["truncated"] = True
    surplus = len(_json(cleaned).encode()) - limit_bytes
    texts = [key for key in cleaned if isinstance(cleaned[key], str)]
    longest = max(texts, key=lambda key: len(str(cleaned[key])), default="")
    if surplus > 0 and texts:
        cleaned[longest] = _cut(str(cleaned[longest]), surplus)
    text = _json(cleaned)
    return text if len(text.encode()) <= limit_bytes else _json(_TOO_LARGE)


def visible(text: str) -> str:
    """Text without characters that nobody sees: controls, directions, tags, spaces without width; emoji stay joined.

    Source:
        Unicode general categories and Default_Ignorable_Code_Point (UAX #44); UTS #51 for emoji.
    """
    kept = []
    for at, character in enumerate(text):
        if character in (_JOINER, _IN_COLOUR):
            before, behind = text[max(0, at - 1) : at], text[at + 1 : at + 2]
            if _is_pictograph(before) if character == _IN_COLOUR else _may_join(before) and _is_pictograph(behind):
                kept.append(character)
        elif character in "\n\t" or not (unicodedata.category(character) in _UNSEEN or _IGNORABLE.match(character)):
            kept.append(character)
    return "".join(kept)


def _is_pictograph(character: str) -> bool:
    return character != "" and unicodedata.category(character) in ("So", "Sk")


def _may_join(character: str) -> bool:
    return character == _IN_COLOUR or _is_pictograph(character)


def _cleaned(value: JsonValue, depth: int) -> JsonValue:
    if isinstance(value, str):
        return visible(value[:_MAX_CHARACTERS])
    if isinstance(value, Mapping):
        return {visible(key): _cleaned(each, depth - 1) for key, each in value.items()} if depth else None
    if isinstance(value, list):
        return [_cleaned(each, depth - 1) for each in value] if depth else None
    return value


def _cut(text: str, surplus_bytes: int) -> str:
    """The text without at least so many bytes of JSON, at the end of a sentence where there is one."""
    while text and surplus_bytes > 0:
        surplus_bytes -= len(json.dumps(text[-1], ensure_ascii=False).encode()) - 2
        text = text[:-1]
    ends = [match.start() + 1 for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)
