"""Any history of the waiting line: nobody is lost, no slot is wasted, callers take turns."""

from collections import Counter

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy, Ticket
from chatbot.core.waiting.line import WaitingLine
from chatbot.core.waiting.ticket import Phase
from chatbot.domain.chat import Caller
from chatbot.domain.errors import Busy
from chatbot.domain.model import Capacity
from hypothesis import given, settings
from hypothesis import strategies as st
from parts.fakes import CountingTelemetry


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Standing:
    def __init__(self, tenant: str, user: str, weight: int = 1) -> None:
        self.caller = Caller(tenant, user, weight=weight)


CALLERS = [Caller(tenant, user, weight=weight) for tenant, weight in (("", 1), ("x", 3)) for user in ("a", "b", "c")]
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "enter", "leave", "finish", "wait", "close", "open"]), st.integers(0, 99)
    ),
    max_size=120,
)


class History:
    """Plays operations on an admission and checks what must hold after each."""

    def __init__(self, slots: int) -> None:
        self.clock = Clock()
        self.telemetry = CountingTelemetry()
        self.slots = slots
        self.admission = Admission(
            AdmissionPolicy(limit_seconds=60, max_waiting=20), Capacity(slots, True), self.telemetry, clock=self.clock
        )
        self.open = True
        self.tickets: list[Ticket] = []
        self.refused = 0

    def in_phase(self, phase: Phase) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.phase is phase]

    def play(self, operation: str, number: int) -> None:
        waiting, running = self.in_phase(Phase.WAITING), self.in_phase(Phase.RUNNING)
        if operation == "enter":
            self.enter(CALLERS[number % len(CALLERS)])
        elif operation == "leave" and waiting:
            waiting[number % len(waiting)].leave()
        elif operation == "finish" and running:
            running[number % len(running)].leave()
        elif operation == "wait":
            self.clock.now += number
        elif operation in ("close", "open"):
            self.open = operation == "open"
            self.admission.set_capacity(Capacity(self.slots, self.open, opens_in_seconds=5.0))
        self.check()

    def enter(self, caller: Caller) -> None:
        try:
            self.tickets.append(self.admission.enter("s", caller, self.clock.now + 60))
        except Busy as busy:
            assert busy.retry_after_seconds >= 1
            self.refused += 1

    def check(self) -> None:
        waiting, running = len(self.in_phase(Phase.WAITING)), len(self.in_phase(Phase.RUNNING))
        line = self.admission.line("s")
        assert (line.depth, line.running) == (waiting, running)
        assert running <= self.slots
        assert not self.open or running == self.slots or not waiting, "a slot is free while somebody waits"

    def end(self) -> None:
        self.play("open", 0)
        while running := self.in_phase(Phase.RUNNING):
            running[0].leave()
        assert all(ticket.phase is Phase.OVER for ticket in self.tickets)
        outcomes = Counter(self.telemetry.outcomes())
        refused = outcomes.pop("rejected_wait", 0) + outcomes.pop("rejected_full", 0)
        assert refused == self.refused
        assert sum(outcomes.values()) == len(self.tickets), "each admitted request leaves the line exactly once"


@given(OPERATIONS, st.sampled_from([1, 2, 8]))
@settings(max_examples=150, deadline=None)
def test_loses_nobody_and_wastes_no_slot_in_any_history(operations: list[tuple[str, int]], slots: int) -> None:
    history = History(slots)

    for operation, number in operations:
        history.play(operation, number)

    history.end()


@given(st.lists(st.one_of(st.integers(0, 5), st.just(-1), st.just(-2)), max_size=100))
@settings(max_examples=200, deadline=None)
def test_dispatches_in_the_order_that_it_tells(steps: list[int]) -> None:
    line: WaitingLine[Standing] = WaitingLine()
    for step in steps:
        if step >= 0:
            caller = CALLERS[step]
            line.join(Standing(caller.tenant, caller.user, caller.weight))
        elif len(line) and step == -1:
            line.next()
        elif len(line):
            line.leave(list(line)[len(line) // 2])

    told = list(line)

    assert [line.next() for _ in told] == told
    assert not len(line)


@given(st.lists(st.integers(-6, 5), max_size=150))
@settings(max_examples=200, deadline=None)
def test_no_user_of_a_tenant_is_served_twice_while_another_waits_for_its_turn(steps: list[int]) -> None:
    line: WaitingLine[Standing] = WaitingLine()
    served_since: dict[str, Counter[str]] = {}
    order: dict[str, list[Standing]] = {}
    for step in steps:
        if step >= 0:
            request = Standing("", "abcdef"[step])
            line.join(request)
            order.setdefault(request.caller.user, []).append(request)
            served_since.setdefault(request.caller.user, Counter())
        elif len(line):
            request = line.next()
            user = request.caller.user
            assert order[user].pop(0) is request, "first come, first served inside one user"
            del served_since[user]
            if order[user]:
                served_since[user] = Counter()
            for other, served in served_since.items():
                if other != user:
                    served[user] += 1
                    assert served[user] <= 1


@pytest.mark.parametrize("slots", [1, 8])
def test_first_request_of_another_user_starts_after_at_most_one_generation(slots: int) -> None:
    clock = Clock()
    admission = Admission(AdmissionPolicy(600, 512), Capacity(slots, True), CountingTelemetry(), clock=clock)
    greedy = [admission.enter("s", Caller("", "greedy"), 600) for _ in range(50)]
    for _ in range(5):
        clock.now += 10
        next(ticket for ticket in greedy if ticket.phase is Phase.RUNNING).leave()

    other = admission.enter("s", Caller("", "other"), 600)
    assert other.phase is Phase.WAITING
    next(ticket for ticket in greedy if ticket.phase is Phase.RUNNING).leave()

    assert other.phase is Phase.RUNNING


def test_tenants_take_turns_however_many_users_one_has() -> None:
    line: WaitingLine[Standing] = WaitingLine()
    for n in range(6):
        line.join(Standing("crowd", f"user-{n}"))
    for _ in range(2):
        line.join(Standing("single", "only"))

    order = [line.next().caller.tenant for _ in range(4)]

    assert order == ["crowd", "single", "crowd", "single"]


def test_a_tenants_turn_is_as_long_as_its_weight_and_its_users_take_turns_within() -> None:
    line: WaitingLine[Standing] = WaitingLine()
    for n in range(4):
        line.join(Standing("heavy", f"user-{n % 2}", weight=3))
        line.join(Standing("light", "only"))

    order = [line.next().caller for _ in range(8)]

    assert [one.tenant for one in order] == ["heavy"] * 3 + ["light", "heavy"] + ["light"] * 3
    assert [one.user for one in order if one.tenant == "heavy"] == ["user-0", "user-1", "user-0", "user-1"]


def test_who_comes_while_a_turn_goes_on_waits_for_its_end_and_no_longer() -> None:
    line: WaitingLine[Standing] = WaitingLine()
    for _ in range(9):
        line.join(Standing("heavy", "one", weight=3))
    for _ in range(4):
        line.next()
    line.join(Standing("light", "only"))

    assert [line.next().caller.tenant for _ in range(4)] == ["heavy", "heavy", "light", "heavy"]


def test_a_turn_that_ran_out_of_requests_is_over() -> None:
    line: WaitingLine[Standing] = WaitingLine()
    line.join(Standing("light", "only"))
    for _ in range(2):
        line.join(Standing("heavy", "one", weight=3))
    leaves = Standing("heavy", "one", weight=3)
    line.join(leaves)
    for _ in range(3):
        line.next()
    line.leave(leaves)
    for _ in range(2):
        line.join(Standing("light", "only"))
    for _ in range(4):
        line.join(Standing("heavy", "one", weight=3))

    assert [line.next().caller.tenant for _ in range(6)] == ["light"] + ["heavy"] * 3 + ["light", "heavy"]


def test_a_weight_that_changes_holds_from_the_next_request_on() -> None:
    line: WaitingLine[Standing] = WaitingLine()
    for weight in (3, 3, 3, 1):
        line.join(Standing("heavy", "one", weight=weight))
    for _ in range(2):
        line.join(Standing("light", "only"))

    assert [line.next().caller.tenant for _ in range(4)] == ["heavy", "light"] * 2


@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(20, 60))
def test_tenants_that_always_wait_are_served_by_their_weights(weights: list[int], turns: int) -> None:
    line: WaitingLine[Standing] = WaitingLine()
    waiting = [Standing(str(number), "one", weight) for number, weight in enumerate(weights)]
    for one in waiting:
        line.join(one)
        line.join(Standing(one.caller.tenant, "two", one.caller.weight))
    served = Counter[str]()
    for _ in range(turns * sum(weights)):
        caller = line.next().caller
        served[caller.tenant] += 1
        line.join(Standing(caller.tenant, caller.user, caller.weight))

    assert all(abs(served[str(number)] - turns * weight) < weight for number, weight in enumerate(weights))


def test_one_caller_cannot_take_every_place() -> None:
    clock = Clock()
    admission = Admission(AdmissionPolicy(1e6, 16), Capacity(1, True), CountingTelemetry(), clock=clock)
    admitted = 0
    with pytest.raises(Busy):
        for _ in range(30):
            admission.enter("s", Caller("", "greedy"), 1e6)
            admitted += 1

    other = admission.enter("s", Caller("", "other"), 1e6)

    assert admitted == 1 + 14
    assert other.phase is Phase.WAITING
