"""What a pod says about a compiled file: `GET :9090/policy` and `GET :9090/characters`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MOST_BYTES: Final = 4_000_000
"""Of an answer: 2,000 characters with all their notes take 2.2 MB."""

_LONGEST_TEXT: Final = 500
_MOST_NOTES: Final = 20
_LONGEST_NUMBER: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class ServedObject:
    """One object as a pod serves it.

    Attributes:
        generation: Of the object; 0 where the pod serves none.
        card: `Source.card_digest` of what is served.
        problem: Why the pod cannot use what the file says of it; "" where it does.
        revision: Of its content; "" where the kind has none.
        language: That it is written in; "" where the kind has none.
        tokens: About how many it takes in every prompt; None where the kind has none.
        notes: What is used and does not do what its author wanted.
    """

    generation: int
    card: str = ""
    problem: str = ""
    revision: str = ""
    language: str = ""
    tokens: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A pod's answer.

    Attributes:
        state: none, serving or stale.
        digest: Of the file that it serves.
        message: Why it does not serve the file that it sees; "" where it does.
        objects: UID of an object -> how it is served.
    """

    state: str
    digest: str = ""
    message: str = ""
    objects: Mapping[str, ServedObject] = field(default_factory=dict)


def read(body: bytes, plural: str) -> ServedFile | None:
    """An answer about objects of a kind; None where it is not one."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("state"), str):
        return None
    listed = fields.get(plural)
    entries = listed.values() if isinstance(listed, dict) else ()
    objects = dict(filter(None, map(_object, entries)))
    return ServedFile(fields["state"][:_LONGEST_TEXT], _text(fields, "digest"), _text(fields, "message"), objects)


def _object(entry: Any) -> tuple[str, ServedObject] | None:
    if not isinstance(entry, dict):
        return None
    uid, generation = entry.get("uid"), entry.get("generation")
    if not isinstance(uid, str) or generation is None or not _is_count(generation):
        return None
    notes, tokens = entry.get("notes"), entry.get("tokens")
    return uid, ServedObject(
        generation=generation,
        card=_text(entry, "card"),
        problem=_text(entry, "problem"),
        revision=_text(entry, "revision"),
        language=_text(entry, "language"),
        tokens=tokens if _is_count(tokens) else None,
        notes=tuple(str(note)[:_LONGEST_TEXT] for note in notes[:_MOST_NOTES]) if isinstance(notes, list) else (),
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LONGEST_NUMBER


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
