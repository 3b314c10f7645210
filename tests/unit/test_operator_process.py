"""Settings, heartbeat, logs and metrics of the operator's process."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest
from chatbot_operator import handlers
from chatbot_operator.metrics import MOST_NAMED, ROLLOUT_RESULTS, Metrics
from chatbot_operator.process.environment import WrongEnvironment, load_settings, names, shown
from chatbot_operator.process.heartbeat import Heartbeat
from chatbot_operator.process.logs import JsonLines
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import Condition, DownloadStatus, ModelStatus
from prometheus_client import generate_latest


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WORK_TICK_SECOND", "3", "did you mean CHATBOT_OPERATOR_WORK_TICK_SECONDS?"),
        ("WORK_TICK_SECONDS", "600", "less than or equal to 60"),
        ("WATCH_NAMESPACES", "[oops", "CHATBOT_OPERATOR_WATCH_NAMESPACES: not valid JSON"),
        ("WATCH_NAMESPACES", '["Not A Name"]', "CHATBOT_OPERATOR_WATCH_NAMESPACES"),
        ("DOWNLOAD_HTTPS_PROXY", "http://user:hunter2@proxy", "CHATBOT_OPERATOR_DOWNLOAD_HTTPS_PROXY"),
        ("DOWNLOAD_ALLOW_NETWORKS", '["10.0.0.0/99"]', "CHATBOT_OPERATOR_DOWNLOAD_ALLOW_NETWORKS"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"CHATBOT_OPERATOR_{name}", value)

    with pytest.raises(WrongEnvironment, match="CHATBOT_OPERATOR") as wrong:
        load_settings()

    assert said in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


def test_all_namespaces_and_some_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_OPERATOR_WATCH_CLUSTER_WIDE", "true")
    monkeypatch.setenv("CHATBOT_OPERATOR_WATCH_NAMESPACES", '["a"]')

    with pytest.raises(WrongEnvironment, match="exclude each other"):
        load_settings()


def test_service_links_and_variables_of_the_services_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_OPERATOR_PORT", "tcp://10.96.0.7:9090")
    monkeypatch.setenv("CHATBOT_OPERATOR_SERVICE_HOST", "10.96.0.7")
    monkeypatch.setenv("CHATBOT_QUEUE_MAX_WAITING", "5")

    assert len(shown(load_settings()).splitlines()) == len(list(names()))


def test_the_heartbeat_stops_being_alive_when_no_tick_is_through() -> None:
    now = 0.0
    heartbeat = Heartbeat(lambda: now)

    now = 180.0
    assert heartbeat.is_alive
    now = 181.0
    assert not heartbeat.is_alive
    heartbeat.beat()
    assert heartbeat.is_alive


def test_a_traceback_in_the_log_shows_where_and_not_what() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("x")
    logger.addHandler(handler)
    try:
        raise ValueError("https://models.test/a?token=secret")
    except ValueError:
        logger.exception("tried again later", extra={"model": "demo", "nonsense": 1})

    line = json.loads(stream.getvalue())
    assert line["error"] == "ValueError"
    assert line["model"] == "demo"
    assert "nonsense" not in line
    assert "secret" not in stream.getvalue()


def test_the_series_of_a_model_go_with_it() -> None:
    metrics = Metrics()
    since = datetime(2026, 11, 21, tzinfo=UTC)
    ready = Condition(ConditionType.READY, "True", Reason.SERVING, "", since, 1)
    status = ModelStatus(download=DownloadStatus(bytes_done=5, bytes_total=9), conditions={ConditionType.READY: ready})

    metrics.saw("space", "demo", status)
    text = generate_latest(metrics.registry).decode()
    for result in ROLLOUT_RESULTS:
        assert f'chatbot_rollouts_total{{model="demo",model_namespace="space",result="{result}"}} 0.0' in text
    metrics.rollouts.labels("demo", "space", "succeeded").inc()
    metrics.saw("space", "demo", status, "Embedding")
    text = generate_latest(metrics.registry).decode()
    assert 'chatbot_rollouts_total{model="demo",model_namespace="space",result="succeeded"} 1.0' in text
    of_it = 'chatbot_model_condition{kind="Embedding",model="demo",model_namespace="space"'
    assert f'{of_it},status="True",type="Ready"}} 1.0' in text
    assert f'{of_it},status="False",type="Ready"}} 0.0' in text
    assert 'chatbot_model_download_bytes{model="demo",model_namespace="space"} 5.0' in text

    metrics.forget("space", "demo")
    assert "demo" not in generate_latest(metrics.registry).decode()


@pytest.mark.parametrize(
    ("labels", "models"),
    [
        ({"chatbot.ai/model": "llama", "chatbot.ai/embedding-model": "bge"}, {"llama", "bge"}),
        ({"chatbot.ai/download": "bge"}, {"bge"}),
        ({"chatbot.ai/model": "", "app": "other"}, set()),
    ],
)
def test_a_change_of_an_object_is_looked_at_by_every_model_that_it_belongs_to(
    labels: dict[str, str], models: set[str]
) -> None:
    assert handlers._models_named(labels) == models


def test_objects_that_are_not_ready_are_named_until_they_are_and_never_more_than_some() -> None:
    metrics = Metrics()
    names_of_them = [f"t{number:02}" for number in range(30)]

    def named() -> set[str]:
        families = {one.name: one for one in metrics.collect()}
        samples = families["chatbot_tenant_not_ready"].samples
        assert {sample.labels["tenant_namespace"] for sample in samples} <= {"space"}
        assert not families["chatbot_character_not_ready"].samples
        return {sample.labels["tenant"] for sample in samples}

    metrics.saw_compiled("tenants", "space", ready=1, others=reversed(names_of_them))
    labels = {"tenant_namespace": "space", "ready": "false"}
    assert metrics.registry.get_sample_value("chatbot_tenants", labels) == 30
    assert named() == set(names_of_them[:MOST_NAMED])
    metrics.saw_compiled("tenants", "space", ready=30, others=["t07"])
    assert named() == {"t07"}
    metrics.saw_compiled("tenants", "space", ready=0, others=[])
    assert named() == set()
