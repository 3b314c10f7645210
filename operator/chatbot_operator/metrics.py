"""Every metric of the operator. This is the only list; docs/metrics.md is made from it.

`model_namespace`, not `namespace`: Prometheus sets `namespace` to the operator's own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from chatbot_operator.names import ModelKind
from chatbot_operator.reasons import ConditionType
from chatbot_operator.resources import Condition, ModelStatus

OUTCOMES = ("ok", "conflict", "refused", "unreachable", "error")
ROLLOUT_RESULTS = ("succeeded", "rolled_back", "aborted")
_MODEL = ("model", "model_namespace")
_STATES = ("True", "False", "Unknown")
_RECONCILE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROLLOUT_SECONDS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as docs/metrics.md shows it."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


CONDITION = Described(
    "chatbot_model_condition",
    "gauge",
    "1 for the status that a condition has, else 0; kind is the Model's.",
    (*_MODEL, "kind", "type", "status"),
)
BYTES = Described("chatbot_model_download_bytes", "gauge", "Bytes of the download that have arrived.", _MODEL)
BYTES_EXPECTED = Described(
    "chatbot_model_download_bytes_expected", "gauge", "Size of the file that is downloaded, bytes.", _MODEL
)
FAILURES = Described(
    "chatbot_model_download_failures_total", "counter", "Downloads that ended badly.", (*_MODEL, "reason")
)
ROLLOUTS = Described("chatbot_rollouts_total", "counter", "Rollouts that ended.", (*_MODEL, "result"))
ROLLOUT_SECONDS = Described(
    "chatbot_rollout_duration_seconds", "histogram", "Time from a rollout's start to its end, seconds.", _MODEL
)
RECONCILE = Described(
    "chatbot_reconcile_seconds",
    "histogram",
    "Time of one look at a Model or at a namespace's Tenants or Characters, or at a list where that failed, seconds.",
    ("outcome",),
)
TENANTS = Described(
    "chatbot_tenants",
    "gauge",
    "Tenants of a namespace, by whether every consumer serves them.",
    ("tenant_namespace", "ready"),
)
CHARACTERS = Described(
    "chatbot_characters",
    "gauge",
    "Characters of a namespace, by whether every consumer serves them.",
    ("character_namespace", "ready"),
)
TENANT_NOT_READY = Described(
    "chatbot_tenant_not_ready",
    "gauge",
    "1 for a Tenant that is not Ready; of a namespace at most 20, the first by name.",
    ("tenant", "tenant_namespace"),
)
CHARACTER_NOT_READY = Described(
    "chatbot_character_not_ready",
    "gauge",
    "1 for a Character that is not Ready; of a namespace at most 20, the first by name.",
    ("character", "character_namespace"),
)
MOST_NAMED = 20
COMPILED: Mapping[str, tuple[Described, Described]] = {
    "tenants": (TENANTS, TENANT_NOT_READY),
    "characters": (CHARACTERS, CHARACTER_NOT_READY),
}
METRICS = (
    CONDITION, BYTES, BYTES_EXPECTED, FAILURES, ROLLOUTS, ROLLOUT_SECONDS, RECONCILE,
    TENANTS, TENANT_NOT_READY, CHARACTERS, CHARACTER_NOT_READY,
)  # fmt: skip


class Metrics:
    """The operator's metrics, and the registry that they are scraped from."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._statuses: dict[tuple[str, str], tuple[ModelKind, ModelStatus]] = {}
        self._compiled: dict[str, dict[str, tuple[int, tuple[str, ...]]]] = {plural: {} for plural in COMPILED}
        self.failures = _counter(FAILURES, self.registry)
        self.rollouts = _counter(ROLLOUTS, self.registry)
        self.rollout_seconds = _histogram(ROLLOUT_SECONDS, _ROLLOUT_SECONDS, self.registry)
        self.reconcile_seconds = _histogram(RECONCILE, _RECONCILE_SECONDS, self.registry)
        self.registry.register(self)

    def saw(self, namespace: str, name: str, status: ModelStatus, kind: ModelKind = "Chat") -> None:
        """The status of a Model as it is now. At first sight its rollouts begin at zero, so that a rate sees the first.

        Its failed downloads do not: 25 reasons for each Model would be series that nearly all stay at zero.
        """
        if (name, namespace) not in self._statuses:
            self.rollout_seconds.labels(name, namespace)
            for result in ROLLOUT_RESULTS:
                self.rollouts.labels(name, namespace, result)
        self._statuses[name, namespace] = kind, status

    def saw_compiled(self, plural: str, namespace: str, *, ready: int, others: Iterable[str]) -> None:
        """How many objects of a compiled kind in a namespace are served everywhere, and which are not."""
        self._compiled[plural][namespace] = ready, tuple(sorted(others))

    def forget(self, namespace: str, name: str) -> None:
        """A Model is gone; so are its series."""
        self._statuses.pop((name, namespace), None)
        labels = {"model": name, "model_namespace": namespace}
        for metric in (self.failures, self.rollouts, self.rollout_seconds):
            metric.remove_by_labels(labels)

    def collect(self) -> Iterator[Metric]:
        """Gauges straight from the statuses, so they can never be of a Model that is gone."""
        condition, arrived, expected = (
            GaugeMetricFamily(d.name, d.help, labels=d.labels) for d in (CONDITION, BYTES, BYTES_EXPECTED)
        )
        for model, (kind, status) in list(self._statuses.items()):
            _add_conditions(condition, (*model, kind), status.conditions)
            _add_if_known(arrived, model, status.download.bytes_done)
            _add_if_known(expected, model, status.download.bytes_total)
        yield from (condition, arrived, expected)
        for plural in COMPILED:
            yield from self._families(plural)

    def _families(self, plural: str) -> Iterator[Metric]:
        """How many there are; and those that are not Ready by their names, so that an alert can tell which."""
        counted, named = (GaugeMetricFamily(one.name, one.help, labels=one.labels) for one in COMPILED[plural])
        for namespace, (ready, others) in list(self._compiled[plural].items()):
            counted.add_metric([namespace, "true"], ready)
            counted.add_metric([namespace, "false"], len(others))
            for name in others[:MOST_NAMED]:
                named.add_metric([name, namespace], 1)
        yield from (counted, named)


def _add_conditions(
    family: GaugeMetricFamily, model: tuple[str, ...], conditions: Mapping[ConditionType, Condition]
) -> None:
    for kind, condition in conditions.items():
        for state in _STATES:
            family.add_metric([*model, kind.value, state], float(condition.status == state))


def _add_if_known(family: GaugeMetricFamily, model: tuple[str, str], value: int | None) -> None:
    if value is not None:
        family.add_metric(list(model), value)


def _counter(described: Described, registry: CollectorRegistry) -> Counter:
    return Counter(described.name, described.help, described.labels, registry=registry)


def _histogram(described: Described, buckets: tuple[float, ...], registry: CollectorRegistry) -> Histogram:
    return Histogram(described.name, described.help, described.labels, registry=registry, buckets=buckets)
