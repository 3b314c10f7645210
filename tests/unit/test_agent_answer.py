"""Tools inside an answer: one place in the line, steps before text, nothing run twice, nothing left behind."""

import asyncio
from dataclasses import replace

import pytest
from chatbot.core.agent.opening import built_in
from chatbot.core.answering.routes import BackendRoute
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Done, Exchange, Question, Queued, ToolStep
from chatbot.core.tools.contract import Tool
from chatbot.core.tools.current_time import CurrentTime
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import BackendUnavailable, EngineLost, ModelUnavailable
from chatbot.domain.generation import Backend, Sampling, TextPiece
from chatbot.domain.model import Capacity
from parts.calling_model import CallingModel, StubTool, call
from parts.tool_house import House
from parts.virtual_time import run_virtual

QUESTION = Question("r1", Caller("", "u"), "서울은 몇 시?", {}, None, None, False, Backend.LLAMA, "en")


def test_steps_stand_between_the_line_and_the_text() -> None:
    async def scene() -> None:
        tools = CurrentTime(), StubTool(seconds=1)
        calls = [call("current_time", {"place": "서울"}, "c1"), call("look", {}, "c2")]
        house = House(CallingModel.playing(calls, ["12", "시"]), *tools)

        answer = await house.answerer.open(QUESTION)
        events = [event async for event in answer.events()]
        await answer.close()

        kinds = [type(event) for event in events]
        assert kinds == [Queued, ToolStep, ToolStep, ToolStep, ToolStep, TextPiece, TextPiece, Done]
        steps = [event for event in events if isinstance(event, ToolStep)]
        assert [(step.id, step.state) for step in steps] == [
            ("c1", "started"),
            ("c2", "started"),
            ("c1", "done"),
            ("c2", "done"),
        ]
        assert (
            steps[2].summary == "현재 시각(서울)은 2026년 7월 21일 화요일 12시 00분입니다."
        )  # the language of the question
        done = events[-1]
        assert isinstance(done, Done)
        assert (done.text, done.steps, done.calls) == ("12시", tuple(steps[2:]), ())
        assert house.telemetry.outcomes() == ["dispatched"]
        assert len(house.telemetry.ended) == 1
        assert house.told.ended == [(2, "")]
        assert house.is_free()

    run_virtual(scene())


def test_a_turn_is_stored_with_its_answer_alone() -> None:
    async def scene() -> None:
        house = House(CallingModel.playing([call("look")], ["seven"]), StubTool())
        question = Question("r", Caller("", "u"), "?", {}, "c1", "t1", False, Backend.LLAMA, "ko")

        answer = await house.answerer.open(question)
        done = await answer.collect()
        await answer.close()
        again = await (await house.answerer.open(question)).collect()

        assert done.history_saved is True
        (kept,) = house.store.conversations.values()
        assert [(turn.question, turn.answer) for turn in kept.turns] == [("?", "seven")]
        assert (again.text, again.steps, len(house.model.requests)) == ("seven", (), 2)

    run_virtual(scene())


def test_an_engine_that_dies_behind_a_tool_is_asked_again_and_the_tool_is_not() -> None:
    async def scene() -> None:
        tool = StubTool()
        house = House(CallingModel.playing([call("look")], ["half", EngineLost("gone")], ["whole"]), tool)

        done = await (await house.answerer.open(QUESTION)).collect()

        assert (done.text, len(tool.runs), len(done.steps)) == ("whole", 1, 1)
        assert house.told.called == [("look", "ok")]
        assert house.is_free()

    run_virtual(scene())


def test_results_answer_where_no_model_comes_back() -> None:
    async def scene() -> None:
        gone = EngineLost("gone")
        house = House(CallingModel.playing([call("look")], [gone], [gone]), StubTool())

        done = await (await house.answerer.open(QUESTION)).collect()

        assert done.text == "ko: 7"
        assert house.is_free()

    run_virtual(scene())


def test_a_client_that_leaves_cancels_its_tools_and_gives_its_slot_back() -> None:
    async def scene() -> None:
        tool = StubTool(seconds=4)
        house = House(CallingModel.playing([call("look", {"n": n}) for n in range(3)], ["x"]), tool)
        answer = await house.answerer.open(QUESTION)
        await asyncio.sleep(1)
        assert tool.active == 3

        await answer.close()

        assert (tool.active, tool.cancelled) == (0, 3)
        assert house.is_free()
        assert house.telemetry.ended == [("office", "cancelled", 10, 3)]  # the round that called is paid for
        assert len(house.model.requests) == 1

    run_virtual(scene())


def test_a_request_with_tools_takes_one_place_however_many_rounds_it_has() -> None:
    async def scene() -> None:
        rounds = [[call("look", {"n": n})] for n in range(3)]
        house = House(CallingModel.playing(*rounds, ["first"], ["second"]), StubTool(seconds=0.2))

        first = await house.answerer.open(QUESTION)
        second = await house.answerer.open(QUESTION)
        texts = await asyncio.gather(first.collect(), second.collect())

        assert [done.text for done in texts] == ["first", "second"]
        assert [request.request_id for request in house.model.requests] == ["r1", "r1+2", "r1+3", "r1+4", "r1"]
        assert house.telemetry.outcomes() == ["dispatched"] * 2

    run_virtual(scene())


def test_an_exchange_of_v1_has_no_tools_of_ours() -> None:
    async def scene() -> None:
        house = House(CallingModel.playing(["x"]), StubTool())
        dialogue = Dialogue("", (), (), Message("user", "?"))

        answer = await house.answerer.open_exchange(Exchange("r", Caller("", "u"), dialogue, Sampling(), Backend.LLAMA))
        await answer.collect()

        assert [request.tools for request in house.model.requests] == [None]

    run_virtual(scene())


def test_a_model_that_is_down_refuses_before_any_tool() -> None:
    async def scene() -> None:
        tool = StubTool()
        house = House(CallingModel.playing([call("look")], ["x"]), tool)
        house.line.set_capacity(Capacity(0, False, None))

        with pytest.raises(ModelUnavailable):
            await house.answerer.open(QUESTION)

        assert tool.runs == []

    run_virtual(scene())


async def without_model(question: Question, *tools: Tool) -> tuple[House, Done]:
    house = House(CallingModel.playing(["x"]), *tools)
    house.line.set_capacity(Capacity(0, False, None))
    answer = await house.answerer.open(question)
    done = await answer.collect()
    await answer.close()
    return house, done


def test_a_question_for_a_tool_alone_is_answered_where_no_model_serves() -> None:
    async def scene() -> None:
        question = Question("r", Caller("", "u"), "서울은 몇 시?", {}, "c1", "t1", False, Backend.LLAMA, "en")

        house, done = await without_model(question, CurrentTime())

        assert done.text == "현재 시각(서울)은 2026년 7월 21일 화요일 12시 00분입니다."
        assert [(step.name, step.state) for step in done.steps] == [("current_time", "done")]
        assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.history_saved) == (0, 0, True)
        assert house.model.requests == []
        assert house.told.called == [("current_time", "ok")]

    run_virtual(scene())


@pytest.mark.parametrize("text", ["회의는 몇 시?", "안녕하세요!", "1/0은?", "오늘의 운세를 바탕으로 계획을 세워 줘"])
def test_a_question_that_takes_a_model_is_refused_as_before(text: str) -> None:
    async def scene() -> None:
        with pytest.raises(ModelUnavailable):
            await without_model(replace(QUESTION, text=text), *built_in())

    run_virtual(scene())


def test_the_second_backend_is_asked_before_tools_answer_alone() -> None:
    async def scene() -> None:
        house = House(CallingModel.playing(["x"]), CurrentTime())
        remote = CallingModel.playing(["from afar"])
        house.routes[Backend.OPENAI] = BackendRoute(remote, house.admission(), PromptTemplates("be kind"))
        house.line.set_capacity(Capacity(0, False, None))

        afar = await (await house.answerer.open(QUESTION)).collect()
        remote.refusal = lambda request: BackendUnavailable("down")
        near = await (await house.answerer.open(QUESTION)).collect()

        assert afar.text == "from afar"
        assert near.text.startswith("현재 시각(서울)")

    run_virtual(scene())
