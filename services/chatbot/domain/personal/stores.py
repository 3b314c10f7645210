"""What each store that keeps anything about a person can do for that person; `chatbot.server.wiring` lists them all."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from chatbot.domain.chat import Caller

STORE_NAMES: Final = ("conversations", "documents", "files", "usage", "limits", "keys", "audit")
"""All that there are; labels of a metric."""

Row = Mapping[str, Any]
"""One thing that is kept, as plain JSON."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose things are meant.

    Attributes:
        tenant: "" where no keys are asked for.
        user: `user_id`, as it is kept where it must be shown again.
        pseudonyms: All that may stand for the user in rows; a change of the secret leaves rows under the one before.
        is_self: Whether the user wishes it, not the operator: nobody frees himself of his own limits.
    """

    tenant: str
    user: str
    pseudonyms: tuple[str, ...] = ()
    is_self: bool = False

    def caller(self) -> Caller:
        """As stores of conversations and documents name an owner."""
        return Caller(self.tenant, self.user)


@dataclass(frozen=True, slots=True)
class Overdue:
    """Rows that were kept long enough.

    Attributes:
        before: Unix seconds; what was last changed before this.
        tenant: Of this one; None: of all but `except_tenants`.
        except_tenants: Those that have a time of their own.
        most: Rows that are removed at once.
    """

    before: float
    tenant: str | None = None
    except_tenants: frozenset[str] = frozenset()
    most: int = 500


class PersonalData(Protocol):
    """One store, seen from the people whose things it keeps.

    Every call raises `StoreUnavailable` where the store does not answer in time, and may be made again.
    """

    @property
    def name(self) -> str:
        """Of a closed set; a label of metrics, a line of receipts, a file of exports."""

    def export(self, person: Person) -> AsyncIterator[Row]:
        """All that is kept, in a fixed order, a few rows in memory at a time."""

    async def erase(self, person: Person) -> None:
        """Remove all of it. Idempotent."""

    async def count(self, person: Person) -> int:
        """How much of it there is; 0 once it was erased."""

    def keeps(self, person: Person) -> str:
        """Why `erase` leaves rows of this person: a key of the texts; "" where it leaves none."""

    async def oldest(self) -> float | None:
        """When the oldest row of all was last changed, Unix seconds; None where there is none."""

    async def expire(self, overdue: Overdue) -> int:
        """Remove rows that were kept long enough; how many. Fewer than `overdue.most`: no more are left."""
