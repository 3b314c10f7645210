"""A record says who did what to which thing, when, and how it ended. Never a user's name, never text, never a key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class AuditAction(StrEnum):
    """What is recorded; the closed set."""

    KEY_CREATE = "key.create"
    KEY_ROTATE = "key.rotate"
    KEY_LIMIT = "key.limit"
    KEY_REVOKE = "key.revoke"
    POLICY_TAKE = "policy.take"
    POLICY_REFUSE = "policy.refuse"
    USER_ERASE = "user.erase"
    USER_EXPORT = "user.export"
    USAGE_READ = "usage.read"
    CHARACTER_IMPORT = "character.import"
    CHARACTER_PUT = "character.put"
    CHARACTER_ERASE = "character.erase"
    TOOL_CONFIRM = "tool.confirm"


class AuditOutcome(StrEnum):
    """How it stands. What is only `begun` was cut off: whether it happened must be looked up."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What happened.

    Attributes:
        at_ms: Unix milliseconds.
        tenant: Whose thing it is; "" where no keys are asked for.
        actor: Id of the key that asked, or the name of a command; "" where no keys are asked for.
        action: An `AuditAction`; of a record that was tampered with, anything. `outcome` likewise.
        object: Id of a key, pseudonym of a user, digest of a file, name of a character or a tool, or "".
        request_id: Of the request; "" for a command.
    """

    at_ms: int
    tenant: str
    actor: str
    action: str
    object: str
    outcome: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry in its place.

    Attributes:
        number: From 1, without gaps.
        previous: Digest of the record before; "" of the first.
        digest: Of the entry, its number and `previous`.
    """

    number: int
    entry: AuditEntry
    previous: str
    digest: str


class Bound(StrEnum):
    """An end of the chain that is kept."""

    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class AuditMark:
    """Says where the chain begins or ends, so that records missing there are told too.

    Attributes:
        number: Of the record that is there.
        digest: Of the last: its own. Of the first: of the one before, which was kept long enough.
        seal: Of all of it.
    """

    bound: Bound
    number: int
    digest: str
    seal: str


class AuditStore(Protocol):
    """Keeps records. Every call raises `StoreUnavailable` where it does not answer in time."""

    async def append(self, link: Callable[[AuditRecord | None], AuditRecord]) -> AuditRecord:
        """Add a record behind the last one; of two at once one comes behind the other.

        Args:
            link: Makes the record, given the last one; may be called again where another one was faster.
        """

    async def read(self, after: int, limit: int) -> Sequence[AuditRecord]:
        """Records with a number above `after`, in their order."""

    async def last(self) -> AuditRecord | None:
        """The last record."""

    async def mark(self, mark: AuditMark) -> None:
        """Keep a mark, unless one further on is kept."""

    async def marks(self) -> Sequence[AuditMark]:
        """Those that are kept."""

    async def remove_before(self, number: int, limit: int) -> int:
        """Remove the oldest records before a number, at most so many; how many were."""

    async def close(self) -> None:
        """Give back what it holds. Idempotent."""
