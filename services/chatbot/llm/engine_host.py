"""The API process's engine: one engine process kept serving the wanted file, and one place to ask about it.

Why the engine is a process of its own: docs/adr/0003. Its life is in `supervision`; requests wait here while there is
none, and the waiting line is told when to hold back.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chatbot.domain.chat import Dialogue
from chatbot.domain.errors import ModelUnavailable, TimedOut
from chatbot.domain.model import Capacity, ModelInfo, ModelStatus
from chatbot.llm.dialogue_frames import dialogue_frame
from chatbot.llm.engine.frames import LoadFrame
from chatbot.llm.supervision.engine_child import ENGINE_COMMAND, EngineChild
from chatbot.llm.supervision.engine_stats import EngineStats
from chatbot.llm.supervision.inspection import INSPECTION_COMMAND, fault_in_header
from chatbot.llm.supervision.life_cycle import LifeCycle
from chatbot.llm.supervision.model_file import Fault, ModelFile
from chatbot.llm.supervision.status_board import StatusBoard
from chatbot.llm.supervision.watchdog import Watchdog

DEMO_MODEL_NAME = "chatbot-demo"
"""`general.name` of the toy in services/demo-model."""

_SLOTS_BEFORE_FIRST_LOAD = 4
_TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine is started with. 0 asks for the engine's own default of this machine.

    Attributes:
        smoke: The dialogue of the smoke answer, from the service's own prompt files.
        context_tokens: Most tokens of one request; clipped to what the file supports.
        slots: Generations at once.
        kv_tokens: Shared pool, tokens.
        step_tokens: Most tokens of one step.
        idle_tokens: Cells of sequences that may stay although nobody runs them; -1 is the engine's default.
        host_cache_mib: Main memory for evicted ones; -1 is the engine's default.
        step_seconds: About how long a step beside running answers may take.
        without: Parts of the engine to leave out (`batching.tuning`).
        gpu_layers: -1 is all.
        chat_format: "" detects it from the file.
        tool_dialect: "" detects it from the file; generic takes that.
        load_timeout_seconds: Longest load, smoke answer included.
        name: Name for clients; "" takes the file's.
        ready_during_swap: Whether a planned swap keeps the process ready.
        pooling: Of an embedding model; "" asks its file, then its family.
        family: Name by which an embedding model's family is found; "" takes the file's.
        command: How an engine process is started; the socket's descriptor is appended.
        inspection: How a header is inspected before a swap; the path is appended. Empty: not at all.
    """

    smoke: Dialogue
    context_tokens: int = 8192
    slots: int = 0
    kv_tokens: int = 0
    step_tokens: int = 0
    idle_tokens: int = -1
    host_cache_mib: int = -1
    step_seconds: float = 0.25
    without: tuple[str, ...] = ()
    threads: int = 0
    gpu_layers: int = -1
    chat_format: str = ""
    tool_dialect: str = ""
    load_timeout_seconds: float = 300.0
    name: str = ""
    ready_during_swap: bool = False
    pooling: str = ""
    family: str = ""
    command: tuple[str, ...] = ENGINE_COMMAND
    inspection: tuple[str, ...] = INSPECTION_COMMAND


class EngineHost:
    """One engine, from `start` to `stop`. Belongs to one event loop, and never raises for what a file holds.

    Args:
        options: Sizes and limits.
        on_capacity: Called in the event loop when capacity changes, and every second while closed.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        options: EngineOptions,
        on_capacity: Callable[[Capacity], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._on_capacity = on_capacity
        self._clock = clock
        self._board = StatusBoard(options.ready_during_swap, clock)
        self._life = LifeCycle(self._spawn, self._board, self._publish, self._inspect, clock)
        self._process: EngineChild | None = None
        self._stats = EngineStats()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_over = False

    async def start(self, path: Path, revision: str = "", sha256: str = "") -> None:
        """Begin to serve a file; returns at once, `status()` tells how it goes."""
        self._life.want(ModelFile(path, revision, sha256))
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._life.run()), asyncio.create_task(self._tick())]
        self._publish()

    async def swap(self, path: Path, revision: str, sha256: str = "") -> None:
        """Serve another file instead: running generations end first, and a bad file is taken back.

        Returns at once; `status()` tells how it goes.
        """
        await self.start(path, revision, sha256)

    async def stop(self) -> None:
        """End the engine process; running generations raise `EngineLost`. For good, and idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        self._is_over = True
        self._life.opened.set()  # whoever waits for an engine learns that none comes

    def no_model(self, message: str) -> None:
        """Say that nothing is configured to be served; `message` holds the remedy."""
        self._board.no_model(message)
        self._publish()

    def identify(self, path: Path, sha256: str) -> None:
        """Tell the sum of a file that was started without one; its revision is the first 16 hex of it."""
        self._life.identify(path, sha256, sha256[:16])

    def status(self) -> ModelStatus:
        """What `GET :9090/model` answers."""
        return self._board.status

    def ready(self) -> bool:
        """Whether this process should get requests; draining is the server's own matter."""
        return self._board.ready

    def capacity(self) -> Capacity:
        """What the waiting line may count on now."""
        ready = self._life.served_as
        slots = ready["slots"] if ready is not None else self._options.slots or _SLOTS_BEFORE_FIRST_LOAD
        return Capacity(slots, self._life.child is not None, self._life.opens_in_seconds())

    def load_fraction(self) -> float:
        """Progress of the running load, 0-1; 1 while none runs."""
        if self._process is None or self._process.ready.done():
            return 1.0
        return self._process.load_fraction

    def stats(self) -> dict[str, float]:
        """Numbers of the engine's heartbeats: counters over all engine processes, and gauges."""
        if self._process is not None:
            self._stats.update(self._process.stats)
        return self._stats.totals()

    def model(self) -> ModelInfo | None:
        """The file that is served, or was until the engine went down; None before the first."""
        served, ready = self._life.served, self._life.served_as
        if served is None or ready is None:
            return None
        return ModelInfo(
            name=self._options.name or ready["name"] or served.path.stem,
            revision=served.revision,
            sha256=served.sha256,
            context_tokens=ready["context_tokens"],
            chat_format=ready["chat_format"],
            tool_dialect=ready.get("tool_dialect", ""),
            is_demo=ready["name"] == DEMO_MODEL_NAME,
        )

    def child(self) -> EngineChild | None:
        """The engine process that takes generations now."""
        return self._life.child

    async def serving_child(self, deadline: float) -> EngineChild:
        """Wait for an engine that serves.

        Args:
            deadline: `time.monotonic()` seconds.

        Raises:
            TimedOut: There was none until the deadline.
            ModelUnavailable: The host was stopped.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                while (child := self._life.child) is None:
                    if self._is_over:
                        raise ModelUnavailable("stopped")
                    await self._life.opened.wait()
        except TimeoutError:
            raise TimedOut("generation") from None
        return child

    async def _spawn(self, model: ModelFile) -> EngineChild:
        if self._process is not None:
            self._stats.update(self._process.stats)
            self._stats.process_ended()
        options = self._options
        load: LoadFrame = {
            "type": "load",
            "model_path": str(model.path),
            "context_tokens": options.context_tokens,
            "slots": options.slots,
            "kv_tokens": options.kv_tokens,
            "step_tokens": options.step_tokens,
            "idle_tokens": options.idle_tokens,
            "host_cache_mib": options.host_cache_mib,
            "step_seconds": options.step_seconds,
            "without": list(options.without),
            "threads": options.threads,
            "gpu_layers": options.gpu_layers,
            "chat_format": options.chat_format,
            "tool_dialect": options.tool_dialect,
            "smoke": dialogue_frame(options.smoke),
            "pooling": options.pooling,
            "family": options.family,
        }
        watchdog = Watchdog(options.load_timeout_seconds, self._clock)
        self._process = await EngineChild.spawn(load, watchdog, options.command)
        return self._process

    async def _inspect(self, path: Path) -> Fault | None:
        return await fault_in_header(path, self._options.inspection)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            if self._life.child is None:
                self._publish()

    def _publish(self) -> None:
        self._on_capacity(self.capacity())
