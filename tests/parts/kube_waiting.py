"""Waiting for what a Model says."""

from parts.kube_client import Kube, wait_for
from parts.kube_objects import GOOD_1, condition, is_told_ready, revision_of, story


def reason_of(kube: Kube, namespace: str, kind: str, name: str = "demo") -> str:
    """Reason of a condition, "" where it is not there yet."""
    return str(condition(kube.get("Model", namespace, name), kind).get("reason", ""))


def until_reason(kube: Kube, namespace: str, kind: str, reason: str, seconds: float = 60) -> None:
    """Return when a condition has a reason."""
    wait_for(
        lambda: reason_of(kube, namespace, kind) == reason,
        seconds,
        lambda: story(kube.get("Model", namespace, "demo")),
    )


def until_ready(kube: Kube, namespace: str, sha256: str = GOOD_1, seconds: float = 60) -> None:
    """Return when the Model `demo` is Ready with a revision."""

    wait_for(lambda: is_ready(kube, namespace, sha256), seconds, lambda: story(kube.get("Model", namespace, "demo")))


def is_ready(kube: Kube, namespace: str, sha256: str, name: str = "demo") -> bool:
    """Whether a Model is Ready with a revision."""
    return is_told_ready(kube.get("Model", namespace, name), revision_of(sha256))
