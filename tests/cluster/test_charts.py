"""Both charts on a real API server by the real Helm: accepted, admitted under Pod Security, upgraded, gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from parts.helm import CHARTS, helm
from parts.kube_client import Document, Kube, Refused, wait_for
from parts.kube_person import Person, person_at

PROFILES = sorted(path for path in CHARTS.glob("*/ci/*.yaml") if path.stem != "everything")
REVISION = "chatbot.ai/model-revision"


@pytest.fixture
def person(kube: Kube, tmp_path: Path) -> Iterator[Person]:
    """An administrator with the Helm that the tests build."""
    with person_at(kube, tmp_path, helm()) as somebody:
        yield somebody


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_the_api_server_takes_every_object(kube: Kube, person: Person, profile: Path) -> None:
    chart = profile.parents[1].name
    text = person.say(person.helm.path, "template", chart, str(CHARTS / chart), "-f", str(profile))
    # the pod of `helm test` comes after it
    kube.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": chart, "namespace": person.namespace}}
    )

    command = [person.kubectl, "kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-"]
    said = person.say(*command, given=text)

    assert len(said.splitlines()) == len([document for document in yaml.safe_load_all(text) if document])


def test_the_api_server_takes_the_sample_models(person: Person) -> None:
    text = (CHARTS.parent / "manifests/models.yaml").read_text().replace("namespace: chatbot", "")

    said = person.say(
        person.kubectl, "kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-", given=text
    )

    assert [line.split()[0] for line in said.splitlines()] == [
        "model.chatbot.ai/office",
        "model.chatbot.ai/character",
        "model.chatbot.ai/small",
        "model.chatbot.ai/vectors",
    ]


def test_services_are_installed_upgraded_and_leave_nothing_but_data(kube: Kube, person: Person) -> None:
    profile = ("-f", str(CHARTS / "chatbot/ci/cpu-trial.yaml"))
    namespace = person.namespace

    notes = person.install("install", "chatbot", *profile)
    assert "kubectl -n" in notes and "WARNING: auth.allowAnonymous=true" in notes
    # every pod was admitted under the restricted standard
    wait_for(lambda: _components(kube, namespace) >= {"office", "character", "not-found", "mongodb"})
    assert [e["message"] for e in kube.find("Event", namespace) if e["reason"] == "FailedCreate"] == []

    # a person scales, the operator annotates; neither is undone by an upgrade or a rollback
    person.say(person.kubectl, "kubectl", "scale", "deployment/chatbot-office", "--replicas=2")
    _annotate_as_the_operator(kube, namespace)
    person.install("upgrade", "chatbot", *profile, "--set", "log.level=debug")
    assert _office(kube, namespace) == (2, "0123456789abcdef", "debug")
    person.say(person.helm.path, "rollback", "chatbot", "1")
    assert _office(kube, namespace) == (2, "0123456789abcdef", "info")

    person.say(person.helm.path, "uninstall", "chatbot")
    wait_for(lambda: not _components(kube, namespace), what=lambda: person.objects("chatbot"))
    assert person.objects("chatbot") == ["PersistentVolumeClaim/data-chatbot-mongodb-0"], "history stays"


def test_a_hostile_pod_is_refused_where_the_charts_run(kube: Kube, person: Person) -> None:
    container = {"name": "c", "image": "c", "securityContext": {"privileged": True}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hostile", "namespace": person.namespace},
        "spec": {"hostNetwork": True, "containers": [container]},
    }

    with pytest.raises(Refused) as refused:
        kube.create(pod)

    assert refused.value.status == 403
    assert "restricted" in str(refused.value)


def test_the_operator_is_installed_with_its_rights_and_leaves_nothing(kube: Kube, person: Person) -> None:
    without_crd = ("--set", "crds.install=false")  # the cluster of the tests has it already

    notes = person.install("install", "chatbot-operator", *without_crd)
    wait_for(lambda: _components(kube, person.namespace) == {"operator"})
    allowed = person.say(
        person.kubectl, "kubectl", "auth", "can-i", "--list",
        f"--as=system:serviceaccount:{person.namespace}:chatbot-operator",
    )  # fmt: skip
    person.install("upgrade", "chatbot-operator", *without_crd, "--set", "log.level=debug")
    person.say(person.helm.path, "uninstall", "chatbot-operator")

    assert f"looks after Models, Tenants and Characters in {person.namespace}" in notes
    assert "models.chatbot.ai/status" in allowed and "secrets" not in allowed
    wait_for(lambda: not _components(kube, person.namespace))
    assert person.objects("chatbot-operator") == []


def _components(kube: Kube, namespace: str) -> set[str]:
    """Components that have a pod."""
    pods = kube.find("Pod", namespace)
    return {str(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component")) for pod in pods}


def _annotate_as_the_operator(kube: Kube, namespace: str) -> None:
    """Server-side apply with a field manager of its own."""
    template: Document = {"metadata": {"annotations": {REVISION: "0123456789abcdef"}}}
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chatbot-office", "namespace": namespace},
        "spec": {"template": template},
    }
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/chatbot-office"
    kube.call("PATCH", f"{path}?fieldManager=chatbot-operator&force=true", document, "application/apply-patch+yaml")


def _office(kube: Kube, namespace: str) -> tuple[int, str, str]:
    """Replicas, revision and log level of the Deployment."""
    spec = kube.get("Deployment", namespace, "chatbot-office")["spec"]
    template = spec["template"]
    variables = {entry["name"]: entry.get("value") for entry in template["spec"]["containers"][0]["env"]}
    annotations = template["metadata"].get("annotations", {})
    return spec["replicas"], str(annotations.get(REVISION)), str(variables["CHATBOT_LOG_LEVEL"])
