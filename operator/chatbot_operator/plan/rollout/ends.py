"""How a rollout ends: the revision is good, is taken back, waits for the cluster, or is not wanted any more."""

from dataclasses import replace
from datetime import timedelta

from chatbot_operator.plan import history
from chatbot_operator.plan.draft import Draft
from chatbot_operator.plan.rollout.marks import bring, hold
from chatbot_operator.plan.rollout.verdict import Finding
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import RolloutStatus

SUSPENDED_FOR = timedelta(minutes=5)
"""How long nothing is tried after the cluster did not run the new pods for twice the deadline."""


def succeed(draft: Draft) -> None:
    """Every consumer served the revision for long enough: it is the one to go back to from now on."""
    revision = draft.rollout.revision
    draft.last_good = revision
    history.mark(draft, revision, "Good")
    draft.rollout = over(draft.rollout)
    draft.result = "succeeded"
    draft.set(ConditionType.ROLLED_OUT, "True", Reason.ROLLED_OUT, f"Every consumer serves revision {revision}.")
    draft.tell("Normal", Reason.ROLLED_OUT, f"Revision {revision} is good; rollouts go back to it from now on.")
    for consumer in draft.observed.consumers:
        bring(draft, consumer, revision)


def take_back(draft: Draft, finding: Finding) -> None:
    """The revision is bad: every consumer goes back, and it is not tried again by itself."""
    bad = draft.rollout.revision
    detail = f"Revision {bad} was taken back to {draft.last_good}: {finding.detail or finding.reason}"
    draft.set(ConditionType.ROLLED_BACK, "True", finding.reason, detail)
    message = draft.conditions[ConditionType.ROLLED_BACK].message
    draft.set(ConditionType.ROLLED_OUT, "False", Reason.ROLLED_BACK, detail)
    history.mark(draft, bad, "Bad")
    draft.rollout = over(draft.rollout)
    draft.result = "rolled_back"
    draft.tell("Warning", Reason.ROLLED_BACK, f"{finding.reason}: {message}")
    hold_all(draft)


def suspend(draft: Draft, finding: Finding) -> None:
    """The cluster does not run the pods: go back for a while, without a verdict on the model."""
    draft.rollout = replace(over(draft.rollout), paused_since=draft.now)
    draft.result = "aborted"
    draft.set(ConditionType.ROLLED_OUT, "False", finding.reason, finding.detail)
    draft.tell(
        "Warning",
        finding.reason,
        f"{finding.detail} Consumers go back to {draft.last_good}; the rollout starts again by itself.",
    )
    hold_all(draft)


def abort(draft: Draft) -> None:
    """The spec asks for another revision now."""
    draft.rollout = over(draft.rollout)
    draft.result = "aborted"


def is_suspended(draft: Draft) -> bool:
    """Whether a rollout of the target was taken back because of the cluster."""
    rollout = draft.rollout
    return not rollout.consumer and rollout.paused_since is not None and rollout.revision == draft.revision


def may_resume(draft: Draft) -> bool:
    """Whether enough time has passed and the cluster runs every pod."""
    due = (draft.rollout.paused_since or draft.now) + SUSPENDED_FOR
    if draft.now < due:
        draft.wake_at(due)
        return False
    consumers = draft.observed.consumers
    return not any(consumer.problem or any(pod.problem for pod in consumer.pods) for consumer in consumers)


def hold_all(draft: Draft) -> None:
    """Every consumer serves the last good revision."""
    for consumer in draft.observed.consumers:
        hold(draft, consumer)


def over(rollout: RolloutStatus) -> RolloutStatus:
    """No clock runs any more; what the next rollout has to know is kept."""
    return replace(
        rollout, consumer="", started_at=None, paused_seconds=0, paused_since=None, soak_until=None, slow_since=None
    )
