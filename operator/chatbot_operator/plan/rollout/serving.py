"""What consumers serve, judged by what their pods say at `:9090/model` and by nothing else."""

from chatbot_operator.observed import Consumer, ConsumerPod, ServedModel
from chatbot_operator.reasons import CLUSTER_FAULTS, MODEL_FAULTS, Reason

_LONGEST_DETAIL = 500


def is_running(consumer: Consumer) -> bool:
    """Whether the Deployment wants pods at all."""
    return consumer.replicas > 0


def has_arrived(consumer: Consumer, revision: str) -> bool:
    """Whether every pod that the Deployment wants is there, ready, and serves the revision."""
    return (
        consumer.settled
        and bool(consumer.pods)
        and consumer.ready_replicas >= consumer.replicas
        and all(pod_serves(pod, revision) for pod in consumer.pods)
    )


def serves(consumer: Consumer, revision: str) -> bool:
    """Whether clients get answers of the revision: some ready pod serves it, and none serves another one."""
    answers = [pod for pod in consumer.pods if pod.ready and pod.served]
    return any(pod_serves(pod, revision) for pod in answers) and not any(
        pod.served and pod.served.revision not in ("", revision) for pod in answers
    )


def pod_serves(pod: ConsumerPod, revision: str) -> bool:
    """Whether one pod serves the revision."""
    return pod.served is not None and pod.served.state == "serving" and pod.served.revision == revision


def is_given(pod: ConsumerPod, revision: str) -> bool:
    """Whether a pod was told to serve the revision, by its annotation or by what it started with."""
    return pod.annotation == revision or (
        pod.annotation == "" and pod.served is not None and pod.served.expected == revision
    )


def fault_of(served: ServedModel) -> tuple[Reason, str]:
    """Reason and text of a pod that says `failed`. A reason that is not in the list is still a failure."""
    known = {reason.value for reason in MODEL_FAULTS}
    reason = Reason(served.reason) if served.reason in known else Reason.LOAD_FAILED
    return reason, served.message[:_LONGEST_DETAIL]


def shortfall(consumer: Consumer, revision: str) -> tuple[Reason, str]:
    """Why a consumer does not serve the revision: the most telling of what can be seen."""
    name = f"Deployment {consumer.name}"
    if consumer.problem:
        return _of_cluster(consumer.problem[0]), f"{name}: {consumer.problem[1]}"
    lacking = [pod for pod in consumer.pods if not pod_serves(pod, revision)]
    for pod in lacking:
        if pod.problem:
            return _of_cluster(pod.problem[0]), f"Pod {pod.name}: {pod.problem[1]}"
    for pod in lacking:
        if pod.served and pod.served.state == "failed":
            reason, detail = fault_of(pod.served)
            return reason, f"Pod {pod.name}: {detail}" if detail else ""
    if any(pod.ready and pod.served is None for pod in lacking):
        return Reason.NO_ANSWER, ""
    count = len(consumer.pods) - len(lacking)
    return Reason.PROGRESSING, f"{name}: {count} of {consumer.replicas} replicas serve revision {revision}."


def _of_cluster(reason: Reason) -> Reason:
    """What keeps a consumer's pod from starting: a Secret of its own, too, is something that is not mounted."""
    return reason if reason in CLUSTER_FAULTS else Reason.MOUNT_FAILED
