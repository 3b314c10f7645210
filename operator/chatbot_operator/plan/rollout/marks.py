"""The annotation that tells pods their revision: on the template (RollingUpdate) or on each pod (InPlace)."""

from chatbot_operator.actions import AnnotatePod, AnnotateTemplate
from chatbot_operator.observed import Consumer, ConsumerPod
from chatbot_operator.plan.draft import Draft
from chatbot_operator.plan.rollout.serving import pod_serves
from chatbot_operator.resources import Strategy


def strategy_of(draft: Draft) -> Strategy:
    """The strategy of the newest rollout: another one takes effect with the next change of model."""
    return draft.rollout.strategy or draft.spec.rollout.strategy


def is_marked(draft: Draft, consumer: Consumer, revision: str) -> bool:
    """Whether nothing has to be done any more to tell the consumer's pods the revision."""
    if strategy_of(draft) == "RollingUpdate":
        return consumer.annotation == revision
    return consumer.annotation == "" and all(pod.annotation == revision for pod in consumer.pods)


def is_touched(draft: Draft, consumer: Consumer, revision: str) -> bool:
    """Whether telling the consumer's pods the revision has begun."""
    if strategy_of(draft) == "RollingUpdate":
        return consumer.annotation == revision
    return any(pod.annotation == revision for pod in consumer.pods)


def bring(draft: Draft, consumer: Consumer, revision: str) -> None:
    """Tell the consumer's pods the revision, in place one after the other."""
    if strategy_of(draft) == "RollingUpdate":
        if consumer.annotation != revision:
            draft.act(AnnotateTemplate(consumer.name, revision))
        return
    if consumer.annotation:
        # The pods are replaced by ones that start with the last good revision and are then told.
        draft.act(AnnotateTemplate(consumer.name, ""))
        return
    _patch_pods(draft, consumer, revision, [pod for pod in consumer.pods if pod.annotation != revision])


def hold(draft: Draft, consumer: Consumer) -> None:
    """Let the consumer serve the last good revision, and change nothing where it does so already.

    Without an annotation a pod starts with the last good revision by itself.
    """
    good = draft.last_good
    if not good:
        return
    in_place = strategy_of(draft) == "InPlace"
    if consumer.annotation not in ("", good):
        draft.act(AnnotateTemplate(consumer.name, "" if in_place else good))
    elif in_place:
        _patch_pods(draft, consumer, good, [pod for pod in consumer.pods if pod.annotation not in ("", good)])


def _patch_pods(draft: Draft, consumer: Consumer, revision: str, pods: list[ConsumerPod]) -> None:
    """Pods that lose nothing by it at once; of the others one at a time, the next when the one before serves."""
    busy = sorted((pod for pod in pods if _loses_something(pod, revision)), key=lambda pod: pod.name)
    idle = [pod for pod in pods if not _loses_something(pod, revision)]
    is_under_way = any(pod.annotation == revision and _is_changing(pod, revision) for pod in consumer.pods)
    for pod in idle + ([] if idle or is_under_way else busy[:1]):
        draft.act(AnnotatePod(pod.name, pod.uid, revision))


def _loses_something(pod: ConsumerPod, revision: str) -> bool:
    """Whether a pod answers requests with another model, or may do so unseen."""
    if pod.served is None:
        return pod.ready
    return pod.served.revision not in ("", revision)


def _is_changing(pod: ConsumerPod, revision: str) -> bool:
    """Whether a pod may come to serve the revision, so that the next one should wait for it."""
    has_failed = pod.served is not None and pod.served.state == "failed"
    return not (pod_serves(pod, revision) or has_failed or pod.problem)
