"""A Deployment that chats with one Model and makes vectors with another: neither rollout touches the other."""

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
from parts.kube_pods import EMBEDDING_REVISION, REVISION


def both(namespace: str) -> Document:
    """A consumer of `demo` and of `vectors`."""
    deployment = consumer(namespace, replicas=2)
    for metadata in (deployment["metadata"], deployment["spec"]["template"]["metadata"]):
        metadata["labels"] = metadata["labels"] | {"chatbot.ai/embedding-model": "vectors"}
    return deployment


def until_ready(kube: Kube, namespace: str, name: str, sha256: str) -> Document:
    """A Model as soon as it says that it is Ready with a revision."""

    def look() -> Document | None:
        document = kube.get("Model", namespace, name)
        return document if is_told_ready(document, revision_of(sha256)) else None

    found = wait_for(look, 120, lambda: f"{name}: {story(kube.get('Model', namespace, name))}")
    assert found is not None
    return found


def annotations_of(document: Document) -> dict[str, str]:
    """The revisions that an object names."""
    named = document["metadata"].get("annotations", {})
    return {name: value for name, value in named.items() if name in (REVISION, EMBEDDING_REVISION)}


def told(kube: Kube, namespace: str) -> dict[str, str]:
    """The revisions that the Deployment's template names."""
    return annotations_of(kube.get("Deployment", namespace, "office")["spec"]["template"])


def pods_of(kube: Kube, namespace: str) -> dict[str, dict[str, str]]:
    """The revisions that each living pod of the Deployment was told, by its UID."""
    pods = kube.find("Pod", namespace)
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and "app" in pod["metadata"]["labels"]]
    return {pod["metadata"]["uid"]: annotations_of(pod) for pod in alive}


def test_each_kind_of_model_is_rolled_out_and_taken_back_apart(kube: Kube, namespace: str, operator: Operator) -> None:
    first, second, third = map(revision_of, (GOOD_1, GOOD_2, GOOD_3))
    kube.create(both(namespace))
    kube.create(model(namespace))
    kube.create(model(namespace, "vectors", GOOD_2, kind="Embedding"))
    until_ready(kube, namespace, "demo", GOOD_1)
    ready = until_ready(kube, namespace, "vectors", GOOD_2)
    until_ready(kube, namespace, "demo", GOOD_1)  # its pods were replaced for the other one
    together = told(kube, namespace)

    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_3}}})
    until_ready(kube, namespace, "demo", GOOD_3)
    until_ready(kube, namespace, "vectors", GOOD_2)
    after_chat = told(kube, namespace)
    kube.patch("Model", namespace, "vectors", {"spec": {"source": {"sha256": BAD}}})
    wait_for(
        lambda: condition(kube.get("Model", namespace, "vectors"), "RolledBack").get("status") == "True",
        120,
        lambda: story(kube.get("Model", namespace, "vectors")),
    )
    wait_for(lambda: told(kube, namespace) == after_chat, 60, lambda: str(told(kube, namespace)))
    chat = until_ready(kube, namespace, "demo", GOOD_3)

    assert together == {REVISION: first, EMBEDDING_REVISION: second}
    assert after_chat == {REVISION: third, EMBEDDING_REVISION: second}
    assert chat["status"]["rollout"]["attempt"] == 2, "the other's changes are no rollout of its own"
    assert condition(chat, "RolledBack")["status"] == "False"
    assert ready["status"]["consumers"] == [
        {"kind": "Deployment", "name": "office", "revision": second, "readyReplicas": 2, "replicas": 2}
    ]
    job = next(job for job in kube.find("Job", namespace) if job["metadata"]["name"].startswith("dl-vectors"))
    assert "--kind=Embedding" in job["spec"]["template"]["spec"]["containers"][0]["args"]


def test_vectors_change_in_place_while_the_pods_go_on(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(both(namespace))
    kube.create(model(namespace))
    kube.create(model(namespace, "vectors", GOOD_2, kind="Embedding", rollout={"strategy": "InPlace"}))
    until_ready(kube, namespace, "demo", GOOD_1)
    until_ready(kube, namespace, "vectors", GOOD_2)
    before = pods_of(kube, namespace)

    kube.patch("Model", namespace, "vectors", {"spec": {"source": {"sha256": GOOD_3}}})
    until_ready(kube, namespace, "vectors", GOOD_3)
    after = pods_of(kube, namespace)

    assert set(after) == set(before) and len(after) == 2, "no pod was replaced"
    chat = {REVISION: revision_of(GOOD_1)}
    assert list(after.values()) == [{**chat, EMBEDDING_REVISION: revision_of(GOOD_3)}] * 2
    assert told(kube, namespace) == chat
    until_ready(kube, namespace, "demo", GOOD_1)
