"""Summaries of long chats: made when nobody waits, a few at once, a few times; a chat goes on without one."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, cast
from uuid import uuid4

from chatbot.core.history import History
from chatbot.core.memory.summarised import (
    Plan,
    asked_room,
    cleaned,
    dialogue_of,
    is_full_by_bytes,
    planned,
    refused,
    sampling_of,
    told_whole,
)
from chatbot.core.memory.told import context_of
from chatbot.core.question import Question
from chatbot.core.waiting.spare import GaveWay, Spare
from chatbot.domain.chat import Conversation, ConversationKey
from chatbot.domain.errors import EngineLost, PromptTooLong, Unavailable
from chatbot.domain.generation import Backend, Finished, GenerationEvent, GenerationRequest, TextPiece
from chatbot.domain.memory.summary import SummaryTelemetry
from chatbot.domain.personal.erasure import UserErased
from chatbot.domain.ports import TextGenerator

_LOG = logging.getLogger(__name__)
_KNOWN_FAILURES: Final = 1_024


@dataclass(frozen=True, slots=True)
class Maker:
    """A model that makes summaries, in the slots that nobody asks for."""

    generator: TextGenerator
    spare: Spare


@dataclass(frozen=True, slots=True)
class SummaryPolicy:
    """Bounds.

    Attributes:
        by_answering: Whether the model that answered makes the summary; else the local one does.
        generation_seconds: Longest generation.
        most_waiting: Conversations that wait for a summary at once.
        tries: Of one that gives way to people, until the next turn.
        rounds: Summaries in a row, where one does not hold all that is old.
        failures: So often in a row nothing came of a conversation: it is left alone while the process lives.
    """

    by_answering: bool = False
    generation_seconds: float = 120.0
    most_waiting: int = 64
    tries: int = 3
    rounds: int = 4
    failures: int = 3


@dataclass(frozen=True, slots=True)
class _Job:
    key: ConversationKey
    request: GenerationRequest
    backend: Backend


@dataclass(slots=True)
class _Heard:
    """What came of a generation so far, and what it took."""

    pieces: list[str]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    end: Finished | None = None

    def hear(self, event: GenerationEvent) -> None:
        if isinstance(event, TextPiece):
            self.pieces.append(event.text)
            self.completion_tokens += event.tokens
            if event.prompt is not None:
                self.prompt_tokens = event.prompt.prompt_tokens
        elif isinstance(event, Finished):
            self.end = event
            self.prompt_tokens, self.completion_tokens = event.usage.prompt_tokens, event.usage.completion_tokens


class Summariser:
    """Makes summaries for the conversations of one service.

    Args:
        service: For the metrics.
        history: Where conversations live.
        makers: Models, by who they are; one summary at a time each.
        telemetry: Is told of every try.
    """

    def __init__(
        self,
        service: str,
        history: History,
        makers: Mapping[Backend, Maker],
        telemetry: SummaryTelemetry,
        policy: SummaryPolicy = SummaryPolicy(),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._history = history
        self._makers = makers
        self._telemetry = telemetry
        self._policy = policy
        self._clock = clock
        self._turns = {backend: asyncio.Lock() for backend in makers}
        self._tasks: dict[ConversationKey, asyncio.Task[None]] = {}
        self._failures: OrderedDict[ConversationKey, int] = OrderedDict()

    def consider(self, question: Question, request: GenerationRequest, backend: Backend) -> None:
        """A turn was stored: if the conversation has become long, a summary is made some time. Never waits.

        Args:
            question: Of the turn. One that did not see the whole conversation says nothing about its length.
            request: As the model was asked.
            backend: Who answered.
        """
        wishes = question.wishes
        if question.db_id is None or wishes.history is not None or wishes.recalled_turns is not None:
            return
        # What a user's own key paid for is not sent there with ours.
        by_answering = self._policy.by_answering and question.upstream_key is None
        backend = backend if by_answering else Backend.LLAMA
        key = self._history.key(question.caller, question.db_id)
        maker = self._makers.get(backend)
        if maker is None or key in self._tasks or self._failures.get(key, 0) >= self._policy.failures:
            return
        if asked_room(request, context_of(maker.generator.model())) is None:
            return
        if len(self._tasks) >= self._policy.most_waiting:
            self._tell("dropped", _Heard([]))
            return
        job = _Job(key, _without_history(request), backend)
        task = asyncio.get_running_loop().create_task(self._work(job))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def give_up(self, is_meant: Callable[[str, str], bool]) -> None:
        """End what is made for those whose tenant and user are meant: they were erased."""
        for key, task in list(self._tasks.items()):
            if is_meant(key.caller.tenant, key.caller.user):
                task.cancel()

    async def idle(self) -> None:
        """Return when no summary is made or waits to be."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _work(self, job: _Job) -> None:
        """Make what there is to make for one conversation; every end of it is told, none is anybody's error."""
        for _ in range(self._policy.tries):
            try:
                async with self._turns[job.backend]:
                    await self._rounds(job)
                return
            except GaveWay:
                continue
            except UserErased:
                return
            except Unavailable as exc:
                if isinstance(exc, EngineLost):  # the conversation may be why
                    self._failed(job.key)
                _LOG.info("a summary waits for the next turn: %s", type(exc).__name__)
                return
            except Exception as exc:  # whatever it is, the chat goes on without
                self._failed(job.key)
                _LOG.warning("a summary was not made", extra={"error": type(exc).__name__})
                return

    async def _rounds(self, job: _Job) -> None:
        maker = self._makers[job.backend]
        for _ in range(self._policy.rounds):
            async with maker.spare.seat():
                if not await self._round(job, maker):
                    return

    async def _round(self, job: _Job, maker: Maker) -> bool:
        """One summary of the conversation as it is now, where it needs one; whether one was kept."""
        read = await self._history.read(job.key)
        model = maker.generator.model()
        may_leave = not read.local_only or job.backend is Backend.LLAMA
        if model is None or not may_leave or not await self._is_full(job, read, maker):
            return False
        plan = planned(read, context_of(model))
        if plan is None:
            return False
        heard, outcome = _Heard([]), "failed"
        try:
            outcome = await self._made(job, read, plan, maker, heard)
        except (GaveWay, asyncio.CancelledError):
            outcome = "gave_way"
            raise
        except UserErased:
            outcome = "stale"
            raise
        finally:
            self._tell(outcome, heard)
        if outcome in ("empty", "cut", "too_long"):
            self._failed(job.key)
        elif outcome == "made":
            self._failures.pop(job.key, None)
        return outcome == "made"

    async def _made(self, job: _Job, read: Conversation, plan: Plan, maker: Maker, heard: _Heard) -> str:
        """Generate a summary and keep it; how that ended."""
        model = maker.generator.model()
        request, fitting = await self._fitting(job, plan, maker)
        events = cast("AsyncGenerator[GenerationEvent, None]", maker.generator.generate(request))
        async with aclosing(events):
            async for event in events:
                heard.hear(event)
        if heard.end is None or model is None:
            raise EngineLost("the generation ended without an end")
        text = cleaned(heard.pieces)
        reason = refused(text, heard.end, fitting)
        if reason:
            return reason
        is_kept = await self._history.summarise(read, fitting.summary(text, model, datetime.now(UTC)))
        return "made" if is_kept else "stale"

    async def _fitting(self, job: _Job, plan: Plan, maker: Maker) -> tuple[GenerationRequest, Plan]:
        """The request for as much of a plan as the model can read at once.

        Raises:
            PromptTooLong: Not even one turn of it.
        """
        context_tokens = context_of(maker.generator.model())
        deadline = self._clock() + self._policy.generation_seconds
        while True:
            asked = dialogue_of(plan, context_tokens)
            request_id, user = f"summary-{uuid4().hex}", job.request.user
            request = GenerationRequest(request_id, asked, sampling_of(context_tokens), deadline, user=user)
            try:
                await maker.generator.check(request)
            except PromptTooLong:
                smaller = plan.smaller()
                if smaller is None:
                    raise
                plan = smaller
                continue
            return request, plan

    async def _is_full(self, job: _Job, read: Conversation, maker: Maker) -> bool:
        """Whether the turns take more than their share of the room, as a model that counts its tokens says."""
        request, context_tokens = told_whole(job.request, read), context_of(maker.generator.model())
        if maker.generator.backend is not Backend.LLAMA:
            return is_full_by_bytes(request, context_tokens)
        sampling = asked_room(request, context_tokens)
        if sampling is None:
            return False
        try:
            await maker.generator.check(replace(request, sampling=sampling, tools=None))
        except PromptTooLong:
            return True
        return False

    def _tell(self, outcome: str, heard: _Heard) -> None:
        self._telemetry.summary_ended(self._service, outcome, heard.prompt_tokens, heard.completion_tokens)

    def _failed(self, key: ConversationKey) -> None:
        self._failures[key] = self._failures.get(key, 0) + 1
        self._failures.move_to_end(key)
        while len(self._failures) > _KNOWN_FAILURES:
            self._failures.popitem(last=False)


def _without_history(request: GenerationRequest) -> GenerationRequest:
    """What takes room besides the turns, which are read anew; nothing else of the request is kept while it waits."""
    dialogue = replace(request.dialogue, history=(), rounds=())
    return GenerationRequest("", dialogue, request.sampling, 0.0, user=request.user)
