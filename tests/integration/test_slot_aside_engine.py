"""One slot of a real engine process, and a tool that takes seconds: the row is others', the prompt stays computed."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.pump import Answer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Done, Question
from chatbot.core.tools.contract import ToolContext, ToolResult
from chatbot.domain.chat import Caller
from chatbot.domain.generation import Backend, Finished, GenerationEvent, GenerationRequest, Sampling
from chatbot.llm.engine_host import EngineHost
from chatbot.llm.llama_cpp import LlamaCppGenerator
from parts.calling_model import CountingCalls
from parts.engine_hosts import Engine, eventually, running_engine
from parts.fakes import CountingTelemetry, MemoryStore
from parts.toy_gguf import make_toy

SYSTEM = "You are an office assistant who answers kindly and briefly, and looks things up in the books. " * 4
GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=96)


class Books:
    """A tool that ends when a test lets it."""

    name = "look"
    description = "Looks into the books."
    parameters = {"type": "object", "properties": {}}

    def __init__(self) -> None:
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.was_cancelled = False

    async def run(self, arguments: object, context: ToolContext) -> ToolResult:
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return {"value": "page 7"}

    def say(self, result: ToolResult, language: str) -> str:
        return str(result["value"])


class Insisting(LlamaCppGenerator):
    """A toy calls by chance. This one must call in its first round; "c" ends when a test lets it."""

    def __init__(self, host: EngineHost) -> None:
        super().__init__(host)
        self.ends: dict[str, Finished] = {}
        self.begun: list[str] = []
        self.c_may_end = asyncio.Event()

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:  # type: ignore[override]
        self.begun.append(request.request_id)
        if request.tools is not None and not request.dialogue.rounds:
            request = replace(request, tools=replace(request.tools, must_call=True, is_parallel=False))
        elif request.tools is not None:
            request = replace(request, tools=replace(request.tools, may_call=False))
        async for event in super().generate(request):
            if isinstance(event, Finished):
                self.ends[request.request_id] = event
                if request.request_id == "c":
                    await self.c_may_end.wait()
            yield event


class House:
    """The core with a tool before one engine of one slot."""

    def __init__(self, engine: Engine, tool: Books) -> None:
        telemetry = CountingTelemetry()
        self.telemetry, self.engine = telemetry, engine
        self.model = Insisting(engine.host)
        self.line = Admission(AdmissionPolicy(180.0, 64), engine.host.capacity(), telemetry)
        box = Toolbox("office", [tool], AgentBounds(tool_seconds=60, all_tools_seconds=60), CountingCalls())
        route = BackendRoute(self.model, self.line, PromptTemplates(SYSTEM), Agent(box, "Asia/Seoul"))
        history = History("office", MemoryStore(), telemetry, refuses_when_down=True)
        policy = AnswerPolicy(180.0, 120.0, GREEDY)
        self.answerer = Answerer("office", {Backend.LLAMA: route}, history, policy, telemetry)

    async def ask(self, name: str, *, has_tools: bool = False) -> Answer:
        question = Question(name, Caller("", name), f"{name}: 회의실은?", {}, None, None, False, Backend.LLAMA, "ko")
        if not has_tools:
            question = replace(question, wishes=replace(question.wishes, tools=()))
        return await self.answerer.open(question)

    def cells_in_use(self) -> float:
        stats = self.engine.host.stats()
        return stats["kv_cells_active"] + stats["active"] + stats["waiting"]


async def test_one_slot_serves_another_while_a_tool_runs_and_the_first_goes_on_before_the_newest(
    tmp_path: Path,
) -> None:
    path = make_toy(tmp_path / "toy.gguf", n_layers=1, context=2048, n_vocab=1100)
    async with running_engine(path, slots=1, threads=1, context_tokens=1536) as engine:
        await engine.serves()
        house, tool = House(engine, books := Books()), books

        first = await house.ask("a", has_tools=True)
        async with asyncio.timeout(60):
            await tool.began.wait()
        second = await asyncio.wait_for((await house.ask("b")).collect(), 60)
        assert not tool.may_end.is_set()
        third_runs = await house.ask("c")
        await eventually(lambda: "c" in house.model.begun)
        fourth = await house.ask("d")
        tool.may_end.set()
        await eventually(lambda: house.line._slots.first_back() is not None)  # a wants its slot back
        house.model.c_may_end.set()
        ended: list[tuple[str, Done]] = []

        async def collect(name: str, answer: Answer) -> None:
            ended.append((name, await answer.collect()))

        async with asyncio.timeout(120):
            await asyncio.gather(collect("a", first), collect("c", third_runs), collect("d", fourth))

        assert second.usage.completion_tokens > 0
        assert house.model.begun == ["a", "b", "c", "a+2", "d"]  # c ran already; d was new
        assert house.telemetry.outcomes() == ["dispatched"] * 4
        decided, answered = house.model.ends["a"].usage, house.model.ends["a+2"].usage
        computed = answered.prompt_tokens - answered.cached_tokens
        # The cells of its first round were moved aside for two others, and are there again: calls and results are new.
        assert answered.cached_tokens >= 0.8 * decided.prompt_tokens
        assert computed < answered.prompt_tokens / 2
        await eventually(lambda: house.cells_in_use() == 0)


async def test_a_client_that_leaves_during_a_tool_frees_tool_slot_and_cells(tmp_path: Path) -> None:
    path = make_toy(tmp_path / "toy.gguf", n_layers=1, context=2048, n_vocab=1100)
    async with running_engine(path, slots=1, threads=1, context_tokens=1536) as engine:
        await engine.serves()
        tool = Books()
        house = House(engine, tool)
        first = await house.ask("a", has_tools=True)
        async with asyncio.timeout(60):
            await tool.began.wait()
        await eventually(lambda: house.line.line("office").aside == 1)

        began = time.monotonic()
        await first.close()

        assert time.monotonic() - began < 30
        line = house.line.line("office")
        assert (tool.was_cancelled, line.running, line.aside, line.depth) == (True, 0, 0, 0)
        assert (await asyncio.wait_for((await house.ask("b")).collect(), 60)).usage.completion_tokens > 0
        await eventually(lambda: house.cells_in_use() == 0)
        assert house.model.begun == ["a", "b"]
