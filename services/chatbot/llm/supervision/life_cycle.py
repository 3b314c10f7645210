"""The life of the engine: which file it should serve, and the one task that makes it so.

A file that was wanted and is bad is *refused*: the last good one is served instead, until something else is wanted
or the file changes. Where there is no good one, the wanted file is tried again, for ever.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from chatbot.llm.engine.frames import ReadyFrame
from chatbot.llm.supervision.engine_child import Ending, EngineChild
from chatbot.llm.supervision.model_file import Fault, ModelFile, Signature, fault_at_a_glance, signature_of, size_of
from chatbot.llm.supervision.restart_policy import LoadForecast, RestartPolicy
from chatbot.llm.supervision.status_board import StatusBoard

RETRY_SECONDS = 60.0
"""How often a file that the engine refused is tried again where there is no other, besides when it changes."""

_LOOK_SECONDS = 1.0
_DRAIN_SECONDS = 600.0  # far beyond every deadline of a generation: only a defect is cut off
_FIRST_ANSWER_SECONDS = 5.0
_log = logging.getLogger(__name__)


class LifeCycle:
    """Owns the engine process.

    Args:
        spawn: Starts a process on a file.
        board: Is told everything that happens.
        on_change: Called when the engine opens or closes.
        inspect: What a file's header tells to be wrong; asked before an engine that serves is ended for the file.
        clock: Monotonic seconds.

    Attributes:
        child: The process that takes generations now, or None.
        opened: Set while there is one.
        served: The file that is served, or was last: what is gone back to.
        served_as: What its engine said of it.
    """

    def __init__(
        self,
        spawn: Callable[[ModelFile], Awaitable[EngineChild]],
        board: StatusBoard,
        on_change: Callable[[], None],
        inspect: Callable[[Path], Awaitable[Fault | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spawn, self._board, self._on_change, self._clock = spawn, board, on_change, clock
        self._inspect = inspect
        self.child: EngineChild | None = None
        self.opened = asyncio.Event()
        self.served: ModelFile | None = None
        self.served_as: ReadyFrame | None = None
        self._wanted: ModelFile | None = None
        self._refused: tuple[Path, Signature | None] | None = None
        self._process: EngineChild | None = None
        self._policy = RestartPolicy(clock)
        self._policy_path: Path | None = None
        self._forecast = LoadForecast()
        self._load_started: float | None = None
        self._size_bytes = 0
        self._answer_seconds = _FIRST_ANSWER_SECONDS
        self._is_hopeless = False
        self._news = asyncio.Event()

    def want(self, model: ModelFile) -> None:
        """Serve this file from now on; wanting a refused one again tries it again."""
        self._wanted, self._refused, self._is_hopeless = model, None, False
        self._board.expect(model.revision)
        self._news.set()

    def identify(self, path: Path, sha256: str, revision: str) -> None:
        """Tell the sum of a file that was wanted without one."""
        if self._wanted is not None and self._wanted.path == path:
            self._wanted = replace(self._wanted, sha256=sha256, revision=revision)
            self._board.identified(revision)
        if self.served is not None and self.served.path == path:
            self.served = replace(self.served, sha256=sha256, revision=revision)

    def opens_in_seconds(self) -> float | None:
        """Estimated seconds until generations start; 0 while they do, None where nobody knows."""
        if self.child is not None:
            return 0.0
        if self._wanted is None or self._is_hopeless:
            return None
        if self._load_started is not None:
            return self._forecast.left_seconds(self._size_bytes, self._clock() - self._load_started)
        running = self._process.running_seconds() if self._process is not None else []
        mean = self._answer_seconds
        drain = max((max(mean - elapsed, mean / 2) for elapsed in running), default=0.0)
        return drain + self._policy.wait_seconds + self._forecast.total_seconds(self._size_bytes)

    async def run(self) -> None:
        """Live until cancelled; the process is gone afterwards. No failure of the engine ends this."""
        try:
            while True:
                try:
                    await self._once()
                except Exception:
                    _log.exception("the engine's life cycle failed, going on")
                    self._policy.died()
                finally:
                    await self._end_process()
        finally:
            self._close()

    async def _once(self) -> None:
        model = self._next()
        if model is None:
            await self._news_or()
            return
        if self._policy_path != model.path:
            self._policy, self._policy_path = RestartPolicy(self._clock), model.path
        self._size_bytes = await asyncio.to_thread(size_of, model.path)
        if self._policy.wait_seconds > 0:
            await self._news_or(timeout_seconds=self._policy.wait_seconds)
            return
        if await self._is_faulty(model):
            return
        self._load_started = self._clock()
        try:
            ready = await self._bring_up(model)
        finally:
            seconds, self._load_started = self._clock() - self._load_started, None
        if ready is not None:
            self._forecast.measured(self._size_bytes, seconds)
            told = ready.ready.result()
            has = f"{told['memory']}; {told['hardware']}"
            _log.info("engine %d serves %s after %.1f s: %s", ready.pid, model.path, seconds, has)
            await self._serve(model, ready)

    async def _bring_up(self, model: ModelFile) -> EngineChild | None:
        """Start a process; None where it did not come to serve, with everything noted."""
        try:
            self._process = child = await self._spawn(model)
        except OSError as exc:
            await self._note_death(
                model, Ending(None, f"The engine process cannot be started ({exc.strerror}).", False)
            )
            return None
        while self._is_next(model) and not (child.ready.done() or child.ended.done()):
            await self._news_or(child.ready, child.ended)
        if child.ended.done():
            ending = child.ended.result()
            if ending.reason is not None and not self._has_served(model):
                await self._refuse(model, Fault(ending.reason, ending.message))
            else:  # a file that served before is good: what fails now may be memory that is not free yet
                await self._note_death(model, ending)
            return None
        return child if child.ready.done() else None

    async def _serve(self, model: ModelFile, child: EngineChild) -> None:
        """Be open until the process dies or another file is to be served."""
        wanted = self._wanted  # its sum may have become known during the load
        self.served = wanted if wanted is not None and wanted.path == model.path else model
        self.served_as = child.ready.result()
        self._policy.smoke_answered()
        child.on_end, child.on_gone = self._generation_ended, self._close
        while not child.is_gone:
            if self._is_next(model):
                self._open(child)
                await self._news_or(child.ended, timeout_seconds=_LOOK_SECONDS if self._refused else None)
                await self._look_at_refused()
            elif not await self._is_faulty(self._next()) and await self._drained(model, child):
                _log.info("engine %d ends for another model", child.pid)
                self._board.engine_down()
                return
        self._close()
        await asyncio.wait([child.ended])
        await self._note_death(model, child.ended.result())

    async def _drained(self, model: ModelFile, child: EngineChild) -> bool:
        """Let running generations end; False where the process died or its own file is wanted again."""
        if self._is_next(model):
            return False
        self._close()
        self._board.swap_begins()
        give_up = self._clock() + _DRAIN_SECONDS
        while child.running_seconds() and self._clock() < give_up:
            await self._news_or(child.ended, timeout_seconds=_LOOK_SECONDS)
            if child.is_gone or self._is_next(model):
                return False
        return not child.is_gone

    def _open(self, child: EngineChild) -> None:
        is_expected = self.served is not None and self._wanted is not None and self.served.path == self._wanted.path
        revision = self.served.revision if self.served is not None else ""
        self._board.serving(revision, child.ready.result()["tokens_per_second"], is_expected=is_expected)
        self._is_hopeless = False
        if self.child is None:
            self.child = child
            self.opened.set()
            self._on_change()

    def _close(self) -> None:
        if self.child is not None:
            self.child = None
            self.opened.clear()
            self._on_change()

    async def _end_process(self) -> None:
        self._close()
        if self._process is not None:
            await self._process.stop()
            self._process = None

    def _generation_ended(self, seconds: float | None) -> None:
        if seconds is not None:
            self._policy.answered()
            self._answer_seconds += (seconds - self._answer_seconds) / 8
        if self.child is None:
            self._news.set()  # somebody may wait for the last one to end

    async def _is_faulty(self, model: ModelFile | None) -> bool:
        """Refuse what can be told of the file without loading it, before anything is ended for it."""
        if model is None:
            return True
        fault = await asyncio.to_thread(fault_at_a_glance, model.path)
        if fault is None and self.child is not None:
            fault = await self._inspect(model.path)
        self._size_bytes = await asyncio.to_thread(size_of, model.path)
        if fault is not None and self._is_next(model):
            await self._refuse(model, fault)
        return fault is not None

    async def _note_death(self, model: ModelFile, ending: Ending) -> None:
        _log.error("engine died: %s", ending.message)
        self._policy.died()
        is_failing = self._policy.failing
        goes_back = is_failing and self._has_other_good(model)
        self._board.engine_lost(crashing=is_failing and not goes_back)
        if goes_back:
            await self._refuse(model, ending.fault())
        elif is_failing:
            self._is_hopeless = True
            if not self._refused:
                self._board.failed(ending.fault(), going_back=False)
        self._on_change()

    async def _refuse(self, model: ModelFile, fault: Fault) -> None:
        """Go back to the last good file, or where there is none, wait for a reason to try again."""
        _log.error("model refused: %s: %s", fault.reason, fault.message)
        signature = await asyncio.to_thread(signature_of, model.path)
        if self._has_other_good(model):
            self._refused = model.path, signature
            self._is_hopeless = False
            self._board.failed(fault, going_back=True)
            return
        self._is_hopeless = True
        self._board.failed(fault, going_back=False)
        self._on_change()
        until = self._clock() + RETRY_SECONDS
        while self._is_next(model) and self._clock() < until:
            await self._news_or(timeout_seconds=_LOOK_SECONDS)
            if await asyncio.to_thread(signature_of, model.path) != signature:
                self._is_hopeless = False
                self._board.expect(model.revision)
                return

    async def _look_at_refused(self) -> None:
        """A refused file that changed is tried again."""
        if self._refused is None or self._wanted is None:
            return
        path, signature = self._refused
        if await asyncio.to_thread(signature_of, path) != signature and self._wanted.path == path:
            self.want(self._wanted)

    def _has_served(self, model: ModelFile) -> bool:
        return self.served is not None and self.served.path == model.path

    def _has_other_good(self, model: ModelFile) -> bool:
        return self.served is not None and self.served.path != model.path

    def _next(self) -> ModelFile | None:
        return self.served if self._refused is not None else self._wanted

    def _is_next(self, model: ModelFile) -> bool:
        following = self._next()
        return following is not None and following.path == model.path

    async def _news_or(self, *futures: asyncio.Future[Any], timeout_seconds: float | None = None) -> None:
        """Wait until something else is wanted, one of `futures` is done, or the time is over."""
        news: asyncio.Future[Any] = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({news, *futures}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        self._news.clear()
