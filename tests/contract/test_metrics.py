"""Metrics: names follow the rules, labels come from closed sets."""

import re

import pytest
from chatbot.server.metrics import METRICS, Kind, Metric

# Labels whose values are decided by this project, by Kubernetes objects, or by HTTP; never by a user or a model.
CLOSED_LABELS = {  # of tenants 50 at most, whom operators name
    "backend", "cache", "cause", "check", "finish_reason", "kind", "limit", "mode", "model", "operation", "outcome",
    "part", "provider", "purpose", "rc", "reason", "revision", "route", "server", "source", "state", "status", "step",
    "store", "tenant", "to", "tool",
}  # fmt: skip
UNITS = ("seconds", "tokens", "bytes", "ratio", "info", "rounds")


def ids(metric: Metric) -> str:
    return metric.name


def test_no_name_is_there_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=ids)
def test_names_follow_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"chatbot_[a-z0-9_]+", metric.name)
    assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", metric.name), "base units only"
    assert metric.help.endswith(".")


@pytest.mark.parametrize("metric", METRICS, ids=ids)
def test_labels_come_from_closed_sets(metric: Metric) -> None:
    assert set(metric.labels) <= CLOSED_LABELS
    assert "service" not in metric.labels, "every metric has it"


@pytest.mark.parametrize("metric", METRICS, ids=ids)
def test_only_histograms_have_buckets_and_they_rise(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.kind is not Kind.HISTOGRAM or metric.name.endswith(UNITS)
