"""The generated parts of a chart's README: the table of values and the table of connections."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from values import Value, leaves


def values_table(tree: dict[str, Value], same_as: Mapping[str, str]) -> str:
    """Every leaf with default and meaning.

    Args:
        tree: From `values.read`.
        same_as: Branches that repeat another one, which are shown as one line.
    """
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for path, value in leaves(tree):
        branch = path.split(".", 1)[0]
        if branch in same_as and value.default == _at(tree, same_as[branch], path):
            continue
        lines.append(f"| `{path}` | {_default(value.default)} | {_plain(value.text)}{_bounds(value.schema)} |")
    lines += [f"| `{branch}.*` | | As `{other}.*`, unless listed above. |" for branch, other in same_as.items()]
    return "\n".join(lines) + "\n"


def connections_table(path: Path) -> str:
    """files/connections.yaml as a table."""
    lines = ["| from | to | ports | for | when |", "|---|---|---|---|---|"]
    rows: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    for row in rows:
        ports = ", ".join(str(port) for port in row["ports"]) or "any"
        when = f"`{row['when']}`" if "when" in row else ""
        lines.append(f"| {', '.join(row['from'])} | {', '.join(row['to'])} | {ports} | {row['why']} | {when} |")
    return "\n".join(lines) + "\n"


def _at(tree: dict[str, Value], branch: str, path: str) -> Any:
    twin = dict(leaves({branch: tree[branch]})).get(f"{branch}.{path.split('.', 1)[1]}")
    return twin.default if twin else None


def _default(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "" if value in ("", None, [], {}) else f"`{text.strip(chr(34)) if isinstance(value, str) else text}`"


def _bounds(schema: Mapping[str, Any]) -> str:
    """What the schema adds to the words: choices and limits."""
    parts = [f"one of {', '.join(f'`{choice}`' for choice in schema['enum'] if choice)}"] if "enum" in schema else []
    parts += [f"&ge; {schema['minimum']}"] if "minimum" in schema else []
    parts += [f"&le; {schema['maximum']}"] if "maximum" in schema else []
    return f" ({', '.join(parts)})" if parts else ""


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
