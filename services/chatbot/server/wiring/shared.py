"""What all services of a process share: opened, running, idle, closed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chatbot.adapters.characters.curated_file import CuratedFile
from chatbot.adapters.tenants.file import PolicyFile
from chatbot.api.profiles import Profile
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.admission import Admission
from chatbot.core.answering.answerer import Answerer
from chatbot.core.audit.audit import Audit
from chatbot.core.characters.book import CharacterBook
from chatbot.core.limits.limiter import Limiter
from chatbot.core.toolservers.servers import ToolServers
from chatbot.core.usage.recorder import Recorder
from chatbot.domain.ports import ConversationStore, TextGenerator
from chatbot.server.observe.logs import scrubber_in_use
from chatbot.server.observe.scrubbing import ScrubCollector
from chatbot.server.observe.telemetry import Meters
from chatbot.server.serving.gate import Gate
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.access.audit import note_policies, open_audit, open_audit_watch
from chatbot.server.wiring.access.traces import open_traces
from chatbot.server.wiring.characters import open_characters, open_curated
from chatbot.server.wiring.documents.opening import Documents, open_documents
from chatbot.server.wiring.embedding import Embedding, open_embedding
from chatbot.server.wiring.engine import Engine, ModelSource, open_engine
from chatbot.server.wiring.personal.people import People, open_people, open_tombstones
from chatbot.server.wiring.personal.sweeping import open_sweeper
from chatbot.server.wiring.remote import open_remote
from chatbot.server.wiring.stores import open_keys, open_limiter, open_store, open_tenants
from chatbot.server.wiring.tool_servers import open_tool_servers
from chatbot.server.wiring.usage import open_prices, open_recorder

if TYPE_CHECKING:
    from chatbot.server.observe.tracing.otlp import OtlpTraces

_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What all services of a process share.

    Attributes:
        remote: The second backend with its own line, None where it is off.
        usage: Where requests are recorded, None where they are not.
        traces: Who is told of requests, None where nobody is.
        documents: Documents and the worker that reads them, None where they are off.
        embedding: Makes vectors of texts, None where no model is set.
        characters: None where no service of the process has any.
        curated: Characters that whoever operates the process brings.
        people: Who may want to be erased.
        audit: Records what administrators and operators do.
        tool_servers: Whose tools the local model may call.
    """

    settings: Settings
    meters: Meters
    gate: Gate
    tenants: PolicyFile
    keys: KeyCheck
    limiter: Limiter
    store: ConversationStore
    engine: Engine
    people: People
    audit: Audit
    remote: tuple[TextGenerator, Admission] | None
    documents: Documents | None = None
    embedding: Embedding | None = None
    characters: CharacterBook | None = None
    curated: CuratedFile = field(default_factory=lambda: CuratedFile(None, lambda _, before: before))
    tool_servers: ToolServers = field(default_factory=ToolServers)
    usage: Recorder | None = None
    traces: "OtlpTraces | None" = None


def open_shared(settings: Settings, profiles: Sequence[Profile], *, may_start_programs: bool = False) -> Shared:
    """The parts that all services of a process share; nothing runs yet.

    Args:
        settings: Of the process.
        profiles: The services; the first one's prompt file makes the smoke answer.
        may_start_programs: Whether tool servers may be programs: on a machine of somebody's own.

    Raises:
        PromptFileError, ValueError, OSError: A file that the settings name cannot be used.
    """
    meters = Meters([profile.name for profile in profiles])
    scrubber = scrubber_in_use()
    if scrubber is not None:
        meters.registry.register(ScrubCollector([profile.name for profile in profiles], scrubber.found))
    engine = open_engine(settings, profiles[0].name, meters)
    embedding = open_embedding(settings.embedding, meters)
    tool_servers = open_tool_servers(settings.tools.mcp, may_start_programs=may_start_programs)
    meters.watch_tool_servers(tool_servers)
    tenants = open_tenants(settings)
    meters.watch_policies(lambda: tenants.status)
    prices = open_prices(settings)
    meters.watch_prices(prices)
    limiter = open_limiter(settings, meters, prices)
    meters.watch_limits(lambda: limiter.is_degraded, limiter.use.read)
    for profile in profiles:
        meters.watch_line(profile.name, lambda name=profile.name: engine.admission.line(name))  # type: ignore[misc]
    meters.watch_engine([profile.name for profile in profiles], engine.reading)
    has_characters = any(profile.has_characters for profile in profiles)
    curated = open_curated(settings, has_characters=has_characters)
    tombstones, keys, audit = open_tombstones(settings), open_keys(settings, tenants), open_audit(settings, meters)
    documents = open_documents(settings, embedding, lambda: _waiting(engine, profiles), tenants, tombstones)
    library = documents.library.store if documents is not None else None
    return Shared(
        settings=settings,
        meters=meters,
        gate=Gate(engine.host.ready, lame_duck_seconds=settings.http.lame_duck_seconds),
        tenants=tenants,
        keys=keys,
        limiter=limiter,
        store=open_store(settings),
        engine=engine,
        remote=open_remote(settings, meters),
        people=open_people(settings, tombstones, library, keys, meters, audit),
        audit=audit,
        documents=documents,
        embedding=embedding,
        characters=open_characters(settings, curated) if has_characters else None,
        curated=curated,
        tool_servers=tool_servers,
        traces=open_traces(settings, [profile.name for profile in profiles]),
        usage=open_recorder(settings, meters),
    )


@asynccontextmanager
async def running(shared: Shared, source: ModelSource) -> AsyncIterator[None]:
    """Serve the source's model while the block runs; afterwards engine and store are closed."""
    servers = asyncio.create_task(shared.tool_servers.follow())
    tasks = [asyncio.ensure_future(work) for work in _works(shared, source)]
    try:
        yield
    finally:
        servers.cancel()
        await asyncio.gather(servers, return_exceptions=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await shared.engine.host.stop()
        if shared.embedding is not None:
            await shared.embedding.source.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(shared.store.close(), shared.keys.close(), shared.limiter.close())
                await shared.people.close()
                if shared.documents is not None:
                    await shared.documents.library.store.close()
                    await shared.documents.shelves.store.close()
                if shared.characters is not None:
                    await shared.characters.close()
                if shared.usage is not None:
                    await shared.usage.close()
                if shared.traces is not None:
                    await shared.traces.close()


def _works(shared: Shared, source: ModelSource) -> Iterator[Coroutine[None, None, object]]:
    """What goes on beside the answers, each until it is cancelled."""
    yield source.follow(shared.engine.host)
    yield _drain(shared)
    yield shared.keys.follow()
    yield shared.tenants.follow()
    yield note_policies(shared.audit, shared.tenants)
    yield shared.curated.follow()
    yield shared.limiter.follow()
    yield shared.people.run()
    yield open_sweeper(shared.people, shared.tenants, shared.meters).run()
    yield open_audit_watch(shared.audit, shared.people, shared.meters).run()
    if shared.usage is not None:
        yield shared.usage.follow()
    if shared.documents is not None:
        yield shared.documents.run()
    if shared.embedding is not None:
        yield shared.embedding.run()


def _waiting(engine: Engine, profiles: Sequence[Profile]) -> int:
    """Requests that wait for an answer of the local model."""
    return sum(engine.admission.line(profile.name).depth for profile in profiles)


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
