"""A tool's definition: what of it the model sees, and the pin by which people approve it.

Whoever runs a tool server may change what a tool says of itself after somebody looked at it. So a definition is
approved with the hash of everything that the model could be told of it.

Source:
    JSON Schema 2020-12 for the keywords; OWASP, "MCP Top 10", on poisoned and changed definitions.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from chatbot.core.retrieval.answer_text import Links, cleaned
from chatbot.domain.toolservers.server import RemoteDefinition
from chatbot.domain.visible_text import visible

MAX_DESCRIPTION: Final = 300
MAX_ARGUMENT_DESCRIPTION: Final = 120
MAX_NAME: Final = 64
PIN_DIGITS: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_TOLD: Final = ("description", "title")
_DROPPED: Final = ("examples", "default", "$comment", "$schema", "$id", "deprecated", "readOnly", "writeOnly")
_AS_IT_IS: Final = ("enum", "const", "required", "type")
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_MAX_DEPTH: Final = 40


class DefinitionRefused(Exception):
    """A definition that the model is not told of.

    Args:
        reason: One of `WITHDRAWN_REASONS`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def pin_of(definition: RemoteDefinition) -> str:
    """The pin of a definition: the start of a SHA-256 over its name, description and schema.

    Raises:
        DefinitionRefused: `bad_schema`: it is no JSON that can be written.
    """
    whole = {"name": definition.name, "description": definition.description, "parameters": definition.parameters}
    try:
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        raise DefinitionRefused("bad_schema") from None
    return hashlib.sha256(text.encode()).hexdigest()[:PIN_DIGITS]


def full_name(server: str, tool: str) -> str:
    """The name under which the model knows a tool.

    Raises:
        DefinitionRefused: `bad_name`: none that a tool may have.
    """
    name = f"{server}__{tool}"
    if len(name) > MAX_NAME or not _NAME.fullmatch(tool):
        raise DefinitionRefused("bad_name")
    return name


def told_description(definition: RemoteDefinition) -> str:
    """The description, without links and what nobody sees, on one line and cut."""
    return _short(definition.description, MAX_DESCRIPTION)


def told_schema(definition: RemoteDefinition) -> Mapping[str, Any]:
    """The schema without what only talks to the model; descriptions of arguments are cut.

    Raises:
        DefinitionRefused: `bad_schema`: too deep. `hidden_text`: a name or a value has characters that nobody sees.
    """
    schema = _told(definition.parameters, _MAX_DEPTH)
    text = json.dumps(schema, ensure_ascii=False)
    if visible(text) != text:
        raise DefinitionRefused("hidden_text")
    return schema


def _told(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if not depth:
        raise DefinitionRefused("bad_schema")
    told: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _DROPPED:
            continue
        if key in _TOLD:
            told[key] = _short(str(value), MAX_ARGUMENT_DESCRIPTION)
        elif key in _NAMED and isinstance(value, Mapping):
            told[key] = {name: _part(one, depth - 1) for name, one in value.items()}
        else:
            told[key] = value if key in _AS_IT_IS else _part(value, depth - 1)
    return told


def _part(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return _told(value, depth)
    if not isinstance(value, list):
        return value
    if not depth:
        raise DefinitionRefused("bad_schema")
    return [_part(one, depth - 1) for one in value]


def _short(text: str, limit: int) -> str:
    seen = " ".join(visible(text[: limit * 20]).split())
    line = " ".join(cleaned(seen, Links(), 0)[0].split())  # a model may repeat what it is told, also a link
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
