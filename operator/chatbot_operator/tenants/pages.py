"""What a pod says about the policies that it serves: `GET :9090/policy`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MOST_BYTES: Final = 2_000_000
_LONGEST_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class ServedPolicies:
    """A pod's answer.

    Attributes:
        state: none, serving or stale.
        digest: Of the file that it serves.
        message: Why it does not serve the file that it sees; "" where it does.
        generations: UID of an object -> its generation that is served.
    """

    state: str
    digest: str = ""
    message: str = ""
    generations: Mapping[str, int] = field(default_factory=dict)


def read(body: bytes) -> ServedPolicies | None:
    """An answer; None where it is not one."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("state"), str):
        return None
    listed = fields.get("tenants")
    entries = listed.values() if isinstance(listed, dict) else ()
    generations = dict(filter(None, map(_generation, entries)))
    return ServedPolicies(
        fields["state"][:_LONGEST_TEXT], _text(fields, "digest"), _text(fields, "message"), generations
    )


def _generation(entry: Any) -> tuple[str, int] | None:
    if not isinstance(entry, dict):
        return None
    uid, generation = entry.get("uid"), entry.get("generation")
    return (uid, generation) if isinstance(uid, str) and isinstance(generation, int) else None


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""
