"""Deployments that consume a Model, and their pods."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from chatbot_operator import names
from chatbot_operator.cluster import problems
from chatbot_operator.names import ModelKind
from chatbot_operator.observed import Consumer, ConsumerPod, ServedModel
from chatbot_operator.resources import parse_time

Document = dict[str, Any]
_HASH_LABEL = "pod-template-hash"
_SCHEDULING = ("nodeSelector", "tolerations", "affinity")


def consumer(
    deployment: Document,
    pods: Sequence[Document],
    served: Mapping[str, ServedModel],
    now: datetime,
    kind: ModelKind = "Chat",
) -> Consumer:
    """A Deployment with its pods.

    A pod is ready for the model that it chats with. Where vectors are asked for, it is as good as ready as soon as it
    says what it makes them with: the chat model may still be on its way, and is not this Model's fault.

    Args:
        deployment: As it was read.
        pods: Of which some are its own.
        served: What they said, by UID.
        now: UTC.
        kind: Of the Model that is consumed.
    """
    seen = tuple(_pod(pod, served.get(pod["metadata"]["uid"]), now, kind) for pod in pods_of(deployment, pods))
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status", {})
    template = spec["template"]
    return Consumer(
        name=metadata["name"],
        uid=metadata["uid"],
        replicas=spec.get("replicas", 1),
        ready_replicas=status.get("readyReplicas", 0) if kind == "Chat" else sum(pod.ready for pod in seen),
        annotation=_annotation(template, kind),
        template_fingerprint=fingerprint(template),
        settled=_is_settled(deployment),
        pods=seen,
        problem=problems.of_deployment(deployment),
        can_surge=_can_surge(spec),
        scheduling={key: template["spec"][key] for key in _SCHEDULING if template["spec"].get(key)},
    )


def pods_of(deployment: Document, pods: Sequence[Document]) -> list[Document]:
    """Its pods that are not being deleted.

    A pod belongs to a ReplicaSet, and the Deployment controller names that `<deployment>-<pod-template-hash>`; so no
    right to read ReplicaSets is needed.
    """
    name = deployment["metadata"]["name"]
    return [pod for pod in pods if _replica_set(pod) == f"{name}-{_template_hash(pod)}" and is_alive(pod)]


def is_alive(pod: Document) -> bool:
    """Whether a pod is there to stay: neither being deleted nor ended."""
    is_over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not is_over and "deletionTimestamp" not in pod["metadata"]


def is_ready(pod: Document) -> bool:
    """Whether a pod takes requests."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def fingerprint(template: Document) -> str:
    """Changes with anything in a pod template but the annotations of revisions."""
    metadata = template.get("metadata", {})
    ours = {marks.annotation for marks in names.ALL_MARKS}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in ours}
    rest = {"labels": metadata.get("labels", {}), "annotations": annotations, "spec": template["spec"]}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def revisions_named(document: Document) -> set[str]:
    """What a pod, or a Deployment's template, names."""
    template = document.get("spec", {}).get("template", {})
    kinds = get_args(ModelKind)
    return {_annotation(part, kind) for part in (document, template) for kind in kinds} - {""}


def _pod(pod: Document, served: ServedModel | None, now: datetime, kind: ModelKind) -> ConsumerPod:
    metadata = pod["metadata"]
    return ConsumerPod(
        name=metadata["name"],
        uid=metadata["uid"],
        node=pod["spec"].get("nodeName", ""),
        ready=is_ready(pod) or (kind == "Embedding" and served is not None),
        annotation=_annotation(pod, kind),
        created_at=parse_time(metadata["creationTimestamp"]),
        template_hash=_template_hash(pod),
        served=served,
        problem=problems.of_pod(pod, now),
    )


def _annotation(document: Document, kind: ModelKind) -> str:
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(names.marks_of(kind).annotation, ""))


def _template_hash(pod: Document) -> str:
    return str(pod["metadata"].get("labels", {}).get(_HASH_LABEL, ""))


def _replica_set(pod: Document) -> str:
    owners = pod["metadata"].get("ownerReferences", ())
    return next((str(owner["name"]) for owner in owners if owner["kind"] == "ReplicaSet"), "")


def _is_settled(deployment: Document) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    has_seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(has_seen and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted)


def _can_surge(spec: Document) -> bool:
    strategy = spec.get("strategy", {})
    surge = str((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"))
    return strategy.get("type", "RollingUpdate") == "RollingUpdate" and surge.rstrip("%") != "0"
