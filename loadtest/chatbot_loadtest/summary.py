"""A run as JSON: figures, stages, verdicts. What the report shows is computed here and nowhere else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from chatbot_loadtest.figures import Figures, Group, spread
from chatbot_loadtest.reading import Rows, attempts, requests_table, seconds_since_1970
from chatbot_loadtest.records import TIMELINE_COLUMNS, WAIT_COLUMNS

LONG_WAIT_SECONDS: Final = 30.0
"""Waits above it are bad in the services' objective."""
_SETTLING_SHARE: Final = 0.25
"""Part of each stage that is left out of its figures: users arrive, the line fills."""
_SATURATED_SHARE: Final = 0.9


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


def flat_figures(run: Run) -> dict[str, float | None]:
    """What thresholds and comparisons name; None where nothing was measured."""
    figures, seconds, waits = run.figures, spread(run.figures.seconds), run.waits
    requests, ratio = figures.requests, goodput(run)
    busy = figures.outcomes["queue_full"]
    promise = spread(abs(promised - real) for promised, real in waits.promises)
    return {
        "requests": requests,
        "answered": figures.answered,
        "success_share": _share(figures.answered, requests),
        "mean_seconds": seconds.mean,
        "p50_seconds": seconds.p50,
        "p95_seconds": seconds.p95,
        "p99_seconds": seconds.p99,
        "max_seconds": seconds.max,
        "requests_per_hour": _share(requests * 3600, figures.wall_seconds),
        "answers_per_second": _share(figures.answered, figures.wall_seconds),
        "connection_errors": figures.connection_errors,
        "availability_share": _share(figures.answered, figures.answered + figures.server_errors),
        "admission_share": _share(requests - busy, requests),
        "wait_within_30s_share": _share(sum(wait <= LONG_WAIT_SECONDS for wait in waits.waited), len(waits.waited)),
        "users_answered_share": _share(sum(figures.users.values()), len(figures.users)),
        "got_in_share": _share(figures.got_in, figures.got_in + figures.gave_up),
        "retry_after_kept_share": _share(figures.obeyed_admitted, figures.obeyed),
        "promise_error_p50_seconds": promise.p50,
        "promise_error_p95_seconds": promise.p95,
        "first_token_p50_seconds": spread(waits.first_token).p50,
        "first_token_p95_seconds": spread(waits.first_token).p95,
        "between_tokens_p95_seconds": spread(waits.between_tokens).p95,
        "queue_wait_p95_seconds": spread(waits.waited).p95,
        "longest_silence_seconds": silence[1] if (silence := figures.longest_silence()) else None,
        "goodput_ratio": ratio,
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


@dataclass(frozen=True, slots=True)
class StageFigures:
    """What was answered while a number of users was held, after settling."""

    users: int
    seconds: float
    answers_per_second: float
    most_waiting: int
    p95_seconds: float | None


def stages(run: Run) -> list[StageFigures]:
    """Of the timeline: each stretch of seconds in which the number of users did not change, of 5 s or more."""
    found, stretch = [], list[Moment]()
    for moment in [*run.timeline, None]:
        if stretch and (moment is None or moment.users != stretch[-1].users):
            if stretch[-1].users and stretch[-1].at - stretch[0].at >= 5.0:
                found.append(_stage(run.figures, stretch))
            stretch = []
        if moment is not None:
            stretch.append(moment)
    return found


def _stage(figures: Figures, stretch: Sequence[Moment]) -> StageFigures:
    first, last = stretch[0].at, stretch[-1].at
    begin = first + (last - first) * _SETTLING_SHARE
    answers = [
        seconds for ended, seconds in zip(figures.ended_at, figures.seconds, strict=True) if begin <= ended < last
    ]
    return StageFigures(
        users=stretch[0].users,
        seconds=round(last - first, 1),
        answers_per_second=len(answers) / (last - begin),
        most_waiting=max(moment.waiting for moment in stretch),
        p95_seconds=spread(answers).p95,
    )


def saturation(run: Run) -> StageFigures | None:
    """The stage of fewest users that reached nine tenths of the best rate; None of a run with one stage."""
    found = stages(run)
    if len(found) < 2:
        return None
    best = max(stage.answers_per_second for stage in found)
    return min((s for s in found if s.answers_per_second >= _SATURATED_SHARE * best), key=lambda stage: stage.users)


def goodput(run: Run) -> float | None:
    """Rate at the most users, as a share of the best rate."""
    found = stages(run)
    best = max((stage.answers_per_second for stage in found), default=0.0)
    return max(found, key=lambda stage: stage.users).answers_per_second / best if len(found) > 1 and best else None


def document(run: Run, about: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`summary.json`."""
    saturated = saturation(run)
    figures = run.figures
    return {
        "about": dict(about),
        "malformed_rows": run.malformed,
        "figures": flat_figures(run),
        "outcomes": dict(figures.outcomes.most_common()),
        "attempts": figures.attempts,
        "retries": figures.retries,
        "refused": {"requests": figures.refused, "got_in": figures.got_in, "gave_up": figures.gave_up},
        "users": {"seen": len(figures.users), "answered": sum(figures.users.values())},
        "most_waiting": max((moment.waiting for moment in run.timeline), default=None),
        "stages": [asdict(stage) for stage in stages(run)],
        "saturation": asdict(saturated) if saturated else None,
        "characters": {name: _group(group) for name, group in sorted(figures.characters.items())},
        "kinds": {name: _group(group) for name, group in sorted(figures.kinds.items())},
        "verdicts": [dict(verdict) for verdict in verdicts],
    }


def _group(group: Group) -> dict[str, Any]:
    return {"answered": group.answered, "failed": group.failed, "seconds": asdict(spread(group.seconds))}


def write(path: Path, content: Mapping[str, Any]) -> None:
    """As JSON that a person can read."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
