"""What the routes of one service are given; the server puts it together."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from chatbot.api.profiles import Profile
from chatbot.api.wire.tracing import Traces
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.core.answering.answerer import Answerer
from chatbot.core.audit.audit import Audit
from chatbot.core.characters.desk import CharacterDesk
from chatbot.core.embedding.clients import ClientEmbeddings
from chatbot.core.history import History
from chatbot.core.limits.limiter import Limiter
from chatbot.core.performance import Machine, Statistics
from chatbot.core.personal.desk import PersonalDesk
from chatbot.core.retrieval.library import Library
from chatbot.core.shelves.shelves import Shelves
from chatbot.core.usage.recorder import Recorder
from chatbot.domain.generation import Backend, Sampling
from chatbot.domain.personal.erasure import NO_GUARD, Guard
from chatbot.domain.ports import TextGenerator
from chatbot.domain.tenants.policy import NO_POLICIES, Tenants
from chatbot.domain.toolservers.standing import ToolStanding, ToolState


class HttpTelemetry(Protocol):
    """What the HTTP layer counts. Labels come from closed sets."""

    def request_ended(self, service: str, route: str, status: int, outcome: str, seconds: float) -> None:
        """A request ended; `route` is a path of ours or "other", `outcome` is ok, error or client_gone."""

    def key_checked(self, service: str, outcome: str) -> None:
        """A key was judged: accepted, anonymous (none is asked for), unauthorized, forbidden or unavailable."""

    def unknown_fields(self, service: str, count: int) -> None:
        """A body had fields that nobody knows."""


class Gate(Protocol):
    """Whether requests may come in."""

    @property
    def is_draining(self) -> bool:
        """Whether this process is shutting down."""

    @property
    def is_refusing(self) -> bool:
        """Whether it is, and newcomers are refused."""

    def is_ready(self) -> bool:
        """Whether each request gets an answer or an honest 429; a stored result."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of requests and answers. Bytes and seconds, as in the settings."""

    body_bytes: int = 128 * 1024
    v1_body_bytes: int = 4 * 2**20
    send_timeout_seconds: float = 30.0
    queue_timeout_seconds: float = 180.0
    max_waiting: int = 512


@dataclass(frozen=True, slots=True)
class Parts:
    """The working parts of one service.

    Attributes:
        generators: Those that are configured.
        sampling: Defaults where a caller gives none.
        documents: None where they are switched off.
        shelves: Files and vector stores over them; None as they are.
        embeddings: Vectors for clients; None where there is no model for them.
        characters: None where the service has none.
        limiter: Limits of keys; None where there are no keys.
        usage: Where requests are recorded; None where they are not.
        traces: Who follows requests; None where nobody does.
        tenants: Their policies.
        guard: Knows who was erased.
        personal: Erasures and exports of people; None where nobody keeps anything.
        has_search: Whether web search is configured.
        machine: What the process runs on; None where nobody reads it.
        tools: Names of the tools that the local model may call; the demo model is offered none.
        remote_tools: Those of tool servers, as they stand now.
        audit: Records what administrators and operators do; None where nobody reads it.
    """

    answerer: Answerer
    statistics: Statistics
    history: History
    generators: Mapping[Backend, TextGenerator]
    gate: Gate
    keys: KeyCheck
    telemetry: HttpTelemetry
    limits: HttpLimits = HttpLimits()
    sampling: Sampling = Sampling()
    documents: Library | None = None
    shelves: Shelves | None = None
    embeddings: ClientEmbeddings | None = None
    characters: CharacterDesk | None = None
    limiter: Limiter | None = None
    usage: Recorder | None = None
    traces: Traces | None = None
    tenants: Tenants = NO_POLICIES
    guard: Guard = NO_GUARD
    personal: PersonalDesk | None = None
    tools: tuple[str, ...] = ()
    remote_tools: Callable[[], Sequence[ToolStanding]] = tuple
    has_search: bool = False
    machine: Callable[[], Awaitable[Machine | None]] | None = None
    audit: Audit | None = None

    def tool_names(self, *, also_away: bool = False) -> tuple[str, ...]:
        """Names of all tools that may be called now, or as soon as their server is back."""
        states = (ToolState.AVAILABLE, ToolState.UNAVAILABLE) if also_away else (ToolState.AVAILABLE,)
        return (*self.tools, *(one.name for one in self.remote_tools() if one.state in states))


def parts_of(request: Request) -> Parts:
    """The parts of the service that serves a request."""
    parts: Parts = request.app.state.parts
    return parts


def profile_of(request: Request) -> Profile:
    """The profile of the service that serves a request."""
    profile: Profile = request.app.state.profile
    return profile
