"""What stands in the list of tools, for people."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WITHDRAWN_REASONS: Final = (
    "not_allowed",
    "not_approved",
    "changed",
    "missing",
    "writes",
    "bad_name",
    "bad_schema",
    "hidden_text",
    "too_many",
)
"""Why a tool of a server that answers is not offered. `changed`: its definition is not the approved one any more."""


class ToolState(StrEnum):
    """Whether the model may call a tool now. `UNAVAILABLE`: it might as soon as its server answers."""

    AVAILABLE = "available"
    WITHDRAWN = "withdrawn"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class ToolStanding:
    """One tool, and whether it can be called.

    Attributes:
        source: builtin, web, documents or `mcp:` with the name of the server.
        reason: "" where it is available; else one of `WITHDRAWN_REASONS` or `server.DOWN_REASONS`.
        pin: Of its definition as the server gives it now, to be approved; "" for tools of ours.
        asks_first: Whether its calls run only once their user confirms them.
    """

    name: str
    source: str
    state: ToolState = ToolState.AVAILABLE
    reason: str = ""
    description: str = ""
    pin: str = ""
    asks_first: bool = False
