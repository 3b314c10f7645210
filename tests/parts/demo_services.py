"""Both services on the demo model: the real engine process, answerers, prompt files and store, without HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Question
from chatbot.domain.chat import Caller
from chatbot.domain.generation import Backend, Sampling
from chatbot.domain.model import Capacity
from chatbot.llm.engine_host import EngineHost, EngineOptions
from chatbot.llm.llama_cpp import LlamaCppGenerator

from parts.dialogues import DEMO_MODEL, Spoken
from parts.fakes import CountingTelemetry

SLOTS = 4
_START_SECONDS = 60.0


class DemoServices:
    """Plays dialogues."""

    def __init__(self, answerers: dict[str, Answerer]) -> None:
        self._answerers = answerers
        self._numbers = count(1)

    async def last_answers(self, dialogues: Sequence[Spoken], *, with_history: bool = True) -> list[str]:
        """The answer to the last question of each dialogue, several dialogues at once."""
        width = asyncio.Semaphore(SLOTS)

        async def play(spoken: Spoken) -> str:
            async with width:
                return await self._play(spoken, f"dialogue-{next(self._numbers)}" if with_history else None)

        return await asyncio.gather(*(play(spoken) for spoken in dialogues))

    async def _play(self, spoken: Spoken, db_id: str | None) -> str:
        text = ""
        for asked in spoken.questions:
            question = Question(
                request_id=f"request-{next(self._numbers)}",
                caller=Caller("", "reader"),
                text=asked,
                fields=spoken.fields,
                db_id=db_id,
                turn_id=None,
                local_only=False,
                backend=Backend.LLAMA,
                language="en",
            )
            answer = await self._answerers[spoken.service].open(question)
            text = (await answer.collect()).text
        return text


@asynccontextmanager
async def demo_services(folder: Path, sampling: Sampling, model: Path = DEMO_MODEL) -> AsyncIterator[DemoServices]:
    """Start the engine on the model, wait until it serves, and stop it at the end."""
    telemetry = CountingTelemetry()
    admission = Admission(AdmissionPolicy(limit_seconds=180, max_waiting=512), Capacity(SLOTS, False, None), telemetry)
    templates = {name: PromptTemplates.shipped(name, Backend.LLAMA) for name in ("office", "character")}
    options = EngineOptions(templates["office"].smoke(), context_tokens=1024, slots=SLOTS, threads=1)
    host = EngineHost(options, admission.set_capacity)
    store = SqliteConversations.open(folder / "history.sqlite3", HistoryBounds())
    policy = AnswerPolicy(queue_seconds=180, generation_seconds=60, sampling=sampling)
    answerers = {
        name: Answerer(
            name,
            {Backend.LLAMA: BackendRoute(LlamaCppGenerator(host), admission, templates[name])},
            History(name, store, telemetry, refuses_when_down=True),
            policy,
            telemetry,
        )
        for name in templates
    }
    await host.start(model, "0" * 16)
    try:
        await host.serving_child(time.monotonic() + _START_SECONDS)
        yield DemoServices(answerers)
    finally:
        await host.stop()
        await store.close()
