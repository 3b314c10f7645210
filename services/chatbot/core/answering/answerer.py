"""A question's way to its answer: history, backend, a place in the line, generation, storing the turn."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from chatbot.core.agent.confirming.desk import ConfirmationDesk
from chatbot.core.answering.confirmed import with_confirmed
from chatbot.core.answering.delivery import Outbox
from chatbot.core.answering.past import Past, Pasts, stored_nowhere
from chatbot.core.answering.pump import Answer, AnswerSource, Pump, Stored, Work, in_callers_words
from chatbot.core.answering.ready import ready, replayed
from chatbot.core.answering.roles import brought_dialogue, played, sampling_of, voiced, with_role
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.answering.under_way import UnderWay
from chatbot.core.answering.wished import EXCHANGE_FIELDS, dialogue_of, field_names, free_of_cost
from chatbot.core.history import History
from chatbot.core.kept_answers.equal import Shaped
from chatbot.core.kept_answers.keeper import Way
from chatbot.core.limits.entrance import Entrance
from chatbot.core.limits.metered import Metered
from chatbot.core.memory.told import told
from chatbot.core.question import Exchange, Question
from chatbot.core.retrieval.cited import CitedSource
from chatbot.core.style.played import Scene
from chatbot.core.waiting.seated import Seated
from chatbot.domain.chat import Caller, Dialogue
from chatbot.domain.errors import (
    BackendUnavailable,
    Busy,
    InvalidInput,
    ModelUnavailable,
    PromptTooLong,
    StoreUnavailable,
)
from chatbot.domain.generation import Backend, GenerationRequest, Sampling
from chatbot.domain.limits import BudgetUnavailable, Policy, QuotaSpent
from chatbot.domain.ports import Telemetry
from chatbot.domain.tools import ToolDefinition
from chatbot.domain.toolservers.proposal import Proposal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Plan:
    """How an answer is made: `seated` is the model itself, `tools` those of ours that it is told of.

    `field_names` and `store` as in `Work`.
    """

    backend: Backend
    seated: Seated
    generator: Metered
    source: AnswerSource
    field_names: Mapping[str, str]
    store: Callable[[str, tuple[Proposal, ...]], Awaitable[Stored]]
    tools: tuple[ToolDefinition, ...] = ()


class Answerer:
    """Answers the questions of one service.

    Args:
        service: Name of the service: label of metrics, part of every conversation's identity.
        routes: Backends that are configured. Where one is missing, asking for it is `BackendUnavailable`.
    """

    def __init__(
        self,
        service: str,
        routes: Mapping[Backend, BackendRoute],
        history: History,
        policy: AnswerPolicy,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._routes = routes
        self._policy = policy
        self._telemetry = telemetry
        self._entrance = Entrance(service, policy.limiter, policy.queue_seconds + policy.generation_seconds)
        self._clock = clock
        self._scene = Scene(service, policy.style, clock)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pasts = Pasts(history, self._task)
        self._confirmations = ConfirmationDesk(history, self._task)
        self._under_way = UnderWay()

    async def open(self, question: Question) -> Answer:
        """Begin an answer: everything that refuses it is raised here, before a byte is sent.

        Raises:
            StoreUnavailable: History is down and must be kept, or might forbid this backend.
            CharactersUnavailable: It is not known whether a stored character of that name answers.
            TurnReused: The `Idempotency-Key` came before with another question.
            InvalidInput: The conversation is for the local model alone, or its character has no such greeting.
            ConfirmationNotFound, ConfirmationRefused, ToolUnavailable: What it confirms cannot be run.
            PromptTooLong: It does not fit, even without history.
            Busy, ModelUnavailable, BackendUnavailable, Draining: No place, or nobody to answer.
            RateLimited, QuotaSpent: A limit of the key is reached.
        """
        try:
            return await self._open(question)
        except (QuotaSpent, BudgetUnavailable) as exc:
            is_money = isinstance(exc, BudgetUnavailable) or exc.policy is Policy.USD_DAY
            free = free_of_cost(question) if is_money else None
            if free is None:
                raise
        return await self._open(free)

    async def _open(self, question: Question) -> Answer:
        self._entrance.check(question.caller, question.backend, question.upstream_key)
        arrived_at = self._clock()
        past = await self._pasts.of(question)
        stored = replayed(past.read.turns if past.read else (), question)
        if stored is not None:
            return stored
        question = await with_role(self._policy.casting, question, past)
        question = with_confirmed(self._confirmations, question, past, self._routes.get(question.backend))
        backends = self._backends(question, past)
        try:
            return await self._ask(question, past, backends[0], arrived_at)
        except (ModelUnavailable, Busy) as exc:
            refusal = exc
        try:
            if len(backends) == 1 or (isinstance(refusal, Busy) and self._is_serving(backends[0])):
                raise refusal
            return await self._ask(question, past, backends[1], arrived_at)
        except (ModelUnavailable, BackendUnavailable, Busy, QuotaSpent):
            return await self._without_model(question, past, refusal)

    async def _without_model(self, question: Question, past: Past, refusal: Exception) -> Answer:
        """What our tools say by themselves, where no local model is served and the question is for them.

        Raises:
            ModelUnavailable, Busy: The refusal; it takes a model.
        """
        route = self._routes.get(question.backend)
        agent = route.agent if route is not None and isinstance(refusal, ModelUnavailable) else None
        alone = await agent.alone(question) if agent is not None else None
        if alone is None:
            raise refusal from None
        return ready(question, await self._pasts.join(question, past, alone.text), alone.steps)

    async def open_exchange(self, exchange: Exchange) -> Answer:
        """Begin an answer to a dialogue that the caller brought: no history, and no other backend than asked for.

        Raises:
            InvalidInput: Answers or calls cannot be held to the schema that was asked for.
            PromptTooLong, Busy, ModelUnavailable, BackendUnavailable, Draining, RateLimited, QuotaSpent: As `open`.
        """
        self._entrance.check(exchange.caller, exchange.backend, exchange.upstream_key)
        arrived_at, route = self._clock(), self._route(exchange.backend)
        dialogue = brought_dialogue(route.templates, exchange)
        request = self._request(exchange, dialogue, exchange.sampling, arrived_at)
        seated = Seated(route.generator)
        generator = self._entrance.metered(seated)
        plan = _Plan(exchange.backend, seated, generator, generator, EXCHANGE_FIELDS, stored_nowhere)
        if route.agent is not None and exchange.our_tools:
            plan = replace(
                plan, tools=route.agent.definitions(exchange), source=route.agent.source(exchange, generator)
            )
        plan = replace(plan, source=played(plan.source, exchange, generator, self._scene))
        answer = await self._given(plan, replace(request, tools=exchange.tools), exchange, arrived_at)
        return voiced(answer, exchange)

    def give_up(self, is_meant: Callable[[str, str], bool]) -> None:
        """End the answers of those whose tenant and user are meant: they were erased."""
        self._under_way.give_up(is_meant)

    async def idle(self) -> None:
        """Return when no answer is produced and no turn is being stored."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _backends(self, question: Question, past: Past) -> list[Backend]:
        """Who may answer, the wanted one first. Where the past is unknown, it may forbid to leave the house."""
        if question.backend is Backend.OPENAI:
            if past.local_only:
                raise InvalidInput("local_only", "local_only")
            if past.unknown:
                raise StoreUnavailable("it is not known whether this conversation may leave the local model")
            return [Backend.OPENAI]
        may_leave = not past.local_only and not past.unknown and question.wishes.may_fall_back
        if self._policy.may_fall_back and may_leave and Backend.OPENAI in self._routes:
            return [Backend.LLAMA, Backend.OPENAI]
        return [Backend.LLAMA]

    def _is_serving(self, backend: Backend) -> bool:
        route = self._routes.get(backend)
        return route is not None and route.admission.is_open

    async def _ask(self, question: Question, past: Past, backend: Backend, arrived_at: float) -> Answer:
        route = self._route(backend)
        summaries = self._policy.summaries
        turns, summary = past.recalled(question, with_summary=summaries is not None)
        dialogue = dialogue_of(route.templates, question, turns)
        may_leave = not past.local_only and not past.unknown
        seated = Seated(route.generator)
        generator = self._entrance.metered(seated)
        source: AnswerSource = generator
        if route.agent is not None:
            source = route.agent.source(question, generator, may_leave=may_leave)
        if question.wishes.passages and not question.wishes.wants_web:
            source = CitedSource(source, len(question.wishes.passages))
        source = route.web.answer(question, generator, source, may_leave=may_leave)
        source = played(source, question, generator, self._scene)
        request = self._request(question, dialogue, sampling_of(question, self._policy.sampling), arrived_at)
        request = await told(request, past.standing(question), route.generator.model(), source.check, summary)

        async def store(answer: str, proposals: tuple[Proposal, ...]) -> Stored:
            stored = await self._pasts.join(question, past, answer, proposals)
            if stored.saved and summaries is not None:
                summaries.consider(question, request, backend)
            return stored

        plan = _Plan(backend, seated, generator, source, field_names(question), store)
        if route.agent is not None:
            plan = replace(plan, tools=route.agent.definitions(question, may_leave=may_leave))
        return voiced(await self._given(plan, request, question, arrived_at), question)

    def _request(
        self, asked: Question | Exchange, dialogue: Dialogue, sampling: Sampling, arrived_at: float
    ) -> GenerationRequest:
        deadline = arrived_at + self._policy.queue_seconds + self._policy.generation_seconds
        request = GenerationRequest(asked.request_id, dialogue, sampling, deadline, asked.traceparent)
        return replace(request, user=asked.caller.pseudonym, upstream_key=asked.upstream_key)

    def _route(self, backend: Backend) -> BackendRoute:
        route = self._routes.get(backend)
        if route is None:
            raise BackendUnavailable("this backend is not configured")
        return route

    async def _given(
        self, plan: _Plan, request: GenerationRequest, asked: Question | Exchange, arrived_at: float
    ) -> Answer:
        """The answer: one that is kept for the same question, or one that is made. Raises as `_begin`."""
        begin = partial(self._begin, plan, request, asked.caller, arrived_at)
        if self._policy.kept is None:
            return await begin()
        shaped = Shaped(asked, plan.backend, plan.generator.model(), request, plan.tools)
        count = partial(self._entrance.count, asked.caller, request, plan.generator)
        way = Way(begin, count, lambda hold: self._task(hold.finish()), plan.generator)
        return await self._policy.kept.answer(shaped, way)

    async def _begin(self, plan: _Plan, request: GenerationRequest, caller: Caller, arrived_at: float) -> Answer:
        route = self._route(plan.backend)
        try:
            await plan.source.check(request)
        except PromptTooLong as exc:
            raise in_callers_words(exc, plan.field_names) from None
        hold = await self._entrance.reserve(caller, request, plan.generator, plan.field_names)
        # Nothing is awaited from here on: a place that was taken always reaches whoever gives it back.
        try:
            ticket = route.admission.enter(self._service, caller, arrived_at + self._policy.queue_seconds)
        except BaseException:
            self._task(hold.finish())
            raise
        plan.seated.ticket = ticket
        work = Work(
            service=self._service,
            backend=plan.backend,
            source=plan.source,
            request=hold.admitted(request),
            ticket=ticket,
            hold=hold,
            telemetry=self._telemetry,
            clock=self._clock,
            arrived_at=arrived_at,
            generation_seconds=self._policy.generation_seconds,
            field_names=plan.field_names,
            store=plan.store,
            meter=plan.generator.meter,
        )
        outbox = Outbox()
        pump = self._task(Pump(work, outbox).run())
        self._under_way.add(caller, outbox, ticket, pump)
        pump.add_done_callback(lambda _: ticket.leave())  # cancelled before its first step, it ran nothing
        pump.add_done_callback(lambda _: self._task(hold.finish()))
        return Answer(plan.backend, outbox, pump, ticket, hold.quota, plan.generator.meter)

    def _task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: of a write whose client has left, nobody else will
