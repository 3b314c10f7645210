"""A whole service on a free loopback port: the real routes, core and store over a stub generator."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from chatbot.adapters.history_bounds import HistoryBounds
from chatbot.adapters.sqlite import SqliteConversations
from chatbot.api.profiles import OFFICE, Profile
from chatbot.api.service import HttpLimits, Parts
from chatbot.api.wire.tracing import Traces
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.accounts.mounted import MountedKeys
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.agent.opening import Agent
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.audit.audit import Audit
from chatbot.core.characters.book import CharacterBook
from chatbot.core.characters.desk import CharacterDesk
from chatbot.core.characters.preview import Previewer
from chatbot.core.embedding.clients import ClientEmbeddings
from chatbot.core.history import History
from chatbot.core.kept_answers.keeper import KeepingPolicy, KeptAnswers
from chatbot.core.limits.ledger import MemoryAccounts
from chatbot.core.limits.limiter import Limiter, LimiterPolicy
from chatbot.core.memory.summarising import Maker, Summariser, SummaryPolicy
from chatbot.core.performance import Machine, Statistics
from chatbot.core.personal.desk import PersonalDesk
from chatbot.core.personal.eraser import Eraser
from chatbot.core.prompt import PromptTemplates
from chatbot.core.retrieval.library import Library
from chatbot.core.shelves.shelves import Shelves
from chatbot.core.toolservers.servers import ToolServers
from chatbot.core.usage.recorder import Recorder, RecorderPolicy
from chatbot.core.web.referenced import Web
from chatbot.domain.chat import Dialogue
from chatbot.domain.embedding.source import EmbeddingSource
from chatbot.domain.generation import Backend, Sampling
from chatbot.domain.limits import AccountStore
from chatbot.domain.model import Capacity
from chatbot.domain.personal.erasure import NO_GUARD
from chatbot.domain.ports import ConversationStore
from chatbot.domain.tenants.policy import NO_POLICIES, Tenants
from chatbot.domain.usage.prices import NO_PRICES, PriceTable
from chatbot.domain.usage.rows import UsageStore
from chatbot.server.app import HttpOptions, create_app
from chatbot.server.observe.telemetry import Meters, Unqueued
from chatbot.server.serving.gate import Gate
from chatbot.server.serving.serve import DrainPolicy, Listener, bind, serve
from starlette.types import ASGIApp

from parts.stub_generator import StubGenerator


@dataclass
class ServiceOptions:
    """What a test may change."""

    profile: Profile = OFFICE
    generator: StubGenerator = field(default_factory=StubGenerator)
    remote: StubGenerator | None = None
    slots: int = 4
    policy: AdmissionPolicy = AdmissionPolicy(180.0, 512)
    queue_seconds: float = 180.0
    generation_seconds: float = 120.0
    keys_file: Path | None = None
    keys: KeyCheck | None = None
    limits: HttpLimits = HttpLimits()
    http: HttpOptions = HttpOptions()
    may_fall_back: bool = False
    refuses_when_down: bool = True
    store: ConversationStore | None = None
    documents: Library | None = None
    shelves: Shelves | None = None
    characters: CharacterBook | None = None
    embedding: EmbeddingSource | None = None
    machine: Callable[[], Awaitable[Machine | None]] | None = None
    web: Callable[[Meters], Web] | None = None
    agent: Callable[[Meters], Agent] | None = None
    tool_servers: ToolServers = field(default_factory=ToolServers)
    accounts: AccountStore | None = None
    usage: UsageStore | None = None
    prices: PriceTable = NO_PRICES
    kept: KeepingPolicy | None = None
    summaries: SummaryPolicy | None = None
    sampling: Sampling = Sampling()
    recording: RecorderPolicy = RecorderPolicy(batch_seconds=0.02)
    tenants: Tenants = NO_POLICIES
    audit: Audit | None = None
    eraser: Eraser | None = None
    traces: Traces | None = None
    limiter: LimiterPolicy = LimiterPolicy(call_seconds=60.0)  # a busy machine is no outage
    limiter_now: Callable[[], float] = time.time


@dataclass
class Service:
    """A service that runs."""

    app: ASGIApp
    url: str
    port: int
    generator: StubGenerator
    admission: Admission
    answerer: Answerer
    meters: Meters
    gate: Gate
    limiter: Limiter
    recorder: Recorder | None = None
    summaries: Summariser | None = None

    def client(self, **options: object) -> httpx.AsyncClient:
        """A client; no environment, generous time."""
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30.0, **options)  # type: ignore[arg-type]

    def metric(self, name: str, **labels: str) -> float:
        """One sample of the metrics, 0 where there is none."""
        return self.meters.registry.get_sample_value(name, {"service": "office", **labels}) or 0.0


def build(folder: Path, options: ServiceOptions) -> tuple[ASGIApp, Service]:
    """The app, without a socket."""
    name = options.profile.name
    meters = Meters([name])
    admission = Admission(options.policy, Capacity(options.slots, open=True), meters.of(name))
    meters.watch_line(name, lambda: admission.line(name))
    web = options.web(meters) if options.web is not None else Web()
    local = PromptTemplates.shipped(name, Backend.LLAMA)
    agent = options.agent(meters) if options.agent is not None else None
    routes = {Backend.LLAMA: BackendRoute(options.generator, admission, local, agent, web=web)}
    if options.remote is not None:
        line = Admission(options.policy, Capacity(4, open=True), Unqueued(meters, name))
        routes[Backend.OPENAI] = BackendRoute(options.remote, line, PromptTemplates.shipped(name, Backend.OPENAI))
    store = options.store or SqliteConversations.open(folder / "history.sqlite3", HistoryBounds())
    guard = options.eraser.tombstones if options.eraser is not None else NO_GUARD
    history = History(name, store, meters.of(name), refuses_when_down=options.refuses_when_down, guard=guard)
    accounts = options.accounts or MemoryAccounts()
    limiter = Limiter(accounts, options.limiter, meters, prices=options.prices, now=options.limiter_now)
    meters.watch_prices(options.prices)
    meters.watch_limits(lambda: limiter.is_degraded, limiter.use.read)
    recorder = Recorder(options.usage, meters, options.recording) if options.usage is not None else None
    kept = KeptAnswers(name, options.kept, meters, erasures=guard.epoch) if options.kept is not None else None
    summaries = _summaries(options, history, routes, meters)
    policy = AnswerPolicy(
        *(options.queue_seconds, options.generation_seconds, options.sampling, options.may_fall_back, limiter),
        casting=options.characters and options.characters.casting,
        kept=kept,
        style=meters,
        summaries=summaries,
    )
    answerer = Answerer(name, routes, history, policy, meters.of(name))
    for forget in (
        answerer.give_up,
        kept.forget if kept is not None else None,
        summaries.give_up if summaries is not None else None,
    ):
        if options.eraser is not None and forget is not None:
            options.eraser.tombstones.tell(forget)
    gate = Gate(lambda: options.generator.has_model)
    parts = Parts(
        answerer=answerer,
        statistics=Statistics(name, lambda: admission.line(name)),
        history=history,
        generators={backend: route.generator for backend, route in routes.items()},
        gate=gate,
        keys=options.keys
        or KeyCheck(MountedKeys(options.keys_file) if options.keys_file else None, tenants=options.tenants),
        tenants=options.tenants,
        guard=guard,
        traces=options.traces,
        sampling=options.sampling,
        personal=PersonalDesk(options.eraser) if options.eraser is not None else None,
        telemetry=meters,
        limits=options.limits,
        audit=options.audit,
        documents=options.documents,
        shelves=options.shelves,
        characters=_desk(options, local),
        embeddings=ClientEmbeddings(name, options.embedding, limiter) if options.embedding is not None else None,
        machine=options.machine,
        has_search=web.toolbox is not None,
        tools=tuple(one.name for one in agent.toolbox.definitions) if agent is not None else (),
        remote_tools=options.tool_servers.standings,
        limiter=limiter,
        usage=recorder,
    )
    app = create_app(options.profile, parts, options.http)
    service = Service(app, "", 0, options.generator, admission, answerer, meters, gate, limiter, recorder, summaries)
    return app, service


def _summaries(
    options: ServiceOptions, history: History, routes: Mapping[Backend, BackendRoute], meters: Meters
) -> Summariser | None:
    if options.summaries is None:
        return None
    makers = {backend: Maker(route.generator, route.admission.spare) for backend, route in routes.items()}
    return Summariser(options.profile.name, history, makers, meters, options.summaries)


def _desk(options: ServiceOptions, templates: PromptTemplates) -> CharacterDesk | None:
    """Characters with tokens that nobody counts: the stub has no vocabulary."""

    async def unknown(_dialogue: Dialogue) -> int | None:
        return None

    if options.characters is None:
        return None
    return CharacterDesk(options.characters, Previewer(templates, unknown, lambda: 8_192))


def on_loopback() -> socket.socket:
    """A socket bound to a free port of this machine alone."""
    return bind("127.0.0.1", 0)


@asynccontextmanager
async def serving(
    app: ASGIApp, gate: Gate, *more: ASGIApp, place: Callable[[], socket.socket] = on_loopback
) -> AsyncIterator[Sequence[int]]:
    """Serve apps, each on a socket of its own, bound by `place`; the ports are yielded."""
    listeners = [Listener(one, place()) for one in (app, *more)]
    ports = [listener.socket.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.socket.listen(2048)

    async def at_once() -> None:
        """Nothing to wait for."""

    task = asyncio.create_task(serve(listeners, gate, at_once, DrainPolicy(5.0, linger_seconds=0.0)))
    try:
        yield ports
    finally:
        gate.close()
        await task


@asynccontextmanager
async def running_service(folder: Path, options: ServiceOptions | None = None) -> AsyncIterator[Service]:
    """One service on a free loopback port."""
    app, service = build(folder, options or ServiceOptions())
    eraser = options.eraser if options is not None else None
    erasing = asyncio.create_task(eraser.run() if eraser is not None else asyncio.sleep(0))
    recording = asyncio.create_task(service.recorder.follow() if service.recorder else asyncio.sleep(0))
    try:
        async with serving(app, service.gate) as (port,):
            service.port, service.url = port, f"http://127.0.0.1:{port}"
            yield service
        if service.recorder is not None:
            await service.answerer.idle()
    finally:
        for task in (recording, erasing):
            task.cancel()
        await asyncio.gather(recording, erasing, return_exceptions=True)
        if service.recorder is not None:
            await service.recorder.close()
