"""Schemas that answers can be held to, of every kind that is taken, for hypothesis."""

from typing import Any

from hypothesis import strategies as st

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WHOLE = st.integers(-(10**6), 10**6)


def _strings(least: int, more: int) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": least + more}


def _ranges(low: int, width: int, is_exclusive: bool) -> dict[str, Any]:
    if is_exclusive:
        return {"type": "integer", "exclusiveMinimum": low - 1, "exclusiveMaximum": low + width + 1}
    return {"type": "integer", "minimum": low, "maximum": low + width}


def _objects(properties: dict[str, Any], split: int, is_closed: bool) -> dict[str, Any]:
    closed = {"additionalProperties": False} if is_closed else {}
    return {"type": "object", "properties": properties, "required": list(properties)[:split], **closed}


def _lists(items: dict[str, Any], least: int, more: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": least + more}


SCALARS = st.one_of(
    st.builds(_strings, st.integers(0, 3), st.integers(0, 9)),
    st.builds(_ranges, WHOLE, st.integers(0, 3000), st.booleans()),
    st.sampled_from([{"minimum": 5}, {"maximum": -3}, {"exclusiveMinimum": 0.5}]).map(
        lambda b: {"type": "integer"} | b
    ),
    st.sampled_from([{"type": kind} for kind in ("integer", "number", "boolean", "null")]),
    st.just({"type": "number", "minimum": 0}),
    st.just({"type": ["integer", "null"], "description": "d", "title": "t"}),
    st.lists(st.one_of(WORDS, WHOLE, st.booleans(), st.none()), min_size=1, max_size=5).map(lambda v: {"enum": v}),
    st.lists(WORDS, min_size=1, max_size=5).map(lambda values: {"type": "string", "enum": values}),
    WORDS.map(lambda text: {"const": text}),
)
"""All of them end by themselves: a string without a bound goes on for as long as a model likes."""

ANSWER_SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(
            _objects,
            st.dictionaries(WORDS, inner, min_size=1, max_size=4),
            st.integers(0, 4),
            st.booleans(),
        ),
        st.builds(_lists, inner, st.integers(0, 3), st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)
