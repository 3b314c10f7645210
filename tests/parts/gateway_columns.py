"""The four gateways of the suite, each in front of the same two installs of the chart."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from parts.gateway_nginx import Nginx, nginx_program, running_nginx
from parts.gateway_objects import (
    apply,
    classes,
    components,
    environments,
    gateway_api,
    point,
    rendered,
    withdraw,
)
from parts.gateway_services import TWIN, Apps, Behind, behind_gateways, install
from parts.gateway_traefik import CONTROLLER, running_traefik, traefik
from parts.helm import Document, neighbour_kinds
from parts.kube_client import Kube
from parts.kube_cluster import free_ports, scratch_namespace
from parts.needs import left_out
from parts.pods_host import pods_host

ON_KUBERNETES = ("ingress-traefik", "httproute-traefik", "ingress-nginx")
NAMES = (*ON_KUBERNETES, "laptop")
SECOND_HOST = "second.test"
READ_TIMEOUT_SECONDS = 2
_READY_SECONDS = 180.0


@dataclass(frozen=True)
class Way:
    """How a client reaches one install.

    Attributes:
        believed: The address that its services take for the caller's where the caller is at 127.0.0.1; None: his own.
    """

    port: int
    host: str
    behind: Behind
    believed: str | None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """A client at an address of loopback."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"host": self.host, **headers},
            transport=httpx.AsyncHTTPTransport(local_address=address),
            timeout=60.0,
        )


@dataclass(frozen=True)
class Column:
    """One gateway.

    Attributes:
        main: To the chart with its defaults.
        second: To a second install: other host, short timeouts, affinity of users, and the gateway's address among the
            trusted proxies.
    """

    name: str
    main: Way
    second: Way

    @property
    def is_on_kubernetes(self) -> bool:
        return self.name in ON_KUBERNETES


@dataclass
class Columns:
    """All of them, and what they were told.

    Attributes:
        features: What the GatewayClass says that its gateway supports.
    """

    columns: dict[str, Column]
    features: Sequence[str]
    _kube: Kube
    _namespace: str
    _nginx: Nginx
    _services: dict[str, str]
    _address: str

    def move(self, component: str, port: int | None) -> None:
        """Point a Service of the second install at another port; None takes its pods away."""
        self._point(component, port, self._services[component])

    def route_conditions(self) -> dict[str, str]:
        """Condition -> status, as the controller says of the chart's HTTPRoutes; the worst of both installs."""
        said: dict[str, str] = {}
        for route in self._kube.find("HTTPRoute", self._namespace):
            for condition in route["status"]["parents"][0]["conditions"]:
                said[condition["type"]] = min(said.get(condition["type"], "True"), condition["status"])
        return said

    @contextmanager
    def twin(self) -> Iterator[None]:
        """Give office of the second install a second pod for a while."""
        self._point("office", self.columns["ingress-nginx"].second.behind.ports[TWIN], TWIN)
        try:
            yield
        finally:
            self._point("office", None, TWIN)

    def _point(self, component: str, port: int | None, name: str) -> None:
        if port is None:
            withdraw(self._kube, self._namespace, name)
        else:
            point(self._kube, (self._namespace, self._services[component]), self._address, port, name)
        self._nginx.follow()


@asynccontextmanager
async def running_columns(kube: Kube, folder: Path) -> AsyncIterator[Columns]:
    """Start everything and wait until each gateway leads to each install."""
    if not kube.login.token:
        left_out("the kubeconfig has no token, which Traefik needs; get it: a ServiceAccount's token")
    nginx_program()
    program = traefik()
    ingress_port, route_port, nginx_port = free_ports(3)
    with ExitStack() as stack:
        host = stack.enter_context(pods_host())
        stack.enter_context(gateway_api(kube, neighbour_kinds()))
        namespace = stack.enter_context(scratch_namespace(kube))
        releases = [rendered("chatbot", namespace, ()), rendered("second", namespace, _second(host.near))]
        installs = [install(folder / str(number), environments(each)) for number, each in enumerate(releases)]
        laptop = install(folder / "laptop", {})
        async with behind_gateways(installs, laptop, host) as laptop_port:
            for documents, apps in zip(releases, installs, strict=True):
                _tell(kube, namespace, host.address, documents, apps)
            stack.enter_context(classes(kube, namespace, CONTROLLER, route_port))
            nginx = stack.enter_context(running_nginx(folder / "nginx", nginx_port, kube, namespace))
            said = stack.enter_context(
                running_traefik(folder / "traefik", program, kube.login, namespace, (ingress_port, route_port))
            )
            ports = dict(zip(ON_KUBERNETES, (ingress_port, route_port, nginx_port), strict=True))
            columns = {name: _column(name, port, installs, host.near) for name, port in ports.items()}
            way = Way(laptop_port, "chat.test", laptop.behind, None)
            columns["laptop"] = Column("laptop", way, way)
            await _ready([way for each in columns.values() for way in (each.main, each.second)], said)
            gateway_class = kube.get("GatewayClass", "", namespace)
            features = [each["name"] for each in gateway_class["status"]["supportedFeatures"]]
            yield Columns(columns, features, kube, namespace, nginx, components(releases[1]), host.address)


def _second(gateway: str) -> tuple[str, ...]:
    annotation = f'"nginx.ingress.kubernetes.io/proxy-read-timeout": "{READ_TIMEOUT_SECONDS}"'
    return (
        f'gateway.hosts=["{SECOND_HOST}"]',
        f'http.trustedProxies=["{gateway}/32"]',
        f"gateway.ingress.annotations={{{annotation}}}",
        "gateway.ingress.userAffinity=true",
        "queue.timeoutSeconds=1",
        "generation.timeoutSeconds=1",
    )


def _tell(kube: Kube, namespace: str, address: str, documents: Sequence[Document], apps: Apps) -> None:
    apply(kube, documents)
    for component, service in components(documents).items():
        point(kube, (namespace, service), address, apps.behind.ports[component])


def _column(name: str, port: int, installs: Sequence[Apps], gateway: str) -> Column:
    main = Way(port, "chat.test", installs[0].behind, gateway)
    return Column(name, main, Way(port, SECOND_HOST, installs[1].behind, None))


async def _ready(ways: Sequence[Way], said: Callable[[], str]) -> None:
    ends_at = time.monotonic() + _READY_SECONDS
    for way in ways:
        async with way.client() as client:
            while not await _leads(client):
                if time.monotonic() > ends_at:
                    raise AssertionError(f"{way.host} on {way.port} leads nowhere:\n{said()[-3000:]}")
                await asyncio.sleep(0.1)


async def _leads(client: httpx.AsyncClient) -> bool:
    try:
        statuses = [
            (await client.get(path)).status_code for path in ("/office/readyz", "/character/readyz", "/nothing")
        ]
    except httpx.TransportError:
        return False
    return statuses == [200, 200, 404]
