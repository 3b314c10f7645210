"""Which way to go: wait for the file, start a rollout, go on with one, stay with the last good revision."""

from dataclasses import replace

from chatbot_operator.actions import ApplyGoodRevision
from chatbot_operator.observed import Consumer
from chatbot_operator.plan import history
from chatbot_operator.plan.draft import Draft
from chatbot_operator.plan.rollout import ends, steps
from chatbot_operator.plan.rollout.marks import bring, is_marked, strategy_of
from chatbot_operator.plan.rollout.serving import is_running, serves, shortfall
from chatbot_operator.reasons import ConditionType, EventReason, Reason

_ROLLED_OUT, _ROLLED_BACK = ConditionType.ROLLED_OUT, ConditionType.ROLLED_BACK


def plan_rollout(draft: Draft) -> None:
    """Conditions RolledOut and RolledBack, the last good revision, and the annotations of pods."""
    _take_over_good_revision(draft)
    _forget_or_keep_verdict(draft)
    if draft.rollout.consumer and draft.rollout.revision != draft.revision:
        ends.abort(draft)
    if draft.rollout.consumer:
        steps.go_on(draft)
    elif draft.is_true(_ROLLED_BACK):
        draft.set(_ROLLED_OUT, "False", Reason.ROLLED_BACK)
        ends.hold_all(draft)
    elif not draft.is_true(ConditionType.DOWNLOADED):
        draft.set(_ROLLED_OUT, "False", Reason.WAITING_FOR_DOWNLOAD)
        ends.hold_all(draft)
    else:
        _roll_out(draft)
    _publish_good_revision(draft)
    refused = draft.observed.refused.marks or draft.observed.refused.good_revision
    if refused:
        draft.complain(_ROLLED_OUT, *refused)


def _roll_out(draft: Draft) -> None:
    """The file is there and nothing speaks against it."""
    if not any(is_running(consumer) for consumer in draft.observed.consumers):
        draft.set(_ROLLED_OUT, "True", Reason.NO_CONSUMER)
        if draft.revision == draft.last_good:
            _stay(draft)
    elif draft.revision == draft.last_good:
        _stay(draft)
    elif draft.spec.rollout.paused:
        draft.set(_ROLLED_OUT, "False", Reason.PAUSED)
        ends.hold_all(draft)
    elif ends.is_suspended(draft) and not ends.may_resume(draft):
        draft.keep(_ROLLED_OUT)
        ends.hold_all(draft)
    else:
        steps.begin(draft)


def _stay(draft: Draft) -> None:
    """The target is good: nothing to find out, only to keep it so."""
    revision = draft.revision
    _tell_of_strategy(draft)
    lagging: list[Consumer] = []
    for consumer in draft.observed.consumers:
        is_told = is_marked(draft, consumer, revision)
        if not is_told:
            _tell_of_foreign_change(draft, consumer)
            bring(draft, consumer, revision)
        if is_running(consumer) and not (is_told and serves(consumer, revision)):
            lagging.append(consumer)
    if lagging:
        draft.set(_ROLLED_OUT, "False", *shortfall(lagging[0], revision))
        draft.wake(steps.POLL_SECONDS)
    elif any(is_running(consumer) for consumer in draft.observed.consumers):
        draft.set(_ROLLED_OUT, "True", Reason.ROLLED_OUT, f"Every consumer serves revision {revision}.")


def _take_over_good_revision(draft: Draft) -> None:
    """A Model that was made anew over what it left goes on from there."""
    known = draft.observed.good_revision
    if not draft.last_good and known and history.is_revision(known):
        draft.last_good = known


def _forget_or_keep_verdict(draft: Draft) -> None:
    rollout = replace(draft.rollout, retry_handled=draft.model.retry)
    if draft.is_new_spec or draft.is_retry:
        # without a consumer the clock only says since when a rollout waits for the cluster, of whichever revision
        draft.rollout = rollout if rollout.consumer else replace(rollout, paused_since=None)
        _forget_verdict(draft)
    elif _was_never_proven(draft):
        draft.tell("Normal", Reason.RELEASE_CHANGED, "The release changed, so the revision is tried again.")
        _forget_verdict(draft)
    else:
        draft.rollout = rollout
        if not draft.keep(_ROLLED_BACK):
            draft.set(_ROLLED_BACK, "False", Reason.NEVER)


def _forget_verdict(draft: Draft) -> None:
    draft.set(_ROLLED_BACK, "False", Reason.NEVER)
    if draft.revision and draft.revision != draft.last_good:
        history.mark(draft, draft.revision, "Downloaded")


def _was_never_proven(draft: Draft) -> bool:
    """A deadline is no proof against the model where the template changed since: a broken image may be mended now."""
    verdict = draft.before.get(_ROLLED_BACK)
    judged = draft.rollout.template_fingerprint
    if verdict is None or verdict.status != "True" or verdict.reason is not Reason.DEADLINE_EXCEEDED or not judged:
        return False
    return judged not in {consumer.template_fingerprint for consumer in draft.observed.consumers}


def _tell_of_strategy(draft: Draft) -> None:
    wanted = draft.spec.rollout.strategy
    if draft.is_new_spec and wanted != strategy_of(draft):
        draft.tell("Normal", EventReason.STRATEGY_CHANGED, f"{wanted} takes effect with the next change of model.")


def _tell_of_foreign_change(draft: Draft, consumer: Consumer) -> None:
    """Somebody else changed the annotation of a template that was right before."""
    was_right = draft.before.get(_ROLLED_OUT)
    lines = {line.name for line in draft.model.status.consumers}
    is_known = was_right is not None and was_right.status == "True" and consumer.name in lines
    if is_known and is_running(consumer) and strategy_of(draft) == "RollingUpdate":
        draft.tell(
            "Warning",
            EventReason.ANNOTATION_RESTORED,
            f"The model revision of Deployment {consumer.name} was changed by somebody else and is set again; "
            f"change spec.source of Model {draft.model.name} instead.",
        )


def _publish_good_revision(draft: Draft) -> None:
    if draft.last_good and draft.observed.good_revision != draft.last_good:
        draft.act(ApplyGoodRevision(draft.last_good, draft.spec.storage.deletion_policy == "Delete"))
