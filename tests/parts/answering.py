"""A waiting line and an answerer before an engine host, and clients that never stop asking."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.pump import Answer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.prompt import PromptTemplates
from chatbot.core.question import Done, Exchange
from chatbot.core.waiting.ticket import Phase
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.errors import Busy, ChatError, Unavailable
from chatbot.domain.generation import Backend, Sampling, TextPiece
from chatbot.domain.model import Capacity

from parts.engine_hosts import Engine
from parts.fakes import CountingTelemetry, MemoryStore

GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=24)


@dataclass(eq=False)
class Asked:
    """One accepted request and what came of it."""

    prompt: str
    answer: Answer
    text: str = ""
    whole: str | None = None
    error: ChatError | None = None
    accepted_at: float = field(default_factory=time.monotonic)
    first_text_at: float | None = None
    ended_at: float | None = None
    was_hit_running: bool = False

    @property
    def waits(self) -> bool:
        ticket = self.answer._ticket
        return self.ended_at is None and ticket is not None and ticket.phase is Phase.WAITING


class Service:
    """The core before one engine, as the server wires it."""

    def __init__(self, engine: Engine, generation_seconds: float = 120.0) -> None:
        telemetry = CountingTelemetry()
        self.engine = engine
        self.line = Admission(AdmissionPolicy(180.0, 512), engine.host.capacity(), telemetry)
        engine.on_capacity = self._set_capacity
        route = BackendRoute(engine.generator, self.line, PromptTemplates("be kind"))
        history = History("office", MemoryStore(), telemetry, refuses_when_down=True)
        policy = AnswerPolicy(180.0, generation_seconds, Sampling())
        self.answerer = Answerer("office", {Backend.LLAMA: route}, history, policy, telemetry)
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        self.is_over = False

    def _set_capacity(self, capacity: Capacity) -> None:
        self.line.set_capacity(capacity)

    async def ask(self, user: str, prompt: str, sampling: Sampling = GREEDY, *, streams: bool = True) -> Asked:
        """One request to its end.

        Raises:
            Busy, Unavailable: It was not accepted.
        """
        dialogue = Dialogue("", (), (), Message("user", prompt), may_shorten=False)
        request_id = f"{user}-{len(self.asked)}-{time.monotonic_ns()}"
        answer = await self.answerer.open_exchange(
            Exchange(request_id, Caller("", user), dialogue, sampling, Backend.LLAMA)
        )
        asked = Asked(prompt, answer)
        self.asked.append(asked)
        try:
            await (_stream(asked) if streams else _collect(asked))
        except ChatError as exc:
            asked.error = exc
        finally:
            asked.ended_at = time.monotonic()
            await answer.close()
        return asked

    async def client(self, user: str, prompts: list[str], *, streams: bool) -> None:
        """Ask one prompt after the other until it is over; a refusal is obeyed quickly and counted."""
        n = 0
        while not self.is_over:
            try:
                await self.ask(user, prompts[n % len(prompts)], streams=streams)
                n += 1
            except (Busy, Unavailable) as exc:
                self.refused.append(type(exc).__name__)
                await asyncio.sleep(0.2)

    def waiting(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.waits]


async def _stream(asked: Asked) -> None:
    async for event in asked.answer.events():
        if isinstance(event, TextPiece):
            asked.text += event.text
            asked.first_text_at = asked.first_text_at or time.monotonic()
        elif isinstance(event, Done):
            asked.whole = event.text


async def _collect(asked: Asked) -> None:
    asked.text = asked.whole = (await asked.answer.collect()).text


def percentile(values: list[float], share: float) -> Any:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None
