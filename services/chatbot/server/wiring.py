"""Settings -> working parts; the composition root of the services. Nothing else knows all layers."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from chatbot.api.profiles import Profile
from chatbot.api.service import HttpLimits, Parts
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.admission import Admission, AdmissionPolicy
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import TOOL_NAMES, Agent, built_in
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.history import History
from chatbot.core.limits.limiter import Limiter
from chatbot.core.performance import Statistics
from chatbot.core.prompt import PromptTemplates
from chatbot.domain.generation import Backend, Sampling
from chatbot.domain.model import Capacity
from chatbot.domain.ports import ConversationStore, TextGenerator
from chatbot.llm.engine_host import EngineHost, EngineOptions
from chatbot.llm.llama_cpp import LlamaCppGenerator
from chatbot.llm.model_source import FixedModel, FollowedModel
from chatbot.server.app import HttpOptions, create_app
from chatbot.server.observe.engine_metrics import EngineReading
from chatbot.server.observe.machine_facts import MachineFacts, read_machine
from chatbot.server.observe.telemetry import Meters, Unqueued
from chatbot.server.serving.gate import Gate
from chatbot.server.settings import Settings
from chatbot.server.stores import Documents, open_documents, open_keys, open_limiter, open_store
from chatbot.server.web.opening import open_web

ModelSource = FixedModel | FollowedModel
_CLOSE_SECONDS = 5.0
_TYPICAL_ANSWER_TOKENS = 150  # of a new model, until its answers were measured


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine with the line before it; services that use the same file share it."""

    host: EngineHost
    admission: Admission
    generator: TextGenerator

    def reading(self) -> EngineReading:
        """What the metrics say of it now."""
        return EngineReading(self.host.stats(), self.host.status().engine_restarts, self.host.model())


@dataclass(frozen=True, slots=True)
class Shared:
    """What all services of a process share.

    Attributes:
        remote: The second backend with its own line, None where it is off.
        documents: Documents and the worker that reads them, None where they are off.
    """

    settings: Settings
    meters: Meters
    gate: Gate
    keys: KeyCheck
    limiter: Limiter
    store: ConversationStore
    engine: Engine
    remote: tuple[TextGenerator, Admission] | None
    documents: Documents | None = None


def open_shared(settings: Settings, profiles: Sequence[Profile]) -> Shared:
    """The parts that all services of a process share; nothing runs yet.

    Args:
        settings: Of the process.
        profiles: The services; the first one's prompt file makes the smoke answer.

    Raises:
        PromptFileError, ValueError, OSError: A file that the settings name cannot be used.
    """
    meters = Meters([profile.name for profile in profiles])
    engine = open_engine(settings, profiles[0].name, meters)
    limiter = open_limiter(settings, meters)
    meters.watch_limits(lambda: limiter.is_degraded)
    for profile in profiles:
        meters.watch_line(profile.name, lambda name=profile.name: engine.admission.line(name))  # type: ignore[misc]
    meters.watch_engine([profile.name for profile in profiles], engine.reading)
    return Shared(
        settings=settings,
        meters=meters,
        gate=Gate(engine.host.ready, lame_duck_seconds=settings.http.lame_duck_seconds),
        keys=open_keys(settings),
        limiter=limiter,
        store=open_store(settings),
        engine=engine,
        remote=open_remote(settings, meters),
        documents=open_documents(settings),
    )


def open_engine(settings: Settings, service: str, meters: Meters) -> Engine:
    """The local engine, not started."""
    policy = AdmissionPolicy(settings.queue.timeout_seconds, settings.queue.max_waiting)
    admission = Admission(policy, Capacity(1, open=False), meters.of(service))
    options = EngineOptions(
        smoke=PromptTemplates.load(service, Backend.LLAMA, settings.prompts.dir).smoke(),
        name=settings.model.name,
        context_tokens=settings.model.context_tokens,
        chat_format=settings.model.chat_format,
        ready_during_swap=settings.model.ready_during_swap,
        slots=settings.engine.slots,
        kv_tokens=settings.engine.kv_tokens,
        step_tokens=settings.engine.step_tokens,
        idle_tokens=settings.engine.idle_tokens,
        host_cache_mib=settings.engine.host_cache_mib,
        step_seconds=settings.engine.step_seconds,
        without=tuple(filter(None, settings.engine.without.split(","))),
        threads=settings.engine.threads,
        gpu_layers=settings.engine.gpu_layers,
        load_timeout_seconds=settings.engine.load_timeout_seconds,
    )
    believed: str | None = None

    def offer(capacity: Capacity) -> None:
        nonlocal believed
        status = host.status()
        if capacity.open and status.revision != believed and status.tokens_per_second:
            believed = status.revision
            admission.expect(_TYPICAL_ANSWER_TOKENS / status.tokens_per_second)
        admission.set_capacity(capacity)

    host = EngineHost(options, offer)
    return Engine(host, admission, LlamaCppGenerator(host))


def open_remote(settings: Settings, meters: Meters) -> tuple[TextGenerator, Admission] | None:
    """The second backend with a line of its own, which has no queue metrics; None where it is off.

    Raises:
        ValueError: `SSL_CERT_FILE` or a proxy variable of the environment cannot be used.
    """
    if not settings.openai.model:
        return None
    from chatbot.llm.openai import OpenAIGenerator, OpenAIOptions  # the SDK costs 1.1 CPU s and 50 MiB to import

    openai = settings.openai
    authorities = os.environ.get("SSL_CERT_FILE")
    options = OpenAIOptions(
        base_url=openai.base_url,
        model=openai.model,
        api_key_file=openai.api_key_file,
        timeout_seconds=openai.timeout_seconds,
        max_concurrent=openai.max_concurrent,
        ca_file=Path(authorities) if authorities else None,
    )
    policy = AdmissionPolicy(settings.queue.timeout_seconds, settings.queue.max_waiting)
    admission = Admission(policy, Capacity(openai.max_concurrent, open=True), Unqueued(meters, ""))
    return OpenAIGenerator(options), admission


def model_source(settings: Settings) -> ModelSource:
    """Which file is served: a fixed one, or what a folder names."""
    if settings.model.path is not None:
        return FixedModel(settings.model.path)
    return FollowedModel(settings.model.dir, settings.model.revision_dir)


def open_service(profile: Profile, shared: Shared, root_path: str) -> tuple[ASGIApp, Answerer]:
    """The app of one service, and what has to be idle before the process may end.

    Raises:
        PromptFileError: A replaced prompt file cannot be used.
    """
    settings, telemetry = shared.settings, shared.meters.of(profile.name)
    sampling = Sampling(
        temperature=settings.generation.temperature,
        top_p=settings.generation.top_p,
        repeat_penalty=settings.generation.repeat_penalty,
    )
    policy = AnswerPolicy(
        queue_seconds=settings.queue.timeout_seconds,
        generation_seconds=settings.generation.timeout_seconds,
        sampling=sampling,
        may_fall_back=settings.fallback.enabled,
        limiter=shared.limiter,
    )
    routes = _routes(profile, shared)
    refuses = settings.history.when_down == "refuse"
    history = History(profile.name, shared.store, telemetry, refuses_when_down=refuses)
    answerer = Answerer(profile.name, routes, history, policy, telemetry)
    parts = Parts(
        answerer=answerer,
        statistics=Statistics(profile.name, lambda: shared.engine.admission.line(profile.name)),
        history=history,
        generators={backend: route.generator for backend, route in routes.items()},
        gate=shared.gate,
        keys=shared.keys,
        limiter=shared.limiter,
        telemetry=shared.meters,
        limits=_limits(settings),
        sampling=sampling,
        documents=shared.documents.library if shared.documents else None,
        tools=TOOL_NAMES if routes[Backend.LLAMA].agent else (),
        machine=MachineFacts(partial(read_machine, settings.history.sqlite_path.parent)),
        has_search=routes[Backend.LLAMA].web.toolbox is not None,
    )
    options = HttpOptions(root_path, settings.http.trusted_proxies, settings.http.cors_origins)
    return create_app(profile, parts, options), answerer


@asynccontextmanager
async def running(shared: Shared, source: ModelSource) -> AsyncIterator[None]:
    """Serve the source's model while the block runs; afterwards engine and store are closed."""
    following = asyncio.create_task(source.follow(shared.engine.host))
    draining = asyncio.create_task(_drain(shared))
    keys = asyncio.create_task(shared.keys.follow())
    limits = asyncio.create_task(shared.limiter.follow())
    reading = asyncio.create_task(shared.documents.ingestor.run() if shared.documents else asyncio.sleep(0))
    try:
        yield
    finally:
        for task in (following, draining, keys, limits, reading):
            task.cancel()
        await asyncio.gather(following, draining, keys, limits, reading, return_exceptions=True)
        await shared.engine.host.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(shared.store.close(), shared.keys.close(), shared.limiter.close())
                if shared.documents is not None:
                    await shared.documents.library.store.close()


async def idle(shared: Shared, answerers: Sequence[Answerer]) -> None:
    """Return when nobody waits or runs and every turn is stored."""
    await shared.engine.admission.idle()
    if shared.remote is not None:
        await shared.remote[1].idle()
    for answerer in answerers:
        await answerer.idle()


async def _drain(shared: Shared) -> None:
    await shared.gate.refused()
    shared.engine.admission.drain()
    if shared.remote is not None:
        shared.remote[1].drain()


def _routes(profile: Profile, shared: Shared) -> dict[Backend, BackendRoute]:
    folder, service = shared.settings.prompts.dir, profile.name
    engine = shared.engine
    local = PromptTemplates.load(service, Backend.LLAMA, folder)
    web = open_web(shared.settings.search, service, shared.meters)
    routes = {Backend.LLAMA: BackendRoute(engine.generator, engine.admission, local, _agent(profile, shared), web)}
    if shared.remote is not None:
        generator, admission = shared.remote
        routes[Backend.OPENAI] = BackendRoute(
            generator, admission, PromptTemplates.load(service, Backend.OPENAI, folder), web=web
        )
    return routes


def _agent(profile: Profile, shared: Shared) -> Agent | None:
    """The local model's tools, None where they are off."""
    tools = shared.settings.tools
    is_on = profile.has_tools if tools.enabled is None else tools.enabled
    if not is_on:
        return None
    return Agent(Toolbox(profile.name, built_in(), AgentBounds(), shared.meters), tools.time_zone)


def _limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        body_bytes=settings.http.body_bytes,
        v1_body_bytes=settings.http.v1_body_bytes,
        send_timeout_seconds=settings.http.send_timeout_seconds,
        queue_timeout_seconds=settings.queue.timeout_seconds,
        max_waiting=settings.queue.max_waiting,
    )
