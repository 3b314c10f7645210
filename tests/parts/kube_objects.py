"""Objects that tests of the operator apply: Models, consumers, volumes."""

from typing import Any

Document = dict[str, Any]

GOOD_1, GOOD_2, GOOD_3 = ("1" * 64, "2" * 64, "3" * 64)
BAD = "badbadbadbadbad0" + "0" * 48
"""Pods that are told this revision never become ready on the fake nodes (kwok-pods.yaml)."""


def revision_of(sha256: str) -> str:
    return sha256[:16]


def model(namespace: str, name: str = "demo", sha256: str = GOOD_1, **changes: Any) -> Document:
    """A Model on a claim of the class `test`; changes are merged into its spec, one level deep."""
    spec: Document = {
        "source": {"url": "https://models.test/good.gguf", "sha256": sha256},
        "storage": {"size": "1Gi", "storageClassName": "test"},
        "rollout": {"soakSeconds": 0, "progressDeadlineSeconds": 120},
    }
    for key, value in changes.items():
        spec[key] = {**spec[key], **value} if isinstance(value, dict) and key in spec else value
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "chatbot.ai/v1alpha1", "kind": "Model", "metadata": metadata, "spec": spec}


def tenant(namespace: str, name: str = "acme", **spec: Any) -> Document:
    """A Tenant."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "chatbot.ai/v1alpha1", "kind": "Tenant", "metadata": metadata, "spec": spec}


def character(namespace: str, name: str = "nabi", **spec: Any) -> Document:
    """A Character."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "chatbot.ai/v1alpha1", "kind": "Character", "metadata": metadata, "spec": spec}


def consumer(namespace: str, name: str = "office", model_name: str = "demo", replicas: int = 1) -> Document:
    """A Deployment that consumes a Model, on the fake nodes, as the chart makes it."""
    labels = {"app": name, "chatbot.ai/model": model_name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"type": "kwok"},
                    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {"name": "service", "image": "chatbot:test", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
                    ],
                },
            },
        },
    }


def volume(namespace: str, number: int = 0, size: str = "1Gi") -> Document:
    """A volume of the class `test` for the claims of a namespace: there is no provisioner."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{number}", "labels": {"test": namespace}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "storageClassName": "test",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": f"/tmp/{namespace}-{number}"},  # noqa: S108 - of a node that does not exist
        },
    }


def condition(document: Document, kind: str) -> Document:
    """A condition of a Model, empty where it is not there."""
    conditions = document.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind), {})


def is_told_ready(document: Document, revision: str) -> bool:
    """Whether a Model says that it is Ready with a revision, and says so of the spec that it has now.

    All of it from one reading: between two readings the operator may begin with a new spec.
    """
    ready, status = condition(document, "Ready"), document.get("status", {})
    is_current = ready.get("observedGeneration") == document["metadata"]["generation"]
    return is_current and ready["status"] == "True" and status.get("revision") == revision


def story(document: Document) -> str:
    """Conditions in one line each, for failures."""
    conditions = document.get("status", {}).get("conditions", [])
    lines = [f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in conditions]
    return "\n".join(lines) or "no status"
