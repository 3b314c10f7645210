"""Answers of several generations under limits: each one is reserved for, and what is left is never passed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.limits.estimate import prompt_bytes
from chatbot.core.limits.hold import generations_of
from chatbot.core.limits.ledger import MemoryAccounts
from chatbot.core.limits.limiter import Limiter, LimiterPolicy
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Done, Question
from chatbot.domain.chat import Caller
from chatbot.domain.generation import Backend, Finished, GenerationEvent, GenerationRequest, Sampling, TextPiece, Usage
from chatbot.domain.limits import Limited, Limits, Policy, RateLimited, Subject
from chatbot.domain.model import Capacity
from parts.calling_model import CallingModel, CountingCalls, StubTool, call
from parts.fakes import CountingTelemetry, MemoryStore
from parts.limit_racer import Silent
from parts.virtual_time import run_virtual

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


class Greedy(CallingModel):
    """Uses every token that it may."""

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        async for event in super().generate(request):
            if isinstance(event, Finished):
                times = generations_of(request)
                most = request.sampling.most_tokens or 0
                usage = Usage(prompt_bytes(request) * times, most * times)
                event = Finished(event.reason, usage, event.timings)
            yield event


class House:
    """One service with a tool, before a model that calls it in every round, under one limit."""

    def __init__(self, tokens_per_day: int, model: CallingModel) -> None:
        clock = asyncio.get_running_loop().time
        self.limited = Limited(Subject.KEY, Limits(tokens_per_day=tokens_per_day, account="key/a"))
        telemetry, self.model, self.tool = CountingTelemetry(), model, StubTool()
        self.accounts = MemoryAccounts()
        policy = LimiterPolicy(call_seconds=600.0)
        self.limiter = Limiter(self.accounts, policy, Silent(), clock=clock, now=lambda: NOON)
        line = Admission(AdmissionPolicy(60, 8), Capacity(1, True), telemetry, clock=clock)
        box = Toolbox("office", (self.tool,), AgentBounds(), CountingCalls(), clock=clock)
        route = BackendRoute(model, line, PromptTemplates("be kind"), Agent(box, "Asia/Seoul"))
        history = History("office", MemoryStore(), telemetry, refuses_when_down=True, clock=clock)
        answers = AnswerPolicy(60.0, 30.0, Sampling(max_tokens=200), limiter=self.limiter)
        self.answerer = Answerer("office", {Backend.LLAMA: route}, history, answers, telemetry, clock=clock)

    async def ask(self) -> Done:
        caller = Caller("t", "u", "k", (self.limited,))
        question = Question("r", caller, "What is there?", {}, None, None, False, Backend.LLAMA, "en")
        try:
            answer = await self.answerer.open(question)
            return await answer.collect()
        finally:
            await self.answerer.idle()

    async def used(self) -> int:
        (standing,) = (await self.limiter.quota([self.limited])).standings
        assert standing.policy is Policy.TOKENS_DAY
        return standing.used


def test_a_model_that_calls_for_ever_and_uses_all_it_may_passes_no_limit() -> None:
    async def scene() -> list[tuple[int, int]]:
        seen = []
        for limit in range(600, 12_000, 150):
            house = House(limit, Greedy.playing([call("look")]))
            try:
                await house.ask()
            except RateLimited:
                pass
            seen.append((await house.used(), len(house.model.requests)))
            assert seen[-1][0] <= limit, limit
        return seen

    rounds = {count for _, count in run_virtual(scene())}
    assert {1, 2, 3} <= rounds, "all kinds of ends were met"


def test_where_nothing_is_left_for_another_round_what_was_found_is_the_answer() -> None:
    async def scene() -> list[str]:
        said = []
        for limit in range(600, 2_000, 50):
            house = House(limit, Greedy.playing([call("look")]))
            try:
                done = await house.ask()
            except RateLimited:
                assert not house.model.requests, "nothing was found yet"
                continue
            if len(house.model.requests) == 1:
                said.append(done.text)
        return said

    said = run_virtual(scene())
    assert said and set(said) == {"en: 7"}


def test_rounds_before_a_refusal_are_paid_also_where_there_is_no_answer() -> None:
    async def scene() -> int:
        refused = 0
        for limit in range(600, 2_000, 50):
            house = House(limit, Greedy.playing([call("look")]))
            house.tool.failure = ZeroDivisionError()  # nothing is found that could be said
            try:
                await house.ask()
            except RateLimited:
                refused += bool(house.model.requests)
                assert (await house.used() > 0) == bool(house.model.requests), limit
        return refused

    assert run_virtual(scene())


def test_each_round_is_charged_as_it_was_used() -> None:
    async def scene() -> None:
        house = House(100_000, CallingModel.playing([call("look")], ["se", "ven"]))
        done = await house.ask()

        assert (done.text, await house.used()) == ("seven", 10 + 1 + 10 + 2)

    run_virtual(scene())


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_client_that_leaves_in_the_second_round_pays_for_both(pieces: int) -> None:
    class Waiting(CallingModel):
        """Tells the second answer only as far as a test wants."""

        async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
            if not self.requests:
                async for event in super().generate(request):
                    yield event
                return
            self.requests.append(request)
            for _ in range(pieces):
                yield TextPiece("seven")
            await asyncio.sleep(25)

    async def scene() -> None:
        house = House(100_000, Waiting.playing([call("look")]))
        caller = Caller("t", "u", "k", (house.limited,))
        question = Question("r", caller, "?", {}, None, None, False, Backend.LLAMA, "en")
        answer = await house.answerer.open(question)
        await asyncio.sleep(20)  # of a clock that jumps
        assert len(house.model.requests) == 2
        await answer.close()
        await house.answerer.idle()

        second = house.model.requests[1]
        likely = round(prompt_bytes(second) * 10 / prompt_bytes(house.model.requests[0]))
        assert await house.used() == 11 + likely + pieces

    run_virtual(scene())
