"""One engine process: spawned, spoken to, watched, and ended. It never comes back; the engine host makes a new one."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from chatbot.domain.errors import EngineLost
from chatbot.domain.model import ModelReason
from chatbot.llm.engine.frames import HEADER_BYTES, FrameError, LoadFrame, ReadyFrame, body_length, decode, encode
from chatbot.llm.supervision.model_file import Fault
from chatbot.llm.supervision.stream import GenerationStream
from chatbot.llm.supervision.watchdog import TICK_SECONDS, Stuck, Watchdog

ENGINE_COMMAND = (sys.executable, "-P", "-m", "chatbot.llm.engine.process")
"""`-P`: a file in the working directory must never shadow a module of the child."""

SPINS = 1_000
"""So often a thread of llama.cpp looks for the others before it sleeps, some 20 us; libgomp itself 300,000 times. Where
others use the same CPUs, the one that is waited for may have none: who sleeps leaves it his."""

_EXIT_SECONDS = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an engine process ended.

    Attributes:
        reason: What the engine itself said about the file, or LoadTimeout; None where it died without a word.
        message: For a person; never text of a user.
        asked: Whether `stop` ended it.
    """

    reason: ModelReason | None
    message: str
    asked: bool

    def fault(self) -> Fault:
        """Why the file is not served, where this was one death too many."""
        if self.reason is not None:
            return Fault(self.reason, self.message)
        hint = "look for what kills it: the memory limit, a faulty GPU, a broken file"
        return Fault(ModelReason.ENGINE_CRASHED, f"Three deaths of the engine within 5 minutes; {hint}. {self.message}")


class EngineChild:
    """A running engine process. Use `spawn`; everything else from the same event loop.

    Attributes:
        ready: Its `ready` frame; never set where it ends before.
        ended: How it ended; the process is gone and every stream has its end by then.
        load_fraction: Load progress, 0-1.
        stats: Numbers of the last heartbeat.
        on_end: Called at the end of each generation, with its seconds where it finished well, else None.
        is_gone: Whether it takes no more generations; `ended` follows when it is buried.
        on_gone: Called when it takes no more generations, before those that run learn of it.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        watchdog: Watchdog,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._process, self._reader, self._writer, self._watchdog = process, reader, writer, watchdog
        self._streams: dict[str, tuple[GenerationStream, float]] = {}
        self._measures: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._verdict: Stuck | None = None
        self._said: tuple[ModelReason, str] | None = None
        self._is_asked = False
        self.ready: asyncio.Future[ReadyFrame] = loop.create_future()
        self.ended: asyncio.Future[Ending] = loop.create_future()
        self.is_gone = False
        self.load_fraction = 0.0
        self.stats: Mapping[str, float] = {}
        self.on_end: Callable[[float | None], None] = lambda seconds: None
        self.on_gone: Callable[[], None] = lambda: None
        self._life = loop.create_task(self._live())

    @classmethod
    async def spawn(cls, load: LoadFrame, watchdog: Watchdog, command: tuple[str, ...] = ENGINE_COMMAND) -> Self:
        """Start a process on one end of a socket pair and tell it what to load.

        Raises:
            OSError: The machine gives no process or no sockets.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    *_death_signal_flag(),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env=_environment(),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                )
            except BaseException:
                writer.close()
                raise
        child = cls(process, reader, writer, watchdog)
        child._write(encode(load))
        return child

    @property
    def pid(self) -> int:
        """Process id, for logs and tests."""
        return self._process.pid

    def running_seconds(self) -> list[float]:
        """How long each running generation has taken so far."""
        now = time.monotonic()
        return [now - started for _, started in self._streams.values()]

    def start(self, generation_id: str, frame: bytes) -> GenerationStream:
        """Start a generation.

        Raises:
            EngineLost: The process is gone.
        """
        if self.is_gone:
            raise EngineLost
        stream = GenerationStream()
        self._streams[generation_id] = stream, time.monotonic()
        self._write(frame)
        return stream

    def drop(self, generation_id: str) -> None:
        """End a generation wherever it is; nothing happens where it has ended."""
        held = self._streams.pop(generation_id, None)
        if held is not None:
            self._cancel(generation_id)
            self.on_end(None)

    async def measure(self, measure_id: str, frame: bytes) -> dict[str, Any]:
        """Ask for a `measured` or an `embedded` frame.

        Raises:
            EngineLost: The process is gone.
        """
        if self.is_gone:
            raise EngineLost
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._measures[measure_id] = answer
        try:
            self._write(frame)
            return await answer
        finally:
            self._measures.pop(measure_id, None)

    async def stop(self) -> None:
        """End the process: it exits at the end of file, else it is killed after 5 s. Idempotent."""
        self._is_asked = True
        if not self.ready.done():
            self._kill()  # it reads no socket while it loads
        self._writer.close()
        await asyncio.wait([self._life])

    async def _live(self) -> None:
        watch = asyncio.create_task(self._watch())
        try:
            await self._read_frames()
        except (OSError, EOFError):
            pass  # the end of file, or a reset: it is gone
        except (FrameError, KeyError, TypeError, ValueError) as exc:
            # Only the kind: the frame may hold text of a user.
            _log.error("engine process %d sent a broken frame (%s)", self.pid, type(exc).__name__)
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            await self._bury()

    async def _read_frames(self) -> None:
        while True:
            header = await self._reader.readexactly(HEADER_BYTES)
            frame = decode(await self._reader.readexactly(body_length(header)))
            self._watchdog.heard()
            self._take(frame)

    def _take(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "step":
            for event in frame["events"]:
                self._deliver(event)
        elif kind == "heartbeat":
            self._watchdog.heartbeat(float(frame["step_seconds"]), float(frame["predicted_seconds"]))
            self.stats = {str(name): float(value) for name, value in frame["stats"].items()}
        elif kind in ("measured", "embedded"):
            answer = self._measures.get(frame["id"])
            if answer is not None and not answer.done():
                answer.set_result(frame)
        else:
            self._take_load(kind, frame)

    def _take_load(self, kind: str, frame: dict[str, Any]) -> None:
        if kind == "loading":
            self.load_fraction = float(frame["fraction"])
        elif kind == "ready":
            ready = ReadyFrame(**frame)  # type: ignore[typeddict-item]
            if int(ready["slots"]) < 1 or int(ready["context_tokens"]) < 1:
                raise ValueError("sizes")
            self._watchdog.loaded()
            if not self.ready.done():
                self.ready.set_result(ready)
        elif kind == "failed":
            self._said = ModelReason(frame["reason"]), str(frame["message"])

    def _deliver(self, event: Any) -> None:
        held = self._streams.get(event["id"])
        if held is None:
            return  # cancelled while this was under way
        stream, started = held
        if not stream.put(event):
            self._cancel(event["id"])
        if stream.finished:
            del self._streams[event["id"]]
            ended_well = event.get("finish") in ("stop", "length")
            self.on_end(time.monotonic() - started if ended_well else None)

    def _cancel(self, generation_id: str) -> None:
        self._write(encode({"type": "cancel", "id": generation_id}))

    def _write(self, frame: bytes) -> None:
        # Without drain: at most one frame per slot and a cancel are under way, and a child that stops
        # reading falls silent to the watchdog.
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def _watch(self) -> None:
        while self._verdict is None:
            await asyncio.sleep(TICK_SECONDS)
            self._verdict = self._watchdog.verdict()
        _log.error("engine process %d is stuck (%s), killing it", self.pid, self._verdict)
        self._kill()

    def _kill(self) -> None:
        # Not `Process.kill`: it polls first, and so takes the exit status from asyncio's own waiting thread.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def _bury(self) -> None:
        self.is_gone = True
        self.on_gone()
        self._writer.close()
        if not (self._is_asked or self._said):
            self._kill()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            self._kill()
            code = await self._process.wait()
        for stream, _ in self._streams.values():
            stream.lose()
        self._streams.clear()
        for answer in self._measures.values():
            if not answer.done():
                answer.set_exception(EngineLost())
        self.ended.set_result(self._ending(code))
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _ending(self, code: int) -> Ending:
        if self._said is not None:
            return Ending(*self._said, self._is_asked)
        if self._verdict is Stuck.LOAD:
            message = "The load took longer than CHATBOT_ENGINE_LOAD_TIMEOUT_SECONDS: raise it, or use a faster disk."
            return Ending(ModelReason.LOAD_TIMEOUT, message, self._is_asked)
        if self._verdict is not None:
            return Ending(None, f"The engine process was stuck ({self._verdict}) and was killed.", self._is_asked)
        how = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit status {code}"
        return Ending(None, f"The engine process ended with {how}.", self._is_asked)


def _environment() -> dict[str, str]:
    """Ours, and how threads wait for each other, which libgomp reads once, where it is loaded."""
    waiting = {} if "OMP_WAIT_POLICY" in os.environ else {"GOMP_SPINCOUNT": str(SPINS)}
    return {**waiting, **os.environ}


def _death_signal_flag() -> tuple[str, ...]:
    """Whether the child may ask to die with us: the kernel ties that to the *thread* that started it, see prctl(2)."""
    return ("--die-with-parent",) if threading.current_thread() is threading.main_thread() else ()
