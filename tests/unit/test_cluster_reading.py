"""What pods, logs and Jobs say becomes plain values, whatever they say."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from chatbot_operator.cluster import consumers, downloads, served
from chatbot_operator.download.progress import JsonLines
from chatbot_operator.observed import Progress, ServedModel
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
T = "2026-11-21T11:59:00Z"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=200))
def test_any_bytes_of_a_pod_are_an_answer_or_none(body: bytes) -> None:
    served.read(body)


@given(JSON)
def test_any_json_of_a_pod_is_an_answer_or_none(value: object) -> None:
    served.read(json.dumps(value).encode())
    served.read(json.dumps({"state": "serving", "revision": value, "tokens_per_second": value}).encode())


def test_an_answer_is_read_and_bounded() -> None:
    found = served.read(json.dumps({"state": "failed", "reason": "SmokeNaN", "message": "x" * 9999}).encode())

    assert found is not None
    assert (found.state, found.reason, found.revision, len(found.message)) == ("failed", "SmokeNaN", "", 500)


@given(st.text(max_size=100))
def test_any_log_line_is_a_progress(line: str) -> None:
    downloads.progress(line)


def test_a_progress_line_is_read() -> None:
    line = json.dumps({"bytesDone": 5, "bytesTotal": 10, "bytesPerSecond": 1, "etaSeconds": 5, "attempt": 1})

    assert downloads.progress(line) == Progress(5, 10, 1, 5)
    assert downloads.progress('{"bytesDone": -1, "bytesTotal": true}') == Progress()
    assert downloads.progress('{"reason": "Stalled", "message": 5}') == Progress()


def test_what_a_downloader_says_of_its_source_is_read() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    lines.update(5, 10, 1)
    lines.interrupted("Stalled", "Nothing came for 60 s.")

    read = downloads.progress(stream.getvalue().splitlines()[-1])

    assert read == Progress(5, 10, 0, None, ("Stalled", "Nothing came for 60 s."))


def job(**conditions: str) -> dict[str, Any]:
    entries = [{"type": kind, "status": status, "lastTransitionTime": T} for kind, status in conditions.items()]
    labels = {"chatbot.ai/download-source": "abcdef12", "chatbot.ai/download-attempt": "3"}
    metadata = {"name": "dl", "uid": "job", "creationTimestamp": T, "labels": labels}
    return {"metadata": metadata, "status": {"conditions": entries}}


def pod(message: str) -> dict[str, Any]:
    ended = {"name": "download", "state": {"terminated": {"message": message}}}
    return {"status": {"phase": "Failed", "containerStatuses": [ended]}}


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ({}, "active"),
        ({"Complete": "True"}, "succeeded"),
        ({"Failed": "True"}, "failed"),
        ({"FailureTarget": "True"}, "active"),
        ({"Complete": "False"}, "active"),
    ],
)
def test_a_job_has_a_state(conditions: dict[str, str], state: str) -> None:
    found = downloads.download_job(job(**conditions), [], "", NOW)

    assert (found.state, found.attempt, found.source_key) == (state, 3, "abcdef12")
    assert (found.finished_at is None) == (state == "active")


def test_the_newest_pod_that_left_a_result_counts() -> None:
    pods = [pod('{"reason": "Stalled"}'), pod('{"reason": "NotFound"}'), pod("Error: something else")]

    assert downloads.download_job(job(Failed="True"), pods, "", NOW).result == {"reason": "NotFound"}


def deployment(**changes: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"image": "x"}]}}
    spec = {"replicas": 2, "template": template}
    status = {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    return {"metadata": {"name": "office", "uid": "d", "generation": 4}, "spec": spec, "status": status | changes}


@pytest.mark.parametrize(
    ("changes", "settled"),
    [({}, True), ({"observedGeneration": 3}, False), ({"updatedReplicas": 1}, False), ({"replicas": 3}, False)],
)
def test_a_deployment_is_settled_when_only_new_pods_are_left(changes: dict[str, int], settled: bool) -> None:
    assert consumers.consumer(deployment(**changes), [], {}, NOW).settled is settled


def test_the_fingerprint_changes_with_everything_but_our_annotation() -> None:
    template = deployment()["spec"]["template"]
    revisions = {"chatbot.ai/model-revision": "f", "chatbot.ai/embedding-revision": "e"}
    ours = {**template, "metadata": {**template["metadata"], "annotations": revisions}}
    other = {**template, "metadata": {**template["metadata"], "annotations": {"restarted": "now"}}}

    assert consumers.fingerprint(ours) == consumers.fingerprint(template)
    assert consumers.fingerprint(other) != consumers.fingerprint(template)


@pytest.mark.parametrize(
    ("owner", "label", "mine"),
    [
        ("office-abc", "abc", True),
        ("office-two-abc", "abc", False),
        ("office-abd", "abc", False),
    ],
)
def test_a_pod_belongs_to_the_deployment_that_its_replica_set_is_named_after(
    owner: str, label: str, mine: bool
) -> None:
    metadata = {"labels": {"pod-template-hash": label}, "ownerReferences": [{"kind": "ReplicaSet", "name": owner}]}

    assert bool(consumers.pods_of(deployment(), [{"metadata": metadata, "status": {}}])) is mine


def test_vectors_are_served_by_a_pod_whose_chat_model_is_still_on_its_way() -> None:
    owner = {"kind": "ReplicaSet", "name": "office-abc"}
    metadata = {
        "name": "office-abc-1",
        "uid": "p",
        "creationTimestamp": T,
        "labels": {"pod-template-hash": "abc"},
        "ownerReferences": [owner],
    }
    pod = {"metadata": metadata, "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    says = {"p": ServedModel("serving", "e" * 16, "e" * 16)}

    chat = consumers.consumer(deployment(readyReplicas=0), [pod], says, NOW)
    vectors = consumers.consumer(deployment(readyReplicas=0), [pod], says, NOW, "Embedding")
    silent = consumers.consumer(deployment(readyReplicas=0), [pod], {}, NOW, "Embedding")

    assert [(each.ready_replicas, each.pods[0].ready) for each in (chat, vectors, silent)] == [
        (0, False),
        (1, True),
        (0, False),
    ]
