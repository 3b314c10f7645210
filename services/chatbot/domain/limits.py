"""How much somebody may ask: limits, what is left of them, refusals, and the port of the store that counts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from hashlib import sha256
from itertools import product
from typing import Any, Final, Protocol, Self, TypeVar

from chatbot.domain.errors import BackendUnavailable, ChatError

T = TypeVar("T")
State = dict[str, Any]
"""One account as plain values that are JSON: what stores keep, and what only the core understands."""

Change = Callable[[State | None], tuple[State | None, T]]
"""From the state of an account, None where there is none, to its new state, None where nothing changes, and a result.

Without side effects: a store may call it again where somebody else was faster.
"""

IDLE_SECONDS: Final = 62 * 86_400
"""An account that nothing changed for so long is as good as new, and is removed: the longest window is a month."""

MOST: Final = 10**12
"""Greatest value of a limit."""


class Policy(StrEnum):
    """Limits by the names that answers have, in the order in which they are told."""

    REQUESTS_MINUTE = "requests-minute"
    TOKENS_MINUTE = "tokens-minute"
    TOKENS_DAY = "tokens-day"
    TOKENS_MONTH = "tokens-month"
    USD_DAY = "usd-day"
    CONCURRENT = "concurrent"


class Subject(StrEnum):
    """Whose use is counted, from narrow to wide."""

    USER = "user"
    KEY = "key"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one subject; None: there is none. Tokens are those of prompts and answers together.

    Attributes:
        burst: Requests that may come at once; None: as many as a minute may have.
        micro_usd_per_day: Millionths of a dollar. Strict: what an answer may cost is there before it begins.
        concurrent: Requests at the same time, those that wait in the line too.
        account: What the counters belong to: the first key of a rotation; "" is the key itself.
    """

    requests_per_minute: int | None = None
    burst: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    micro_usd_per_day: int | None = None
    concurrent: int | None = None
    account: str = ""

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return any(self.of(policy) is not None for policy in Policy)

    def of(self, policy: Policy) -> int | None:
        """One of the limits."""
        return {
            Policy.REQUESTS_MINUTE: self.requests_per_minute,
            Policy.TOKENS_MINUTE: self.tokens_per_minute,
            Policy.TOKENS_DAY: self.tokens_per_day,
            Policy.TOKENS_MONTH: self.tokens_per_month,
            Policy.USD_DAY: self.micro_usd_per_day,
            Policy.CONCURRENT: self.concurrent,
        }[policy]

    def fields(self) -> dict[str, int | str]:
        """Those that are set, as plain values."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value not in (None, "")}

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """From plain values. One that this version does not know is refused: a typing error must not lift a limit.

        Raises:
            TypeError, ValueError: They are not what `fields` makes.
        """
        limits = cls(**given)
        for name, value in limits.fields().items():
            is_right = isinstance(value, str) if name == "account" else type(value) is int and 1 <= value <= MOST
            if not is_right:
                raise ValueError(f"{name}: a whole number from 1 to {MOST}")
        if limits.burst is not None and limits.requests_per_minute is None:
            raise ValueError("burst: needs requests_per_minute")
        return limits

    def share(self, parts: int) -> "Limits":
        """What one of so many equal parts may, at least 1 of everything that is limited."""
        return Limits(
            **{name: max(1, value // parts) for name, value in self.fields().items() if isinstance(value, int)},
            account=self.account,
        )


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Limited:
    """Somebody whose use is counted; `limits` name the account. A shadow refuses nobody: what it would is counted."""

    subject: Subject
    limits: Limits
    is_shadow: bool = False


def limit_name(subject: Subject, policy: Policy) -> str:
    """What answers and metrics call a limit: those of keys by the policy alone, others with the subject before it."""
    return str(policy) if subject is Subject.KEY else f"{subject}-{policy}"


def user_name(tenant: str, user: str | None, pseudonym: str) -> str:
    """What accounts call a user: the pseudonym, or a digest where no secret makes one."""
    return f"{tenant}/{pseudonym or sha256(f'{tenant}/{user}'.encode()).hexdigest()[:32]}"


def user_accounts(tenant: str, user: str, pseudonyms: Sequence[str]) -> list[str]:
    """Names of all accounts that count one user: his own, that of an issuer's tokens of his, and their shadows."""
    names = [user_name(tenant, user, pseudonym) for pseudonym in ("", *pseudonyms)]
    subjects = product((Subject.USER, Subject.KEY), (False, True))
    return [account_name(subject, name, is_shadow=shadow) for subject, shadow in subjects for name in names]


def account_name(subject: Subject, name: str, *, is_shadow: bool = False) -> str:
    """What the store calls an account."""
    return f"{'shadow/' if is_shadow else ''}{subject}/{name}"


LIMIT_NAMES: Final = tuple(limit_name(subject, policy) for subject in Subject for policy in Policy)
"""All that there are."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of one limit.

    Attributes:
        quota: The limit.
        window_seconds: That it is counted over; a month is told as 30 days, what is of the moment as 0.
        used: Of the window, not come back yet, or under way.
        remaining: May be asked for now; never below 0.
        resets_seconds: Until there is more: until the next request or token comes back, or the window is over.
    """

    policy: Policy
    quota: int
    window_seconds: int
    used: int
    remaining: int
    resets_seconds: float
    subject: Subject = Subject.KEY

    @property
    def name(self) -> str:
        """What answers call the limit."""
        return limit_name(self.subject, self.policy)


@dataclass(frozen=True, slots=True)
class Quota:
    """What an answer tells of its caller's limits; `is_degraded`: counted by one replica alone, the store is away."""

    standings: tuple[Standing, ...] = ()
    is_degraded: bool = False


NO_QUOTA: Final = Quota()


class RateLimited(ChatError):
    """A limit is reached; the request consumed nothing.

    Args:
        policy: Which limit.
        retry_after_seconds: Whole seconds, >= 1, after which the same request is worth asking again.
        quota: What is left of the limits.
        subject: Whose limit.
        violated: Names of all limits of that subject that are reached.
        account: On which it is counted, as `Limits.account`.

    Attributes:
        is_quiet: One of a great many; not worth a line in the log.
    """

    def __init__(
        self,
        policy: Policy,
        retry_after_seconds: int,
        quota: Quota,
        subject: Subject = Subject.KEY,
        violated: tuple[str, ...] = (),
        account: str = "",
    ) -> None:
        super().__init__(limit_name(subject, policy))
        self.policy = policy
        self.retry_after_seconds = retry_after_seconds
        self.quota = quota
        self.subject = subject
        self.violated = violated or (limit_name(subject, policy),)
        self.account = account
        self.is_quiet = False

    def again(self, *, is_quiet: bool = False) -> "RateLimited":
        """The same refusal, for another request."""
        told = (self.policy, self.retry_after_seconds, self.quota, self.subject, self.violated, self.account)
        made = type(self)(*told)
        made.is_quiet = is_quiet
        return made


class QuotaSpent(RateLimited):
    """The day's or the month's tokens, or the day's money, are spent."""


class BudgetUnavailable(BackendUnavailable):
    """Money is limited, and nobody knows what this costs or what is left; nothing is spent then."""


class AccountStore(Protocol):
    """Where accounts are counted."""

    async def update(self, account: str, change: Change[T]) -> T:
        """Change one account as one atomic step.

        Where the answer gets lost the change may have happened: changes are made so that a second time does no harm.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    async def close(self) -> None:
        """Give back connections and files."""


class LimitTelemetry(Protocol):
    """What the limits did, for whoever counts it."""

    def limit_decided(self, service: str, limit: str, outcome: str) -> None:
        """A request was granted (limit "all") or refused by one limit."""

    def limit_store_called(self, outcome: str, seconds: float) -> None:
        """A call of the store ended with `ok` or `unavailable`."""
