"""Days and months as numbers in one time zone: the windows of quotas."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from chatbot.domain.limits import Policy

WINDOWS: Final = (Policy.TOKENS_DAY, Policy.TOKENS_MONTH, Policy.USD_DAY)
WINDOW_SECONDS: Final = {
    Policy.REQUESTS_MINUTE: 60,
    Policy.TOKENS_MINUTE: 60,
    Policy.TOKENS_DAY: 86_400,
    Policy.TOKENS_MONTH: 30 * 86_400,
    Policy.USD_DAY: 86_400,
}


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
