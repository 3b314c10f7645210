"""Counting: the metrics of `server.metrics`, as prometheus_client has them.

Every label set is made at the start, so that a rate has a zero to begin at and no request makes a new series.
"""

from collections.abc import Iterable
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase

from chatbot.core.agent.toolbox import NOT_RUN
from chatbot.domain.generation import FinishReason
from chatbot.domain.usage.prices import MICRO_USD
from chatbot.domain.usage.rows import UsageRow
from chatbot.server.metrics import LOG_SCRUBBED, METRICS, QUOTA_USED, Kind, Metric
from chatbot.server.observe.engine_metrics import ENGINE_METRICS
from chatbot.server.observe.gauges import Gauges
from chatbot.server.observe.label_values import (
    ALL_STATUSES,
    ROUTES,
    SUMMARY_TOKEN_KINDS,
    TOKEN_KINDS,
    WAITED_OUTCOMES,
    label_values,
)


class Meters(Gauges):
    """All metrics of one process, in a registry of their own.

    Implements `Telemetry`, `HttpTelemetry`, `ToolTelemetry`, `WebTelemetry`, `StyleTelemetry`,
    `LimitTelemetry`, `AuditTelemetry`, `SummaryTelemetry` and `UsageTelemetry`.
    """

    def __init__(self, services: Iterable[str]) -> None:
        registry = CollectorRegistry(auto_describe=True)
        own = [metric for metric in METRICS if metric.name not in {*ENGINE_METRICS, LOG_SCRUBBED, QUOTA_USED}]
        super().__init__(registry, tuple(services), {metric.name: _made(metric, registry) for metric in own})
        # The library's look-up of a labelled child costs 10 us; label sets are closed, so these stay small.
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._histograms: dict[tuple[str, ...], Histogram] = {}
        for service in self._services:
            self._begin(service)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the format that `Accept` asks for, and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type

    def of(self, service: str) -> "ServiceMeters":
        """The meters as one service sees them."""
        return ServiceMeters(self, service)

    def request_ended(self, service: str, route: str, status: int, outcome: str, seconds: float) -> None:
        """See `HttpTelemetry`."""
        route = route if route in ROUTES else "other"
        shown = str(status) if str(status) in ALL_STATUSES else "other"
        self._count("chatbot_requests_total", 1, service=service, route=route, status=shown, outcome=outcome)
        self._observe("chatbot_request_duration_seconds", seconds, service=service, route=route)

    def key_checked(self, service: str, outcome: str) -> None:
        """See `HttpTelemetry`."""
        self._count("chatbot_auth_requests_total", 1, service=service, outcome=outcome)

    def unknown_fields(self, service: str, count: int) -> None:
        """See `HttpTelemetry`."""
        self._count("chatbot_unknown_fields_total", count, service=service)

    def limit_decided(self, service: str, limit: str, outcome: str) -> None:
        """See `LimitTelemetry`."""
        self._count("chatbot_limit_decisions_total", 1, service=service, limit=limit, outcome=outcome)

    def erasure_ended(self, outcome: str) -> None:
        """See `ErasureTelemetry`; a user is erased for all services."""
        for service in self._services:
            self._count("chatbot_erasures_total", 1, service=service, outcome=outcome)

    def limit_store_called(self, outcome: str, seconds: float) -> None:
        """See `LimitTelemetry`; the store is shared by all services of the process."""
        for service in self._services:
            self._observe("chatbot_limit_store_seconds", seconds, service=service, outcome=outcome)

    def audit_called(self, operation: str, outcome: str) -> None:
        """See `AuditTelemetry`; the chain is that of all services."""
        for service in self._services:
            self._count("chatbot_audit_operations_total", 1, service=service, operation=operation, outcome=outcome)

    def use_recorded(self, row: UsageRow, model: str) -> None:
        """See `UsageTelemetry`."""
        service, backend = row.service, row.backend
        self._count("chatbot_usage_requests_total", 1, service=service, outcome=str(row.outcome))
        tokens = (row.prompt_tokens, row.cached_tokens, row.completion_tokens)
        for kind, count in zip(TOKEN_KINDS, tokens, strict=True):
            self._count("chatbot_usage_tokens_total", count, service=service, backend=backend, kind=kind)
        if model:
            self._count("chatbot_cost_usd_total", row.micro_usd / MICRO_USD, service=service, model=model)

    def use_lost(self, service: str, reason: str, count: int) -> None:
        """See `UsageTelemetry`."""
        self._count("chatbot_usage_unrecorded_total", count, service=service, reason=reason)

    def queue_left(self, service: str, outcome: str, wait_seconds: float) -> None:
        """See `Telemetry`."""
        self._count("chatbot_queue_requests_total", 1, service=service, outcome=outcome)
        if outcome in WAITED_OUTCOMES:
            self._observe("chatbot_queue_wait_seconds", wait_seconds, service=service, outcome=outcome)

    def first_token(self, service: str, seconds: float) -> None:
        """See `Telemetry`."""
        self._observe("chatbot_time_to_first_token_seconds", seconds, service=service)

    def inter_token(self, service: str, seconds: float) -> None:
        """See `Telemetry`."""
        self._observe("chatbot_inter_token_latency_seconds", seconds, service=service)

    def generation_ended(
        self, service: str, finish: FinishReason | str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """See `Telemetry`."""
        self._count("chatbot_generations_total", 1, service=service, finish_reason=str(finish))
        self._count("chatbot_prompt_tokens_total", prompt_tokens, service=service)
        self._count("chatbot_generation_tokens_total", completion_tokens, service=service)

    def tool_called(self, service: str, tool: str, outcome: str, seconds: float) -> None:
        """See `ToolTelemetry`."""
        self._count("chatbot_tool_calls_total", 1, service=service, tool=tool, outcome=outcome)
        if outcome not in NOT_RUN:
            self._observe("chatbot_tool_seconds", seconds, service=service, tool=tool)

    def agent_ended(self, service: str, rounds: int, stopped: str) -> None:
        """See `ToolTelemetry`."""
        self._observe("chatbot_agent_rounds", rounds, service=service)
        if stopped:
            self._count("chatbot_agent_stopped_total", 1, service=service, reason=stopped)

    def summary_ended(self, service: str, outcome: str, prompt_tokens: int, completion_tokens: int) -> None:
        """See `SummaryTelemetry`."""
        self._count("chatbot_memory_summaries_total", 1, service=service, outcome=outcome)
        for kind, count in zip(SUMMARY_TOKEN_KINDS, (prompt_tokens, completion_tokens), strict=True):
            self._count("chatbot_memory_summary_tokens_total", count, service=service, kind=kind)

    def call_asked_first(self, service: str, outcome: str) -> None:
        """See `ToolTelemetry`."""
        self._count("chatbot_confirmations_total", 1, service=service, outcome=outcome)

    def style_checked(self, service: str, check: str, outcome: str) -> None:
        """See `StyleTelemetry`."""
        self._count("chatbot_persona_checks_total", 1, service=service, check=check, outcome=outcome)

    def style_repaired(self, service: str, step: str, tokens: int) -> None:
        """See `StyleTelemetry`."""
        self._count("chatbot_persona_repairs_total", 1, service=service, step=step)
        self._count("chatbot_persona_extra_tokens_total", tokens, service=service)

    def text_held_back(self, service: str, seconds: float) -> None:
        """See `StyleTelemetry`."""
        self._observe("chatbot_persona_held_seconds", seconds, service=service)

    def provider_asked(self, service: str, provider: str, outcome: str) -> None:
        """See `WebTelemetry`."""
        self._count("chatbot_search_requests_total", 1, service=service, provider=provider, outcome=outcome)

    def page_read(self, service: str, outcome: str) -> None:
        """See `WebTelemetry`."""
        self._count("chatbot_web_pages_total", 1, service=service, outcome=outcome)

    def cache_asked(self, service: str, cache: str, outcome: str) -> None:
        """See `CacheTelemetry`."""
        self._count("chatbot_cache_requests_total", 1, service=service, cache=cache, outcome=outcome)

    def embedded(self, purpose: str, outcome: str, tokens: int, seconds: float) -> None:
        """See `EmbeddingTelemetry`; the model is shared by all services of the process."""
        for service in self._services:
            self._observe("chatbot_embedding_seconds", seconds, service=service, purpose=purpose, outcome=outcome)
            self._count("chatbot_embedding_tokens_total", tokens, service=service, purpose=purpose)

    def retrieved(self, mode: str, reason: str, seconds: float) -> None:
        """See `EmbeddingTelemetry`; documents are shared by all services of the process."""
        for service in self._services:
            self._observe("chatbot_retrieval_seconds", seconds, service=service, mode=mode, reason=reason)

    def store_called(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """A store call of one service ended."""
        labels = {"service": service, "operation": operation, "outcome": outcome}
        self._observe("chatbot_store_operation_seconds", seconds, **labels)

    def _count(self, name: str, amount: float, **labels: str) -> None:
        key = (name, *labels.values())
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = cast(Counter, self._of[name].labels(**labels))
        counter.inc(amount)

    def _observe(self, name: str, value: float, **labels: str) -> None:
        key = (name, *labels.values())
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = cast(Histogram, self._of[name].labels(**labels))
        histogram.observe(value)

    def _begin(self, service: str) -> None:
        """Make every series of a service, at zero."""
        for metric in METRICS:
            if metric.name in self._of:
                for values in label_values(metric):
                    self._of[metric.name].labels(service=service, **dict(zip(metric.labels, values, strict=True)))


class ServiceMeters:
    """The meters as one service sees them. Implements `Telemetry`."""

    def __init__(self, meters: Meters, service: str) -> None:
        self._service = service
        self._meters = meters

    def queue_left(self, service: str, outcome: str, wait_seconds: float) -> None:
        """See `Telemetry`."""
        self._meters.queue_left(service, outcome, wait_seconds)

    def first_token(self, service: str, seconds: float) -> None:
        """See `Telemetry`."""
        self._meters.first_token(service, seconds)

    def inter_token(self, service: str, seconds: float) -> None:
        """See `Telemetry`."""
        self._meters.inter_token(service, seconds)

    def generation_ended(
        self, service: str, finish: FinishReason | str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """See `Telemetry`."""
        self._meters.generation_ended(service, finish, prompt_tokens, completion_tokens)

    def store_operation(self, operation: str, outcome: str, seconds: float) -> None:
        """See `Telemetry`."""
        self._meters.store_called(self._service, operation, outcome, seconds)


class Unqueued(ServiceMeters):
    """For a line that is not the engine's: its tickets are not part of the queue metrics. Implements `Telemetry`."""

    def queue_left(self, service: str, outcome: str, wait_seconds: float) -> None:
        """Not counted."""


def _made(metric: Metric, registry: CollectorRegistry) -> MetricWrapperBase:
    labels = ("service", *metric.labels)
    if metric.kind is Kind.HISTOGRAM:
        return Histogram(metric.name, metric.help, labels, buckets=metric.buckets, registry=registry)
    kind = Counter if metric.kind is Kind.COUNTER else Gauge
    return kind(metric.name, metric.help, labels, registry=registry)
