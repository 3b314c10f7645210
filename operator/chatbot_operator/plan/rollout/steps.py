"""A rollout that runs: one consumer after the other, each until it has served long enough."""

from dataclasses import replace
from datetime import timedelta

from chatbot_operator.observed import Consumer
from chatbot_operator.plan.draft import Draft
from chatbot_operator.plan.rollout import ends
from chatbot_operator.plan.rollout.marks import bring, hold, is_marked, is_touched
from chatbot_operator.plan.rollout.serving import has_arrived, is_running, shortfall
from chatbot_operator.plan.rollout.verdict import Fault, Finding, judge
from chatbot_operator.reasons import ConditionType, EventReason, Reason

POLL_SECONDS = 5.0
"""What a pod says at :9090/model changes without a word from the API server."""

_ROLLED_OUT = ConditionType.ROLLED_OUT


def begin(draft: Draft) -> None:
    """Start a rollout of the target."""
    strategy = draft.spec.rollout.strategy
    attempt = draft.rollout.attempt + 1
    draft.rollout = replace(ends.over(draft.rollout), revision=draft.revision, strategy=strategy, attempt=attempt)
    first = _next(draft) or next(c for c in draft.observed.consumers if is_running(c))
    draft.tell("Normal", EventReason.ROLLOUT_STARTED, f"Revision {draft.revision} is rolled out, {strategy}.")
    _turn_to(draft, first)


def go_on(draft: Draft) -> None:
    """Look after a rollout that runs."""
    draft.wake(POLL_SECONDS)
    current = next((c for c in draft.observed.consumers if c.name == draft.rollout.consumer and is_running(c)), None)
    if current is None:
        _turn_to_next(draft)
        return
    _notice_new_release(draft, current)
    finding = judge(draft, current)
    if finding is None:
        _run_clock(draft)
        _advance(draft, current)
    elif finding.fault is Fault.MODEL:
        _run_clock(draft)
        _react(draft, current, finding)
    else:
        _stop_clock(draft)
        _wait_for_others(draft, current, finding)


def _next(draft: Draft) -> Consumer | None:
    """Whose turn it is: who was not told yet, then who was told and does not serve."""
    revision = draft.rollout.revision
    running = [consumer for consumer in draft.observed.consumers if is_running(consumer)]
    waiting = [c for c in running if not is_touched(draft, c, revision)]
    lagging = [c for c in running if not (is_marked(draft, c, revision) and has_arrived(c, revision))]
    return next(iter(waiting + lagging), None)


def _turn_to(draft: Draft, consumer: Consumer) -> None:
    draft.rollout = replace(
        ends.over(draft.rollout),
        consumer=consumer.name,
        started_at=draft.now,
        template_fingerprint=consumer.template_fingerprint,
    )
    if not is_marked(draft, consumer, draft.rollout.revision):
        _warn_of_interruption(draft, consumer)
    _say(draft, consumer)
    _mark_all(draft, consumer)
    draft.wake(POLL_SECONDS)


def _turn_to_next(draft: Draft) -> None:
    following = _next(draft)
    if following is not None:
        _turn_to(draft, following)
    elif any(is_running(consumer) for consumer in draft.observed.consumers):
        ends.succeed(draft)
    else:
        ends.abort(draft)
        draft.set(_ROLLED_OUT, "True", Reason.NO_CONSUMER)


def _advance(draft: Draft, current: Consumer) -> None:
    """Nothing is wrong: wait, soak, or go on with the next consumer."""
    revision = draft.rollout.revision
    if not (is_marked(draft, current, revision) and has_arrived(current, revision)):
        if draft.rollout.soak_until is not None:
            _restart_clock(draft)
        _say(draft, current)
        _mark_all(draft, current)
        return
    until = draft.rollout.soak_until or draft.now + timedelta(seconds=draft.spec.rollout.soak_seconds)
    draft.rollout = replace(draft.rollout, soak_until=until)
    if draft.now < until or draft.rollout.slow_since is not None:
        draft.wake_at(until)
        draft.set(_ROLLED_OUT, "False", Reason.SOAKING, f"Deployment {current.name} serves revision {revision}.")
        _mark_all(draft, current)
        return
    _turn_to_next(draft)


def _react(draft: Draft, current: Consumer, finding: Finding) -> None:
    """The model is at fault: go back where there is something to go back to."""
    if draft.last_good and draft.last_good != draft.rollout.revision and draft.spec.rollout.auto_rollback:
        ends.take_back(draft, finding)
        return
    draft.complain(_ROLLED_OUT, finding.reason, finding.detail)
    _mark_all(draft, current)


def _wait_for_others(draft: Draft, current: Consumer, finding: Finding) -> None:
    """The cluster or the release is at fault: the clock stands, and after twice the deadline go back for a while."""
    started = draft.rollout.started_at or draft.now
    limit = timedelta(seconds=2 * draft.spec.rollout.progress_deadline_seconds)
    has_way_back = bool(draft.last_good) and draft.last_good != draft.rollout.revision
    if finding.fault is Fault.CLUSTER and has_way_back and draft.now - started > limit:
        ends.suspend(draft, finding)
        return
    draft.complain(_ROLLED_OUT, finding.reason, finding.detail)
    _mark_all(draft, current)


def _mark_all(draft: Draft, current: Consumer) -> None:
    """The current consumer and those before it are told the revision, those after it stay.

    Before the first good revision there is nothing to stay with, and a consumer that cannot run must not keep the
    others from their first answer: all are told at once.
    """
    revision = draft.rollout.revision
    for consumer in draft.observed.consumers:
        if consumer is current or not draft.last_good or is_touched(draft, consumer, revision):
            bring(draft, consumer, revision)
        else:
            hold(draft, consumer)


def _say(draft: Draft, consumer: Consumer) -> None:
    reason, detail = shortfall(consumer, draft.rollout.revision)
    draft.set(_ROLLED_OUT, "False", reason if reason is Reason.NO_ANSWER else Reason.PROGRESSING, detail)


def _warn_of_interruption(draft: Draft, consumer: Consumer) -> None:
    is_alone = consumer.replicas == 1 and not consumer.can_surge
    if draft.last_good and is_alone and draft.rollout.strategy == "RollingUpdate":
        draft.tell(
            "Warning",
            EventReason.SERVICE_INTERRUPTED,
            f"Deployment {consumer.name} has one replica and maxSurge 0: requests are refused until the new pod "
            "serves. Use spec.rollout.strategy InPlace to let them wait instead.",
        )


def _notice_new_release(draft: Draft, current: Consumer) -> None:
    """A template that somebody else changed gets the whole time again."""
    if current.template_fingerprint == draft.rollout.template_fingerprint:
        return
    draft.rollout = replace(draft.rollout, template_fingerprint=current.template_fingerprint)
    _restart_clock(draft)
    text = f"The pod template of Deployment {current.name} changed during the rollout; its clock starts anew."
    draft.tell("Normal", Reason.RELEASE_CHANGED, text)


def _restart_clock(draft: Draft) -> None:
    draft.rollout = replace(
        draft.rollout, started_at=draft.now, paused_seconds=0, paused_since=None, soak_until=None, slow_since=None
    )


def _stop_clock(draft: Draft) -> None:
    since = draft.rollout.paused_since or draft.now
    draft.rollout = replace(draft.rollout, paused_since=since, soak_until=None)


def _run_clock(draft: Draft) -> None:
    since = draft.rollout.paused_since
    if since is None:
        return
    before = draft.before.get(_ROLLED_OUT)
    if before and before.reason is Reason.RELEASE_CHANGED:
        _restart_clock(draft)
        return
    paused = draft.rollout.paused_seconds + int((draft.now - since).total_seconds())
    draft.rollout = replace(draft.rollout, paused_since=None, paused_seconds=max(0, paused))
