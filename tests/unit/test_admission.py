"""Admission: at once in or at once refused, bounded by the estimate, ended at the deadline."""

import asyncio
import tracemalloc
from collections.abc import Callable
from time import process_time

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy, Place, Ticket
from chatbot.core.waiting.ticket import Phase
from chatbot.domain.chat import Caller
from chatbot.domain.errors import Busy, Draining, ModelUnavailable, TimedOut
from chatbot.domain.model import Capacity
from parts.fakes import CountingTelemetry
from parts.virtual_time import run_virtual


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Setting:
    """An admission with a clock in the hand of the test; believed service time: 5 s."""

    def __init__(self, *, limit: float = 60, max_waiting: int = 512, slots: int = 1, open: bool = True) -> None:
        self.clock = Clock()
        self.telemetry = CountingTelemetry()
        self.admission = Admission(
            AdmissionPolicy(limit, max_waiting), Capacity(slots, open, None), self.telemetry, clock=self.clock
        )

    def enter(self, user: str, *, deadline: float = 60.0) -> Ticket:
        return self.admission.enter("office", Caller("", user), self.clock.now + deadline)


def test_gives_a_slot_at_once_when_one_is_free() -> None:
    setting = Setting()

    ticket = setting.enter("a")

    assert ticket.phase is Phase.RUNNING
    assert setting.telemetry.left == [("office", "dispatched", 0.0)]


def test_refuses_when_the_estimated_wait_exceeds_the_limit() -> None:
    setting = Setting(limit=12)
    for user in "abc":
        setting.enter(user)

    with pytest.raises(Busy) as refused:
        setting.enter("d")

    assert refused.value.queue_size == 2
    assert setting.telemetry.outcomes() == ["dispatched", "rejected_wait"]
    assert setting.admission.line("office").depth == 2


def test_refuses_when_the_wait_is_longer_than_this_request_has() -> None:
    setting = Setting(limit=60)
    setting.enter("a")

    with pytest.raises(Busy):
        setting.enter("b", deadline=3.0)


def test_refuses_when_the_line_is_full_until_a_place_is_predicted() -> None:
    setting = Setting(limit=600, max_waiting=2)
    for user in "abc":
        setting.enter(user)

    with pytest.raises(Busy) as refused:
        setting.enter("d")

    assert refused.value.retry_after_seconds in range(5, 7)  # the next one starts in 5 s; at most 20 % of jitter
    assert setting.telemetry.outcomes()[-1] == "rejected_full"


def test_takes_only_what_starts_at_once_when_no_waiting_is_allowed() -> None:
    setting = Setting(max_waiting=0)
    setting.enter("a")

    with pytest.raises(Busy) as refused:
        setting.enter("b")

    assert refused.value.queue_size == 0


def test_refused_callers_are_told_later_and_later_times() -> None:
    setting = Setting(limit=12)
    for user in "abc":
        setting.enter(user)

    told = [refusal(setting, f"late-{n}") for n in range(50)]

    # 3 s above the limit, and 5 s for each one before: jitter is at most a fifth.
    assert all(3 + 5 * n <= seconds <= (3 + 5 * n) * 1.2 + 1 for n, seconds in enumerate(told))
    assert any(seconds > 3 + 5 * n for n, seconds in enumerate(told)), "jitter spreads them"


def refusal(setting: Setting, user: str) -> int:
    with pytest.raises(Busy) as refused:
        setting.enter(user)
    return refused.value.retry_after_seconds


def test_caller_that_asks_again_too_early_keeps_its_place_among_the_refused() -> None:
    setting = Setting(limit=12)
    for user in "abc":
        setting.enter(user)
    first = refusal(setting, "early")
    for n in range(20):
        refusal(setting, f"later-{n}")

    again = refusal(setting, "early")

    assert again <= first * 1.2 + 1


def test_newcomer_does_not_take_the_place_that_was_announced_to_another() -> None:
    setting = Setting(limit=12)
    tickets = [setting.enter(user) for user in "abc"]
    due = refusal(setting, "promised")
    setting.clock.now = due
    tickets[0].leave("failed")  # the believed service time stays

    with pytest.raises(Busy):
        setting.enter("newcomer")

    assert setting.enter("promised").phase is Phase.WAITING


def test_promise_is_forgotten_when_30_s_late() -> None:
    setting = Setting(limit=12)
    tickets = [setting.enter(user, deadline=600) for user in "abc"]
    due = refusal(setting, "promised")
    tickets[0].leave()
    setting.clock.now = due + 32

    assert setting.enter("newcomer").phase is Phase.WAITING


def test_refuses_while_nobody_knows_when_the_engine_serves() -> None:
    setting = Setting(open=False)

    with pytest.raises(ModelUnavailable):
        setting.enter("a")

    assert setting.telemetry.outcomes() == ["rejected_unavailable"]
    assert setting.admission.line("office").predicted_wait_seconds == 60


def test_waits_for_an_engine_that_opens_in_time_and_no_other() -> None:
    setting = Setting(limit=60)
    setting.admission.set_capacity(Capacity(1, False, opens_in_seconds=40.0))

    early = setting.enter("a")
    setting.admission.set_capacity(Capacity(1, False, opens_in_seconds=90.0))
    with pytest.raises(Busy) as refused:
        setting.enter("b")
    setting.clock.now = 50.0
    setting.admission.set_capacity(Capacity(1, True))

    assert early.phase is Phase.RUNNING
    assert refused.value.retry_after_seconds >= 35


def test_nobody_is_evicted_or_started_while_the_engine_is_closed() -> None:
    setting = Setting()
    first, second = setting.enter("a"), setting.enter("b")

    setting.admission.set_capacity(Capacity(1, False, None))
    first.leave()

    assert second.phase is Phase.WAITING


def test_no_guess_is_shorter_than_what_runs_already() -> None:
    setting = Setting(limit=60)
    setting.enter("a", deadline=600)
    setting.clock.now = 50.0
    setting.enter("b", deadline=600)

    refusal(setting, "c")  # 25 s of the first are believed to be left, 50 s of the second

    assert setting.admission.line("office").depth == 1


def test_expects_what_it_is_told_of_another_model() -> None:
    setting = Setting(limit=60)
    setting.enter("a")
    setting.admission.expect(100.0)

    assert setting.admission.line("office").predicted_wait_seconds == 100.0


def test_drain_refuses_newcomers_and_lets_the_admitted_go_on() -> None:
    setting = Setting()
    first, second = setting.enter("a"), setting.enter("b")

    setting.admission.drain()
    with pytest.raises(Draining):
        setting.enter("c")
    first.leave()

    assert second.phase is Phase.RUNNING
    assert setting.telemetry.outcomes()[-2:] == ["shutdown", "dispatched"]


@pytest.mark.parametrize("waits", [False, True])
def test_leaving_twice_gives_back_once(waits: bool) -> None:
    setting = Setting()
    if waits:
        setting.enter("somebody")
    ticket = setting.enter("a")

    ticket.leave()
    ticket.leave()

    line = setting.admission.line("office")
    assert (line.depth, line.running) == (0, int(waits))
    assert setting.telemetry.outcomes() == ["dispatched", "client_gone"] if waits else ["dispatched"]


def test_line_is_told_for_each_service() -> None:
    setting = Setting(slots=1)
    setting.enter("a")
    setting.admission.enter("character", Caller("", "b"), 60)

    office, character = setting.admission.line("office"), setting.admission.line("character")

    assert (office.depth, office.running, character.depth, character.running) == (0, 1, 1, 0)
    assert (office.slots, office.max_waiting) == (1, 512)
    assert office.predicted_wait_seconds == pytest.approx(10.0)


def in_virtual_time(scene: Callable[["VirtualSetting"], object]) -> None:
    async def play() -> None:
        await scene(VirtualSetting())  # type: ignore[misc]

    run_virtual(play())


class VirtualSetting:
    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.telemetry = CountingTelemetry()
        self.admission = Admission(AdmissionPolicy(60, 512), Capacity(1, True), self.telemetry, clock=self.clock)

    def enter(self, user: str, deadline: float = 60.0) -> Ticket:
        return self.admission.enter("office", Caller("", user), self.clock() + deadline)

    async def watch(self, ticket: Ticket) -> list[tuple[float, Place]]:
        return [(self.clock() - ticket.entered_at, place) async for place in ticket.places()]


def test_place_is_told_at_once_on_change_and_every_ten_seconds() -> None:
    async def scene(setting: VirtualSetting) -> None:
        running, ahead, ticket = (setting.enter(user) for user in "abc")
        watched = asyncio.create_task(setting.watch(ticket))
        await asyncio.sleep(25.5)
        running.leave()
        await asyncio.sleep(3.5)
        ahead.leave()

        places = await watched

        assert [(round(at), place.position) for at, place in places] == [(0, 2), (10, 2), (20, 2), (26, 1), (29, 0)]
        assert all(place.eta_seconds >= 0 for _, place in places)
        assert ticket.phase is Phase.RUNNING
        assert ticket.waited_seconds == pytest.approx(29.0, abs=0.01)

    in_virtual_time(scene)


def test_the_back_of_a_long_line_that_moves_is_told_its_place_less_often() -> None:
    async def scene(setting: VirtualSetting) -> None:
        for _ in range(20):  # short ones, so that many may wait
            ticket = setting.enter("a")
            await asyncio.sleep(0.1)
            ticket.leave()
        tickets = [setting.enter(f"user-{number}") for number in range(121)]
        front, back = (asyncio.create_task(setting.watch(tickets[number])) for number in (51, 120))
        for ticket in tickets[:51]:
            await asyncio.sleep(0.1)
            ticket.leave()
        tickets[120].leave()

        positions = [place.position for _at, place in await back]
        assert positions[0] == 120
        assert len(positions) == 2, "at once, and after five seconds"
        assert len(await front) >= 4

    in_virtual_time(scene)


def test_place_is_told_once_when_the_slot_was_free() -> None:
    async def scene(setting: VirtualSetting) -> None:
        assert [place for _, place in await setting.watch(setting.enter("a"))] == [Place(0, 0.0)]

    in_virtual_time(scene)


def test_expires_in_the_line_at_its_deadline() -> None:
    async def scene(setting: VirtualSetting) -> None:
        setting.enter("a")
        ticket = setting.enter("b", deadline=17.0)

        with pytest.raises(TimedOut) as timed_out:
            await setting.watch(ticket)

        assert timed_out.value.phase == "queue"
        assert setting.clock() - ticket.entered_at == pytest.approx(17.0, abs=0.01)
        assert setting.telemetry.left[-1][1] == "expired"
        assert setting.admission.line("office").depth == 0

    in_virtual_time(scene)


def test_expired_ticket_gets_no_slot_when_nobody_looked_at_it() -> None:
    async def scene(setting: VirtualSetting) -> None:
        running = setting.enter("a")
        ticket = setting.enter("b", deadline=17.0)
        await asyncio.sleep(18)
        running.leave()

        with pytest.raises(TimedOut):
            await setting.watch(ticket)
        assert setting.telemetry.outcomes() == ["dispatched", "expired"]

    in_virtual_time(scene)


def test_idle_returns_when_the_last_one_ended() -> None:
    async def scene(setting: VirtualSetting) -> None:
        first, second = setting.enter("a"), setting.enter("b")
        idle = asyncio.create_task(setting.admission.idle())
        first.leave()
        await asyncio.sleep(1)
        was_idle = idle.done()
        second.leave()

        await asyncio.wait_for(idle, 1)

        assert not was_idle

    in_virtual_time(scene)


def test_keeps_nothing_of_users_that_have_gone(scale: Callable[[int, int], int], figures: Callable[..., None]) -> None:
    users = scale(10_000, 100_000)
    setting = Setting()
    setting.enter("warm").leave()
    setting.telemetry.left.clear()
    tracemalloc.start()

    for n in range(users):
        setting.enter(f"user-{n}").leave()
        setting.telemetry.left.clear()

    grown_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    figures(users=users, grown_bytes=grown_bytes)
    assert grown_bytes < 100_000


def test_remembers_at_most_ten_thousand_refused_callers(figures: Callable[..., None]) -> None:
    setting = Setting(max_waiting=1)
    setting.enter("a")
    setting.enter("b")
    tracemalloc.start()

    for n in range(12_000):
        refusal(setting, f"user-{n}")
        setting.telemetry.left.clear()

    grown_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    figures(refused=12_000, grown_bytes=grown_bytes)
    assert grown_bytes < 10_000 * 1_000


def test_judges_a_newcomer_behind_512_waiting(figures: Callable[..., None]) -> None:
    setting = Setting(limit=1e6, max_waiting=1024, slots=8)
    for n in range(520):
        setting.enter(f"user-{n}", deadline=1e6)

    began = process_time()
    for _ in range(100):
        setting.admission.line("office")
    line_ms = (process_time() - began) * 10
    began = process_time()
    for n in range(100):
        setting.enter(f"late-{n}", deadline=1e6).leave()
    enter_ms = (process_time() - began) * 10

    figures(waiting=512, enter_and_leave_cpu_ms=round(enter_ms, 3), line_cpu_ms=round(line_ms, 3))
    assert setting.admission.line("office").predicted_wait_seconds == pytest.approx(512 * 5 / 8 + 5, abs=5)
