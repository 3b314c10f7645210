"""One service: its app, and the way of its answers."""

from collections.abc import Mapping
from functools import partial

from starlette.types import ASGIApp

from chatbot.api.profiles import Profile
from chatbot.api.service import HttpLimits, Parts
from chatbot.core.agent.bounds import AgentBounds
from chatbot.core.agent.opening import Agent, built_in
from chatbot.core.agent.toolbox import Toolbox
from chatbot.core.answering.answerer import Answerer
from chatbot.core.answering.routes import AnswerPolicy, BackendRoute
from chatbot.core.characters.book import CharacterBook
from chatbot.core.characters.desk import CharacterDesk
from chatbot.core.embedding.clients import ClientEmbeddings
from chatbot.core.history import History
from chatbot.core.kept_answers.keeper import KeepingPolicy, KeptAnswers
from chatbot.core.memory.summarising import Maker, Summariser, SummaryPolicy
from chatbot.core.performance import Statistics
from chatbot.core.prompt import PromptTemplates
from chatbot.core.web.referenced import Web
from chatbot.domain.generation import Backend, Sampling
from chatbot.server.app import HttpOptions, create_app
from chatbot.server.observe.machine_facts import MachineFacts, read_machine
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.characters import open_desk
from chatbot.server.wiring.outside_tools import outside_tools
from chatbot.server.wiring.shared import Shared
from chatbot.server.wiring.web import open_web


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
    characters = shared.characters if profile.has_characters else None
    routes = _routes(profile, shared)
    guard = shared.people.eraser.tombstones
    refuses = settings.history.when_down == "refuse"
    history = History(profile.name, shared.store, telemetry, refuses_when_down=refuses, guard=guard)
    policy = AnswerPolicy(
        queue_seconds=settings.queue.timeout_seconds,
        generation_seconds=settings.generation.timeout_seconds,
        sampling=sampling,
        may_fall_back=settings.fallback.enabled,
        limiter=shared.limiter,
        casting=characters.casting if characters is not None else None,
        kept=_kept(profile, shared),
        style=shared.meters,
        summaries=_summaries(profile, shared, routes, history),
    )
    answerer = Answerer(profile.name, routes, history, policy, telemetry)
    guard.tell(answerer.give_up)
    parts = Parts(
        answerer=answerer,
        statistics=Statistics(profile.name, lambda: shared.engine.admission.line(profile.name)),
        history=history,
        generators={backend: route.generator for backend, route in routes.items()},
        gate=shared.gate,
        keys=shared.keys,
        limiter=shared.limiter,
        tenants=shared.tenants,
        guard=guard,
        personal=shared.people.desk,
        audit=shared.audit,
        usage=shared.usage,
        traces=shared.traces,
        telemetry=shared.meters,
        limits=_limits(settings),
        sampling=sampling,
        characters=_desk(characters, routes[Backend.LLAMA].templates, shared),
        documents=shared.documents.library if shared.documents else None,
        shelves=shared.documents.shelves if shared.documents else None,
        embeddings=_embeddings(profile, shared),
        tools=tuple(agent.toolbox.names) if (agent := routes[Backend.LLAMA].agent) else (),
        remote_tools=shared.tool_servers.standings if routes[Backend.LLAMA].agent else tuple,
        machine=MachineFacts(partial(read_machine, settings.history.sqlite_path.parent)),
        has_search=routes[Backend.LLAMA].web.toolbox is not None,
    )
    options = HttpOptions(root_path, settings.http.trusted_proxies, settings.http.cors_origins)
    return create_app(profile, parts, options), answerer


def _kept(profile: Profile, shared: Shared) -> KeptAnswers | None:
    """Answers for questions that are asked again; None where they are off. A character does not repeat itself."""
    chosen, tombstones = shared.settings.cache, shared.people.eraser.tombstones
    if not chosen.enabled or profile.has_characters:
        return None
    policy = KeepingPolicy(
        seconds=chosen.seconds,
        limit_bytes=chosen.limit_bytes,
        most=chosen.max_entries,
        tenants=frozenset(chosen.tenants),
        shared=frozenset(chosen.shared_tenants),
    )
    kept = KeptAnswers(profile.name, policy, shared.meters, erasures=tombstones.epoch)
    tombstones.tell(kept.forget)
    return kept


def _summaries(
    profile: Profile, shared: Shared, routes: Mapping[Backend, BackendRoute], history: History
) -> Summariser | None:
    """Summaries of long conversations; None where nobody makes them."""
    chosen = shared.settings.memory.summaries
    if chosen == "none":
        return None
    makers = {backend: Maker(route.generator, route.admission.spare) for backend, route in routes.items()}
    seconds = shared.settings.generation.timeout_seconds
    policy = SummaryPolicy(by_answering=chosen == "same", generation_seconds=seconds)
    summaries = Summariser(profile.name, history, makers, shared.meters, policy)
    shared.people.eraser.tombstones.tell(summaries.give_up)
    return summaries


def _embeddings(profile: Profile, shared: Shared) -> ClientEmbeddings | None:
    """Vectors for clients, None where there is no model for them."""
    if shared.embedding is None:
        return None
    return ClientEmbeddings(profile.name, shared.embedding.source, shared.limiter)


def _routes(profile: Profile, shared: Shared) -> dict[Backend, BackendRoute]:
    folder, service = shared.settings.prompts.dir, profile.name
    engine = shared.engine
    local = PromptTemplates.load(service, Backend.LLAMA, folder)
    web = open_web(shared.settings.search, service, shared.meters)
    routes = {Backend.LLAMA: BackendRoute(engine.generator, engine.admission, local, _agent(profile, shared, web), web)}
    if shared.remote is not None:
        generator, admission = shared.remote
        routes[Backend.OPENAI] = BackendRoute(
            generator, admission, PromptTemplates.load(service, Backend.OPENAI, folder), web=web
        )
    return routes


def _agent(profile: Profile, shared: Shared, web: Web) -> Agent | None:
    """The local model's tools, None where they are off."""
    tools = shared.settings.tools
    is_on = profile.has_tools if tools.enabled is None else tools.enabled
    if not is_on:
        return None
    outside = outside_tools(shared.settings, profile.name, shared.meters, web)
    return Agent(
        Toolbox(
            profile.name, (*built_in(), *outside), AgentBounds(confirm_seconds=tools.confirm_seconds), shared.meters
        ),
        tools.time_zone,
        others=shared.tool_servers.tools,
        standings=shared.tool_servers.standings,
        audit=shared.audit,
    )


def _desk(book: CharacterBook | None, templates: PromptTemplates, shared: Shared) -> CharacterDesk | None:
    return None if book is None else open_desk(book, templates, shared.engine.generator)


def _limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        body_bytes=settings.http.body_bytes,
        v1_body_bytes=settings.http.v1_body_bytes,
        send_timeout_seconds=settings.http.send_timeout_seconds,
        queue_timeout_seconds=settings.queue.timeout_seconds,
        max_waiting=settings.queue.max_waiting,
    )
