"""Every alert about Models and their operator, fired by a real fault, and what the dashboard *Models* shows of it.

The rules are the chart's on a clock that is 60 times faster, as in tests/integration/test_alerts.py.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from parts.board_events import Events, moved_by
from parts.helm import CHOSEN, helm, of_kind
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import operator_login, scratch_namespace
from parts.kube_objects import BAD, GOOD_1, character, condition, consumer, model, story, tenant, volume
from parts.kube_operator import running_operator
from parts.kube_pods import FakePods
from parts.kube_proxy import ApiProxy, api_proxy
from parts.local_process import local_process
from parts.prometheus import Prometheus, Target, hastened, in_namespace, running_prometheus, until

FACTOR = 60
SCRAPE_SECONDS = 2.0
WINDOW = "10s"
SOURCES = {"wrong": "https://models.test/wrong.gguf", "stalled": "https://models.test/slow.gguf"}
MODELS = ("good", "bad", "lost", *SOURCES)
FIRED_BY = {
    "bad": {"ChatbotModelRolledBack", "ChatbotModelNotReady"},
    "lost": {"ChatbotModelUnavailable", "ChatbotModelNotReady"},
    "stalled": {"ChatbotDownloadStalled"},
    "wrong": {"ChatbotChecksumFailed"},
}
TENANT, CHARACTER = "acme", "nabi"
FIRED_BY_OTHERS = {
    f'tenant="{TENANT}"': {"ChatbotTenantNotReady"},
    f'character="{CHARACTER}"': {"ChatbotCharacterNotReady"},
}
"""Labels of an object that is not a Model -> the alerts that it is there to fire."""
STEADY = ["Served revisions"]
"""Of the service's own metrics, which was there before."""
FIRE_SECONDS = 300.0


@dataclass(frozen=True)
class Scene:
    """What was seen, after all faults."""

    prometheus: Prometheus
    namespace: str
    began_at: float
    events: Events


@pytest.fixture(scope="module")
def scene(kube: Kube, pods: FakePods, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("models")
    with scratch_namespace(kube) as namespace, api_proxy(operator_login(kube, namespace)) as proxy:
        login = operator_login(kube, namespace)
        with (
            local_process(folder) as local,
            running_operator(login, namespace, pods.url, proxy.url) as operator,
        ):
            labels = {"namespace": namespace}
            targets = {
                "chatbot-system/chatbot-operator": [Target(f"127.0.0.1:{operator.port}", {"namespace": "system"})],
                "chatbot/chatbot-office": [Target(local.internal.removeprefix("http://"), labels)],
            }
            with running_prometheus(
                folder, targets, {"rules": in_namespace(rendered(), namespace)}, SCRAPE_SECONDS
            ) as prometheus:
                until(lambda: len(prometheus.ask("up == 1")) == len(targets), lambda: prometheus.ask("up"))
                began_at = time.time()
                events = Events(prometheus, WINDOW, ("models",), {name: {"model": name} for name in MODELS})
                _befall(kube, namespace, proxy)
                until(
                    lambda: not _missing(prometheus),
                    lambda: (_missing(prometheus), story_of(kube, namespace)),
                    FIRE_SECONDS,
                )
                events.look_again()
                yield Scene(prometheus, namespace, began_at, events)


def rendered() -> dict[str, Any]:
    documents = helm().render("chatbot", sets=[*CHOSEN, "monitoring.rules.enabled=true"])
    (rule,) = of_kind(documents, "PrometheusRule")
    return hastened(rule["spec"], FACTOR)


def _befall(kube: Kube, namespace: str, proxy: ApiProxy) -> None:
    """Five Models, one stays well; a Tenant that nobody may write down, and a Character without its card."""
    metadata = {"name": "chatbot-tenants", "namespace": namespace}
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": {}})
    kube.create(tenant(namespace, TENANT))
    kube.create(character(namespace, CHARACTER, cardFrom={"configMapKeyRef": {"name": "nowhere", "key": "card.json"}}))
    for number, name in enumerate(MODELS):
        kube.create(volume(namespace, number))
        kube.create(consumer(namespace, name, name))
        source = {"url": SOURCES[name]} if name in SOURCES else {}
        kube.create(model(namespace, name, GOOD_1, source=source))
    for name in ("good", "bad", "lost"):
        wait_for(lambda name=name: _is(kube, namespace, name, "Ready"), 120, lambda: story_of(kube, namespace))
    kube.patch("Model", namespace, "bad", {"spec": {"source": {"sha256": BAD}}})
    nowhere = {"spec": {"nodeSelector": {"type": "no-such-node"}}}
    unschedulable = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}, "template": nowhere}}
    kube.patch("Deployment", namespace, "lost", unschedulable)
    for done in (2**20, 2**21):
        proxy.pod_log = (
            json.dumps({"bytesDone": done, "bytesTotal": 2**24, "bytesPerSecond": 1000, "attempt": 1}) + "\n"
        )
        told = done
        wait_for(
            lambda told=told: kube.get("Model", namespace, "stalled")["status"]["download"].get("bytesDone") == told,
            120,
            lambda: kube.get("Model", namespace, "stalled").get("status"),
        )


def _is(kube: Kube, namespace: str, name: str, kind: str) -> bool:
    return bool(condition(kube.get("Model", namespace, name), kind).get("status") == "True")


def story_of(kube: Kube, namespace: str) -> str:
    return "\n".join(f"{name}: {story(kube.get('Model', namespace, name))}" for name in MODELS)


def _missing(prometheus: Prometheus) -> dict[str, set[str]]:
    """Alerts that have not fired yet."""
    missing = {name: wanted - prometheus.ever_fired(f'model="{name}"') for name, wanted in FIRED_BY.items()}
    missing |= {labels: wanted - prometheus.ever_fired(labels) for labels, wanted in FIRED_BY_OTHERS.items()}
    return {name: alerts for name, alerts in missing.items() if alerts}


@pytest.mark.timeout(900)
def test_every_alert_about_models_is_fired_by_its_fault(scene: Scene, figures: Callable[..., None]) -> None:
    fired = {name: scene.prometheus.ever_fired(f'model="{name}"') for name in MODELS}

    assert {name: wanted - fired[name] for name, wanted in FIRED_BY.items()} == {name: set() for name in FIRED_BY}
    assert {labels: scene.prometheus.ever_fired(labels) for labels in FIRED_BY_OTHERS} == FIRED_BY_OTHERS
    assert fired["good"] == set()
    assert fired["wrong"] - {"ChatbotModelNotReady"} == {"ChatbotChecksumFailed"}
    figures(**{name: sorted(alerts) for name, alerts in fired.items()})


def test_every_panel_of_models_shows_what_happened(scene: Scene, figures: Callable[..., None]) -> None:
    moved = moved_by(scene.events, "models")

    assert [title for title, events in moved.items() if not events] == STEADY
    assert [title for title in moved if scene.events.is_zero("models", title)] == []
    figures(**{title.replace(" ", "_"): "/".join(events) for title, events in moved.items()})
    scene.events.draw("models", scene.began_at)


@pytest.mark.timeout(900)
def test_an_operator_that_cannot_work_and_one_that_is_gone_are_told(kube: Kube, pods: FakePods, tmp_path: Path) -> None:
    with scratch_namespace(kube) as namespace:
        login = operator_login(kube, namespace)
        with api_proxy(login) as proxy, running_operator(login, namespace, pods.url, proxy.url) as operator:
            kube.create(volume(namespace))
            kube.create(model(namespace))
            target = Target(f"127.0.0.1:{operator.port}", {"namespace": "system"})
            jobs = {"chatbot-system/chatbot-operator": [target]}
            with running_prometheus(
                tmp_path, jobs, {"rules": in_namespace(rendered(), namespace)}, SCRAPE_SECONDS
            ) as p:
                until(lambda: p.ask('rate(chatbot_reconcile_seconds_count{outcome="ok"}[20s]) > 0'))
                assert not p.firing() & {"ChatbotReconcilesFail", "ChatbotOperatorMissing"}

                kube.delete("RoleBinding", namespace, _binding(kube, namespace))
                until(lambda: "ChatbotReconcilesFail" in p.firing(), lambda: operator.log[-3000:], 180)
                operator.kill()
                until(lambda: "ChatbotOperatorMissing" in p.firing(), seconds=120)


def _binding(kube: Kube, namespace: str) -> str:
    (binding,) = kube.find("RoleBinding", namespace)
    return str(binding["metadata"]["name"])
