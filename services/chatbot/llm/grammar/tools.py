"""What a tool is, and how large tools may be before anything is compiled."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatbot.llm.grammar.refusal import SchemaRefused

MAX_TOOLS: Final = 64
MAX_TOOL_BYTES: Final = 32 * 1024
MAX_ALL_BYTES: Final = 96 * 1024
MAX_DESCRIPTION: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a model may call.

    Attributes:
        name: Of the function, 1-64 of `[A-Za-z0-9_-]`.
        parameters: JSON Schema of its arguments, an object; empty for none.
        description: For the model, at most 1,024 characters; user text.
        is_exact: Refuse parameters that a grammar cannot hold the arguments to; else that is left for a check.
    """

    name: str
    parameters: Mapping[str, Any]
    description: str = ""
    is_exact: bool = False


def check_tools(tools: Sequence[Tool]) -> None:
    """Refuse what is too much, before a schema is looked into.

    Raises:
        SchemaRefused: Too many, too large, a bad name or one that comes twice, text that is no Unicode.
    """
    if len(tools) > MAX_TOOLS:
        raise SchemaRefused(f"#{MAX_TOOLS + 1}", "", "tools", f"{len(tools)} were given, at most {MAX_TOOLS} are taken")
    names: set[str] = set()
    total = 0
    for number, tool in enumerate(tools, 1):
        if not _NAME.fullmatch(tool.name):
            raise SchemaRefused(f"#{number}", "", "name", "1-64 of the characters A-Z a-z 0-9 _ - are taken")
        if tool.name in names:
            raise SchemaRefused(tool.name, "", "name", "it comes twice")
        if len(tool.description) > MAX_DESCRIPTION:
            raise SchemaRefused(tool.name, "", "description", f"longer than {MAX_DESCRIPTION} characters")
        names.add(tool.name)
        size = _bytes_of(tool)
        total += size
        if size > MAX_TOOL_BYTES:
            raise SchemaRefused(tool.name, "", "parameters", f"{size} bytes, at most {MAX_TOOL_BYTES} a tool")
        if total > MAX_ALL_BYTES:
            raise SchemaRefused(tool.name, "", "parameters", f"all tools together have more than {MAX_ALL_BYTES} bytes")


def selected(tools: Iterable[Tool], names: Iterable[str]) -> list[Tool]:
    """The named tools, in the order of `tools`.

    Raises:
        LookupError: A name is none of theirs; the message holds it not.
    """
    wanted = set(names)
    found = [tool for tool in tools if tool.name in wanted]
    if len(found) != len(wanted):
        raise LookupError("a tool is named that was not given")
    return found


def _bytes_of(tool: Tool) -> int:
    try:
        text = json.dumps(dict(tool.parameters), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return len((tool.name + tool.description + text).encode())
    except UnicodeEncodeError:
        raise SchemaRefused(tool.name, "", "parameters", "half of a surrogate pair is no text") from None
    except (ValueError, TypeError, RecursionError):
        raise SchemaRefused(tool.name, "", "parameters", "not a JSON object") from None
