"""Counting: every metric of the list from the start, labels from closed sets, nothing of a user."""

from datetime import date
from typing import cast

import pytest
from chatbot.core.admission import Line
from chatbot.core.agent.calls import STOP_REASONS
from chatbot.core.agent.opening import TOOL_NAMES
from chatbot.core.agent.toolbox import UNKNOWN_TOOL, Outcome
from chatbot.core.toolservers.servers import ToolServers
from chatbot.domain.generation import FinishReason
from chatbot.domain.model import ModelInfo
from chatbot.domain.usage.prices import PriceTable
from chatbot.server.metrics import METRICS, QUEUE_OUTCOMES, REQUEST_OUTCOMES
from chatbot.server.observe.engine_metrics import EngineReading
from chatbot.server.observe.label_values import ROUTES
from chatbot.server.observe.scrubbing import ScrubCollector
from chatbot.server.observe.telemetry import Meters, Unqueued
from prometheus_client.parser import text_string_to_metric_families

LINE = Line(depth=3, running=2, slots=4, max_waiting=512, predicted_wait_seconds=7.5)
STATS = {
    "steps": 10.0,
    "kv_cells": 1000.0,
    "kv_cells_active": 250.0,
    "kv_cells_idle": 500.0,
    "prefix_hit_fork": 7.0,
    "overhead_seconds_sample": 0.5,
}


class NamedServers:
    """As much of `ToolServers` as is watched."""

    names = ("wiki",)

    def is_up(self, server: str) -> bool:
        return server in self.names

    def changed(self, server: str) -> int:
        return 0


@pytest.fixture
def meters() -> Meters:
    made = Meters(["office"])
    made.watch_line("office", lambda: LINE)
    model = ModelInfo("demo", "0" * 16, "0" * 64, 1024, "llama3")
    made.watch_engine(["office"], lambda: EngineReading(STATS, 2, model))
    made.watch_prices(PriceTable.parse([{"model": "local/office", "from": date(2026, 1, 1), "input": 1, "output": 2}]))
    made.watch_limits(lambda: False, lambda: [("team-a", "tenant-usd-day", 0.5)])
    made.watch_tool_servers(cast(ToolServers, NamedServers()))
    made.registry.register(ScrubCollector(["office"], {}))
    return made


def scraped(meters: Meters) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = meters.render("")[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(meters: Meters, name: str, **labels: str) -> float:
    return scraped(meters)[name, frozenset({"service": "office", **labels}.items())]


def test_every_metric_is_there_before_anything_happened(meters: Meters) -> None:
    there = {name for name, _ in scraped(meters)}

    for metric in METRICS:
        assert {metric.name, f"{metric.name}_count"} & there, metric.name


def test_every_series_names_its_service(meters: Meters) -> None:
    assert all(("service", "office") in labels for _, labels in scraped(meters))


def test_outcomes_begin_at_zero(meters: Meters) -> None:
    assert [value(meters, "chatbot_queue_requests_total", outcome=outcome) for outcome in QUEUE_OUTCOMES] == [0.0] * 7


def test_every_end_of_a_request_has_its_series_from_the_start(meters: Meters) -> None:
    there = set(scraped(meters))
    ends = [(status, "error" if status >= 500 else "ok") for status in range(200, 600) if status != 499]

    for route in ROUTES:
        for status, outcome in [*ends, (499, "client_gone")]:
            meters.request_ended("office", route, status, outcome, 0.1)
    for route in ("/Llama", "/OpenAI", "/chat", "/v1/chat/completions"):
        for outcome in REQUEST_OUTCOMES:
            meters.request_ended("office", route, 200, outcome, 0.1)

    assert set(scraped(meters)) == there, "an alert on a rate would miss the first of these"


def test_gauges_read_the_line_and_the_engine(meters: Meters) -> None:
    assert value(meters, "chatbot_queue_depth") == 3
    assert value(meters, "chatbot_queue_predicted_wait_seconds") == 7.5
    assert value(meters, "chatbot_engine_steps_total") == 10
    assert value(meters, "chatbot_engine_kv_cache_usage_ratio", state="active") == 0.25
    assert value(meters, "chatbot_engine_prefix_cache_hit_tokens_total", source="fork") == 7
    assert value(meters, "chatbot_engine_step_overhead_seconds_total", part="sample") == 0.5
    assert value(meters, "chatbot_engine_restarts_total") == 2
    assert value(meters, "chatbot_model_info", model="demo", revision="0" * 16) == 1


def test_events_are_counted(meters: Meters) -> None:
    office = meters.of("office")
    office.queue_left("office", "dispatched", 1.5)
    office.queue_left("office", "rejected_wait", 0.0)
    office.first_token("office", 0.2)
    office.inter_token("office", 0.01)
    office.generation_ended("office", FinishReason.STOP, 12, 34)
    office.store_operation("append", "ok", 0.004)
    Unqueued(meters, "office").queue_left("office", "dispatched", 9.0)

    assert value(meters, "chatbot_queue_requests_total", outcome="dispatched") == 1
    assert value(meters, "chatbot_queue_wait_seconds_sum", outcome="dispatched") == 1.5
    assert value(meters, "chatbot_time_to_first_token_seconds_count") == 1
    assert value(meters, "chatbot_generations_total", finish_reason="stop") == 1
    assert value(meters, "chatbot_prompt_tokens_total") == 12
    assert value(meters, "chatbot_generation_tokens_total") == 34
    assert value(meters, "chatbot_store_operation_seconds_count", operation="append", outcome="ok") == 1


def test_every_end_of_a_tool_has_its_series_from_the_start(meters: Meters) -> None:
    there = set(scraped(meters))

    for outcome in Outcome:
        for tool in TOOL_NAMES:
            if outcome is not Outcome.UNKNOWN:
                meters.tool_called("office", tool, outcome, 0.002)
    for outcome in (Outcome.UNKNOWN, Outcome.LIMIT, Outcome.REPEATED):
        meters.tool_called("office", UNKNOWN_TOOL, outcome, 0.0)
    for rounds, reason in enumerate(("", *STOP_REASONS), 1):
        meters.agent_ended("office", rounds, reason)

    assert set(scraped(meters)) == there
    assert value(meters, "chatbot_tool_calls_total", tool="calculate", outcome="ok") == 1
    assert value(meters, "chatbot_tool_seconds_count", tool="calculate") == 5  # those that were run
    assert value(meters, "chatbot_agent_rounds_count") == 1 + len(STOP_REASONS)
    assert value(meters, "chatbot_agent_stopped_total", reason="repeated") == 1


def test_strange_routes_and_statuses_make_no_series(meters: Meters) -> None:
    for number in range(100):
        meters.request_ended("office", f"/canary/{number}", 600 + number, "error", 0.1)

    assert value(meters, "chatbot_requests_total", route="other", status="other", outcome="error") == 100
    assert "canary" not in meters.render("")[0].decode()


def test_openmetrics_is_spoken_where_it_is_asked_for(meters: Meters) -> None:
    body, media_type = meters.render("application/openmetrics-text; version=1.0.0")

    assert media_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
