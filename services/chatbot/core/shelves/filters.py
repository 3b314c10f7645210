"""Filters of a search: comparisons of attributes, joined by and/or, worked out here.

The form is the OpenAI API's (`ComparisonFilter`, `CompoundFilter`). What a caller writes never becomes part of a query
to a database: it only decides which of the owner's documents are searched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Value = str | float | bool
Attributes = Mapping[str, Value]
MOST_COMPARISONS = 32
MOST_LEVELS = 4
_ORDERED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": lambda have, want: have > want,
    "gte": lambda have, want: have >= want,
    "lt": lambda have, want: have < want,
    "lte": lambda have, want: have <= want,
}


class BadFilter(Exception):
    """A filter is none.

    Attributes:
        field: Which part of it.
        problem: Key of the text that says why.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Comparison:
    """One attribute against a value, or against some."""

    kind: str
    key: str
    value: Value | tuple[Value, ...]

    def matches(self, attributes: Attributes) -> bool:
        """Whether a document with these attributes is meant. One that lacks the attribute only differs."""
        have = attributes.get(self.key)
        if self.kind in ("ne", "nin"):
            return have is None or not self._is_among(have)
        if have is None:
            return False
        if self.kind in _ORDERED:
            return _are_alike(have, self.value) and _ORDERED[self.kind](have, self.value)
        return self._is_among(have)

    def _is_among(self, have: Value) -> bool:
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        return any(_are_alike(have, value) and have == value for value in values)


@dataclass(frozen=True, slots=True)
class Compound:
    """All of them, or any."""

    is_all: bool
    filters: tuple["Filter", ...]

    def matches(self, attributes: Attributes) -> bool:
        """Whether a document with these attributes is meant."""
        return (all if self.is_all else any)(one.matches(attributes) for one in self.filters)


Filter = Comparison | Compound


def parse(given: object, field: str = "filters") -> Filter:
    """What a caller wrote as a filter.

    Raises:
        BadFilter: It is none, or too large.
    """
    count = [0]
    return _parse(given, field, MOST_LEVELS, count)


def _parse(given: object, field: str, levels: int, count: list[int]) -> Filter:
    if not isinstance(given, dict):
        raise BadFilter(field, "not_object")
    count[0] += 1
    if not levels or count[0] > MOST_COMPARISONS:
        raise BadFilter(field, "filter_too_large")
    kind = given.get("type")
    if kind in ("and", "or"):
        parts = given.get("filters")
        if not isinstance(parts, list) or not parts:
            raise BadFilter(f"{field}.filters", "not_list")
        inner = [_parse(one, f"{field}.filters[{place}]", levels - 1, count) for place, one in enumerate(parts)]
        return Compound(kind == "and", tuple(inner))
    return _comparison(given, field, kind)


def _comparison(given: Mapping[str, object], field: str, kind: object) -> Comparison:
    if not isinstance(kind, str) or kind not in ("eq", "ne", "in", "nin", *_ORDERED):
        raise BadFilter(f"{field}.type", "bad_filter_type")
    key, value = given.get("key"), given.get("value")
    if not isinstance(key, str) or not 0 < len(key) <= 64:
        raise BadFilter(f"{field}.key", "bad_name")
    if kind in ("in", "nin"):
        if not isinstance(value, list) or not all(_is_value(one) for one in value) or len(value) > MOST_COMPARISONS:
            raise BadFilter(f"{field}.value", "not_list")
        return Comparison(kind, key, tuple(value))
    if not isinstance(value, str | float | int):
        raise BadFilter(f"{field}.value", "wrong_type")
    return Comparison(kind, key, value)


def _is_value(value: object) -> bool:
    return isinstance(value, str | float | int)


def _are_alike(have: object, want: object) -> bool:
    """Text with text, truth with truth, numbers with numbers."""
    for kind in (bool, str):
        if isinstance(have, kind) or isinstance(want, kind):
            return isinstance(have, kind) and isinstance(want, kind)
    return not isinstance(want, Sequence)
