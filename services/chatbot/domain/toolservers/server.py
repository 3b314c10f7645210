"""Tool servers: what others offer to be called, and whether they can be reached. All of it is other people's text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

MAX_TOOLS: Final = 32
MAX_RESULT_BYTES: Final = 64 * 1024
DOWN_REASONS: Final = ("connecting", "unreachable", "refused", "timeout", "garbage")
"""Why a server's tools cannot be called now. `connecting`: it was not asked yet. `refused`: it answers with an error,
as without a token that it takes, or it redirects elsewhere. `garbage`: no answers of the protocol."""
CALL_FAILURES: Final = ("unavailable", "refused", "too_large", "garbage")
"""Why a call gave nothing. `refused`: the server does not take it. `too_large`: above `MAX_RESULT_BYTES`."""


@dataclass(frozen=True, slots=True)
class RemoteDefinition:
    """A tool as its server describes it.

    Attributes:
        parameters: JSON Schema of its arguments.
        says_it_writes: Whether the server says by a hint that it does more than read. That it only reads is a claim.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    says_it_writes: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server offered when it was asked last.

    Attributes:
        reason: Why it cannot be called now, one of `DOWN_REASONS`; "" where it can.
        definitions: At most `MAX_TOOLS`; those of the last contact while it is down.
        left_out: How many more there were at least.
    """

    reason: str = "connecting"
    definitions: tuple[RemoteDefinition, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class RemoteResult:
    """What a call gave.

    Attributes:
        text: All of its text.
        is_error: Whether the tool says that it failed.
        left_out: How many parts there were that are no text.
    """

    text: str
    is_error: bool = False
    left_out: int = 0


class CallFailed(Exception):
    """A call gave nothing.

    Args:
        reason: One of `CALL_FAILURES`.
        may_have_run: False where the tool certainly did nothing.
    """

    def __init__(self, reason: str, *, may_have_run: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.may_have_run = may_have_run


class ToolServer(Protocol):
    """One server, asked again and again while `follow` runs."""

    @property
    def name(self) -> str:
        """As the operator called it; a label of metrics."""

    def listing(self) -> Listing:
        """What it offers now; the same object until something changed."""

    async def call(self, tool: str, arguments: Mapping[str, Any], *, is_once: bool = False) -> RemoteResult:
        """Call one of its tools. Whoever calls sees to the time.

        Args:
            tool: The server's own name of it.
            arguments: Of the tool.
            is_once: Whether it is sent once only, also where it certainly was not run.

        Raises:
            CallFailed: It gave nothing.
        """

    async def follow(self) -> None:
        """Keep in touch with it until cancelled; it is reopened however often it goes away."""
