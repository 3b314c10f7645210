"""One service with tools in virtual time: the line, the loop, the answers, and a model that does what a test says."""

import asyncio
from datetime import UTC, datetime

from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.prompt import PromptTemplates
from chatbot.core.tools.contract import Tool
from chatbot.domain.generation import Backend, Sampling
from chatbot.domain.model import Capacity

from parts.calling_model import CallingModel, CountingCalls
from parts.fakes import CountingTelemetry, MemoryStore

NOON = datetime(2026, 7, 21, 3, tzinfo=UTC)


class House:
    """One service with tools before a model that does what a test says; by itself one slot."""

    def __init__(self, model: CallingModel, *tools: Tool, slots: int = 1) -> None:
        self.clock = asyncio.get_running_loop().time
        self.model, self.telemetry, self.told, self.store = model, CountingTelemetry(), CountingCalls(), MemoryStore()
        self._slots = slots
        self.line = self.admission()
        box = Toolbox("office", tools, AgentBounds(), self.told, clock=self.clock)
        agent = Agent(box, "Asia/Seoul", lambda: NOON)
        route = BackendRoute(model, self.line, PromptTemplates("be kind"), agent)
        history = History("office", self.store, self.telemetry, refuses_when_down=True, clock=self.clock)
        policy = AnswerPolicy(60.0, 30.0, Sampling(), may_fall_back=True)
        self.routes = {Backend.LLAMA: route}
        self.answerer = Answerer("office", self.routes, history, policy, self.telemetry, clock=self.clock)

    def admission(self) -> Admission:
        return Admission(AdmissionPolicy(60, 8), Capacity(self._slots, True), self.telemetry, clock=self.clock)

    def is_free(self) -> bool:
        line = self.line.line("office")
        return (line.depth, line.running, line.aside) == (0, 0, 0)
