"""What those who run the operator rely on: deletion, pause and retry, foreign changes, metrics, sign of life."""

import re

import pytest
from parts.kube_client import Kube, Refused, wait_for
from parts.kube_objects import GOOD_1, GOOD_2, GOOD_3, condition, consumer, model, revision_of, story
from parts.kube_operator import Operator
from parts.kube_pods import REVISION, FakePods
from parts.kube_waiting import reason_of, until_ready, until_reason


@pytest.mark.parametrize(
    ("source", "reason", "remedy"),
    [
        ({"url": "https://models.test/missing.gguf"}, "NotFound", "Correct"),
        ({"url": "https://models.test/wrong.gguf"}, "ChecksumMismatch", "Correct the sum"),
    ],
)
def test_a_download_that_cannot_work_says_why_and_is_not_tried_again(
    kube: Kube, namespace: str, operator: Operator, source: dict[str, str], reason: str, remedy: str
) -> None:
    kube.create(model(namespace, source=source))

    wait_for(lambda: reason_of(kube, namespace, "Downloaded") == reason, 60, lambda: operator.log[-2000:])

    document = kube.get("Model", namespace, "demo")
    assert remedy in condition(document, "Downloaded")["message"]
    assert condition(document, "Ready")["status"] == "False"
    assert len(kube.find("Job", namespace)) == 1
    failures = (
        f'chatbot_model_download_failures_total{{model="demo",model_namespace="{namespace}",reason="{reason}"}} 1.0'
    )
    wait_for(lambda: failures in operator.get("/metrics").text, 10)


def test_a_consumer_without_room_is_the_clusters_fault(kube: Kube, namespace: str, operator: Operator) -> None:
    big = consumer(namespace)
    container = big["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"nvidia.com/gpu": "99999"}}
    kube.create(big)
    kube.create(model(namespace))

    wait_for(
        lambda: reason_of(kube, namespace, "RolledOut") == "Unschedulable",
        90,
        lambda: story(kube.get("Model", namespace, "demo")),
    )

    assert condition(kube.get("Model", namespace, "demo"), "RolledBack")["status"] == "False"
    free = {"spec": {"template": {"spec": {"containers": [{**container, "resources": {}}]}}}}
    kube.patch("Deployment", namespace, "office", free)
    until_ready(kube, namespace)


def test_a_claim_without_a_volume_is_not_taken_for_a_lack_of_nodes(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    kube.create(model(namespace, storage={"storageClassName": "nowhere"}))

    def downloaded() -> str:
        return str(condition(kube.get("Model", namespace, "demo"), "Downloaded").get("message", ""))

    wait_for(lambda: "unbound immediate PersistentVolumeClaims" in downloaded(), what=downloaded)
    ready = condition(kube.get("Model", namespace, "demo"), "Ready")
    assert ready["reason"] == "ClaimPending"
    assert "Claim model-demo waits for a volume of class nowhere." in ready["message"]
    assert condition(kube.get("Model", namespace, "demo"), "Downloaded")["reason"] == "WaitingForStorage"
    told = [event["reason"] for event in kube.find("Event", namespace) if event["involvedObject"]["kind"] == "Model"]
    assert told == []


def test_a_claim_that_the_quota_refuses_is_told(kube: Kube, namespace: str, operator: Operator) -> None:
    quota = {"hard": {"persistentvolumeclaims": "0"}}
    kube.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": namespace}, "spec": quota}
    )
    wait_for(lambda: kube.get("ResourceQuota", namespace, "q").get("status", {}).get("hard"))
    kube.create(model(namespace))

    wait_for(
        lambda: reason_of(kube, namespace, "StorageReady") == "QuotaExceeded",
        60,
        lambda: story(kube.get("Model", namespace, "demo")) + operator.log[-2000:],
    )
    assert "exceeded quota" in condition(kube.get("Model", namespace, "demo"), "StorageReady")["message"]


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_deleting_a_model_keeps_or_deletes_its_volume_as_it_says(
    kube: Kube, namespace: str, operator: Operator, policy: str
) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace, storage={"deletionPolicy": policy}))
    until_ready(kube, namespace)
    wait_for(lambda: kube.is_there("ConfigMap", namespace, "model-demo"))
    operator.kill()  # no finalizer: it is not needed for this

    kube.delete("Model", namespace, "demo")

    wait_for(lambda: not kube.is_there("Model", namespace, "demo") and not kube.find("Job", namespace))
    if policy == "Delete":
        wait_for(lambda: _is_going(kube, namespace))
        wait_for(lambda: not kube.is_there("ConfigMap", namespace, "model-demo"))
    else:
        assert "deletionTimestamp" not in kube.get("PersistentVolumeClaim", namespace, "model-demo")["metadata"]
        assert kube.get("ConfigMap", namespace, "model-demo")["data"] == {"good-revision": revision_of(GOOD_1)}


def _is_going(kube: Kube, namespace: str) -> bool:
    """Claims in use are protected until their pods are gone."""
    try:
        return "deletionTimestamp" in kube.get("PersistentVolumeClaim", namespace, "model-demo")["metadata"]
    except Refused:
        return True


def test_a_changed_deletion_policy_changes_the_owner(kube: Kube, namespace: str, operator: Operator) -> None:
    def owners() -> list[object]:
        return list(kube.get("PersistentVolumeClaim", namespace, "model-demo")["metadata"].get("ownerReferences", []))

    kube.create(model(namespace))
    wait_for(lambda: kube.is_there("PersistentVolumeClaim", namespace, "model-demo"))
    assert owners() == []

    kube.patch("Model", namespace, "demo", {"spec": {"storage": {"deletionPolicy": "Delete"}}})
    wait_for(lambda: len(owners()) == 1)

    kube.patch("Model", namespace, "demo", {"spec": {"storage": {"deletionPolicy": "Retain"}}})
    wait_for(lambda: owners() == [])


def test_an_undone_annotation_is_set_again_and_said(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))
    until_ready(kube, namespace)

    foreign = {"spec": {"template": {"metadata": {"annotations": {REVISION: "f" * 16}}}}}
    kube.patch("Deployment", namespace, "office", foreign)

    def annotation() -> str:
        template = kube.get("Deployment", namespace, "office")["spec"]["template"]
        return str(template["metadata"]["annotations"].get(REVISION, ""))

    wait_for(lambda: annotation() == revision_of(GOOD_1))
    until_ready(kube, namespace)
    told = [event for event in kube.find("Event", namespace) if event.get("involvedObject", {}).get("kind") == "Model"]
    assert any(event["type"] == "Warning" for event in told), [event["message"] for event in told]


def test_a_paused_model_is_downloaded_and_rolled_out_later(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))
    until_ready(kube, namespace)

    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_2}, "rollout": {"paused": True}}})
    until_reason(kube, namespace, "Ready", "Paused")
    document = kube.get("Model", namespace, "demo")
    assert condition(document, "Downloaded")["status"] == condition(document, "Available")["status"] == "True"
    assert document["status"]["consumers"][0]["revision"] == revision_of(GOOD_1)

    kube.patch("Model", namespace, "demo", {"spec": {"rollout": {"paused": False}}})
    until_ready(kube, namespace, GOOD_2)


def test_a_retry_tries_a_revision_again_that_was_taken_back(
    kube: Kube, namespace: str, pods: FakePods, operator: Operator
) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))
    until_ready(kube, namespace)
    pods.bad[revision_of(GOOD_3)] = "OutOfMemory"
    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_3}}})
    until_reason(kube, namespace, "RolledBack", "OutOfMemory")
    jobs = len(kube.find("Job", namespace))

    del pods.bad[revision_of(GOOD_3)]
    kube.patch("Model", namespace, "demo", {"metadata": {"annotations": {"chatbot.ai/retry": "1"}}})

    until_ready(kube, namespace, GOOD_3)
    assert len(kube.find("Job", namespace)) == jobs, "the file was there"


def test_a_retry_downloads_again_what_was_refused_for_good(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(model(namespace, source={"url": "https://models.test/missing.gguf"}))
    until_reason(kube, namespace, "Downloaded", "NotFound")

    for attempt in (2, 3):
        kube.patch("Model", namespace, "demo", {"metadata": {"annotations": {"chatbot.ai/retry": str(attempt)}}})
        wait_for(lambda attempt=attempt: _has_failed(kube, namespace, attempt))  # type: ignore[misc]


def _has_failed(kube: Kube, namespace: str, attempt: int) -> bool:
    document = kube.get("Model", namespace, "demo")
    is_it = document["status"]["download"]["attempt"] == attempt
    return is_it and condition(document, "Downloaded")["reason"] == "NotFound"


def test_in_place_a_pod_changes_the_model_without_being_replaced(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace, rollout={"strategy": "InPlace"}))
    until_ready(kube, namespace)
    before = [pod["metadata"]["uid"] for pod in kube.find("Pod", namespace, labelSelector="app=office")]

    kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_2}}})
    until_ready(kube, namespace, GOOD_2)

    after = kube.find("Pod", namespace, labelSelector="app=office")
    assert [pod["metadata"]["uid"] for pod in after] == before
    assert after[0]["metadata"]["annotations"][REVISION] == revision_of(GOOD_2)


def test_metrics_tell_conditions_and_end_with_the_model(kube: Kube, namespace: str, operator: Operator) -> None:
    kube.create(consumer(namespace))
    kube.create(model(namespace))
    until_ready(kube, namespace)
    labels = f'model="demo",model_namespace="{namespace}"'

    ready = f'chatbot_model_condition{{kind="Chat",{labels},status="True",type="Ready"}} 1.0'
    wait_for(lambda: ready in _sorted_metrics(operator))
    text = operator.get("/metrics").text
    assert 'result="succeeded"} 1.0' in text
    assert 'chatbot_reconcile_seconds_count{outcome="ok"}' in text

    kube.delete("Model", namespace, "demo")
    wait_for(lambda: labels not in operator.get("/metrics").text, 30)


def _sorted_metrics(operator: Operator) -> str:
    """Lines with their labels in alphabetical order."""

    def sort(match: re.Match[str]) -> str:
        return "{" + ",".join(sorted(match[1].split(","))) + "}"

    return re.sub(r"\{([^}]*)\}", sort, operator.get("/metrics").text)


def test_a_signal_ends_it_cleanly(operator: Operator) -> None:
    wait_for(lambda: "looking after Models" in operator.log)

    assert operator.stop() == 0
    assert "Traceback" not in operator.log
