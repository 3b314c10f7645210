"""Why the cluster does not run something, read from what objects say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatbot_operator.cluster import problems
from chatbot_operator.reasons import Reason

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OLD = (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
NEW = (NOW - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
Document = dict[str, Any]


def pod(phase: str = "Pending", conditions: dict[str, str | Document] | None = None, **waiting: str) -> Document:
    entries = [
        {"type": kind, **(value if isinstance(value, dict) else {"status": value, "lastTransitionTime": OLD})}
        for kind, value in (conditions or {}).items()
    ]
    containers = [{"name": "c", "image": "x:1", "state": {"waiting": waiting} if waiting else {}}]
    return {"status": {"phase": phase, "conditions": entries, "containerStatuses": containers}}


UNSCHEDULABLE = {"status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient nvidia.com/gpu"}
UNBOUND, CLAIMLESS = (
    UNSCHEDULABLE | {"message": f"0/1 nodes are available: {words}. not found"}
    for words in ("pod has unbound immediate PersistentVolumeClaims", 'persistentvolumeclaim "model-x" not found')
)
TAINTED = {"status": "True", "reason": "DeletionByTaintManager"}


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (pod("Running"), None),
        (pod(conditions={"PodScheduled": UNSCHEDULABLE}), Reason.UNSCHEDULABLE),
        (pod(conditions={"PodScheduled": UNBOUND}), Reason.WAITING_FOR_STORAGE),
        (pod(conditions={"PodScheduled": CLAIMLESS}), Reason.WAITING_FOR_STORAGE),
        (pod(reason="ImagePullBackOff", message="Back-off pulling image"), Reason.IMAGE_PULL),
        (pod(reason="ErrImageNeverPull"), Reason.IMAGE_PULL),
        (pod(reason="CreateContainerConfigError", message='secret "hf" not found'), Reason.SECRET_MISSING),
        (pod(reason="CreateContainerConfigError", message='configmap "ca" not found'), Reason.MOUNT_FAILED),
        (pod(reason="CrashLoopBackOff", message="back-off"), None),
        (pod(reason="ContainerCreating"), None),
        (pod(conditions={"PodScheduled": "True", "PodReadyToStartContainers": "False"}), Reason.MOUNT_FAILED),
        (pod("Running", conditions={"DisruptionTarget": TAINTED}), Reason.NODE_LOST),
        ({"status": {"reason": "NodeLost", "phase": "Running"}}, Reason.NODE_LOST),
        ({}, None),
    ],
)
def test_a_pod_tells_why_it_does_not_run(seen: Document, reason: Reason | None) -> None:
    found = problems.of_pod(seen, NOW)

    assert (found[0] if found else None) == reason


def test_a_pod_may_take_its_time_to_mount() -> None:
    scheduled = {"status": "True", "lastTransitionTime": NEW}

    assert (
        problems.of_pod(pod(conditions={"PodScheduled": scheduled, "PodReadyToStartContainers": "False"}), NOW) is None
    )


def test_a_job_without_a_pod_is_refused_by_something() -> None:
    young, old = ({"metadata": {"creationTimestamp": moment}, "status": {}} for moment in (NEW, OLD))

    assert problems.of_job(young, None, NOW) is None
    refused = problems.of_job(old, None, NOW)
    assert refused is not None and refused[0] is Reason.QUOTA_EXCEEDED


def test_a_claim_without_a_class_waits_for_nothing() -> None:
    pending: Document = {"spec": {}, "status": {"phase": "Pending"}}

    found = problems.of_claim(pending)

    assert found is not None and found[0] is Reason.NO_STORAGE_CLASS
    assert problems.of_claim({**pending, "spec": {"storageClassName": ""}}) is None, (
        "it waits for a volume made by hand"
    )
    assert problems.of_claim({"spec": {}, "status": {"phase": "Bound"}}) is None


def test_a_deployment_that_may_make_no_pods_says_so() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: gpu"}

    assert problems.of_deployment({"status": {"conditions": [failure]}}) == (
        Reason.QUOTA_EXCEEDED,
        "exceeded quota: gpu.",
    )
    assert problems.of_deployment({"status": {}}) is None
