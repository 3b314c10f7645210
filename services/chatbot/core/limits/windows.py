"""Days and months as numbers in one time zone: the windows of quotas, and how much of them tenants have used."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from chatbot.domain.limits import Policy, Standing, Subject

WINDOWS: Final = (Policy.TOKENS_DAY, Policy.TOKENS_MONTH, Policy.USD_DAY)
WINDOW_SECONDS: Final = {
    Policy.REQUESTS_MINUTE: 60,
    Policy.TOKENS_MINUTE: 60,
    Policy.TOKENS_DAY: 86_400,
    Policy.TOKENS_MONTH: 30 * 86_400,
    Policy.USD_DAY: 86_400,
}


MOST_TENANTS: Final = 50
OTHER_TENANTS: Final = "other"


class WindowUse:
    """What tenants have used of their days and months, as this replica last saw it.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}

    def seen(self, tenant: str, standings: Iterable[Standing]) -> None:
        """What is left of somebody's limits now; those of users and keys are theirs."""
        for one in standings:
            if one.subject is Subject.TENANT and one.policy in WINDOWS:
                ratio = one.used / one.quota if one.quota else 1.0
                self._seen[tenant, one.name] = (ratio, self._clock() + one.resets_seconds)

    def read(self) -> Iterator[tuple[str, str, float]]:
        """Tenant, limit and share of it that is used; beyond `MOST_TENANTS` the greatest of all others together."""
        now = self._clock()
        tenants = list(dict.fromkeys(tenant for tenant, _ in self._seen))[:MOST_TENANTS]
        shown: dict[tuple[str, str], float] = {}
        for (tenant, limit), (ratio, until) in self._seen.items():
            name = tenant if tenant in tenants else OTHER_TENANTS
            shown[name, limit] = max(shown.get((name, limit), 0.0), ratio if now < until else 0.0)
        yield from ((tenant, limit, ratio) for (tenant, limit), ratio in shown.items())


@dataclass(frozen=True, slots=True)
class Calendar:
    """Windows begin at midnight of this zone, whatever length a day has there."""

    zone: tzinfo = UTC

    def index(self, policy: Policy, now: float) -> int:
        """Number of the window that a time is in, Unix seconds; the next window has the next number."""
        local = datetime.fromtimestamp(now, self.zone)
        return local.year * 12 + local.month if policy is Policy.TOKENS_MONTH else local.toordinal()

    def seconds_left(self, policy: Policy, now: float) -> float:
        """Until the next window begins."""
        local = datetime.fromtimestamp(now, self.zone)
        day = local.date()
        if policy is Policy.TOKENS_MONTH:
            first = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        else:
            first = day + timedelta(days=1)
        midnight = datetime(first.year, first.month, first.day, tzinfo=self.zone)
        return max(0.0, midnight.timestamp() - now)
