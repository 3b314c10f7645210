"""Calls of the caller's tools on their way from a generator to a reader: whole, in order, once."""

import asyncio
from typing import Any

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.delivery import MAX_UNREAD_BYTES, Outbox, ReaderTooSlow
from chatbot.core.answering.pump import Answer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Done, Exchange, Queued
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import EngineLost
from chatbot.domain.generation import Backend, Finished, FinishReason, Sampling, TextPiece, Timings, Usage
from chatbot.domain.model import Capacity
from chatbot.domain.tools import ToolCall, ToolDefinition, ToolUse
from parts.fakes import CountingTelemetry, MemoryStore, ScriptedGenerator
from parts.virtual_time import run_virtual

FIRST, SECOND = ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g")
CALLED = Finished(FinishReason.TOOL_CALLS, Usage(9, 5), Timings())
USE = ToolUse((ToolDefinition("f"), ToolDefinition("g")))


async def asked(*scripts: Any) -> tuple[Answer, ScriptedGenerator, CountingTelemetry]:
    generator, telemetry = ScriptedGenerator(*scripts), CountingTelemetry()
    clock = asyncio.get_running_loop().time
    line = Admission(AdmissionPolicy(60, 8), Capacity(1, True), telemetry, clock=clock)
    routes = {Backend.LLAMA: BackendRoute(generator, line, PromptTemplates("be kind"))}
    history = History("office", MemoryStore(), telemetry, refuses_when_down=True, clock=clock)
    policy = AnswerPolicy(60.0, 30.0, Sampling())
    answerer = Answerer("office", routes, history, policy, telemetry, clock=clock)
    dialogue = Dialogue("", (), (), Message("user", "Hi"), may_shorten=False)
    exchange = Exchange("r", Caller("", "u"), dialogue, Sampling(), Backend.LLAMA, tools=USE)
    return await answerer.open_exchange(exchange), generator, telemetry


def test_calls_reach_reader_and_end_in_order_behind_the_text_before_them() -> None:
    async def play() -> None:
        answer, generator, telemetry = await asked([1.0, "볼게요", FIRST, 1.0, SECOND, CALLED])
        events = [event async for event in answer.events() if not isinstance(event, Queued)]

        assert events[:-1] == [TextPiece("볼게요", 1), FIRST, SECOND]
        end = events[-1]
        assert isinstance(end, Done)
        assert (end.text, end.calls, end.finish_reason) == ("볼게요", (FIRST, SECOND), FinishReason.TOOL_CALLS)
        assert generator.requests[0].tools == USE
        assert telemetry.ended == [("office", FinishReason.TOOL_CALLS, 9, 5)]
        assert len(telemetry.first_tokens) == 1

    run_virtual(play())


def test_a_call_that_nobody_read_is_made_anew_when_the_engine_dies() -> None:
    async def play() -> None:
        answer, generator, _ = await asked([1.0, FIRST, 1.0, EngineLost()], [SECOND, CALLED])

        assert (await answer.collect()).calls == (SECOND,)
        assert len(generator.requests) == 2

    run_virtual(play())


def test_a_call_that_was_read_is_never_made_twice() -> None:
    async def play() -> None:
        answer, generator, _ = await asked([1.0, FIRST, 1.0, EngineLost()], [SECOND, CALLED])
        seen = []
        with pytest.raises(EngineLost):
            async for event in answer.events():
                seen.append(event)

        assert [event for event in seen if isinstance(event, ToolCall)] == [FIRST]
        assert len(generator.requests) == 1

    run_virtual(play())


def test_calls_that_are_not_read_count_as_unread() -> None:
    async def play() -> None:
        outbox = Outbox()
        half = ToolCall("a", "f", "x" * (MAX_UNREAD_BYTES // 2))
        outbox.call(half)
        outbox.call(half)
        reader = outbox.events()
        assert await anext(reader) == half
        outbox.call(half)
        with pytest.raises(ReaderTooSlow):
            outbox.text(TextPiece("x"))

    run_virtual(play())
