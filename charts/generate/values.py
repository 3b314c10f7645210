"""Reads a chart's values.yaml: every leaf with its default, its comment and its schema hint.

A comment is `# -- text`, continued by `#    text`; a hint is `# @ {…}`, JSON schema keywords as YAML. Merge keys
(`<<: *anchor`) repeat the leaves of their anchor.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class UndocumentedValue(Exception):
    """A leaf has no comment, or one that cannot be read."""


@dataclass(frozen=True, slots=True)
class Value:
    """One key of values.yaml.

    Attributes:
        default: What the file says; for a branch a mapping.
        text: The comment.
        schema: Schema keywords of a leaf.
        children: The keys below, for a branch.
    """

    default: Any
    text: str = ""
    schema: dict[str, Any] = field(default_factory=dict)
    children: "dict[str, Value]" = field(default_factory=dict)


def read(path: Path) -> dict[str, Value]:
    """The tree of a values.yaml.

    Raises:
        UndocumentedValue: A leaf has no comment.
    """
    text = path.read_text()
    node = yaml.compose(text)
    if not isinstance(node, yaml.MappingNode):
        raise UndocumentedValue(f"{path}: no mapping")
    return _children(node, text.splitlines(), yaml.safe_load(text), "")


def leaves(tree: dict[str, Value], path: str = "") -> Iterator[tuple[str, Value]]:
    """Every leaf with its dotted path."""
    for name, value in tree.items():
        here = f"{path}.{name}" if path else name
        if value.children:
            yield from leaves(value.children, here)
        else:
            yield here, value


def _children(node: yaml.MappingNode, lines: list[str], defaults: dict[str, Any], path: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, child in node.value:
        if key.value == "<<":
            found |= _children(child, lines, defaults, path)
            continue
        here = f"{path}.{key.value}" if path else key.value
        text, hint = _comment(lines, key.start_mark.line)
        default = defaults[key.value]
        if isinstance(child, yaml.MappingNode) and child.value and "type" not in hint:
            found[key.value] = Value(default, text, {}, _children(child, lines, default, here))
            continue
        if not text:
            raise UndocumentedValue(f"{here} has no comment: `# -- what it is`")
        found[key.value] = Value(default, text, _leaf_schema(default, hint))
    return found


def _leaf_schema(default: Any, hint: dict[str, Any]) -> dict[str, Any]:
    inferred = {} if default is None else {"type": _TYPES[type(default)]}
    return inferred | hint


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    """Text and hint of the comment block right above a line."""
    block: list[str] = []
    while line and lines[line - 1].strip().startswith("#"):
        line -= 1
        block.insert(0, lines[line].strip().removeprefix("#").strip())
    starts = [number for number, text in enumerate(block) if text.startswith("-- ")]
    if not starts:
        return "", {}
    block = block[starts[-1] :]
    hints = [text.removeprefix("@ ") for text in block if text.startswith("@ ")]
    words = " ".join(text.removeprefix("-- ") for text in block if not text.startswith("@ "))
    return words, yaml.safe_load(hints[0]) if hints else {}
