"""What the model sees of a result: data without anything invisible, never longer than a bound.

Marks around it that nobody outside can know are the model adapter's affair.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from chatbot.core.tools.contract import JsonValue, ToolResult
from chatbot.domain.visible_text import visible

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
    lists = [value for value in cleaned.values() if isinstance(value, list)]
    while (longest := max(lists, key=len, default=[])) and len(longest) > 1 and _surplus(cleaned, limit_bytes) > 0:
        longest.pop()  # results stand in their order, the best first
    alone = longest[0] if len(longest) == 1 else None
    _shorten(cleaned, _surplus(cleaned, limit_bytes))
    if isinstance(alone, dict):
        _shorten(alone, _surplus(cleaned, limit_bytes))
    text = _json(cleaned)
    return text if len(text.encode()) <= limit_bytes else _json(_TOO_LARGE)


def _surplus(value: JsonValue, limit_bytes: int) -> int:
    return len(_json(value).encode()) - limit_bytes


def _shorten(value: dict[str, JsonValue], surplus_bytes: int) -> None:
    """Cut the longest text of an object."""
    texts = [key for key in value if isinstance(value[key], str)]
    if surplus_bytes > 0 and texts:
        longest = max(texts, key=lambda key: len(str(value[key])))
        value[longest] = _cut(str(value[longest]), surplus_bytes)


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
