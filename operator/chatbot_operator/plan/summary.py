"""What the parts add up to: Available, Ready, and one line per consumer."""

from collections import Counter

from chatbot_operator.observed import Consumer
from chatbot_operator.plan.draft import Draft
from chatbot_operator.plan.rollout.serving import is_running, shortfall
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import ConsumerStatus

_MOST_CONSUMERS = 64
_AVAILABLE, _READY = ConditionType.AVAILABLE, ConditionType.READY
_NOT_BEGUN = frozenset({Reason.PENDING, Reason.WAITING_FOR_STORAGE, Reason.DOWNLOADING})
_NORMAL_FOR_A_CLAIM = frozenset({Reason.BOUND, Reason.CLAIM_PENDING})


def summarize(draft: Draft) -> None:
    """Conditions Available and Ready, and the lines about consumers."""
    draft.consumers = tuple(_line(consumer) for consumer in draft.observed.consumers[:_MOST_CONSUMERS])
    _say_available(draft)
    _say_ready(draft)


def say_unseen(draft: Draft, detail: str) -> None:
    """What may not be read is neither well nor ill."""
    draft.complain(_READY, Reason.MISSING_RIGHT, detail, "Unknown")
    draft.set(_AVAILABLE, "Unknown", Reason.MISSING_RIGHT, detail)


def _line(consumer: Consumer) -> ConsumerStatus:
    served = Counter(pod.served.revision for pod in consumer.pods if pod.ready and pod.served)
    revision = min(served, key=lambda text: (-served[text], text), default="")
    return ConsumerStatus("Deployment", consumer.name, revision, consumer.ready_replicas, consumer.replicas)


def _say_available(draft: Draft) -> None:
    """Pages hang on it: some verified revision answers, whichever."""
    running = [consumer for consumer in draft.observed.consumers if is_running(consumer)]
    verified = {entry.revision for entry in draft.history} | {draft.last_good}
    without = [consumer for consumer in running if not _answers(consumer, verified - {""})]
    if not running:
        draft.set(_AVAILABLE, "True", Reason.NO_CONSUMER)
    elif not without:
        draft.set(_AVAILABLE, "True", Reason.SERVING, "Every consumer has a ready pod that serves a verified revision.")
    else:
        _say_unavailable(draft, without)


def _say_unavailable(draft: Draft, consumers: list[Consumer]) -> None:
    silent = [consumer for consumer in consumers if any(pod.ready and pod.served is None for pod in consumer.pods)]
    if len(silent) == len(consumers):
        draft.set(_AVAILABLE, "Unknown", Reason.NO_ANSWER, f"Deployment {silent[0].name}: a ready pod does not answer.")
        return
    first = next(consumer for consumer in consumers if consumer not in silent)
    reason, detail = shortfall(first, draft.last_good or draft.revision)
    if reason is Reason.PROGRESSING:
        detail = f"Deployment {first.name}: no ready pod serves a verified revision."
        if not draft.last_good and not draft.is_true(ConditionType.DOWNLOADED):
            reason = Reason.WAITING_FOR_DOWNLOAD
    draft.set(_AVAILABLE, "False", reason, detail)


def _answers(consumer: Consumer, verified: set[str]) -> bool:
    return any(pod.ready and pod.served and pod.served.revision in verified for pod in consumer.pods)


def _say_ready(draft: Draft) -> None:
    """True when every consumer serves what the spec asks for, for long enough."""
    storage = draft.conditions[ConditionType.STORAGE_READY]
    downloaded = draft.conditions[ConditionType.DOWNLOADED]
    rolled_out = draft.conditions[ConditionType.ROLLED_OUT]
    if draft.is_true(ConditionType.ROLLED_BACK):
        draft.set(_READY, "False", Reason.ROLLED_BACK, draft.conditions[ConditionType.ROLLED_BACK].message)
    elif downloaded.status != "True":
        waits = downloaded.reason is Reason.WAITING_FOR_STORAGE and storage.status != "True"
        is_hindered = waits or (downloaded.reason in _NOT_BEGUN and storage.reason not in _NORMAL_FOR_A_CLAIM)
        draft.copy(_READY, ConditionType.STORAGE_READY if is_hindered else ConditionType.DOWNLOADED, "False")
    elif rolled_out.status != "True":
        draft.copy(_READY, ConditionType.ROLLED_OUT, "False")
    elif rolled_out.reason is Reason.NO_CONSUMER:
        draft.set(_READY, "True", Reason.NO_CONSUMER)
    else:
        draft.set(_READY, "True", Reason.SERVING, f"Every consumer serves revision {draft.revision}.")
