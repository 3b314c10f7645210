"""How a download ended, read from its termination message without trusting it."""

import re
from dataclasses import dataclass

from chatbot_operator.observed import DownloadJob
from chatbot_operator.reasons import Reason

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_DETAIL = 1000

ABOUT_THE_FILE = frozenset({Reason.CHECKSUM_MISMATCH, Reason.NOT_GGUF, Reason.WRONG_KIND})
ABOUT_THE_SOURCE = frozenset(
    {
        Reason.BAD_URL,
        Reason.SOURCE_NOT_ALLOWED,
        Reason.UNAUTHORIZED,
        Reason.NOT_FOUND,
        Reason.UNREACHABLE,
        Reason.STALLED,
        Reason.SERVER_ERROR,
    }
)

SAID = ABOUT_THE_SOURCE | ABOUT_THE_FILE | {Reason.NO_SPACE, Reason.VOLUME_ERROR}
"""What a downloader may give as a reason."""


@dataclass(frozen=True, slots=True)
class Ended:
    """`reason` is Downloaded, and then `sha256` is known, or why there is no file.

    Attributes:
        detail: What the downloader said about it, "" where it said nothing.
    """

    reason: Reason
    detail: str = ""
    sha256: str = ""
    size_bytes: int | None = None


def ending_of(job: DownloadJob, expected_sha256: str) -> Ended:
    """How a Job, or the newest pod of one that runs, ended."""
    result = job.result or {}
    if job.state == "failed" or "reason" in result:
        return _failure(job, result)
    sha256 = result.get("sha256", expected_sha256)
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return Ended(Reason.JOB_FAILED, "The download ended well, but its result was lost with its pod.")
    if expected_sha256 and sha256 != expected_sha256:
        return Ended(Reason.CHECKSUM_MISMATCH, f"The sha256 is {sha256}, expected {expected_sha256}.")
    size = result.get("bytes")
    return Ended(Reason.DOWNLOADED, sha256=sha256, size_bytes=size if isinstance(size, int) and size >= 0 else None)


def _failure(job: DownloadJob, result: dict[str, object]) -> Ended:
    detail = str(result.get("message", ""))[:_LONGEST_DETAIL]
    said = next((reason for reason in SAID if reason.value == result.get("reason")), None)
    if said is not None:
        return Ended(said, detail)
    return Ended(*job.problem) if job.problem else Ended(Reason.JOB_FAILED, detail)


def trouble_of(job: DownloadJob) -> Ended | None:
    """What a download that runs says about its source, None where nothing is wrong."""
    reason, detail = job.progress.trouble or ("", "")
    said = next((one for one in ABOUT_THE_SOURCE if one.value == reason), None)
    return Ended(said, detail[:_LONGEST_DETAIL]) if said else None
