"""Everything that a run left, read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chatbot_loadtest.results.figures import Figures
from chatbot_loadtest.results.reading import Rows, attempts, requests_table, seconds_since_1970
from chatbot_loadtest.results.records import TIMELINE_COLUMNS, WAIT_COLUMNS


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where a run's tables lie; only the first must be there."""

    requests: Path
    waits: Path | None = None
    timeline: Path | None = None

    @classmethod
    def beside(cls, requests: Path) -> "RunFiles":
        """The others of the same folder, where they are."""
        others = [requests.with_name(name) for name in ("waits.csv", "timeline.csv")]
        return cls(requests, *(path if path.exists() else None for path in others))


@dataclass(frozen=True, slots=True)
class Waits:
    """Columns of `waits.csv`; `promises` are pairs of promised and real seconds."""

    promises: Sequence[tuple[float, float]]
    waited: Sequence[float]
    first_token: Sequence[float]
    between_tokens: Sequence[float]


@dataclass(frozen=True, slots=True)
class Moment:
    """One row of `timeline.csv`."""

    at: float
    users: int
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a run left, read once."""

    figures: Figures
    waits: Waits
    timeline: Sequence[Moment]
    malformed: int


def read(files: RunFiles) -> Run:
    """All tables.

    Raises:
        Unreadable: A file is no such table.
    """
    figures, rows = Figures(), requests_table(files.requests)
    for attempt in attempts(rows):
        figures.add(attempt)
    waits, bad_waits = _waits(files.waits)
    timeline, bad_moments = _timeline(files.timeline)
    return Run(figures, waits, timeline, rows.malformed + bad_waits + bad_moments)


def _waits(path: Path | None) -> tuple[Waits, int]:
    waits = Waits([], [], [], [])
    if path is None:
        return waits, 0
    rows = Rows(path, WAIT_COLUMNS)
    names = ("promised_seconds", "waited_seconds", "first_token_seconds", "between_tokens_mean_seconds")
    promises, waited, first, between = [], [], [], []
    for row in rows:
        try:
            promise, wait, token, gap = (float(row[name]) if row[name] else None for name in names)
        except ValueError:
            rows.malformed += 1
            continue
        waited += [] if wait is None else [wait]
        first += [] if token is None else [token]
        between += [] if gap is None else [gap]
        promises += [] if promise is None or wait is None else [(promise, wait)]
    return Waits(promises, waited, first, between), rows.malformed


def _timeline(path: Path | None) -> tuple[list[Moment], int]:
    if path is None:
        return [], 0
    rows, moments = Rows(path, TIMELINE_COLUMNS), []
    for row in rows:
        try:
            counts = {name: int(row[name] or 0) for name in TIMELINE_COLUMNS[1:]}
            at = seconds_since_1970(row["timestamp"])
        except ValueError:
            rows.malformed += 1
            continue
        waiting, running = (counts[f"office_{what}"] + counts[f"character_{what}"] for what in ("waiting", "running"))
        moments.append(Moment(at, counts["users"], waiting, running))
    return moments, rows.malformed
