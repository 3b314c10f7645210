"""values.schema.json: strict, so that a misspelt value is refused with its path instead of being ignored."""

import json
from typing import Any

from values import Value


def schema(tree: dict[str, Value], title: str) -> str:
    """The file's text."""
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title} | _object(tree)
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _object(tree: dict[str, Value]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _described(value) for name, value in tree.items()},
    }


def _described(value: Value) -> dict[str, Any]:
    told = {"description": value.text} if value.text else {}
    return told | (_object(value.children) if value.children else value.schema)
