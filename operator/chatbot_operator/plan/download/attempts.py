"""The download: one Job at a time, one after another, until the file is there or asking again is of no use."""

from dataclasses import replace
from datetime import timedelta

from chatbot_operator import names
from chatbot_operator.actions import CreateJob, DeleteJob
from chatbot_operator.observed import DownloadJob
from chatbot_operator.plan import history
from chatbot_operator.plan.download import placement
from chatbot_operator.plan.download.result import ABOUT_THE_FILE, ABOUT_THE_SOURCE, Ended, ending_of, trouble_of
from chatbot_operator.plan.draft import Draft
from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import DownloadStatus

PROGRESS_SECONDS = 2.0
REFUSED_SECONDS = 30.0
REPAIR_AFTER = timedelta(minutes=10)
_FIRST_PAUSE_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 900.0
_MOST_DOUBLINGS = 8
_JOBS_TO_LOOK_AT = 3
_DOWNLOADED, _VERIFIED, _SOURCE = ConditionType.DOWNLOADED, ConditionType.VERIFIED, ConditionType.SOURCE_REACHABLE

FINAL = frozenset(
    {
        Reason.BAD_URL,
        Reason.SOURCE_NOT_ALLOWED,
        Reason.UNAUTHORIZED,
        Reason.NOT_FOUND,
        Reason.CHECKSUM_MISMATCH,
        Reason.NOT_GGUF,
        Reason.WRONG_KIND,
    }
)
"""Reasons after which only a new spec or a retry makes another attempt."""


def plan_download(draft: Draft) -> None:
    """Conditions Downloaded, Verified and SourceReachable, the target revision, and the Job that is needed."""
    if draft.download.source_key != draft.source_key:
        _begin(draft)
    elif _is_here(draft):
        _keep_or_repair(draft)
    _drop_other_jobs(draft)
    if not _is_here(draft):
        _attend(draft)


def _is_here(draft: Draft) -> bool:
    return draft.is_true(_DOWNLOADED) and history.is_revision(draft.revision)


def _begin(draft: Draft) -> None:
    """Another source: forget what was known about the one before."""
    running = [job.attempt for job in _jobs(draft) if job.state == "active"]
    attempt = max(running) if running else _newest_attempt(draft) + 1
    draft.download = DownloadStatus(attempt=attempt, source_key=draft.source_key)
    draft.revision = draft.spec.source.sha256[:16]
    for kind in (_VERIFIED, _SOURCE):
        draft.set(kind, "Unknown", Reason.PENDING)
    draft.set(_DOWNLOADED, "False", Reason.PENDING)


def _keep_or_repair(draft: Draft) -> None:
    """Downloaded stays True, unless the file is gone."""
    if _is_gone(draft):
        _next_attempt(draft)
        draft.set(_DOWNLOADED, "False", Reason.PENDING, "The file is gone from the volume; it is brought again.")
        draft.tell("Warning", Reason.MODEL_MISSING, "The file is gone from the volume; it is brought again.")
        return
    for kind in (_DOWNLOADED, _VERIFIED, _SOURCE):
        draft.keep(kind)


def _is_gone(draft: Draft) -> bool:
    """Whether the claim is not there any more, or a pod misses the file although the download is long over."""
    if draft.observed.claim is None:
        return True
    if draft.now - draft.before[_DOWNLOADED].last_transition_time < REPAIR_AFTER:
        return False
    served = [pod.served for consumer in draft.observed.consumers for pod in consumer.pods if pod.served]
    return any(each.reason == Reason.MODEL_MISSING and each.expected == draft.revision for each in served)


def _drop_other_jobs(draft: Draft) -> None:
    """Jobs that run for nothing, and old ones of a source that fails again and again."""
    for job in draft.observed.jobs:
        is_old = job.source_key == draft.source_key and job.attempt <= draft.download.attempt - _JOBS_TO_LOOK_AT
        if (job.state == "active" and not _is_current(draft, job)) or is_old:
            draft.act(DeleteJob(job.name))


def _attend(draft: Draft) -> None:
    """Look after the current attempt."""
    job = next((job for job in _jobs(draft) if job.attempt == draft.download.attempt), None)
    if job is None:
        _create_unless_final(draft)
    elif job.state == "active":
        _follow(draft, job)
    else:
        _take(draft, job)


def _create_unless_final(draft: Draft) -> None:
    """There is no Job: it is to be created, or it is over for good and was cleaned up."""
    old = draft.before.get(_DOWNLOADED)
    is_same_source = draft.model.status.download == draft.download
    if old and old.reason in FINAL and is_same_source and not (draft.is_new_spec or draft.is_retry):
        for kind in (_DOWNLOADED, _VERIFIED, _SOURCE):
            draft.keep(kind)
        return
    if old and old.reason in FINAL and is_same_source:
        _next_attempt(draft)
    _create(draft)


def _create(draft: Draft) -> None:
    if any(job.state == "active" for job in draft.observed.jobs):
        if draft.observed.refused.job:
            draft.complain(_DOWNLOADED, *draft.observed.refused.job)
        else:
            draft.set(_DOWNLOADED, "False", Reason.PENDING, "An older download is being ended first.")
        draft.wake(REFUSED_SECONDS)
        return
    if not placement.may_start(draft):
        draft.set(_DOWNLOADED, "False", Reason.WAITING_FOR_STORAGE)
        return
    if draft.observed.refused.job:
        draft.complain(_DOWNLOADED, *draft.observed.refused.job)
        draft.wake(REFUSED_SECONDS)
    else:
        draft.set(_DOWNLOADED, "False", Reason.DOWNLOADING, "The download is being started.")
        draft.wake(PROGRESS_SECONDS)
    consumer = placement.beside(draft)
    attempt = draft.download.attempt
    draft.act(
        CreateJob(
            name=names.job_name(draft.model.name, draft.source_key, attempt),
            attempt=attempt,
            keep=history.kept_revisions(draft),
            keep_partials=draft.observed.keep_partials,
            node_of=placement.node_of(draft),
            scheduling=consumer.scheduling if consumer else {},
        )
    )


def _follow(draft: Draft, job: DownloadJob) -> None:
    """A Job that runs, with what its newest pod says and how far it is."""
    draft.wake(PROGRESS_SECONDS)
    progress = job.progress
    draft.download = replace(
        draft.download,
        bytes_total=progress.bytes_total if progress.bytes_total is not None else draft.download.bytes_total,
        bytes_done=progress.bytes_done if progress.bytes_done is not None else draft.download.bytes_done,
        bytes_per_second=progress.bytes_per_second,
        eta_seconds=progress.eta_seconds,
    )
    ended = ending_of(job, draft.spec.source.sha256)
    if job.problem and job.problem[0] is Reason.WAITING_FOR_STORAGE:  # as every claim does that is being bound
        draft.set(_DOWNLOADED, "False", *job.problem)
    elif job.problem:
        draft.complain(_DOWNLOADED, *job.problem)
    elif ended.reason is not Reason.DOWNLOADED and job.result is not None and progress.bytes_done is None:
        _blame(draft, ended)
        if draft.is_new_spec or draft.is_retry:  # asked for before the Job itself is known to have failed
            _next_attempt(draft)
            draft.set(_DOWNLOADED, "False", Reason.PENDING)
    else:
        _say_how_it_runs(draft, job)


def _say_how_it_runs(draft: Draft, job: DownloadJob) -> None:
    """It goes on by itself; what the source did meanwhile is told at once, not after the last try."""
    draft.set(_DOWNLOADED, "False", Reason.DOWNLOADING)
    if trouble := trouble_of(job):
        draft.complain(_SOURCE, trouble.reason, trouble.detail)
    elif job.progress.bytes_done:
        draft.set(_SOURCE, "True", Reason.REACHABLE)


def _take(draft: Draft, job: DownloadJob) -> None:
    """A Job that ended: its result, or why there is none and whether to try again."""
    ended = ending_of(job, draft.spec.source.sha256)
    if ended.reason is Reason.DOWNLOADED:
        _publish(draft, ended)
        return
    _blame(draft, ended)
    if draft.is_new_spec or draft.is_retry:
        _next_attempt(draft)
        _create(draft)
    elif ended.reason not in FINAL:
        _try_again_later(draft, job)


def _publish(draft: Draft, ended: Ended) -> None:
    draft.revision = ended.sha256[:16]
    total = ended.size_bytes if ended.size_bytes is not None else draft.download.bytes_total
    draft.download = replace(
        draft.download, bytes_total=total, bytes_done=total, bytes_per_second=None, eta_seconds=None
    )
    draft.set(_DOWNLOADED, "True", Reason.DOWNLOADED, f"Revision {draft.revision} is on the volume.")
    draft.set(_SOURCE, "True", Reason.REACHABLE)
    if draft.spec.source.sha256:
        draft.set(_VERIFIED, "True", Reason.VERIFIED, f"The sha256 is {ended.sha256}, as the spec names it.")
    else:
        draft.set(
            _VERIFIED,
            "Unknown",
            Reason.UNVERIFIED,
            f"The sha256 is {ended.sha256}; the spec names none (allowUnverified).",
        )
    history.note_download(draft, ended.sha256)
    draft.tell("Normal", Reason.DOWNLOADED, f"Revision {draft.revision} is on the volume, sha256 {ended.sha256}.")


def _blame(draft: Draft, ended: Ended) -> None:
    """Say why the file is not there."""
    draft.complain(_DOWNLOADED, ended.reason, ended.detail)
    if ended.reason in ABOUT_THE_SOURCE:
        draft.set(_SOURCE, "False", ended.reason, ended.detail)
    if ended.reason in ABOUT_THE_FILE:
        draft.set(_VERIFIED, "False", ended.reason, ended.detail)
        draft.set(_SOURCE, "True", Reason.REACHABLE)


def _try_again_later(draft: Draft, job: DownloadJob) -> None:
    doublings = min(max(0, draft.download.attempt - 1), _MOST_DOUBLINGS)
    pause = min(_FIRST_PAUSE_SECONDS * 2**doublings, _LONGEST_PAUSE_SECONDS)
    due = (job.finished_at or job.created_at) + timedelta(seconds=pause)
    if draft.now >= due:
        _next_attempt(draft)
        _create(draft)
    else:
        draft.wake_at(due)


def _next_attempt(draft: Draft) -> None:
    draft.download = DownloadStatus(
        bytes_total=draft.download.bytes_total,
        attempt=max(draft.download.attempt, _newest_attempt(draft)) + 1,
        source_key=draft.source_key,
    )


def _newest_attempt(draft: Draft) -> int:
    return max((job.attempt for job in _jobs(draft)), default=0)


def _jobs(draft: Draft) -> list[DownloadJob]:
    return [job for job in draft.observed.jobs if job.source_key == draft.source_key]


def _is_current(draft: Draft, job: DownloadJob) -> bool:
    return job.source_key == draft.source_key and job.attempt == draft.download.attempt
