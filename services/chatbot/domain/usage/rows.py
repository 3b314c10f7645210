"""What each request took: one row per request, sums of days, and the port of the store that keeps both.

A row holds counts, names of a closed set, a key's id and a user's pseudonym: never a name of a person, never text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final, Protocol

MOST_GROUPS: Final = 10_000
"""Most lines of one report."""


class UseOutcome(StrEnum):
    """How a request ended. The first two are answers; of the others some were cut, some refused, some failed.

    Repeated is one that was kept, or made for somebody else at the same moment: it took no tokens.
    """

    OK = "ok"
    REPEATED = "repeated"
    CLIENT_GONE = "client_gone"
    QUEUE_FULL = "queue_full"
    RATE_LIMITED = "rate_limited"
    INSUFFICIENT_QUOTA = "insufficient_quota"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"
    TIMED_OUT = "timed_out"
    ERROR = "error"


class Group(StrEnum):
    """What a report can be grouped by; also the names of a row's fields."""

    DAY = "day"
    KEY = "key"
    SERVICE = "service"
    BACKEND = "backend"
    MODEL = "model"
    OUTCOME = "outcome"
    ROUTE = "route"
    USER = "user"


OF_DAYS: Final = tuple(group for group in Group if group not in (Group.ROUTE, Group.USER))
"""What the sums of days know; the others are known of single requests alone, for as long as those are kept."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One request.

    Attributes:
        id: Of the request's work, unique; writing it twice counts once.
        at: When it was over, Unix seconds.
        user: Pseudonym; "" where nobody was named or there is no secret to make it with.
        model: Name of the model; "" where none was reached.
        prompt_tokens: With those that were cached.
        queue_seconds: In the waiting line; `first_seconds`: from arrival to the first text, 0 where there was none.
        tools: Names of our tools that ran.
        micro_usd: 0 where `price` is "", the version of the row that priced it.
        is_estimated: Whether nobody told all counts, so that some were estimated.
    """

    id: str
    at: float
    tenant: str
    key: str
    user: str
    service: str
    route: str
    backend: str
    model: str
    revision: str
    outcome: UseOutcome
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    queue_seconds: float = 0.0
    first_seconds: float = 0.0
    seconds: float = 0.0
    tools: tuple[str, ...] = ()
    micro_usd: int = 0
    price: str = ""
    is_estimated: bool = False

    @property
    def day(self) -> str:
        """Its day, UTC, as 2026-11-21."""
        return datetime.fromtimestamp(self.at, UTC).date().isoformat()

    def group(self, group: Group) -> str:
        """Its value of what a report is grouped by."""
        return str(getattr(self, group))


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts of several requests.

    Attributes:
        unpriced: Of them, those with tokens that nothing priced; `estimated`: those with estimated counts.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    tool_calls: int = 0
    micro_usd: int = 0
    unpriced: int = 0
    estimated: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(*(getattr(self, name) + getattr(other, name) for name in COUNTS))

    @classmethod
    def of(cls, row: UsageRow) -> "Sums":
        """Of one request."""
        has_tokens = row.prompt_tokens + row.completion_tokens > 0
        return cls(
            1,
            row.prompt_tokens,
            row.cached_tokens,
            row.completion_tokens,
            len(row.tools),
            row.micro_usd,
            int(has_tokens and not row.price),
            int(row.is_estimated),
        )


COUNTS: Final = Sums.__slots__


@dataclass(frozen=True, slots=True)
class Ask:
    """What a report is made of.

    Attributes:
        tenant: Whose requests; there is no report over several tenants.
        first, last: Days, both included, UTC.
        by: Groups in the order of their columns; where all are in `OF_DAYS`, the sums of days are read.
        key: Of this key alone; None: all.
        user: Of this pseudonym alone; None: all. Read from single requests.
    """

    tenant: str
    first: date
    last: date
    by: tuple[Group, ...] = ()
    key: str | None = None
    user: str | None = None

    @property
    def needs_rows(self) -> bool:
        """Whether single requests must be read."""
        return self.user is not None or any(group not in OF_DAYS for group in self.by)


Report = Sequence[tuple[Mapping[Group, str], Sums]]
"""Lines, in the order of their groups; at most `MOST_GROUPS` and one more where there would be more."""


class UsageStore(Protocol):
    """Where use is kept. Every call answers within its time or raises `StoreUnavailable`."""

    async def add(self, rows: Sequence[UsageRow]) -> None:
        """Keep rows and add them to the sums of their days; a row that is kept already changes nothing.

        Raises:
            StoreUnavailable: It may have been done or not, or in part: the same rows are given once more, in one
                batch as before, and are counted once.
        """

    async def report(self, ask: Ask) -> Report:
        """Sums by groups.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    async def expire(self, rows_before: date, days_before: date) -> None:
        """Drop single requests and sums of days before these days.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    async def close(self) -> None:
        """Give back connections and files."""


class UsageTelemetry(Protocol):
    """What was recorded, for whoever counts it."""

    def use_recorded(self, row: UsageRow, model: str) -> None:
        """A request was over; `model` is the name of its price, "" where it has none."""

    def use_lost(self, service: str, reason: str, count: int) -> None:
        """Rows were not kept: `full`, `store` or `shutdown`."""
