"""The counters of one account: exact against a reference, whatever order things happen in, whatever clocks do."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from chatbot.core.limits.account import Account, Book
from chatbot.core.limits.asks import Ask, Granted, Refused
from chatbot.core.limits.windows import Calendar
from chatbot.domain.limits import Limits, Policy, State

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
CALENDAR = Calendar()


@dataclass
class Desk:
    """An account with a clock of its own; every step goes through the plain values that a store keeps."""

    limits: Limits
    calendar: Calendar = CALENDAR
    now: float = NOON
    state: State | None = None

    def ask(self, name: str, prompt: int = 100, answer: int = 100, life: float = 300.0) -> Granted | Refused:
        book = self.book()
        outcome = book.reserve(Ask(name, prompt, answer, self.now + life))
        if isinstance(outcome, Granted) or book.is_mended:
            self.state = book.account.state()
        return outcome

    def settle(self, name: str, tokens: int) -> None:
        book = self.book()
        book.settle(name, tokens)
        self.state = book.account.state()

    def release(self, name: str) -> None:
        book = self.book()
        book.release(name)
        self.state = book.account.state()

    def book(self) -> Book:
        return Book.open(self.state, self.limits, self.calendar, self.now)

    def left(self, policy: Policy = Policy.TOKENS_DAY) -> int:
        return {one.policy: one.remaining for one in self.book().standings()}[policy]


def test_a_day_is_never_passed_and_an_answer_is_cut_to_what_is_left() -> None:
    desk = Desk(Limits(tokens_per_day=1000))

    outcomes = [desk.ask(str(n), 100, 300) for n in range(4)]

    assert outcomes == [Granted(300), Granted(300), Granted(100), Refused(Policy.TOKENS_DAY, 43_200.0)]
    assert desk.left() == 0


def test_fewer_than_sixteen_tokens_for_the_answer_are_refused_unless_no_more_were_wanted() -> None:
    desk = Desk(Limits(tokens_per_day=115))

    assert isinstance(desk.ask("a", 100, 300), Refused)
    assert desk.ask("b", 100, 3) == Granted(3)


def test_a_request_that_no_new_day_would_grant_is_told_so() -> None:
    assert Desk(Limits(tokens_per_day=100)).ask("a", 100, 300) == Refused(Policy.TOKENS_DAY, float("inf"))
    assert Desk(Limits(tokens_per_month=100)).ask("a", 100, 300) == Refused(Policy.TOKENS_MONTH, float("inf"))


def test_what_was_really_used_is_charged_once_however_often_it_is_told() -> None:
    desk = Desk(Limits(tokens_per_day=1000, tokens_per_month=5000))
    desk.ask("a", 100, 300)

    for _ in range(3):
        desk.settle("a", 150)
    desk.release("a")

    assert (desk.left(), desk.left(Policy.TOKENS_MONTH)) == (850, 4850)


def test_more_than_was_reserved_is_charged_in_full() -> None:
    desk = Desk(Limits(tokens_per_day=1000))
    desk.ask("a", 100, 300)
    desk.settle("a", 1700)

    assert desk.left() == 0 and desk.book().standings()[0].used == 1700
    assert isinstance(desk.ask("b", 1, 1), Refused)


def test_a_reservation_is_given_back_with_its_request() -> None:
    desk = Desk(Limits(tokens_per_day=1000, requests_per_minute=1))
    desk.ask("a")
    assert desk.ask("b") == Refused(Policy.REQUESTS_MINUTE, 60.0)

    desk.release("a")

    assert desk.ask("b") == Granted(100)


def test_a_refusal_consumes_nothing() -> None:
    desk = Desk(Limits(tokens_per_day=500, requests_per_minute=5))
    desk.ask("a", 100, 300)
    before = desk.state

    assert all(isinstance(desk.ask(f"r{n}", 200, 300), Refused) for n in range(20))

    assert desk.state == before


def test_what_nobody_settles_lapses_and_is_charged_all_the_same_where_it_ends_late() -> None:
    desk = Desk(Limits(tokens_per_day=1000))
    desk.ask("dead", 100, 300, life=60)
    desk.ask("late", 100, 300, life=60)
    desk.now += 61

    assert desk.left() == 1000
    for _ in range(2):
        desk.settle("late", 250)
    assert desk.left() == 750


def test_the_next_answer_to_the_same_reservation_is_the_same() -> None:
    desk = Desk(Limits(tokens_per_day=1000))

    assert [desk.ask("a", 100, 300) for _ in range(3)] == [Granted(300)] * 3
    assert desk.left() == 600


def test_requests_come_back_one_by_one_and_a_burst_is_bounded() -> None:
    desk = Desk(Limits(requests_per_minute=60, burst=5))

    outcomes = [desk.ask(str(n)) for n in range(6)]

    assert outcomes[:5] == [Granted(100)] * 5
    assert outcomes[5] == Refused(Policy.REQUESTS_MINUTE, 1.0)
    desk.now += 1.0
    assert desk.ask("one more") == Granted(100)
    assert isinstance(desk.ask("two more"), Refused)


def test_tokens_of_a_minute_may_be_owed_and_are_paid_before_the_next_request() -> None:
    desk = Desk(Limits(tokens_per_minute=600))
    assert desk.ask("a", 100, 10_000) == Granted(10_000), "larger than the bucket: it waits for a full one and owes"
    desk.settle("a", 900)

    assert desk.ask("b", 10, 10) == Refused(Policy.TOKENS_MINUTE, pytest.approx(32.0))
    desk.now += 32.1
    assert desk.ask("b", 10, 10) == Granted(10)


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("Asia/Seoul", datetime(2026, 11, 21, 14, 59, 59, tzinfo=UTC), datetime(2026, 11, 21, 15, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 2, 4, 59, 59, tzinfo=UTC), datetime(2026, 11, 2, 5, 0, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 3, 9, 3, 59, 59, tzinfo=UTC), datetime(2026, 3, 9, 4, 0, tzinfo=UTC)),
        ("UTC", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_days_begin_at_midnight_of_the_zone_also_when_clocks_change(
    zone: str, before: datetime, after: datetime
) -> None:
    desk = Desk(Limits(tokens_per_day=200), Calendar(ZoneInfo(zone)), before.timestamp())
    desk.ask("a")
    assert desk.ask("b") == Refused(Policy.TOKENS_DAY, 1.0)

    desk.now = after.timestamp()

    assert desk.ask("b") == Granted(100)
    desk.settle("a", 1)  # of yesterday: it is no affair of today's
    assert desk.left() == 0


def test_a_month_is_a_month() -> None:
    desk = Desk(Limits(tokens_per_month=200), now=datetime(2026, 2, 28, 23, 59, tzinfo=UTC).timestamp())
    desk.ask("a")
    assert desk.ask("b") == Refused(Policy.TOKENS_MONTH, 60.0)
    desk.now += 60
    assert desk.ask("b") == Granted(100)


@pytest.mark.parametrize("jump", [-3600.0, -86_400.0, -40 * 86_400.0])
def test_a_clock_that_runs_back_refills_nothing_and_locks_nobody_out(jump: float) -> None:
    desk = Desk(Limits(tokens_per_day=1000, requests_per_minute=2))
    desk.ask("a", 100, 300)
    desk.ask("b", 100, 300)
    desk.now += jump

    assert desk.left() == 200
    assert isinstance(desk.ask("c", 10, 20), Refused)
    desk.now += 121
    assert desk.ask("c", 10, 20) == Granted(20)


def test_a_clock_that_ran_ahead_for_a_moment_gives_one_day_and_no_more() -> None:
    desk = Desk(Limits(tokens_per_day=1000))
    desk.ask("a", 100, 900)
    desk.now += 400 * 86_400
    desk.ask("b", 100, 900)
    desk.now = NOON

    assert isinstance(desk.ask("c", 10, 20), Refused)
    desk.now += 86_400
    assert desk.ask("c", 10, 20) == Granted(20)


def test_a_pod_behind_midnight_does_not_open_yesterday_again() -> None:
    midnight = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    desk = Desk(Limits(tokens_per_day=1000), now=midnight - 10)
    desk.ask("a", 100, 900)

    for n in range(10):
        desk.now = midnight + 10 if n % 2 == 0 else midnight - 10
        desk.ask(f"b{n}", 100, 100)

    assert desk.left() == 0, "what both pods grant around midnight counts in the new day, once"


def test_clocks_that_differ_give_nothing_twice() -> None:
    """Two replicas take turns, one 30 s behind the other, for ten minutes."""
    desk = Desk(Limits(requests_per_minute=60, burst=10))
    granted = 0
    for second in range(600):
        for behind in (0, 30):
            desk.now = NOON + second - behind
            granted += isinstance(desk.ask(f"{second}-{behind}"), Granted)

    assert 600 <= granted <= 610


def test_a_limit_that_is_raised_or_lowered_acts_at_once_and_forgets_nothing() -> None:
    desk = Desk(Limits(requests_per_minute=2, tokens_per_day=1000))
    desk.ask("a", 100, 300), desk.ask("b", 100, 300)

    desk.limits = Limits(requests_per_minute=5, tokens_per_day=2000)
    assert (desk.left(Policy.REQUESTS_MINUTE), desk.left()) == (3, 1200)
    desk.limits = Limits(requests_per_minute=1, tokens_per_day=500)
    assert (desk.left(Policy.REQUESTS_MINUTE), desk.left()) == (0, 0)


def test_limits_that_are_not_there_cost_nothing() -> None:
    desk = Desk(Limits())
    assert [desk.ask(str(n), 10**9, 10**9) for n in range(3)] == [Granted(10**9)] * 3
    assert desk.book().standings() == ()


def test_a_state_that_is_changed_is_not_the_one_that_was_read() -> None:
    desk = Desk(Limits(tokens_per_day=1000, requests_per_minute=9))
    desk.ask("a")
    before = repr(desk.state)

    book = desk.book()
    book.reserve(Ask("b", 1, 1, desk.now + 9))
    book.settle("a", 7)

    assert repr(desk.state) == before and Account.of(desk.state).state() == desk.state


@dataclass
class Reference:
    """The plainest account that there is: a list of what was granted, added up anew each time."""

    limit: int
    life: float
    granted: dict[str, list[float]] = field(default_factory=dict)  # tokens that count, lapses at, 1 while it is held
    lapsed: set[str] = field(default_factory=set)
    spent: int = 0  # under names that were used again

    def used(self, now: float) -> int:
        for name, entry in self.granted.items():
            if entry[2] and entry[1] <= now:
                entry[0], entry[2] = 0, 0
                self.lapsed.add(name)
        return self.spent + int(sum(entry[0] for entry in self.granted.values()))

    def ask(self, name: str, prompt: int, answer: int, now: float) -> int | None:
        left = self.limit - self.used(now)
        if name in self.granted and self.granted[name][2]:
            return int(self.granted[name][0]) - prompt
        if left < prompt + min(16, answer):
            return None
        room = min(prompt + answer, left)
        self.spent += int(self.granted[name][0]) if name in self.granted else 0
        self.lapsed.discard(name)
        self.granted[name] = [room, now + self.life, 1]
        return room - prompt

    def settle(self, name: str, tokens: int, now: float) -> None:
        self.used(now)
        entry = self.granted.get(name)
        if entry is not None and (entry[2] or name in self.lapsed):
            entry[0], entry[2] = tokens, 0
            self.lapsed.discard(name)

    def release(self, name: str, now: float) -> None:
        self.used(now)
        if name in self.granted and self.granted[name][2]:
            self.granted[name][0], self.granted[name][2] = 0, 0
        self.lapsed.discard(name)


def step(desk: Desk, reference: Reference, chance: random.Random) -> int:
    """One thing that happens to both; tokens that were settled above what was reserved."""
    name = f"r{chance.randrange(12)}"
    prompt, answer = 1 + len(name) * 20, 10 * int(name[1:]) + 1
    match chance.choice(["ask", "ask", "ask", "settle", "settle", "release", "time"]):
        case "ask":
            outcome = desk.ask(name, prompt, answer, reference.life)
            wanted = reference.ask(name, prompt, answer, desk.now)
            assert (outcome.answer_tokens if isinstance(outcome, Granted) else None) == wanted
        case "settle":
            tokens = chance.choice([0, prompt, prompt + answer // 2, prompt + answer, prompt + answer + 50])
            before = reference.used(desk.now)
            desk.settle(name, tokens)
            reference.settle(name, tokens, desk.now)
            return max(0, reference.used(desk.now) - before)
        case "release":
            desk.release(name)
            reference.release(name, desk.now)
        case _:
            desk.now += chance.choice([1.0, 30.0, 61.0])
    return 0


def test_random_interleavings_equal_the_reference(
    scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    """Crashes (nobody settles), cuts (less is settled), doubles, overshoots, time that passes: within one day."""
    rounds, steps = scale(1000, 10_000), 0
    for seed in range(rounds):
        chance = random.Random(seed)
        limit = chance.randrange(200, 5000)
        desk, reference = Desk(Limits(tokens_per_day=limit), now=NOON - 40_000), Reference(limit, 60.0)
        owed = 0
        for _ in range(chance.randrange(5, 40)):
            steps += 1
            owed += step(desk, reference, chance)
            used = {one.policy: one.used for one in desk.book().standings()}[Policy.TOKENS_DAY]
            assert used == reference.used(desk.now), seed
            assert used <= limit + owed, seed  # reservations alone never pass it
    figures(interleavings=rounds, steps=steps)
