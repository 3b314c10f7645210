"""The text of a file of values: YAML that a person writes, or JSON, which the operator writes.

Whatever is wrong is a `ValueError` whose text names the remedy.
"""

import json
from typing import Any, Final

import yaml

MOST_BYTES: Final = 1 << 20
"""A ConfigMap holds no more (core/v1, `ConfigMap.data`)."""

_MOST_LEVELS: Final = 20


class _Loader(yaml.CSafeLoader):
    """Plain values alone, and no key twice: the last one would win, and a limit above it would silently be gone."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise TextError(f"line {key_node.start_mark.line + 1}: {key[:40]} is there twice in one object")
            seen.add(key)
        return super().construct_mapping(node, deep)


class TextError(ValueError):
    """A text that has no values; says where and why."""


def values(content: bytes) -> Any:
    """What a file says.

    Raises:
        TextError: It is too large, or no YAML that can be trusted.
    """
    if len(content) > MOST_BYTES:
        raise TextError(f"the file has more than {MOST_BYTES} bytes, which is what a ConfigMap holds")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise TextError("the file is not UTF-8") from None
    return _parsed(text)


def _parsed(text: str) -> Any:
    try:
        if text.startswith("{"):  # a megabyte of JSON takes milliseconds, of YAML a second
            return json.loads(text, object_pairs_hook=_once)
        _check_depth(text)
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except json.JSONDecodeError:
        raise TextError("the file begins as JSON and is none") from None
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise TextError(f"{where}not YAML; compare with docs/operations.md") from None
    except RecursionError:
        raise TextError("the file is nested too deeply") from None
    except TextError:
        raise
    except (ValueError, AttributeError):  # a day such as 2026-99-99: values that YAML takes for more than text
        raise TextError("a value looks like a date or a number and is none; put it in quotes") from None


def _check_depth(text: str) -> None:
    """The composer of libyaml calls itself for every level: 400,000 brackets end the process."""
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_LEVELS:
                raise TextError("the file is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TextError("a field is there twice in one object")
    return found
