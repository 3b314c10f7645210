"""Work that no person waits for: it runs in slots that are left over, and is out of them before a person notices."""

import asyncio

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy, Ticket
from chatbot.core.waiting.spare import GaveWay, Spare
from chatbot.core.waiting.ticket import Phase
from chatbot.domain.chat import Caller
from chatbot.domain.errors import Draining
from chatbot.domain.model import Capacity
from parts.fakes import CountingTelemetry


def line(slots: int, *, is_open: bool = True) -> Admission:
    return Admission(AdmissionPolicy(60, 512), Capacity(slots, is_open, None), CountingTelemetry())


def enter(admission: Admission, user: str = "u") -> Ticket:
    return admission.enter("office", Caller("", user), asyncio.get_running_loop().time() + 60)


async def work(spare: Spare, log: list[str]) -> None:
    """Hold a seat until it is wanted."""
    try:
        async with spare.seat():
            log.append("seated")
            try:
                await asyncio.Event().wait()
            finally:
                log.append("stopped")
    except GaveWay:
        log.append("gave way")


async def settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_person_takes_the_slot_and_is_never_counted_behind_the_work() -> None:
    admission, log = line(1), list[str]()
    task = asyncio.create_task(work(admission.spare, log))
    await settled()
    shown = admission.line("office")

    ticket = enter(admission)

    assert (ticket.phase, shown.running, shown.depth, shown.predicted_wait_seconds) == (Phase.RUNNING, 0, 0, 0.0)
    await settled()
    assert log == ["seated", "stopped", "gave way"]
    await task


@pytest.mark.parametrize(("slots", "people"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4)])
async def test_half_of_the_slots_are_for_people_alone(slots: int, people: int) -> None:
    admission, log = line(slots), list[str]()
    tickets = [enter(admission, str(number)) for number in range(people)]
    task = asyncio.create_task(work(admission.spare, log))
    await settled()
    before = list(log)
    tickets[0].leave()
    await settled()

    assert (before, log) == ([], ["seated"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert admission.spare.taken == 0


async def test_the_newest_gives_way_first_and_comes_back_when_there_is_room() -> None:
    admission, logs = line(6), [list[str]() for _ in range(4)]
    tasks = [asyncio.create_task(work(admission.spare, log)) for log in logs]
    await settled()
    assert logs == [["seated"], ["seated"], ["seated"], []]

    tickets = [enter(admission, str(number)) for number in range(2)]
    await settled()
    assert [log[-1:] for log in logs] == [["seated"], ["gave way"], ["gave way"], []]

    for ticket in tickets:
        ticket.leave()
    await settled()
    assert logs[3] == ["seated"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slot_that_was_given_away_for_a_tool_is_not_spare() -> None:
    admission, log = line(1), list[str]()
    ticket = enter(admission)
    task = asyncio.create_task(work(admission.spare, log))
    assert admission.step_aside(ticket)
    await settled()
    assert log == []

    ticket.leave()
    await settled()
    assert log == ["seated"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("end", ["closed", "draining"])
async def test_it_ends_with_the_engine_and_with_the_process(end: str) -> None:
    admission, log = line(2), list[str]()
    task = asyncio.create_task(work(admission.spare, log))
    await settled()
    if end == "closed":
        admission.set_capacity(Capacity(2, open=False, opens_in_seconds=5))
    else:
        admission.drain()
    await task
    again = asyncio.create_task(work(admission.spare, log))
    await settled()

    assert log == ["seated", "stopped", "gave way"]
    if end == "draining":
        with pytest.raises(Draining):
            enter(admission)
    else:
        admission.set_capacity(Capacity(2, open=True))
        await settled()
        assert log[3:] == ["seated"]
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    await admission.idle()


async def test_an_error_of_the_work_is_its_own_and_frees_the_seat() -> None:
    admission = line(2)
    for error in (TimeoutError("its own"), ValueError("x")):
        with pytest.raises(type(error)):
            async with admission.spare.seat():
                raise error
    assert admission.spare.taken == 0
