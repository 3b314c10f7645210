"""Engine hosts to start in tests, and short ways to ask them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from chatbot.domain.chat import Dialogue, Message
from chatbot.domain.generation import Finished, GenerationRequest, Sampling
from chatbot.domain.model import Capacity, ModelState
from chatbot.llm.engine_host import EngineHost, EngineOptions
from chatbot.llm.llama_cpp import LlamaCppGenerator

from parts.scripted_child import SCRIPTED_COMMAND

SMOKE = Dialogue("You are an office assistant.", (), (), Message("user", "1+1="))


async def eventually(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until the condition holds, and give what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        await asyncio.sleep(0.01)
    return found


class Engine:
    """A host with its generator, and every capacity that it told."""

    def __init__(self, **options: Any) -> None:
        self.capacities: list[Capacity] = []
        self.told_at: list[float] = []
        options = {"smoke": SMOKE, "context_tokens": 2048} | options
        self.on_capacity: Callable[[Capacity], None] = lambda capacity: None
        self.host = EngineHost(EngineOptions(**options), self._capacity_told)
        self.generator = LlamaCppGenerator(self.host)
        self._count = 0

    def _capacity_told(self, capacity: Capacity) -> None:
        self.capacities.append(capacity)
        self.told_at.append(time.monotonic())
        self.on_capacity(capacity)

    @property
    def told(self) -> tuple[ModelState, str, str]:
        status = self.host.status()
        return status.state, status.revision, status.expected

    def reopenings(self) -> list[tuple[float, float]]:
        """Of each time that it closed after it was open: seconds it said it would take, and seconds it took."""
        found, closed = [], None
        for at, before, now in zip(self.told_at[1:], self.capacities, self.capacities[1:], strict=False):
            if before.open and not now.open:
                closed = at, now.opens_in_seconds
            elif now.open and closed is not None:
                found.append((closed[1], at - closed[0]))
                closed = None
        return found

    async def serves(self, revision: str = "a" * 16, seconds: float = 60.0) -> None:
        await eventually(lambda: self.host.child() and self.host.status().revision == revision, seconds)

    def request(self, text: str, *, seconds: float = 30.0, **sampling: Any) -> GenerationRequest:
        self._count += 1
        dialogue = Dialogue("", (), (), Message("user", text))
        return GenerationRequest(f"r{self._count}", dialogue, Sampling(**sampling), time.monotonic() + seconds)

    async def answer(self, text: str, *, seconds: float = 30.0, **sampling: Any) -> tuple[str, Finished]:
        pieces = []
        async with contextlib.aclosing(self.generator.generate(self.request(text, seconds=seconds, **sampling))) as got:
            async for event in got:
                if isinstance(event, Finished):
                    return "".join(pieces), event
                pieces.append(event.text)
        raise AssertionError("ended without an end")


@contextlib.asynccontextmanager
async def running_engine(path: Path, revision: str = "a" * 16, **options: Any) -> AsyncIterator[Engine]:
    """A real host on a real engine process, started on `path`; gone afterwards."""
    engine = Engine(**options)
    await engine.host.start(path, revision)
    try:
        yield engine
    finally:
        await engine.host.stop()


def scripted_engine(path: Path, revision: str = "a" * 16, **options: Any) -> Any:
    """The same on the scripted process."""
    return running_engine(path, revision, **({"command": SCRIPTED_COMMAND, "inspection": ()} | options))
