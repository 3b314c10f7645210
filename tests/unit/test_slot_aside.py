"""The slot while tools run: somebody else's, and taken back before anybody new; one place in the line for ever."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.answering.pump import Answer
from chatbot.core.question import Question
from chatbot.core.waiting.ticket import REST_SECONDS, Phase, Ticket
from chatbot.core.web.referenced import Web
from chatbot.domain.chat import Caller
from chatbot.domain.errors import TimedOut
from chatbot.domain.generation import Backend, GenerationRequest
from chatbot.domain.model import Capacity
from parts.calling_model import CallingModel, Move, StubTool, call
from parts.fakes import CountingTelemetry
from parts.tool_house import House
from parts.virtual_time import run_virtual

Script = dict[str, Sequence[Sequence[Move]]]


def model_of(script: Script) -> tuple[CallingModel, list[str]]:
    """A model that plays rounds for each question, and the ids of the generations in the order of their beginning."""
    begun: list[str] = []

    def play(request: GenerationRequest) -> Sequence[Move]:
        begun.append(request.request_id)
        rounds = script[request.dialogue.question.content]
        return rounds[sum(each.split("+")[0] == request.request_id.split("+")[0] for each in begun) - 1]

    return CallingModel(play), begun


def asked(name: str, *, wants_web: bool = False) -> Question:
    question = Question(name, Caller("", name), name, {}, None, None, False, Backend.LLAMA, "en")
    if wants_web:
        return replace(question, wishes=replace(question.wishes, wants_web=True))
    return question


async def text_of(answer: Answer) -> str:
    return (await answer.collect()).text


async def first_words(house: House, **at_seconds: float) -> dict[str, float]:
    """Ask each question at its second; when each answer was whole, in seconds."""
    began = house.clock()

    async def ask(name: str, at: float) -> tuple[str, float]:
        await asyncio.sleep(at)
        answer = await house.answerer.open(asked(name))
        await answer.collect()
        return name, house.clock() - began

    return dict(await asyncio.gather(*(ask(name, at) for name, at in at_seconds.items())))


def test_somebody_else_is_answered_while_a_tool_runs_and_nobody_new_goes_first() -> None:
    async def scene() -> None:
        model, begun = model_of({"a": [[call("look")], [1.0, "a"]], "b": [[4.0, "b"]], "c": [[1.0, "c"]]})
        house = House(model, StubTool(seconds=3))

        over = await first_words(house, a=0, b=1, c=2)

        assert begun == ["a", "b", "a+2", "c"]
        assert over["b"] == pytest.approx(5)  # at once when it came, beside the tool
        assert over["a"] == pytest.approx(6)  # back at 3 s, in front of c
        assert over["c"] == pytest.approx(7)
        assert house.telemetry.outcomes() == ["dispatched"] * 3
        assert house.is_free()

    run_virtual(scene())


def test_a_tool_of_a_moment_keeps_the_slot() -> None:
    async def scene() -> None:
        model, begun = model_of({"a": [[call("look")], [1.0, "a"]], "b": [[5.0, "b"]]})
        house = House(model, StubTool(seconds=REST_SECONDS * 0.9))

        over = await first_words(house, a=0, b=0.1)

        assert begun == ["a", "a+2", "b"]
        assert over["a"] < 1.3

    run_virtual(scene())


def test_as_many_are_aside_as_there_are_slots_and_the_next_one_swaps_with_whoever_comes_back() -> None:
    async def scene() -> None:
        script: Script = {name: [[call("look")], [1.0, name]] for name in "abc"} | {"d": [[1.0, "d"]]}
        model, begun = model_of(script)
        house = House(model, StubTool(seconds=4))
        seen: list[tuple[int, int]] = []

        async def look() -> None:
            for _ in range(60):
                line = house.line.line("office")
                seen.append((line.running, line.aside))
                await asyncio.sleep(0.25)

        looking = asyncio.create_task(look())
        over = await first_words(house, a=0, b=0.5, c=1, d=1.5)
        await looking

        assert begun[:2] == ["a", "b"]
        assert [name for name in begun if "+" in name] == ["a+2", "b+2", "c+2"]
        assert max(running for running, _ in seen) == 1
        assert max(aside for _, aside in seen) <= 2  # one whose tools run, and one that wants to come back
        assert over["a"] == pytest.approx(5.25, abs=0.3)
        assert house.is_free()

    run_virtual(scene())


@pytest.mark.parametrize("is_back", [False, True], ids=["while its tools run", "while it waits to come back"])
def test_a_client_that_leaves_leaves_nothing_behind(is_back: bool) -> None:
    async def scene() -> None:
        model, begun = model_of({"a": [[call("look")], ["a"]], "b": [[10.0, "b"]]})
        tool = StubTool(seconds=2 if is_back else 8)
        house = House(model, tool)
        first = await house.answerer.open(asked("a"))
        await asyncio.sleep(1)
        second = await house.answerer.open(asked("b"))
        await asyncio.sleep(3)
        assert house.line.line("office").aside == 1

        await first.close()

        line = house.line.line("office")
        assert (line.running, line.aside, tool.active, tool.cancelled) == (1, 0, 0, 0 if is_back else 1)
        assert await text_of(second) == "b"
        assert begun == ["a", "b"]
        assert house.is_free()

    run_virtual(scene())


def test_results_are_the_answer_where_no_slot_comes_back_in_time() -> None:
    async def scene() -> None:
        model, begun = model_of({"a": [[call("look")], ["a"]], "b": [[29.5, "b"]]})
        house = House(model, StubTool(seconds=3))
        first = await house.answerer.open(asked("a"))
        await asyncio.sleep(2)

        second = await house.answerer.open(asked("b"))

        assert await text_of(first) == "en: 7"  # 30 s after it began
        assert house.line.line("office").aside == 0
        assert await text_of(second) == "b"
        assert begun == ["a", "b"]
        assert house.is_free()

    run_virtual(scene())


def test_a_search_before_the_first_word_leaves_the_slot_to_others() -> None:
    async def scene() -> None:
        model, begun = model_of({"a": [["a"]], "b": [[1.0, "b"]]})
        house = House(model)
        search = StubTool("web_search", seconds=5, result={"results": []})
        box = House(model, search).answerer._routes[Backend.LLAMA].agent
        assert box is not None
        house.routes[Backend.LLAMA] = replace(house.routes[Backend.LLAMA], web=Web(box.toolbox, house.clock))
        first = await house.answerer.open(asked("a", wants_web=True))
        await asyncio.sleep(1)

        second = await house.answerer.open(asked("b"))

        assert await text_of(second) == "b"
        assert search.active == 1
        assert (await text_of(first)).startswith("a")
        assert begun == ["b", "a"]
        assert house.is_free()

    run_virtual(scene())


class Ticketed:
    """An admission in virtual time."""

    def __init__(self, slots: int = 1) -> None:
        self.clock = asyncio.get_running_loop().time
        self.telemetry = CountingTelemetry()
        self.line = Admission(AdmissionPolicy(60, 8), Capacity(slots, True), self.telemetry, clock=self.clock)

    def enter(self, user: str) -> Ticket:
        return self.line.enter("office", Caller("", user), self.clock() + 60)

    async def aside(self, user: str) -> Ticket:
        ticket = self.enter(user)
        ticket.rest()
        await asyncio.sleep(2 * REST_SECONDS)
        assert ticket.phase is Phase.ASIDE
        return ticket


def test_the_line_tells_of_those_that_will_come_back() -> None:
    async def scene() -> None:
        etas = []
        for has_aside in (False, True):
            house = Ticketed()
            first = await house.aside("a") if has_aside else None
            second, third = house.enter("b"), house.enter("c")
            etas.append(house.line.place(third).eta_seconds)
            for ticket in (first, second, third):
                if ticket is not None:
                    ticket.leave()

        assert etas == [pytest.approx(5), pytest.approx(10, abs=0.5)]  # 5 s are believed of an answer

    run_virtual(scene())


def test_nobody_is_served_from_the_line_while_one_waits_to_come_back() -> None:
    async def scene() -> None:
        house = Ticketed()
        first = await house.aside("a")
        second, third = house.enter("b"), house.enter("c")

        async def go_on() -> None:
            async with first.generating(house.clock() + 30):
                await asyncio.sleep(1)

        going = asyncio.create_task(go_on())
        await asyncio.sleep(1)
        second.leave()

        assert first.phase is Phase.RUNNING
        assert third.phase is Phase.WAITING
        await going
        first.leave()
        assert third.phase is Phase.RUNNING
        third.leave()
        await asyncio.wait_for(house.line.idle(), 1)

    run_virtual(scene())


def test_whoever_gives_up_coming_back_is_not_seated() -> None:
    async def scene() -> None:
        house = Ticketed()
        first = await house.aside("a")
        second = house.enter("b")

        with pytest.raises(TimedOut):
            async with first.generating(house.clock() + 5):
                raise AssertionError("there was no slot")
        second.leave()

        assert first.phase is Phase.ASIDE
        assert house.line.line("office").running == 0
        first.leave()
        assert house.line.line("office").aside == 0

    run_virtual(scene())


def test_a_process_that_drains_waits_for_those_aside() -> None:
    async def scene() -> None:
        house = Ticketed()
        first = await house.aside("a")
        house.line.drain()
        idle = asyncio.create_task(house.line.idle())
        await asyncio.sleep(1)
        assert not idle.done()

        async with first.generating(house.clock() + 5):
            assert first.phase is Phase.RUNNING
        first.leave()

        await asyncio.wait_for(idle, 1)

    run_virtual(scene())


def test_nobody_comes_back_to_an_engine_that_is_closed() -> None:
    async def scene() -> None:
        house = Ticketed()
        first = await house.aside("a")
        house.line.set_capacity(Capacity(1, False, 10.0))
        seated: list[float] = []

        async def go_on() -> None:
            async with first.generating(house.clock() + 30):
                seated.append(house.clock())

        going = asyncio.create_task(go_on())
        await asyncio.sleep(3)
        assert seated == []
        house.line.set_capacity(Capacity(1, True))
        await going

        assert len(seated) == 1
        first.leave()

    run_virtual(scene())


def test_only_time_in_a_slot_is_service_time() -> None:
    async def scene() -> None:
        house = Ticketed()
        ticket = house.enter("a")
        async with ticket.generating(house.clock() + 60):
            await asyncio.sleep(1)
        await asyncio.sleep(20)
        async with ticket.generating(house.clock() + 60):
            await asyncio.sleep(2)

        ticket.leave()

        assert ticket.held_seconds == pytest.approx(3 + REST_SECONDS)
        running = house.enter("b")
        waiting = house.enter("c")
        assert house.line.place(waiting).eta_seconds == pytest.approx(3 + REST_SECONDS, rel=0.01)
        for each in (running, waiting):
            each.leave()

    run_virtual(scene())
