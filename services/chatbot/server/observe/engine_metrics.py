"""The engine's metrics, read when somebody scrapes: the heartbeat's numbers under the names of `server.metrics`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from chatbot.domain.model import ModelInfo
from chatbot.server.metrics import METRICS, Kind, Metric

# Metric -> its label's values -> key in the heartbeat's stats. "" is a metric without a label of its own.
_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "chatbot_engine_kv_cells": {"": "kv_cells"},
    "chatbot_engine_kv_cache_usage_ratio": {"active": "kv_cells_active", "idle": "kv_cells_idle"},
    "chatbot_engine_prefix_cache_queried_tokens_total": {"": "prefix_queried"},
    "chatbot_engine_prefix_cache_hit_tokens_total": {
        "in_place": "prefix_hit_in_place",
        "fork": "prefix_hit_fork",
        "follower": "prefix_hit_follower",
        "host": "prefix_hit_host",
    },
    "chatbot_engine_steps_total": {"": "steps"},
    "chatbot_engine_step_rows_total": {"": "rows"},
    "chatbot_engine_step_seconds_total": {"": "step_seconds"},
    "chatbot_engine_step_overhead_seconds_total": {
        "build": "overhead_seconds_build",
        "sample": "overhead_seconds_sample",
        "deliver": "overhead_seconds_deliver",
    },
    "chatbot_engine_preemptions_total": {"": "preemptions"},
    "chatbot_engine_evictions_total": {"drop": "evictions", "host": "evictions_host"},
    "chatbot_engine_host_cache_bytes": {"": "host_cache_bytes"},
    "chatbot_engine_host_cache_restores_total": {"ok": "host_restores", "lost": "host_lost"},
    "chatbot_engine_decode_errors_total": {"any": "decode_errors"},
}
_RESTARTS: Final = "chatbot_engine_restarts_total"
_MODEL_INFO: Final = "chatbot_model_info"
ENGINE_METRICS: Final = frozenset({*_KEYS, _RESTARTS, _MODEL_INFO})


@dataclass(frozen=True, slots=True)
class EngineReading:
    """What the engine says of itself now.

    Attributes:
        stats: Totals since its process started, and gauges; a restart sets them back, as counters may be.
        restarts: Restarts that nobody asked for.
        model: The model that is served, None where none is.
    """

    stats: Mapping[str, float] = field(default_factory=dict)
    restarts: int = 0
    model: ModelInfo | None = None


EngineSource = Callable[[], EngineReading]
_Family = CounterMetricFamily | GaugeMetricFamily


class EngineCollector(Collector):
    """One engine, under the label of each service that it answers for."""

    def __init__(self, services: Sequence[str], engine: EngineSource) -> None:
        self._services = services
        self._engine = engine

    def describe(self) -> Iterator[_Family]:
        """The families, without asking the engine."""
        for metric in METRICS:
            if metric.name in ENGINE_METRICS:
                yield _family(metric)

    def collect(self) -> Iterator[_Family]:
        """The families with what the engine says now; zero before it said anything."""
        reading = self._engine()
        for metric in METRICS:
            if metric.name in ENGINE_METRICS:
                family = _family(metric)
                for service in self._services:
                    for labels, value in _samples(metric.name, reading):
                        family.add_metric([service, *labels], value)
                yield family


def _samples(name: str, reading: EngineReading) -> list[tuple[list[str], float]]:
    if name == _RESTARTS:
        return [([], float(reading.restarts))]
    if name == _MODEL_INFO:
        return [([reading.model.name, reading.model.revision], 1.0)] if reading.model else []
    unit = max(1.0, reading.stats.get("kv_cells", 1.0)) if name.endswith("_usage_ratio") else 1.0
    return [([label] if label else [], reading.stats.get(key, 0.0) / unit) for label, key in _KEYS[name].items()]


def _family(metric: Metric) -> _Family:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=["service", *metric.labels])
