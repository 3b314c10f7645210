"""Each right of the operator: that a whole story needs it and no other one, and what is said where one is missing."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import yaml
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import RIGHTS_FILE, operator_login, rules
from parts.kube_objects import BAD, GOOD_2, GOOD_3, character, condition, consumer, model, tenant
from parts.kube_operator import running_operator
from parts.kube_pods import FakePods
from parts.kube_proxy import api_proxy
from parts.kube_waiting import reason_of, until_ready, until_reason

IN_PLACE = {"strategy": "InPlace"}
SLOW, GOOD_SOURCE = ({"url": f"https://models.test/{name}.gguf"} for name in ("slow", "good"))


def granted() -> set[str]:
    """Every `resource:verb` of the chart."""
    rows = yaml.safe_load(RIGHTS_FILE.read_text())
    return {f"{resource}:{verb}" for row in rows for resource in row["resources"] for verb in row["verbs"]}


def begin(kube: Kube, namespace: str) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))


def begin_in_place(kube: Kube, namespace: str) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace, rollout=IN_PLACE))


def begin_and_change_the_source(kube: Kube, namespace: str) -> None:
    kube.create(model(namespace, source=SLOW))
    until_reason(kube, namespace, "Downloaded", "Downloading")
    wait_for(lambda: kube.find("Job", namespace))
    kube.patch("Model", namespace, "demo", {"spec": {"source": GOOD_SOURCE}})


def begin_and_keep_nothing(kube: Kube, namespace: str) -> None:
    kube.create(model(namespace))
    wait_for(lambda: kube.is_there("PersistentVolumeClaim", namespace, "model-demo"))
    kube.patch("Model", namespace, "demo", {"spec": {"storage": {"deletionPolicy": "Delete"}}})


@pytest.mark.timeout(600, func_only=True)
def test_a_whole_story_asks_for_every_right_and_for_no_other(
    kube: Kube, namespace: str, pods: FakePods, figures: Callable[..., None]
) -> None:
    login = operator_login(kube, namespace)
    with api_proxy(login) as proxy, running_operator(login, namespace, pods.url, proxy.url):
        kube.create(model(namespace, source=SLOW))
        wait_for(lambda: any(call[:2] == ("get", "pods/log") for call in list(proxy.answers)))
        kube.patch("Model", namespace, "demo", {"spec": {"source": GOOD_SOURCE}})
        kube.create(consumer(namespace))
        until_ready(kube, namespace)
        kube.patch("Model", namespace, "demo", {"spec": {"storage": {"deletionPolicy": "Delete"}}})
        kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": BAD}}})
        until_reason(kube, namespace, "Ready", "RolledBack")
        kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_2}, "rollout": IN_PLACE}})
        until_ready(kube, namespace, GOOD_2)
        kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_3}}})
        until_ready(kube, namespace, GOOD_3)
        wait_for(lambda: kube.get("ConfigMap", namespace, "model-demo")["data"]["good-revision"] == GOOD_3[:16])
        _give(kube, namespace, without="configmaps:list")  # a Model is read alone where its surroundings may not be
        until_reason(kube, namespace, "Ready", "MissingRight")
        _give(kube, namespace)
        until_ready(kube, namespace, GOOD_3, seconds=150)
        _tell_compiled(kube, namespace)
        kube.delete("Model", namespace, "demo")
        wait_for(lambda: not kube.find("Job", namespace))
        answers = dict(proxy.answers)

    asked = {f"{resource}:{verb}" for verb, resource, _ in answers if verb != "discover"}
    refused = {f"{resource}:{verb}" for verb, resource, status in answers if status in (401, 403)}
    figures(granted=len(granted()), asked=len(asked), calls=sum(answers.values()))
    assert refused == {"configmaps:list"}, "what was taken away"
    assert asked == granted()


def _tell_compiled(kube: Kube, namespace: str) -> None:
    """A Tenant and a Character, until their statuses are told."""
    for document in (tenant(namespace), character(namespace, displayName="Nabi")):
        kube.create(document)
    for kind, name in (("Tenant", "acme"), ("Character", "nabi")):
        wait_for(lambda kind=kind, name=name: condition(kube.get(kind, namespace, name), "Ready"))  # type: ignore[misc]


@dataclass(frozen=True)
class Lack:
    """What is said where a right is missing, and what the user did."""

    right: str
    kind: str
    status: str = "False"
    act: Callable[[Kube, str], None] = begin


LACKS = (
    Lack("deployments:list", "Ready", "Unknown"),
    Lack("pods:list", "Ready", "Unknown"),
    Lack("jobs:list", "Ready", "Unknown"),
    Lack("configmaps:list", "Ready", "Unknown"),
    Lack("persistentvolumeclaims:get", "Ready", "Unknown"),
    Lack("persistentvolumeclaims:create", "StorageReady"),
    Lack("persistentvolumeclaims:patch", "StorageReady", act=begin_and_keep_nothing),
    Lack("jobs:create", "Downloaded"),
    Lack("jobs:delete", "Downloaded", act=begin_and_change_the_source),
    Lack("deployments:patch", "RolledOut"),
    Lack("pods:patch", "RolledOut", act=begin_in_place),
    Lack("configmaps:create", "RolledOut"),
    Lack("configmaps:patch", "RolledOut"),
)


@pytest.mark.scale
@pytest.mark.parametrize("lack", LACKS, ids=lambda lack: lack.right)
def test_a_missing_right_is_a_condition_with_its_remedy(
    kube: Kube, namespace: str, pods: FakePods, lack: Lack, scale: Callable[[int, int], int]
) -> None:
    login = operator_login(kube, namespace, without=lack.right)
    with running_operator(login, namespace, pods.url) as operator:
        lack.act(kube, namespace)

        until_reason(kube, namespace, lack.kind, "MissingRight")
        found = condition(kube.get("Model", namespace, "demo"), lack.kind)
        resource, _, verb = lack.right.partition(":")
        assert found["status"] == lack.status
        assert f'cannot {verb} resource "{resource}"' in found["message"]
        assert "Give its ServiceAccount the Role of its chart" in found["message"]
        assert condition(kube.get("Model", namespace, "demo"), "RolledBack").get("status") != "True"
        assert operator.get("/healthz").status_code == 200
        assert '"level": "error"' not in "".join(line for line in operator.log.splitlines() if "kopf" not in line)
        if scale(0, 1) or lack.right in ("pods:list", "pods:patch"):
            _give(kube, namespace)
            until_ready(kube, namespace, seconds=150)


@pytest.mark.parametrize("right", ["models:list", "models/status:patch"])
def test_without_a_right_to_models_the_log_says_so(kube: Kube, namespace: str, pods: FakePods, right: str) -> None:
    login = operator_login(kube, namespace, without=right)
    with running_operator(login, namespace, pods.url) as operator:
        begin(kube, namespace)

        resource, _, verb = right.partition(":")
        wait_for(lambda: f'cannot {verb} resource \\"{resource}\\"' in operator.log, 30, lambda: operator.log[-2000:])
        assert reason_of(kube, namespace, "Ready") == ""
        assert operator.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "right",
    ["models:get", "models:watch", "deployments:watch", "pods:watch", "jobs:watch", "pods/log:get", "events:create"],
)
def test_other_rights_make_it_quicker_or_more_talkative_only(
    kube: Kube, namespace: str, pods: FakePods, right: str
) -> None:
    login = operator_login(kube, namespace, without=right)
    with running_operator(login, namespace, pods.url) as operator:
        begin(kube, namespace)

        until_ready(kube, namespace, seconds=120)

        assert operator.get("/healthz").status_code == 200


def test_without_the_right_to_patch_pods_new_pods_bring_the_model(kube: Kube, namespace: str, pods: FakePods) -> None:
    with running_operator(operator_login(kube, namespace, in_place=False), namespace, pods.url):
        begin(kube, namespace)
        until_ready(kube, namespace)


def _give(kube: Kube, namespace: str, without: str = "") -> None:
    """Every right, as an upgrade of the chart does, less one where that is named."""
    for role in kube.find("Role", namespace):
        kube.patch("Role", namespace, role["metadata"]["name"], {"rules": rules(without)})
