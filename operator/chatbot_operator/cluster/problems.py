"""Why the cluster does not run something: what pods, claims, Jobs and Deployments say, sorted into reasons.

Events are not read: they expire, and reading them is one right more. A volume that cannot be mounted is therefore
told by a pod that has a node and no sandbox for a minute.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from chatbot_operator.reasons import Reason
from chatbot_operator.resources import parse_time

Document = dict[str, Any]
Problem = tuple[Reason, str]

_SLOW_TO_START = timedelta(seconds=45)
_SLOW_TO_APPEAR = timedelta(seconds=45)
_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_NO_VOLUME_YET = re.compile(r"unbound immediate PersistentVolumeClaims|persistentvolumeclaim \"[^\"]*\" not found")
"""What the scheduler says of a pod whose claim is not bound, or not there: no node could help.

Source: k8s.io/kubernetes, pkg/scheduler/framework/plugins/volumebinding/volume_binding.go.
"""


def of_pod(pod: Document, now: datetime) -> Problem | None:
    """Why a pod does not run; None where it does, or where its own container is at fault."""
    status: Document = pod.get("status", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions", ())}
    return (
        _lost(status, conditions)
        or _unscheduled(conditions)
        or next(_waiting(status), None)
        or _not_started(status, conditions, now)
    )


def of_deployment(deployment: Document) -> Problem | None:
    """Why a Deployment makes no pods."""
    for entry in deployment.get("status", {}).get("conditions", ()):
        if entry["type"] == "ReplicaFailure" and entry["status"] == "True":
            return Reason.QUOTA_EXCEEDED, _sentence(entry.get("message", ""))
    return None


def of_job(job: Document, newest_pod: Document | None, now: datetime) -> Problem | None:
    """Why a Job that is not over does not run."""
    if newest_pod is not None:
        return of_pod(newest_pod, now) if newest_pod.get("status", {}).get("phase") == "Pending" else None
    age = now - parse_time(job["metadata"]["creationTimestamp"])
    if age > _SLOW_TO_APPEAR and not job.get("status", {}).get("failed"):
        return Reason.QUOTA_EXCEEDED, "No pod was made for the download: a quota or an admission policy refuses it."
    return None


def of_claim(claim: Document) -> Problem | None:
    """Why a claim gets no volume. The default class is filled in at creation, so none left is none for good."""
    if claim.get("status", {}).get("phase", "Pending") != "Pending":
        return None
    if claim["spec"].get("storageClassName") is None and not claim["spec"].get("volumeName"):
        return Reason.NO_STORAGE_CLASS, "The claim names no storage class, and the cluster has no default."
    return None


def _lost(status: Document, conditions: dict[str, Document]) -> Problem | None:
    target = conditions.get("DisruptionTarget", {})
    is_evicted_by_taint = target.get("status") == "True" and target.get("reason") == "DeletionByTaintManager"
    if status.get("reason") == "NodeLost" or is_evicted_by_taint:
        return Reason.NODE_LOST, "The node of the pod does not answer."
    return None


def _unscheduled(conditions: dict[str, Document]) -> Problem | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        message = scheduled.get("message", "")
        waits = _NO_VOLUME_YET.search(message)
        return Reason.WAITING_FOR_STORAGE if waits else Reason.UNSCHEDULABLE, _sentence(message)
    return None


def _waiting(status: Document) -> Iterator[Problem]:
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _IMAGE_REASONS:
            yield Reason.IMAGE_PULL, _sentence(message or f"{container.get('image')}: {reason}")
        elif reason == "CreateContainerConfigError" and "secret" in message:
            yield Reason.SECRET_MISSING, _sentence(message)
        elif reason in ("CreateContainerConfigError", "CreateContainerError"):
            yield Reason.MOUNT_FAILED, _sentence(message or reason)


def _not_started(status: Document, conditions: dict[str, Document], now: datetime) -> Problem | None:
    scheduled, sandbox = conditions.get("PodScheduled", {}), conditions.get("PodReadyToStartContainers", {})
    if status.get("phase") != "Pending" or scheduled.get("status") != "True" or sandbox.get("status") != "False":
        return None
    if now - parse_time(scheduled["lastTransitionTime"]) < _SLOW_TO_START:
        return None
    return Reason.MOUNT_FAILED, "The pod has a node and does not start: a volume is not mounted, or the network fails."


def _sentence(text: str) -> str:
    text = " ".join(text.split())[:500]
    return text if not text or text.endswith(".") else f"{text}."
