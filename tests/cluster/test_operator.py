"""A Model from its creation to Ready, back from a bad one, and away: the operator as a process with its own rights."""

from parts.kube_client import Document, Kube, wait_for
from parts.kube_objects import BAD, GOOD_1, GOOD_2, condition, consumer, model, revision_of, story
from parts.kube_operator import Operator
from parts.kube_pods import REVISION


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
