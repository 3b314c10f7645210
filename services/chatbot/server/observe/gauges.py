"""Gauges that read the parts of a process when somebody scrapes, and hold nothing themselves."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from chatbot.core.admission import Line
from chatbot.core.toolservers.servers import ToolServers
from chatbot.domain.personal.stores import STORE_NAMES
from chatbot.domain.tenants.policy import PolicyStatus
from chatbot.domain.usage.prices import PriceTable
from chatbot.server.metrics import METRICS, QUOTA_USED
from chatbot.server.observe.engine_metrics import EngineCollector, EngineSource


class Gauges:
    """The gauges of a process.

    Args:
        registry: Where they are scraped.
        services: Of the process.
        of: All metrics by name.
    """

    def __init__(
        self, registry: CollectorRegistry, services: Sequence[str], of: Mapping[str, MetricWrapperBase]
    ) -> None:
        self.registry = registry
        self._services = tuple(services)
        self._of = of

    def watch_line(self, service: str, line: Callable[[], Line]) -> None:
        """Let the gauges of the waiting line read the line itself."""
        readers: dict[str, Callable[[], float]] = {
            "chatbot_queue_depth": lambda: line().depth,
            "chatbot_queue_max_waiting": lambda: line().max_waiting,
            "chatbot_queue_predicted_wait_seconds": lambda: line().predicted_wait_seconds,
            "chatbot_requests_running": lambda: line().running,
            "chatbot_requests_aside": lambda: line().aside,
            "chatbot_slots": lambda: line().slots,
        }
        for name, read in readers.items():
            self._watch(name, read, (service,))

    def watch_limits(
        self, is_degraded: Callable[[], bool], use: Callable[[], Iterable[tuple[str, str, float]]]
    ) -> None:
        """Let the gauges of the limits read them, and what tenants, known only once they ask, used of theirs."""
        self._watch("chatbot_limits_degraded", is_degraded)
        self.registry.register(_QuotaUse(self._services, use))

    def watch_erasures(self, oldest_seconds: Callable[[], float]) -> None:
        """Let the gauge of erasures read them."""
        self._watch("chatbot_erasure_oldest_seconds", oldest_seconds)

    def watch_audit(self, problems: Callable[[], int]) -> None:
        """Let the gauge of the audit read what its watch found."""
        self._watch("chatbot_audit_problems", problems)

    def watch_ages(self, ages: Callable[[], Mapping[str, float]]) -> None:
        """Let the gauges of the oldest rows read them."""
        gauge = self._of["chatbot_oldest_row_age_seconds"]
        for service, store in product(self._services, STORE_NAMES):
            if isinstance(gauge, Gauge):
                gauge.labels(service=service, store=store).set_function(lambda name=store: ages().get(name, 0.0))  # type: ignore[misc]

    def watch_tool_servers(self, servers: ToolServers) -> None:
        """Let the gauges of tool servers read them."""
        readers = {"chatbot_mcp_server_up": servers.is_up, "chatbot_mcp_tools_changed": servers.changed}
        for (name, read), service, server in product(readers.items(), self._services, servers.names):
            gauge = self._of[name]
            if isinstance(gauge, Gauge):
                gauge.labels(service=service, server=server).set_function(partial(read, server))

    def watch_policies(self, status: Callable[[], PolicyStatus]) -> None:
        """Let the gauges of tenants' policies read them."""
        self._watch("chatbot_tenant_policies", lambda: len(status().policies.all()))
        self._watch("chatbot_tenant_policies_stale", lambda: bool(status().message))

    def watch_engine(self, services: Sequence[str], engine: EngineSource) -> None:
        """Let the engine's metrics and the served model be read when somebody scrapes."""
        self.registry.register(EngineCollector(services, engine))

    def watch_prices(self, prices: PriceTable) -> None:
        """Make a series for each model that has a price, and let the gauge read how old the table is."""
        for service, model in product(self._services, prices.models):
            self._of["chatbot_cost_usd_total"].labels(service=service, model=model)
        self._watch("chatbot_price_age_seconds", prices.age_seconds)

    def _watch(self, name: str, read: Callable[[], float], services: Sequence[str] = ()) -> None:
        """Let a gauge be read when somebody scrapes, the same for these services, or for all of the process."""
        gauge = self._of[name]
        for service in services or self._services:
            if isinstance(gauge, Gauge):
                gauge.labels(service=service).set_function(read)


class _QuotaUse(Collector):
    """A series for each limit that is there now."""

    def __init__(self, services: Sequence[str], read: Callable[[], Iterable[tuple[str, str, float]]]) -> None:
        self._services = services
        self._read = read
        self._metric = next(one for one in METRICS if one.name == QUOTA_USED)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = self._family()
        for (tenant, limit, ratio), service in product(list(self._read()), self._services):
            family.add_metric((service, tenant, limit), ratio)
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(QUOTA_USED, self._metric.help, labels=("service", *self._metric.labels))
