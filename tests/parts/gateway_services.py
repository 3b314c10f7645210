"""What stands behind the gateways of the tests: services and 404 app on real sockets, over a stub that tests hold.

Prefix, body limits and trusted proxies are those that the rendered chart gives the pods.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from chatbot.api.not_found import NotFoundApp
from chatbot.api.profiles import CHARACTER, OFFICE
from chatbot.api.service import HttpLimits
from chatbot.core.admission import AdmissionPolicy
from chatbot.core.answering.pump import Answer
from chatbot.core.question import Exchange
from chatbot.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    TextPiece,
    Timings,
    Usage,
)
from chatbot.server.app import HttpOptions
from chatbot.server.gateway import Gateway
from starlette.types import ASGIApp, Receive, Scope, Send

from parts.http_service import Service, ServiceOptions, build, serving
from parts.pods_host import PodsHost
from parts.stub_generator import StubGenerator

PIECES = ("하나 ", "둘 ", "셋")
"""Every answer, in three pieces."""


TWIN = "office-twin"
"""A second pod of office: the same app on another port."""


class HeldGenerator(StubGenerator):
    """Answers in three pieces. The question may ask for more: `hold`, `quiet` or `pause SECONDS TIMES`.

    `hold` waits for `release` after the first piece, `quiet` before it; `pause` says so many pieces more, with a
    silence before each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let whoever waits go on."""
        self._released.set()
        self._released = asyncio.Event()

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        """One answer; `asked` counts them."""
        self.asked += 1
        released = self._released
        wish, *arguments = request.dialogue.question.content.split()
        self.running.add(request.request_id)
        ended = False
        try:
            if wish == "quiet":
                await released.wait()
            yield TextPiece(PIECES[0])
            if wish == "hold":
                await released.wait()
            if wish == "pause":
                for _ in range(int(arguments[1])):
                    await asyncio.sleep(float(arguments[0]))
                    yield TextPiece(".")
            for piece in PIECES[1:]:
                yield TextPiece(piece)
            ended = True
            yield Finished(FinishReason.STOP, Usage(7, len(PIECES), 0), Timings())
        finally:
            self.running.discard(request.request_id)
            if not ended:
                self.stopped[request.request_id] = time.monotonic()


@dataclass(frozen=True)
class Seen:
    """One request as it arrived behind the gateway; the port tells the pods of a service apart."""

    service: str
    port: int
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Behind:
    """One install: what a gateway leads to.

    Attributes:
        services: office and character. The second has one slot and no waiting line.
        ports: Of office, its twin, character and not-found; on the address that the gateway connects to.
        seen: Every request that arrived.
        addresses: Who asked `/v1`, as the service believes.
    """

    services: dict[str, Service]
    ports: dict[str, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    @property
    def office(self) -> Service:
        return self.services["office"]

    @property
    def stub(self) -> HeldGenerator:
        """The model of office."""
        return _stub_of(self.office)

    @property
    def narrow_stub(self) -> HeldGenerator:
        """The model of character."""
        return _stub_of(self.services["character"])


def _stub_of(service: Service) -> HeldGenerator:
    assert isinstance(service.generator, HeldGenerator)
    return service.generator


class _Recorder:
    """Notes requests on their way into an app (ASGI)."""

    def __init__(self, name: str, app: ASGIApp, seen: list[Seen]) -> None:
        self._name = name
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            raw_path = scope.get("raw_path") or scope["path"].encode()
            self._seen.append(
                Seen(self._name, scope["server"][1], scope["method"], raw_path.decode("latin-1"), headers)
            )
        await self._app(scope, receive, send)


@dataclass
class Apps:
    """The apps of one install, not yet served."""

    behind: Behind
    apps: dict[str, ASGIApp]


def install(folder: Path, environments: Mapping[str, Mapping[str, str]]) -> Apps:
    """Build an install.

    Args:
        folder: For the stores; made.
        environments: Variables of the rendered pods by service; none is a laptop's install.
    """
    behind = Behind({})
    apps: dict[str, ASGIApp] = {"not-found": NotFoundApp(health_path="/healthz" if environments else None)}
    for profile in (OFFICE, CHARACTER):
        place = folder / profile.name
        place.mkdir(parents=True)
        is_narrow = profile is CHARACTER
        options = ServiceOptions(
            profile=profile,
            generator=HeldGenerator(),
            slots=1 if is_narrow else 8,
            generation_seconds=300.0,  # longer than the longest stream
            policy=AdmissionPolicy(180.0, 0 if is_narrow else 512),
            **_http(environments.get(profile.name, {})),
        )
        apps[profile.name], service = build(place, options)
        _note_addresses(service, behind.addresses)
        behind.services[profile.name] = service
    return Apps(behind, {name: _Recorder(name, app, behind.seen) for name, app in apps.items()})


def _http(variables: Mapping[str, str]) -> dict[str, HttpOptions | HttpLimits]:
    if not variables:
        return {}
    trusted = json.loads(variables.get("CHATBOT_HTTP_TRUSTED_PROXIES", "[]"))
    return {
        "http": HttpOptions(variables["CHATBOT_HTTP_ROOT_PATH"], [ip_network(each) for each in trusted]),
        "limits": HttpLimits(int(variables["CHATBOT_HTTP_BODY_BYTES"]), int(variables["CHATBOT_HTTP_V1_BODY_BYTES"])),
    }


def _note_addresses(service: Service, addresses: list[str]) -> None:
    """`/v1` takes the address where the caller names no user: what came in is then what is believed."""
    real = service.answerer.open_exchange

    async def noting(exchange: Exchange) -> Answer:
        addresses.append(exchange.caller.user)
        return await real(exchange)

    service.answerer.open_exchange = noting  # type: ignore[method-assign]


@asynccontextmanager
async def behind_gateways(installs: Sequence[Apps], laptop: Apps, host: PodsHost) -> AsyncIterator[int]:
    """Serve installs on a host of their own, and a laptop's own gateway on loopback, whose port is yielded."""
    own = {name: app for name, app in laptop.apps.items() if name != "not-found"}
    gateway = Gateway(own, laptop.apps["not-found"])
    gate = laptop.behind.office.gate
    flat = [(each.behind, name, app) for each in installs for name, app in each.apps.items()]
    flat += [(each.behind, TWIN, each.apps["office"]) for each in installs]
    async with (
        serving(gateway, gate) as (laptop_port,),
        serving(flat[0][2], gate, *(app for _, _, app in flat[1:]), place=host.bind) as ports,
    ):
        for (behind, name, _), port in zip(flat, ports, strict=True):
            behind.ports[name] = port
        yield laptop_port
