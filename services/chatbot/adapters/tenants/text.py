"""The text of `tenants.yaml`: YAML that a person writes, or JSON, which the operator writes."""

import json
from typing import Any, Final

import yaml

from chatbot.domain.tenants.policy import Tenant
from chatbot.domain.tenants.reading import PolicyError, read_policies

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
                raise PolicyError(f"line {key_node.start_mark.line + 1}: {key[:40]} is there twice in one object")
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse(content: bytes) -> tuple[Tenant, ...]:
    """The policies of a file.

    Raises:
        PolicyError: It is too large, no YAML, or says what a policy cannot say.
    """
    if len(content) > MOST_BYTES:
        raise PolicyError(f"the file has more than {MOST_BYTES} bytes, which is what a ConfigMap holds")
    return read_policies(_values(content))


def _values(content: bytes) -> Any:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyError("the file is not UTF-8") from None
    try:
        if text.startswith("{"):  # a megabyte of JSON takes milliseconds, of YAML a second
            return json.loads(text, object_pairs_hook=_once)
        _check_depth(text)
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except json.JSONDecodeError:
        raise PolicyError("the file begins as JSON and is none") from None
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise PolicyError(f"{where}not YAML; compare with docs/operations.md") from None
    except RecursionError:
        raise PolicyError("the file is nested too deeply") from None
    except PolicyError:
        raise
    except (ValueError, AttributeError):  # a day such as 2026-99-99: values that YAML takes for more than text
        raise PolicyError("a value looks like a date or a number and is none; put it in quotes") from None


def _check_depth(text: str) -> None:
    """The composer of libyaml calls itself for every level: 400,000 brackets end the process."""
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_LEVELS:
                raise PolicyError("the file is nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PolicyError("a field is there twice in one object")
    return found
