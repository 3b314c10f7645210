"""What a download is told, and what it tells."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class DownloadFailed(Exception):
    """It did not come. The message is for a person and names the remedy; it never holds the URL."""


class Phase(StrEnum):
    """What takes time."""

    DOWNLOAD = "download"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        total_bytes: None where the server does not tell.
        trouble: Why nothing comes at the moment, and when it is tried again.
    """

    phase: Phase
    done_bytes: int
    total_bytes: int | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """Bounds.

    Attributes:
        stall_seconds: A connection that brings nothing for so long is cut and resumed.
        fruitless_tries: Tries in a row that came no further than one before, then it fails.
        most_tries: Tries in all.
        first_delay_seconds: Wait before the second try; doubles, with jitter, up to 30 s.
        spare_bytes: Disk space that stays free.
    """

    stall_seconds: float = 60.0
    fruitless_tries: int = 6
    most_tries: int = 100
    first_delay_seconds: float = 1.0
    spare_bytes: int = 64 << 20


DEFAULT_POLICY: Final = DownloadPolicy()
