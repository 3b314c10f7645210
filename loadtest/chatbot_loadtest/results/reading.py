"""Reads the tables of a run again, row by row, also where the run was cut off in the middle of a row."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chatbot_loadtest.results.records import COLUMNS

_MAX_FIELD_CHARACTERS = 10_000


class Unreadable(Exception):
    """The file is not such a table. The message names the file and what is missing."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the figures need of one row."""

    user_id: str
    test_type: str
    character_name: str
    status_code: int
    response_seconds: float
    failure_reason: str
    retry_count: int
    retry_after_seconds: float | None
    ended_at: float
    is_retry: bool
    is_success: bool


class Rows:
    """Rows of a CSV file, once. Memory does not grow with the file.

    A last row without a line end counts as cut even where it has all columns: its last number may be half of one.

    Attributes:
        malformed: Rows that were left out because they were cut or are no such rows.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = columns
        self.malformed = 0

    def __iter__(self) -> Iterator[dict[str, str]]:
        try:
            with self._path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
                yield from self._rows(lines)
        except OSError as exc:
            raise Unreadable(f"{self._path}: {exc.strerror}") from exc

    def _rows(self, lines: Iterator[str]) -> Iterator[dict[str, str]]:
        csv.field_size_limit(_MAX_FIELD_CHARACTERS)
        rows = csv.reader(self._whole(lines))
        header = next(rows, None)
        if header is None:
            raise Unreadable(f"{self._path}: the file is empty; not even the columns are there")
        missing = [name for name in self._columns if name not in header]
        if missing:
            raise Unreadable(f"{self._path}: missing columns: {', '.join(missing)}")
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error:
                self.malformed += 1
                continue
            if len(row) == len(header):
                yield dict(zip(header, row, strict=True))
            elif row:
                self.malformed += 1

    def _whole(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if line.endswith(("\n", "\r")):
                yield line
            else:
                self.malformed += 1


def attempts(rows: Rows) -> Iterator[Attempt]:
    """Each row as numbers; rows with none are counted as malformed."""
    for row in rows:
        try:
            yield attempt_of(row)
        except ValueError:
            rows.malformed += 1


def requests_table(path: Path) -> Rows:
    """The rows of `requests.csv`."""
    return Rows(path, COLUMNS)


def attempt_of(row: dict[str, str]) -> Attempt:
    """A row as numbers.

    Raises:
        ValueError: It is none.
    """
    flags = [_truth(row[name]) for name in ("is_retry_record", "is_final_failure", "is_final_success")]
    if sum(flags) != 1:
        raise ValueError("exactly one of the outcomes")
    return Attempt(
        user_id=row["user_id"],
        test_type=row["test_type"],
        character_name=row["character_name"],
        status_code=int(row["status_code"]),
        response_seconds=_seconds(row["response_time"]),
        failure_reason=row["failure_reason"],
        retry_count=int(row["retry_count"]),
        retry_after_seconds=_seconds(row["retry_after_seconds"]) if row["retry_after_seconds"] else None,
        ended_at=seconds_since_1970(row["timestamp"]),
        is_retry=flags[0],
        is_success=flags[2],
    )


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError("seconds")
    return value


def seconds_since_1970(text: str) -> float:
    """Of an ISO 8601 time; UTC where it names no zone.

    Raises:
        ValueError: It is no time.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
