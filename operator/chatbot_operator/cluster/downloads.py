"""Download Jobs and their pods as planning sees them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chatbot_operator import names
from chatbot_operator.cluster import problems
from chatbot_operator.observed import DownloadJob, Progress
from chatbot_operator.resources import parse_time

Document = dict[str, Any]


def download_job(job: Document, pods: Sequence[Document], log_line: str, now: datetime) -> DownloadJob:
    """One attempt: what the Job says, its newest pod's problem, and the last result that a pod left.

    Args:
        job: As it was read.
        pods: Its pods, the newest last.
        log_line: The last line of the newest one's log.
        now: UTC.
    """
    labels, status = job["metadata"].get("labels", {}), job.get("status", {})
    ended = {entry["type"]: entry for entry in status.get("conditions", ()) if entry["status"] == "True"}
    end = ended.get("Complete") or ended.get("Failed")
    return DownloadJob(
        name=job["metadata"]["name"],
        source_key=labels.get(names.SOURCE_KEY_LABEL, ""),
        attempt=_number(labels.get(names.ATTEMPT_LABEL, "")),
        state="succeeded" if "Complete" in ended else "failed" if "Failed" in ended else "active",
        created_at=parse_time(job["metadata"]["creationTimestamp"]),
        result=next((result for pod in reversed(pods) if (result := _result(pod)) is not None), None),
        progress=progress(log_line),
        finished_at=parse_time(end["lastTransitionTime"]) if end else None,
        problem=None if end else problems.of_job(job, pods[-1] if pods else None, now),
    )


def pods_of(job: Document, pods: Sequence[Document]) -> list[Document]:
    """The Job's pods, the newest last."""
    uid = job["metadata"]["uid"]
    mine = [pod for pod in pods if any(o["uid"] == uid for o in pod["metadata"].get("ownerReferences", ()))]
    return sorted(mine, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))


def is_writing(pod: Document) -> bool:
    """Whether the pod may have a log to read."""
    return bool(pod.get("status", {}).get("phase") == "Running")


def progress(line: str) -> Progress:
    """A progress line of the downloader; anything else is no progress, never an error."""
    try:
        fields = json.loads(line)
    except ValueError:
        return Progress()
    if not isinstance(fields, dict):
        return Progress()
    return Progress(
        bytes_done=_count(fields.get("bytesDone")),
        bytes_total=_count(fields.get("bytesTotal")),
        bytes_per_second=_count(fields.get("bytesPerSecond")),
        eta_seconds=_count(fields.get("etaSeconds")),
        trouble=_trouble(fields),
    )


def _trouble(fields: Document) -> tuple[str, str] | None:
    reason, message = fields.get("reason"), fields.get("message")
    return (reason, message) if isinstance(reason, str) and isinstance(message, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _result(pod: Document) -> dict[str, object] | None:
    """The JSON object of a termination message."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        message = (container.get("state", {}).get("terminated") or {}).get("message", "")
        try:
            result = json.loads(message)
        except ValueError:
            continue
        if isinstance(result, dict):
            return result
    return None
