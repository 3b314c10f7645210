"""The life of a Model in steps: what a user does, and when that is over."""

from collections.abc import Callable

from parts.kube_client import Kube
from parts.kube_objects import BAD, GOOD_1, GOOD_2, GOOD_3, condition, consumer, model
from parts.kube_pods import REVISION
from parts.kube_stage import final_objects

Look = Callable[[Kube, str], bool]
Act = Callable[[Kube, str], None]


def create(kube: Kube, namespace: str) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))


def create_to_delete(kube: Kube, namespace: str) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace, storage={"deletionPolicy": "Delete"}))


def changing(sha256: str) -> Callable[[Kube, str], None]:
    """A user's change of the source."""
    return lambda kube, namespace: discard(
        kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": sha256}}})
    )


def discard(_: object) -> None:
    """For what returns something that nobody wants."""


def delete(kube: Kube, namespace: str) -> None:
    kube.delete("Model", namespace, "demo")


def good(sha256: str) -> Callable[[Kube, str], bool]:
    """Whether a revision is Ready, and its consumer settled."""
    return lambda kube, namespace: ready(kube, namespace, sha256) and settled(kube, namespace, sha256)


def ready(kube: Kube, namespace: str, sha256: str) -> bool:
    document = kube.get("Model", namespace, "demo")
    is_current = document.get("status", {}).get("observedGeneration") == document["metadata"]["generation"]
    return (
        is_current
        and document["status"]["revision"] == sha256[:16]
        and condition(document, "Ready").get("status") == "True"
    )


def taken_back(sha256: str) -> Callable[[Kube, str], bool]:
    """Whether a bad revision was taken back, and its consumer serves the one before."""

    def look(kube: Kube, namespace: str) -> bool:
        document = kube.get("Model", namespace, "demo")
        is_back = condition(document, "RolledBack").get("status") == "True"
        is_available = condition(document, "Available").get("status") == "True"
        return is_back and is_available and settled(kube, namespace, sha256)

    return look


def settled(kube: Kube, namespace: str, sha256: str) -> bool:
    deployment = kube.get("Deployment", namespace, "office")
    annotations = deployment["spec"]["template"]["metadata"].get("annotations", {})
    status = deployment["status"]
    is_done = status.get("updatedReplicas") == status.get("replicas") == status.get("readyReplicas") == 1
    return annotations.get(REVISION) == sha256[:16] and is_done


def gone(kube: Kube, namespace: str) -> bool:
    """Whether nothing is left of a Model that is deleted with its data."""
    return not any(name for name in final_objects(kube, namespace) if not name.startswith("Deployment/"))


STORY: tuple[tuple[Act, Look], ...] = (
    (create, good(GOOD_1)),
    (changing(GOOD_2), good(GOOD_2)),
    (changing(BAD), taken_back(GOOD_2)),
    (changing(GOOD_3), good(GOOD_3)),
)
"""A good model, a better one, a bad one, and another good one."""
