"""One row per attempt: what a run leaves behind. No text of a question or an answer is ever in it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Final

COLUMNS: Final = (
    "user_id", "test_type", "endpoint", "character_name", "status_code", "response_time", "success", "failure_reason",
    "retry_count", "retry_after_seconds", "timestamp", "response_size", "is_retry_record", "is_final_failure",
    "is_final_success", "error", "process_time",
)  # fmt: skip
WAIT_COLUMNS: Final = (
    "timestamp", "service", "promised_seconds", "waited_seconds", "first_token_seconds", "between_tokens_mean_seconds",
    "between_tokens_max_seconds",
)  # fmt: skip
TIMELINE_COLUMNS: Final = (
    "timestamp", "users", "office_waiting", "office_running", "character_waiting", "character_running",
)  # fmt: skip


class Outcome(Enum):
    """What an attempt was to its request; exactly one of the three columns is true."""

    RETRY = "is_retry_record"
    """It failed and the client will try again."""
    FAILURE = "is_final_failure"
    SUCCESS = "is_final_success"


@dataclass(frozen=True, slots=True)
class Record:
    """One attempt.

    Attributes:
        user_id: A number made here, never a name from outside.
        status_code: 0 where no answer came.
        response_time: Seconds from sending to the last byte.
        failure_reason: The service's error code or a kind of connection error; empty for an answer.
        retry_count: How many attempts of the same request came before.
        retry_after_seconds: What the service asked to wait.
        timestamp: When the attempt ended, seconds since 1970.
        response_size: Bytes of the body.
        error: Type of the exception, never its text.
        process_time: Seconds that the service says it spent, waiting included; only streams tell.
    """

    user_id: str
    test_type: str
    endpoint: str
    character_name: str
    status_code: int
    response_time: float
    failure_reason: str
    retry_count: int
    retry_after_seconds: int | None
    timestamp: float
    response_size: int
    outcome: Outcome
    error: str = ""
    process_time: float | None = None

    def row(self) -> tuple[str, ...]:
        """In the order of `COLUMNS`."""
        return (
            self.user_id,
            self.test_type,
            self.endpoint,
            self.character_name,
            str(self.status_code),
            f"{self.response_time:.4f}",
            _flag(self.outcome is Outcome.SUCCESS),
            self.failure_reason,
            str(self.retry_count),
            "" if self.retry_after_seconds is None else str(self.retry_after_seconds),
            iso(self.timestamp),
            str(self.response_size),
            *(_flag(self.outcome is each) for each in Outcome),
            self.error,
            "" if self.process_time is None else f"{self.process_time:.4f}",
        )


def _flag(value: bool) -> str:
    return "true" if value else "false"


def iso(timestamp: float) -> str:
    """UTC with milliseconds."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")


class Table:
    """A CSV file that is complete up to its last row whenever the process ends."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="", buffering=1)
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(columns)

    def add(self, row: Sequence[str]) -> None:
        """Append one row."""
        self._rows.writerow(row)

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
