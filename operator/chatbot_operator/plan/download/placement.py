"""Where and when a download may start, so that the pods that will read the model can run there too."""

from datetime import timedelta

from chatbot_operator.observed import Consumer
from chatbot_operator.plan.draft import Draft
from chatbot_operator.reasons import ConditionType, Reason

LONGEST_WAIT_FOR_A_POD = timedelta(seconds=60)
_HOPELESS = frozenset({Reason.NO_STORAGE_CLASS, Reason.QUOTA_EXCEEDED, Reason.VOLUME_ERROR, Reason.NO_SUCH_CLAIM})


def may_start(draft: Draft) -> bool:
    """Whether a download Job has a volume to write to, on the right node.

    A claim that is bound at its first use is bound where that use runs. A consumer's pod needs a GPU and a Job does
    not, so the pod goes first; after a minute the Job goes anyway.
    """
    claim = draft.observed.claim
    if claim is None or claim.phase == "Lost" or draft.conditions[ConditionType.STORAGE_READY].reason in _HOPELESS:
        return claim is not None and claim.phase == "Bound"
    if claim.phase == "Bound" or draft.spec.storage.access_mode == "ReadWriteMany" or not _has_running_consumer(draft):
        return True
    due = draft.conditions[ConditionType.STORAGE_READY].last_transition_time + LONGEST_WAIT_FOR_A_POD
    if draft.now < due:
        draft.wake_at(due)
        return False
    return True


def node_of(draft: Draft) -> str:
    """The consumer beside whose pods a Job must run: only one node can mount the claim."""
    claim = draft.observed.claim
    if claim is None or "ReadWriteMany" in claim.access_modes:
        return ""
    return next((c.name for c in draft.observed.consumers if any(pod.node for pod in c.pods)), "")


def beside(draft: Draft) -> Consumer | None:
    """The consumer whose node selector and tolerations a Job takes over."""
    consumers = draft.observed.consumers
    name = node_of(draft)
    return next((c for c in consumers if c.name == name), consumers[0] if consumers else None)


def _has_running_consumer(draft: Draft) -> bool:
    return any(consumer.replicas > 0 for consumer in draft.observed.consumers)
