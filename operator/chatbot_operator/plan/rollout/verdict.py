"""Whose fault it is that a rollout does not go on: the model's, the cluster's, the release's, or nobody's yet."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from chatbot_operator.observed import Consumer, ConsumerPod
from chatbot_operator.plan.draft import Draft
from chatbot_operator.plan.rollout.marks import strategy_of
from chatbot_operator.plan.rollout.serving import fault_of, has_arrived, is_given, is_running, pod_serves, shortfall
from chatbot_operator.reasons import ConditionType, Reason

SLOW_TWICE_APART = timedelta(seconds=30)
MISSING_FILE_GRACE = timedelta(seconds=60)
"""A network volume may show a new folder late on other nodes."""

_ENGINE_DEATHS = 3


class Fault(StrEnum):
    """Whose fault."""

    MODEL = "model"
    CLUSTER = "cluster"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong."""

    fault: Fault
    reason: Reason
    detail: str


def judge(draft: Draft, current: Consumer) -> Finding | None:
    """Find a fault in the rollout of `draft.rollout.revision` to `current`, None while there is none.

    Keeps the clock of slowness in `draft.rollout`.
    """
    failing = _model_fault(draft)
    if failing is not None:
        return _release_fault(draft) or failing
    if has_arrived(current, draft.rollout.revision):
        return None
    if draft.observed.refused.marks:
        return Finding(Fault.CLUSTER, *draft.observed.refused.marks)
    return _cluster_fault(current, draft.rollout.revision) or _deadline(draft, current)


def elapsed(draft: Draft) -> timedelta:
    """How long the current consumer's clock has run, times that do not count left out."""
    rollout = draft.rollout
    until = rollout.paused_since or draft.now
    return until - (rollout.started_at or draft.now) - timedelta(seconds=rollout.paused_seconds)


def _model_fault(draft: Draft) -> Finding | None:
    pods = [
        pod
        for consumer in draft.observed.consumers
        if is_running(consumer)
        for pod in consumer.pods
        if is_given(pod, draft.rollout.revision)
    ]
    for pod in pods:
        found = _failure(draft, pod)
        if found:
            return Finding(Fault.MODEL, *found)
    return _slowness(draft, pods)


def _failure(draft: Draft, pod: ConsumerPod) -> tuple[Reason, str] | None:
    served = pod.served
    if served is None or served.expected != draft.rollout.revision:
        return None
    if served.state == "failed":
        reason, detail = fault_of(served)
        if reason is Reason.MODEL_MISSING and _may_appear(draft):
            return None
        return reason, f"Pod {pod.name}: {detail}" if detail else ""
    # In place the process is older than the revision, so its count says nothing; it says `failed` by itself.
    if served.engine_restarts >= _ENGINE_DEATHS and strategy_of(draft) == "RollingUpdate":
        return Reason.ENGINE_CRASHED, f"Pod {pod.name}: the engine died {_ENGINE_DEATHS} times with this revision."
    return None


def _slowness(draft: Draft, pods: list[ConsumerPod]) -> Finding | None:
    bound = draft.spec.rollout.min_tokens_per_second
    slow = [
        (pod, pod.served.tokens_per_second)
        for pod in pods
        if pod.served and pod_serves(pod, draft.rollout.revision) and 0 < pod.served.tokens_per_second < bound
    ]
    since = draft.rollout.slow_since if slow else None
    if slow and since is None:
        since = draft.now
    draft.rollout = replace(draft.rollout, slow_since=since)
    if since is None:
        return None
    if draft.now - since < SLOW_TWICE_APART:
        draft.wake_at(since + SLOW_TWICE_APART)
        return None
    pod, speed = slow[0]
    detail = f"Pod {pod.name} makes {speed:.1f} tokens per second, at least {bound:g} are asked for."
    return Finding(Fault.MODEL, Reason.TOO_SLOW, detail)


def _release_fault(draft: Draft) -> Finding | None:
    """The last good revision fails too, so the new one cannot be what is wrong."""
    good = draft.last_good
    for consumer in draft.observed.consumers:
        for pod in consumer.pods:
            if good and good != draft.rollout.revision and is_given(pod, good) and _has_failed(pod, good):
                detail = f"Pod {pod.name} fails with the last good revision {good} too."
                return Finding(Fault.RELEASE, Reason.RELEASE_CHANGED, detail)
    return None


def _has_failed(pod: ConsumerPod, revision: str) -> bool:
    return pod.served is not None and pod.served.state == "failed" and pod.served.expected == revision


def _cluster_fault(current: Consumer, revision: str) -> Finding | None:
    has_problem = current.problem or any(pod.problem for pod in current.pods if not pod_serves(pod, revision))
    return Finding(Fault.CLUSTER, *shortfall(current, revision)) if has_problem else None


def _deadline(draft: Draft, current: Consumer) -> Finding | None:
    deadline = timedelta(seconds=draft.spec.rollout.progress_deadline_seconds)
    if elapsed(draft) <= deadline:
        draft.wake_at(draft.now + deadline - elapsed(draft) + timedelta(seconds=1))
        return None
    reason, detail = shortfall(current, draft.rollout.revision)
    if reason is Reason.NO_ANSWER:  # ready pods have answered the smoke question; only the operator does not hear them
        return Finding(Fault.RELEASE, reason, detail)
    said = f"{detail or 'It does not serve.'} The deadline of {int(deadline.total_seconds())} s has passed."
    return Finding(Fault.MODEL, Reason.DEADLINE_EXCEEDED, said)


def _may_appear(draft: Draft) -> bool:
    """Whether a file that a pod does not find may still be on its way."""
    downloaded = draft.conditions[ConditionType.DOWNLOADED]
    since = max(draft.rollout.started_at or draft.now, downloaded.last_transition_time)
    return downloaded.status != "True" or draft.now - since < MISSING_FILE_GRACE
