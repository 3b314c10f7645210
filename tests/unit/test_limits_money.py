"""Money and requests at once on one account: strict, to the micro-dollar, at midnight, and when clocks run back."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from chatbot.api.accounts.users import limited_of
from chatbot.core.limits.account import LEASE_SECONDS, Book
from chatbot.core.limits.asks import Ask, Granted, Price, Refused
from chatbot.core.limits.windows import Calendar
from chatbot.domain.access import KeyRecord, Principal, Rights
from chatbot.domain.limits import Limits, Policy, State, Subject
from chatbot.domain.tenants.policy import TenantLimits
from chatbot.domain.usage.prices import PriceTable

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
TABLE = PriceTable.parse([{"model": "m", "from": "2026-01-01", "input": "0.25", "output": "1.5"}])
BILLED = Price(TABLE, "m", date(2026, 11, 21), is_billed=True)
OURS = Price(TABLE, "m", date(2026, 11, 21), is_billed=False)


class Till:
    """An account with a clock of its own."""

    def __init__(self, limits: Limits, zone: str = "UTC", now: float = NOON) -> None:
        self.limits, self.calendar, self.now = limits, Calendar(ZoneInfo(zone)), now
        self.state: State | None = None

    def book(self) -> Book:
        return Book.open(self.state, self.limits, self.calendar, self.now)

    def ask(self, name: str, prompt: int, answer: int, price: Price | None = BILLED) -> Granted | Refused:
        book = self.book()
        outcome = book.reserve(Ask(name, prompt, answer, self.now + 300, price))
        self.state = book.account.state()
        return outcome

    def settle(self, name: str, tokens: int, micro_usd: int) -> None:
        book = self.book()
        book.settle(name, tokens, micro_usd)
        self.state = book.account.state()

    def left(self, policy: Policy = Policy.USD_DAY) -> int:
        return {one.policy: one.remaining for one in self.book().standings()}[policy]


def test_the_most_that_an_answer_can_cost_is_reserved_and_its_cost_charged() -> None:
    till = Till(Limits(micro_usd_per_day=1000))

    assert till.ask("a", 101, 200) == Granted(200)
    assert till.left() == 1000 - 326, "101 * 0.25 + 200 * 1.5, rounded up"
    till.settle("a", 150, 87)
    assert till.left() == 913


def test_an_answer_is_cut_to_the_money_that_is_left_and_refused_below_sixteen_tokens() -> None:
    till = Till(Limits(micro_usd_per_day=100))

    assert till.ask("a", 100, 200) == Granted(50), "25 for the prompt, 75 for the answer"
    till.settle("a", 0, 60)
    assert till.ask("b", 100, 200) == Refused(Policy.USD_DAY, 43_200.0)
    assert till.ask("c", 4, 200) == Granted(26)


def test_what_costs_nothing_is_granted_where_nothing_is_left() -> None:
    till = Till(Limits(micro_usd_per_day=1))

    assert isinstance(till.ask("a", 100, 200), Refused)
    assert till.ask("b", 100, 200, None) == Granted(200)


def test_all_limits_that_are_reached_are_named() -> None:
    till = Till(Limits(micro_usd_per_day=1000, tokens_per_day=400, concurrent=1, requests_per_minute=1))
    till.ask("a", 100, 290)

    refused = till.ask("b", 100, 500)

    assert isinstance(refused, Refused) and refused.policy is Policy.TOKENS_DAY
    assert refused.policies == (Policy.REQUESTS_MINUTE, Policy.TOKENS_DAY, Policy.CONCURRENT)


@pytest.mark.parametrize(("price", "left"), [(BILLED, 1000 - 325), (OURS, 1000)])
def test_money_that_somebody_else_may_have_billed_stays_spent_when_nobody_settles(price: Price, left: int) -> None:
    till = Till(Limits(micro_usd_per_day=1000, tokens_per_day=5000))
    till.ask("dead", 100, 200, price)

    till.now += 301

    assert (till.left(), till.left(Policy.TOKENS_DAY)) == (left, 5000)
    for _ in range(2):  # it ends late: then its cost is known
        till.settle("dead", 120, 40)
    assert (till.left(), till.left(Policy.TOKENS_DAY)) == (960, 4880)


@pytest.mark.parametrize(
    ("zone", "before"),
    [
        ("Asia/Seoul", datetime(2026, 11, 21, 14, 59, 59, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 2, 4, 59, 59, tzinfo=UTC)),  # the day had 25 hours
        ("America/New_York", datetime(2026, 3, 9, 3, 59, 59, tzinfo=UTC)),  # and this one 23
    ],
)
def test_a_budget_is_new_at_midnight_of_the_zone(zone: str, before: datetime) -> None:
    till = Till(Limits(micro_usd_per_day=325), zone, before.timestamp())
    assert till.ask("a", 100, 200) == Granted(200)
    assert till.ask("b", 100, 200) == Refused(Policy.USD_DAY, 1.0)

    till.now += 1

    assert till.ask("b", 100, 200) == Granted(200)
    till.settle("a", 300, 1)  # of yesterday
    assert till.left() == 0


def test_a_clock_that_runs_back_an_hour_refills_no_budget() -> None:
    till = Till(Limits(micro_usd_per_day=325), now=datetime(2026, 11, 22, 0, 30, tzinfo=UTC).timestamp())
    till.ask("a", 100, 200)

    till.now -= 3600  # it is yesterday again

    assert isinstance(till.ask("b", 100, 200), Refused)
    till.now += 3600
    assert isinstance(till.ask("b", 100, 200), Refused)


def test_requests_at_once_end_with_their_leases() -> None:
    till = Till(Limits(concurrent=2))
    assert [till.ask(name, 1, 1) for name in "aab"] == [Granted(1)] * 3, "asked again for the same"
    assert till.ask("c", 1, 1) == Refused(Policy.CONCURRENT, 1.0)
    till.now += LEASE_SECONDS - 1
    book = till.book()
    book.renew(["a", "gone"], till.now + LEASE_SECONDS)
    till.state = book.account.state()

    till.now += 1

    assert till.ask("c", 1, 1) == Granted(1)
    assert isinstance(till.ask("d", 1, 1), Refused)


def test_whose_use_is_counted() -> None:
    policy = TenantLimits(
        tenant=Limits(tokens_per_day=9), per_key=Limits(tokens_per_day=5), per_user=Limits(tokens_per_day=3)
    )
    record = KeyRecord("k1", "t", b"digest")
    key = Principal("t", "k1", Rights(), record)
    rotated = Principal("t", "k2", Rights(limits=Limits(tokens_per_day=7, account="k1")), record)
    token = Principal("t", "jwt", Rights(user="alice"), KeyRecord("jwt", "t", b""))
    nobody = Principal()

    def told(principal: Principal, user: str | None, pseudonym: str = "") -> list[tuple[str, int | None]]:
        found = limited_of(principal, policy, user, pseudonym)
        assert [one.subject for one in found] == sorted((one.subject for one in found), key=list(Subject).index)
        return [(one.limits.account, one.limits.tokens_per_day) for one in found]

    assert told(key, "alice", "u_1") == [("user/t/u_1", 3), ("key/k1", 5), ("tenant/t", 9)]
    assert told(rotated, "alice", "u_1")[1] == ("key/k1", 7)
    assert told(token, "alice", "u_1") == [("user/t/u_1", 3), ("key/t/u_1", 5), ("tenant/t", 9)]
    assert told(key, None) == [("key/k1", 5), ("tenant/t", 9)]
    (user, tenant) = told(nobody, "alice")
    assert "alice" not in user[0] and tenant == ("tenant/", 9)
    assert limited_of(key, TenantLimits(), "alice") == ()
