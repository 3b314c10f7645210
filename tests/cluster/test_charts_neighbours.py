"""The charts beside Prometheus Operator, KEDA and Gateway API, and without them; the manifests as the manual says.

A cluster of its own: here the charts bring the resource of Models, and the kinds of neighbours come and go.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from parts.helm import CHARTS, NEIGHBOURS, ROOT, helm, neighbour_kinds
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import running_cluster
from parts.kube_kinds import remove_kinds
from parts.kube_person import KINDS as USUAL
from parts.kube_person import Person, person_at
from parts.needs import left_out

NEW = "httproutes,prometheusrules,scaledobjects,servicemonitors"
KINDS = f"{USUAL},{NEW}"
HA = ("-f", str(CHARTS / "chatbot/ci/ha-keda.yaml"))
OF_HA = {
    "HTTPRoute/chatbot",
    "PrometheusRule/chatbot",
    "ScaledObject/chatbot-office",
    "ServiceMonitor/chatbot-character",
    "ServiceMonitor/chatbot-office",
}
EVERYTHING = {chart: ("-f", str(CHARTS / chart / "ci/everything.yaml")) for chart in ("chatbot", "chatbot-operator")}
HELMS = ("helm", "helm-oldest")
OUR_KINDS = ("models.chatbot.ai", "tenants.chatbot.ai", "characters.chatbot.ai")


@pytest.fixture(scope="module")
def bare() -> Iterator[Kube]:
    """A cluster to which nothing was added."""
    if "CHATBOT_TEST_KUBECONFIG" in os.environ:
        left_out("kinds of neighbours would come and go; unset CHATBOT_TEST_KUBECONFIG for this one")
    with running_cluster(has_models=False) as kube:
        yield kube


@pytest.fixture(params=HELMS)
def person(request: pytest.FixtureRequest, bare: Kube, tmp_path: Path) -> Iterator[Person]:
    """An administrator with today's Helm, and one with the oldest that the charts say they run with."""
    with person_at(bare, tmp_path, helm(request.param)) as somebody:
        yield somebody
    remove_kinds(bare, OUR_KINDS)  # a test that failed leaves them, and the next one wants to bring them


@contextmanager
def neighbours(person: Person, kube: Kube) -> Iterator[None]:
    """The neighbours' resources are there while the context lasts."""
    files = [part for file in neighbour_kinds() for part in ("-f", str(file))]
    kubectl = (person.kubectl, "kubectl")
    try:
        person.say(*kubectl, "apply", "--server-side", *files)
        person.say(*kubectl, "wait", "--for=condition=Established", "--timeout=60s", *files)
        wait_for(lambda: set(NEW.split(",")) <= set(_resources(person)))
        yield
    finally:
        remove_kinds(kube, [yaml.safe_load(file.read_text())["metadata"]["name"] for file in neighbour_kinds()])
        wait_for(lambda: not set(NEW.split(",")) & set(_resources(person)))


def _resources(person: Person) -> list[str]:
    told = person.say(person.kubectl, "kubectl", "api-resources", "--cached=false", "-o", "name")
    return [line.partition(".")[0] for line in told.splitlines()]


@contextmanager
def named(kube: Kube, name: str) -> Iterator[None]:
    """A namespace of this name is there while the context lasts."""
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield
    finally:
        kube.delete("Namespace", "", name)
        wait_for(lambda: not kube.is_there("Namespace", "", name))


def test_neighbours_that_come_later_are_served_after_an_upgrade(person: Person, bare: Kube) -> None:
    person.install("install", "chatbot-operator", "--set", "serviceMonitor.enabled=true")
    notes = person.install("install", "chatbot", *HA)
    left = re.findall("^LEFT OUT: (.*?);", notes, re.MULTILINE)
    assert left == ["the HTTPRoute", "ServiceMonitors", "recording rules and alerts", "autoscaling of office"]
    assert "Deployment/chatbot-office" in person.objects("chatbot")

    with neighbours(person, bare):
        assert "LEFT OUT" not in person.install("upgrade", "chatbot", *HA)
        assert "LEFT OUT" not in person.install("upgrade", "chatbot-operator", "--set", "serviceMonitor.enabled=true")
        assert set(person.objects("chatbot", KINDS)) >= OF_HA
        assert "ServiceMonitor/chatbot-operator" in person.objects("chatbot-operator", KINDS)

        person.install("upgrade", "chatbot", *HA, "--set", "monitoring.rules.enabled=false")
        assert set(person.objects("chatbot", KINDS)) & OF_HA == OF_HA - {"PrometheusRule/chatbot"}
        person.say(person.helm.path, "rollback", "chatbot", "2")
        assert set(person.objects("chatbot", KINDS)) >= OF_HA
        for chart in ("chatbot", "chatbot-operator"):
            person.say(person.helm.path, "uninstall", chart)
            _wait_until_gone(person, chart)


def test_with_every_value_set_it_comes_changes_goes_back_and_leaves_nothing(person: Person, bare: Kube) -> None:
    with named(bare, "one"), named(bare, "two"), neighbours(person, bare):
        for chart in ("chatbot-operator", "chatbot"):
            person.install("install", chart, *EVERYTHING[chart])
        before = {chart: person.objects(chart, KINDS) for chart in EVERYTHING}
        for chart in ("chatbot-operator", "chatbot"):
            person.install("upgrade", chart, *EVERYTHING[chart], "--set", "log.level=error")
            person.say(person.helm.path, "rollback", chart, "1")
        after = {chart: person.objects(chart, KINDS) for chart in EVERYTHING}
        for chart in ("chatbot", "chatbot-operator"):
            person.say(person.helm.path, "uninstall", chart)
            _wait_until_gone(person, chart, KINDS.replace("models,", ""))

        assert {kind.split("/")[0] for kind in before["chatbot"]} >= {one.split("/")[-1] for one in NEIGHBOURS}
        for chart, objects in before.items():
            assert _lasting(objects) == _lasting(after[chart])
        wait_for(lambda: not any(kind.endswith(OUR_KINDS) for kind in _crds(person)), what=lambda: "crds.keep=false")


def _wait_until_gone(person: Person, chart: str, kinds: str = KINDS) -> None:
    wait_for(lambda: not _lasting(person.objects(chart, kinds)), what=lambda: person.objects(chart, kinds))


def _lasting(objects: list[str]) -> set[str]:
    """Objects without those of pods, which are made anew, and of the trial's claim, which stays."""
    return {one for one in objects if not one.startswith(("Pod/", "PersistentVolumeClaim/"))}


def _crds(person: Person) -> list[str]:
    return person.say(person.kubectl, "kubectl", "get", "customresourcedefinitions", "-o", "name").split()


def test_models_outlive_the_operators_release(person: Person) -> None:
    person.install("install", "chatbot-operator")
    person.follow("kubectl wait --for=condition=Established --timeout=60s crd/models.chatbot.ai")
    person.follow("sed '/namespace: chatbot/d' manifests/models.yaml | kubectl create -f -")

    person.say(person.helm.path, "uninstall", "chatbot-operator")
    assert "small" in person.follow("kubectl get models -o name")
    person.install("install", "chatbot-operator")  # the kept kind belongs to the release of that name

    assert len(person.follow("kubectl get models -o name").split()) == 4
    person.say(person.helm.path, "uninstall", "chatbot-operator")


def _console(file: Path) -> list[str]:
    """The commands of each console block."""
    blocks = re.findall(r"```console\n(.*?)```", file.read_text(), re.DOTALL)
    return ["\n".join(re.findall(r"^\$ (.*)$", block, re.MULTILINE)) for block in blocks]


@pytest.mark.parametrize("person", ["helm"], indirect=True)
def test_the_commands_of_the_manifests_work_as_they_stand_there(bare: Kube, person: Person) -> None:
    with_helm, trial, with_secrets = _console(ROOT / "manifests/README.md")

    for commands, file in ((trial, "install-trial.yaml"), (with_secrets, "install.yaml")):
        told = person.follow(commands)
        assert "created" in told
        _wait_for_pods(bare)
        assert [e["message"] for e in bare.find("Event") if e["reason"] == "FailedCreate"] == []
        assert (
            person.follow(f"kubectl get models -n chatbot -o name; kubectl apply -f manifests/{file}").count("\n") > 9
        )
        person.follow(f"kubectl delete --ignore-not-found -f manifests/{file} --wait")

    person.follow(with_helm)
    _wait_for_pods(bare)
    person.follow("helm uninstall chatbot -n chatbot; helm uninstall chatbot-operator -n chatbot-system")
    person.follow("kubectl delete -f manifests/namespaces.yaml")


def _wait_for_pods(kube: Kube) -> None:
    """The pods of both namespaces were admitted."""
    for namespace, components in {"chatbot": {"office", "character"}, "chatbot-system": {"operator"}}.items():

        def look(namespace: str = namespace, components: set[str] = components) -> bool:
            labels = [pod["metadata"].get("labels", {}) for pod in kube.find("Pod", namespace)]
            return components <= {str(label.get("app.kubernetes.io/component")) for label in labels}

        wait_for(look, what=lambda namespace=namespace: kube.find("Event", namespace))
