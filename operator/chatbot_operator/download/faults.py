"""Why a download ended, and the exit status that says so to the Job's `podFailurePolicy`.

DownloadFault
├── Refused      64  the source will not give it, whoever asks again (address, 401, 403, 404, not allowed)
├── Corrupt      65  what came is not what was asked for (wrong sum, not a GGUF, a model for something else)
├── NoSpace      66  the volume cannot hold it
└── Interrupted  75  anything that may pass by itself; the Job tries again
"""

from enum import StrEnum


class Reason(StrEnum):
    """Reasons in the termination message; the operator turns them into condition reasons."""

    BAD_URL = "BadUrl"
    NOT_ALLOWED = "SourceNotAllowed"
    UNAUTHORIZED = "Unauthorized"
    NOT_FOUND = "NotFound"
    CHECKSUM = "ChecksumMismatch"
    NOT_GGUF = "NotGGUF"
    WRONG_KIND = "WrongKind"
    NO_SPACE = "NoSpace"
    UNREACHABLE = "Unreachable"
    STALLED = "Stalled"
    SERVER_ERROR = "ServerError"
    VOLUME = "VolumeError"


class DownloadFault(Exception):
    """A download that did not end well.

    Args:
        reason: Why, from the closed list.
        message: One sentence with the remedy; never a credential and never a query string.
    """

    exit_status = 1

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refused(DownloadFault):
    """Asking again changes nothing."""

    exit_status = 64


class Corrupt(DownloadFault):
    """The bytes are wrong."""

    exit_status = 65


class NoSpace(DownloadFault):
    """The volume is too small."""

    exit_status = 66


class Interrupted(DownloadFault):
    """It may work later; what has arrived is kept."""

    exit_status = 75
