"""A run as JSON: figures, stages, verdicts. What the report shows is computed here and nowhere else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from chatbot_loadtest.results.figures import Figures, Group, spread
from chatbot_loadtest.results.records import iso
from chatbot_loadtest.results.run import Run
from chatbot_loadtest.results.stages import goodput, saturation, stages

LONG_WAIT_SECONDS: Final = 30.0
"""Waits above it are bad in the services' objective."""


def flat_figures(run: Run) -> dict[str, float | None]:
    """What thresholds and comparisons name; None where nothing was measured."""
    figures, seconds, waits = run.figures, spread(run.figures.seconds), run.waits
    requests, ratio = figures.requests, goodput(run)
    busy, saturated = figures.outcomes["queue_full"], saturation(run)
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
        "refused_share": _share(figures.refused, requests),
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
        "saturation_users": saturated.users if saturated else None,
        "saturation_answers_per_second": saturated.answers_per_second if saturated else None,
        "most_waiting": max((moment.waiting for moment in run.timeline), default=None),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


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
        "returns": {str(count): asdict(ends) for count, ends in sorted(figures.returns.items())},
        "longest_silence": _silence(figures),
        "users": {"seen": len(figures.users), "answered": sum(figures.users.values())},
        "stages": [asdict(stage) for stage in stages(run)],
        "saturation": asdict(saturated) if saturated else None,
        "characters": {name: _group(group) for name, group in sorted(figures.characters.items())},
        "kinds": {name: _group(group) for name, group in sorted(figures.kinds.items())},
        "verdicts": [dict(verdict) for verdict in verdicts],
    }


def _silence(figures: Figures) -> dict[str, Any] | None:
    """Where the longest time without an answer lies, also as seconds since the first request."""
    found = figures.longest_silence()
    if found is None:
        return None
    began, seconds = found
    return {
        "began": iso(began),
        "ended": iso(began + seconds),
        "at_seconds": round(began - figures.first_began_at, 3),
        "seconds": round(seconds, 3),
    }


def _group(group: Group) -> dict[str, Any]:
    return {"answered": group.answered, "failed": group.failed, "seconds": asdict(spread(group.seconds))}


def write(path: Path, content: Mapping[str, Any]) -> None:
    """As JSON that a person can read."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
