"""Download Jobs: which attempt, where, and what follows from how it ended."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatbot_operator import names
from chatbot_operator.actions import CreateClaim, CreateJob, DeleteJob, Plan
from chatbot_operator.download.faults import Reason as Said
from chatbot_operator.observed import (
    Claim,
    Consumer,
    ConsumerPod,
    DownloadJob,
    Observed,
    Progress,
    Refusals,
    ServedModel,
)
from chatbot_operator.plan import plan
from chatbot_operator.plan.download.attempts import FINAL
from chatbot_operator.plan.download.result import SAID
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import Model, ModelSpec, ModelStatus, Source, Storage

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SHA = "a" * 64
URL = "hf://o/r/a.gguf"
KEY = names.source_key(URL, SHA, "")
CLAIM = Claim("model-llama", "Bound", "20Gi", ("ReadWriteOnce",), owned=False)
SPEC = ModelSpec(Source(URL, SHA), Storage(size="20Gi"))
MODEL = Model("ns", "llama", "uid", 1, "1", SPEC, ModelStatus())


def job(attempt: int = 1, state: str = "active", key: str = KEY, **fields: Any) -> DownloadJob:
    return DownloadJob(names.job_name("llama", key, attempt), key, attempt, state, NOW, **fields)


def failed(reason: str, attempt: int = 1) -> DownloadJob:
    return job(attempt, "failed", result={"reason": reason, "message": "The source says no."}, finished_at=NOW)


def after(model: Model, *jobs: DownloadJob, now: datetime = NOW) -> tuple[Model, Plan]:
    """Plan, and the Model as it is once the status is written."""
    made = plan(model, Observed(claim=CLAIM, jobs=jobs), now)
    return replace(model, status=made.status), made


def created(made: Plan) -> list[int]:
    return [action.attempt for action in made.actions if isinstance(action, CreateJob)]


def says(made: Plan, kind: ConditionType) -> str:
    condition = made.status.conditions[kind]
    return f"{condition.status} {condition.reason}"


def test_first_attempt_is_created_and_created_again_when_it_vanished() -> None:
    model, first = after(MODEL)
    _, again = after(model)

    assert created(first) == created(again) == [1]
    assert first.actions == again.actions, "the same name, so doing it twice makes one Job"


def test_progress_is_shown_while_it_runs() -> None:
    model, _ = after(MODEL)

    _, made = after(model, job(progress=Progress(500, 1000, 100, 5)))

    assert made.status.download.bytes_done == 500
    assert says(made, ConditionType.SOURCE_REACHABLE) == "True Reachable"
    assert says(made, ConditionType.READY) == "False Downloading"
    assert made.again_in_seconds == 2


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (("Stalled", "Nothing came for 60 s."), "False Stalled"),
        (("Downloaded", "a lie"), "True Reachable"),
        (("", ""), "True Reachable"),
    ],
)
def test_trouble_of_the_source_is_told_while_it_is_tried_again(trouble: tuple[str, str], told: str) -> None:
    model, _ = after(MODEL)

    _, made = after(model, job(progress=Progress(500, 1000, 0, None, trouble)))

    assert says(made, ConditionType.SOURCE_REACHABLE) == told
    assert says(made, ConditionType.DOWNLOADED) == "False Downloading", "it goes on by itself"


def test_progress_is_kept_when_the_log_is_gone() -> None:
    model, _ = after(MODEL)
    model, _ = after(model, job(progress=Progress(500, 1000, 100, 5)))

    _, made = after(model, job())

    assert (made.status.download.bytes_done, made.status.download.bytes_per_second) == (500, None)


def test_result_becomes_the_revision() -> None:
    model, _ = after(MODEL)

    model, made = after(model, job(state="succeeded", result={"sha256": SHA, "bytes": 1000}))

    assert made.status.revision == SHA[:16]
    assert made.status.download.bytes_done == 1000
    assert says(made, ConditionType.DOWNLOADED) == "True Downloaded"
    assert says(made, ConditionType.VERIFIED) == "True Verified"
    assert [entry.state for entry in made.status.history] == ["Downloaded"]
    _, later = after(model)
    assert created(later) == [], "the Job was cleaned up, the file is there"


def test_lost_result_is_no_loss_where_the_spec_names_the_sum() -> None:
    model, _ = after(MODEL)

    _, made = after(model, job(state="succeeded"))

    assert says(made, ConditionType.DOWNLOADED) == "True Downloaded"


def test_unverified_file_shows_its_sum_and_says_that_nobody_compared_it() -> None:
    source = Source(URL, allow_unverified=True)
    model = replace(MODEL, spec=replace(SPEC, source=source))
    model, _ = after(model)

    _, made = after(model, job(state="succeeded", key=names.source_key(URL, "", ""), result={"sha256": "b" * 64}))

    assert made.status.revision == "b" * 16
    assert says(made, ConditionType.VERIFIED) == "Unknown Unverified"
    assert "b" * 64 in made.status.conditions[ConditionType.VERIFIED].message
    assert says(made, ConditionType.READY) == "True NoConsumer"


def test_another_sum_than_the_spec_names_is_never_taken() -> None:
    model, _ = after(MODEL)

    _, made = after(model, job(state="succeeded", result={"sha256": "b" * 64}))

    assert says(made, ConditionType.READY) == "False ChecksumMismatch"
    assert says(made, ConditionType.VERIFIED) == "False ChecksumMismatch"


@pytest.mark.parametrize("reason", sorted(FINAL))
def test_nothing_is_asked_again_after_a_final_failure(reason: Reason) -> None:
    model, _ = after(MODEL)
    model, made = after(model, failed(reason))
    assert says(made, ConditionType.READY) == f"False {reason}"
    assert [event.type for event in made.events] == ["Warning"]

    for jobs in [(failed(reason),), ()]:
        _, later = after(model, *jobs, now=NOW + timedelta(days=2))
        assert created(later) == []
        assert says(later, ConditionType.READY) == f"False {reason}"
        assert later.events == ()


def test_retry_is_not_lost_while_the_job_of_a_failed_pod_still_counts_as_running() -> None:
    failing = job(result={"reason": "NotFound", "message": "The source says no."})
    model, _ = after(MODEL)
    model, made = after(model, failing)
    assert says(made, ConditionType.DOWNLOADED) == "False NotFound"

    model, made = after(replace(model, retry="1"), failing)
    assert made.status.download.attempt == 2
    model, made = after(model, failing)
    assert DeleteJob(failing.name) in made.actions
    _, made = after(model)
    assert created(made) == [2]


@pytest.mark.parametrize("jobs", [(failed("NotFound"),), ()], ids=["job", "job cleaned up"])
def test_new_spec_or_retry_makes_the_next_attempt(jobs: tuple[DownloadJob, ...]) -> None:
    model, _ = after(MODEL)
    model, _ = after(model, failed("NotFound"))

    for changed in (replace(model, generation=2), replace(model, retry="1")):
        planned, made = after(changed, *jobs)
        assert created(made) == [2]
        _, later = after(planned, *jobs)
        assert created(later) == [2], "until it is there"


@pytest.mark.parametrize("reason", ["Unreachable", "Stalled", "ServerError", "VolumeError", "NoSpace", "Nonsense", ""])
def test_what_may_pass_is_tried_again_after_a_pause(reason: str) -> None:
    model, _ = after(MODEL)
    model, made = after(model, failed(reason))
    assert created(made) == []
    assert made.again_in_seconds == 60

    model, made = after(model, failed(reason), now=NOW + timedelta(seconds=60))
    assert created(made) == [2]

    _, made = after(model, failed(reason), failed(reason, 2), now=NOW + timedelta(seconds=61))
    assert created(made) == []
    assert made.again_in_seconds == 59, "120 s this time"


def test_failure_of_a_pod_is_shown_while_its_job_tries_on() -> None:
    model, _ = after(MODEL)

    _, made = after(model, job(result={"reason": "Stalled", "message": "Nothing came for 60 s."}))

    assert says(made, ConditionType.SOURCE_REACHABLE) == "False Stalled"
    assert created(made) == []


def test_failure_of_an_earlier_pod_is_forgotten_when_the_next_one_gets_on() -> None:
    model, _ = after(MODEL)

    _, made = after(model, job(result={"reason": "Stalled", "message": "Nothing came."}, progress=Progress(5, 10)))

    assert says(made, ConditionType.DOWNLOADED) == "False Downloading"
    assert says(made, ConditionType.SOURCE_REACHABLE) == "True Reachable"


def test_pod_that_cannot_start_says_why() -> None:
    model, _ = after(MODEL)

    _, made = after(model, job(problem=(Reason.SECRET_MISSING, 'secret "hf-token" not found')))

    assert says(made, ConditionType.READY) == "False SecretMissing"
    assert [event.reason for event in made.events] == ["SecretMissing"]


def test_pod_that_waits_for_its_volume_is_no_trouble_yet() -> None:
    pending = replace(CLAIM, phase="Pending")
    waiting = job(problem=(Reason.WAITING_FOR_STORAGE, "0/1 nodes: pod has unbound immediate PersistentVolumeClaims."))

    made = plan(MODEL, Observed(claim=pending, jobs=(waiting,)), NOW)

    assert says(made, ConditionType.DOWNLOADED) == "False WaitingForStorage"
    assert says(made, ConditionType.READY) == "False ClaimPending"
    assert "kubectl describe pvc" in made.status.conditions[ConditionType.READY].message
    assert not made.events, "every claim that is being bound is seen so for a moment"


def test_another_source_ends_the_job_before_it_starts_its_own() -> None:
    model, _ = after(MODEL)
    changed = replace(model, generation=2, spec=replace(SPEC, source=Source("hf://o/r/b.gguf", "b" * 64)))

    planned, first = after(changed, job())
    _, second = after(planned)

    assert first.actions == (DeleteJob(job().name),)
    assert created(second) == [1]
    assert second.status.revision == "b" * 16


def test_source_that_was_there_before_is_asked_again() -> None:
    done = job(state="succeeded", result={"sha256": SHA})
    model, _ = after(MODEL)
    model, _ = after(model, done)
    other = replace(model, generation=2, spec=replace(SPEC, source=Source("hf://o/r/b.gguf", "b" * 64)))
    model, _ = after(other, done)

    _, made = after(replace(model, generation=3, spec=SPEC), done)

    assert created(made) == [2], "its revision may have been deleted since; a whole one ends the Job at once"


def test_refused_job_is_tried_again_and_says_why() -> None:
    refused = Observed(claim=CLAIM, refused=Refusals(job=(Reason.QUOTA_EXCEEDED, "exceeded quota: pods")))

    made = plan(MODEL, refused, NOW)

    assert created(made) == [1]
    assert says(made, ConditionType.READY) == "False QuotaExceeded"


def consumer(replicas: int = 1, node: str = "", **fields: Any) -> Consumer:
    pods = (ConsumerPod("p", "u", node, ready=False, annotation="", created_at=NOW, **fields),)
    scheduling: Mapping[str, Any] = {"nodeSelector": {"gpu": "true"}}
    return Consumer("office", "u", replicas, 0, "", "1", settled=False, pods=pods, scheduling=scheduling)


def test_first_download_waits_a_minute_for_a_pod_to_choose_the_node() -> None:
    pending = Observed(claim=replace(CLAIM, phase="Pending"), consumers=(consumer(),))
    made = plan(MODEL, pending, NOW)
    assert created(made) == []
    assert made.again_in_seconds == 60
    model = replace(MODEL, status=made.status)

    bound = Observed(claim=CLAIM, consumers=(consumer(node="n1"),))
    beside = next(a for a in plan(model, bound, NOW).actions if isinstance(a, CreateJob))
    assert beside.node_of == "office"
    assert beside.scheduling == {"nodeSelector": {"gpu": "true"}}

    assert created(plan(model, pending, NOW + timedelta(seconds=60))) == [1]


@pytest.mark.parametrize("replicas", [0, None], ids=["scaled to zero", "no consumer"])
def test_nothing_is_awaited_where_no_pod_will_come(replicas: int | None) -> None:
    consumers = () if replicas is None else (consumer(replicas),)

    made = plan(MODEL, Observed(claim=replace(CLAIM, phase="Pending"), consumers=consumers), NOW)

    assert created(made) == [1]


def test_shared_volume_needs_no_place_of_its_own() -> None:
    shared = Observed(claim=replace(CLAIM, access_modes=("ReadWriteMany",)), consumers=(consumer(node="n1"),))

    action = next(a for a in plan(MODEL, shared, NOW).actions if isinstance(a, CreateJob))

    assert action.node_of == ""
    assert action.scheduling == {"nodeSelector": {"gpu": "true"}}


def test_whatever_is_named_is_kept() -> None:
    served = ServedModel("serving", "c" * 16, "d" * 16)
    status = replace(MODEL.status, last_good_revision="e" * 16)
    observed = Observed(
        claim=CLAIM,
        consumers=(replace(consumer(served=served), annotation="f" * 16),),
        good_revision="0" * 16,
        keep=("1" * 16, "../../etc"),
        keep_partials=("uid-2-abc",),
    )

    action = next(a for a in plan(replace(MODEL, status=status), observed, NOW).actions if isinstance(a, CreateJob))

    assert action.keep == tuple(letter * 16 for letter in "01acdef")
    assert action.keep_partials == ("uid-2-abc",)


def test_file_that_is_gone_is_brought_again_but_not_for_a_wrong_mount() -> None:
    model, _ = after(MODEL)
    model, _ = after(model, job(state="succeeded", result={"sha256": SHA}))
    missing = ServedModel("failed", "", SHA[:16], "ModelMissing")
    observed = Observed(claim=CLAIM, consumers=(consumer(served=missing),))

    soon = plan(model, observed, NOW + timedelta(minutes=5))
    late = plan(model, observed, NOW + timedelta(minutes=10))

    assert created(soon) == []
    assert created(late) == [2]
    assert says(late, ConditionType.DOWNLOADED) == "False Downloading"


def test_file_is_brought_again_when_its_claim_was_deleted() -> None:
    model, _ = after(MODEL)
    model, _ = after(model, job(state="succeeded", result={"sha256": SHA}))

    made = plan(model, Observed(), NOW)

    assert CreateClaim() in made.actions
    assert says(made, ConditionType.READY) == "False ClaimPending"
    assert made.status.download.attempt == 2


def test_old_jobs_of_a_source_that_fails_for_ever_are_cleaned_up() -> None:
    model, _ = after(MODEL)
    jobs = [failed("Unreachable", attempt) for attempt in range(1, 6)]
    status = replace(model.status, download=replace(model.status.download, attempt=5))

    _, made = after(replace(model, status=status), *jobs)

    assert [action.name for action in made.actions if isinstance(action, DeleteJob)] == [job.name for job in jobs[:2]]


def test_downloader_and_planning_know_the_same_reasons() -> None:
    assert {reason.value for reason in SAID} == {reason.value for reason in Said}
