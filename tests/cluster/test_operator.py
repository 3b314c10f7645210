"""A Model from its creation to Ready, back from a bad one, and away: the operator as a process with its own rights."""

import json
from collections.abc import Iterator

from parts.kube_client import Document, Kube, wait_for
from parts.kube_objects import (
    BAD,
    GOOD_1,
    GOOD_2,
    GOOD_3,
    condition,
    consumer,
    is_told_ready,
    model,
    revision_of,
    story,
)
from parts.kube_operator import Operator
from parts.kube_pods import REVISION, FakePods


def until(kube: Kube, namespace: str, kind: str, status: str, reason: str = "", seconds: float = 60) -> Document:
    """The Model `demo` as soon as a condition is as it should be."""

    def look() -> Document | None:
        document = kube.get("Model", namespace, "demo")
        found = condition(document, kind)
        is_current = document.get("status", {}).get("observedGeneration") == document["metadata"]["generation"]
        return document if is_current and found.get("status") == status and reason in ("", found["reason"]) else None

    found = wait_for(look, seconds, lambda: story(kube.get("Model", namespace, "demo")))
    assert found is not None
    return found


def annotation_of(deployment: Document) -> str:
    return str(deployment["spec"]["template"]["metadata"].get("annotations", {}).get(REVISION, ""))


def test_a_model_comes_onto_its_consumer(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))

    status = until(kube, namespace, "Ready", "True", "Serving")["status"]

    assert status["revision"] == status["lastGoodRevision"] == revision_of(GOOD_1)
    assert status["phase"] == "Ready"
    assert status["consumers"] == [
        {"kind": "Deployment", "name": "office", "revision": revision_of(GOOD_1), "readyReplicas": 1, "replicas": 1}
    ]
    assert annotation_of(kube.get("Deployment", namespace, "office")) == revision_of(GOOD_1)
    wait_for(lambda: kube.is_there("ConfigMap", namespace, "model-demo"))  # written after the status
    assert kube.get("ConfigMap", namespace, "model-demo")["data"] == {"good-revision": revision_of(GOOD_1)}
    assert kube.get("PersistentVolumeClaim", namespace, "model-demo")["status"]["phase"] == "Bound"
    assert "finalizers" not in kube.get("Model", namespace, "demo")["metadata"]
    assert "annotations" not in kube.get("Model", namespace, "demo")["metadata"]


def test_a_bad_model_is_taken_back_and_not_tried_again(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))
    until(kube, namespace, "Ready", "True")

    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": BAD}}})
    document = until(kube, namespace, "RolledBack", "True")

    assert condition(document, "Ready") == condition(document, "Ready") | {"status": "False", "reason": "RolledBack"}
    assert "SmokeNaN" in str(condition(document, "RolledBack")) or "number" in str(condition(document, "RolledBack"))
    wait_for(lambda: annotation_of(kube.get("Deployment", namespace, "office")) == revision_of(GOOD_1))
    until(kube, namespace, "Available", "True")
    jobs = [job["metadata"]["name"] for job in kube.find("Job", namespace)]
    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_2}}})
    until(kube, namespace, "Ready", "True")
    assert len(jobs) == 2
    assert kube.get("Model", namespace, "demo")["status"]["lastGoodRevision"] == revision_of(GOOD_2)


CHANGES: list[Document] = [
    {"source": {"sha256": GOOD_2}},
    {"source": {"sha256": GOOD_1}},
    {"source": {"url": "https://models.test/the-same-elsewhere.gguf"}},
    {"rollout": {"strategy": "InPlace"}},
    {"source": {"sha256": GOOD_3}},
    {"source": {"sha256": GOOD_1}},
]
"""Forward, back to what was good before, the same from elsewhere, and both again in place."""


def test_ready_is_never_told_of_a_spec_that_is_not_served(
    kube: Kube, namespace: str, pods: FakePods, operator: Operator
) -> None:
    """Every version of the Model is looked at, so that not even a moment's lie is missed."""
    for name in ("office", "character"):
        kube.create(consumer(namespace, name, replicas=2))
    left, told = iter(CHANGES), []
    document = kube.create(model(namespace))

    for version in versions(kube, namespace, document):
        revision = revision_of(version["spec"]["source"]["sha256"])
        if not is_told_ready(version, revision):
            continue
        assert served(kube, pods, namespace) == [revision] * 4, story(version)
        if version["metadata"]["generation"] in told:
            continue  # another word about the same spec
        told.append(version["metadata"]["generation"])
        change = next(left, None)
        if change is None:
            break
        kube.patch("Model", namespace, "demo", {"spec": change})

    assert told == list(range(1, len(CHANGES) + 2))


def versions(kube: Kube, namespace: str, created: Document) -> Iterator[Document]:
    """Every version of a Model from its creation on."""
    path = f"/apis/chatbot.ai/v1alpha1/namespaces/{namespace}/models"
    since = created["metadata"]["resourceVersion"]
    for line in kube.lines(f"{path}?watch=true&resourceVersion={since}"):
        yield json.loads(line)["object"]


def served(kube: Kube, pods: FakePods, namespace: str) -> list[str]:
    """What the pods of all consumers serve."""
    alive = [
        pod["metadata"]["name"]
        for pod in kube.find("Pod", namespace, labelSelector="chatbot.ai/model")
        if "deletionTimestamp" not in pod["metadata"] and "chatbot.ai/download" not in pod["metadata"]["labels"]
    ]
    return [(pods.answer(namespace, name) or {}).get("revision", "") for name in alive]
