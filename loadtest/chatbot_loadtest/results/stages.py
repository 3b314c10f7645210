"""What was answered while a number of users was held: where the services saturate, and what is left beyond that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatbot_loadtest.results.figures import Figures, spread
from chatbot_loadtest.results.run import Moment, Run

_SETTLING_SHARE: Final = 0.25
"""Part of each stage that is left out of its figures: users arrive, the line fills."""
_SATURATED_SHARE: Final = 0.9


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
    """The stage of fewest users that reached nine tenths of the best rate.

    None of a run with one stage, and where only the most users reached that: more of them might have brought more.
    """
    found = stages(run)
    if len(found) < 2:
        return None
    best = max(stage.answers_per_second for stage in found)
    first = min((s for s in found if s.answers_per_second >= _SATURATED_SHARE * best), key=lambda stage: stage.users)
    return first if first.users < max(stage.users for stage in found) else None


def goodput(run: Run) -> float | None:
    """Rate at the most users, as a share of the best rate."""
    found = stages(run)
    best = max((stage.answers_per_second for stage in found), default=0.0)
    return max(found, key=lambda stage: stage.users).answers_per_second / best if len(found) > 1 and best else None
