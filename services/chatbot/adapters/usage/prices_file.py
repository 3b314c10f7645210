"""The price table's file, YAML."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from chatbot.domain.usage.prices import PriceError, PriceTable

MOST_BYTES: Final = 1 << 20


class _Loader(yaml.SafeLoader):
    """Plain values alone; without aliases, which make small files huge, and without fields that come twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise PriceError("the file: aliases (*name) are not read; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(set(map(str, names))) != len(names):
            raise PriceError(f"line {node.start_mark.line + 1}: a field comes twice; drop one")
        return super().construct_mapping(node, deep)


def load_prices(path: Path) -> PriceTable:
    """Read the table.

    Raises:
        PriceError: It cannot be used; says where and what to do, and repeats no value.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as exc:
        raise PriceError(f"the file cannot be read: {exc.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise PriceError(f"the file has more than {MOST_BYTES} bytes; drop rows that price no use any more")
    try:
        given = yaml.load(raw, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise PriceError(f"line {line}: no YAML; check indents, quotes and brackets") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        if isinstance(exc, PriceError):
            raise
        raise PriceError("the file is no YAML in UTF-8; check its bytes") from None
    return PriceTable.parse([] if given is None else given)
