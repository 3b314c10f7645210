"""Ratios of two contestants, round by round, and what may be said of them."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine_bench.results.journal import Run, runs_of

NO_DIFFERENCE = "no difference"
_SHOWN_AS_ONE = 1.005
"""Figures that are counted have no noise; what a table shows as 1.00 is none the less no difference."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median, least and greatest of the per-round ratios."""

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"

    @property
    def spread(self) -> float:
        """How far the farthest round is from 1, as a factor >= 1."""
        return max(self.high, 1 / self.low) if self.low > 0 else math.inf


def by_round(runs: Iterable[Run], figure: str) -> dict[int, float]:
    """A figure of the runs that count, by round."""
    return {
        run.round: run.figures[figure]
        for run in runs
        if not run.void and figure in run.figures and math.isfinite(run.figures[figure])
    }


def compare(runs: Sequence[Run], workload: str, pair: tuple[str, str], figure: str) -> Ratio | None:
    """The first of a pair over the second; None where no round has both."""
    over, under = (by_round(runs_of(runs, workload, name), figure) for name in pair)
    return ratio_of(over, under)


def ratio_of(over: dict[int, float], under: dict[int, float]) -> Ratio | None:
    """Ratios of the rounds that both have."""
    ratios = [over[number] / under[number] for number in sorted(over.keys() & under.keys()) if under[number]]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios)) if ratios else None


def verdict(ratio: Ratio, noise: Ratio | None, *, more_is_better: bool) -> str:
    """What the ratio says, given how far two runs of the same program are apart.

    Args:
        ratio: Ours over theirs.
        noise: Ours over ours in the same rounds; without it nothing can be said.
        more_is_better: Whether a ratio above 1 is good.
    """
    if noise is None:
        return "no A/A pair"
    factor = ratio.median if ratio.median >= 1 else 1 / ratio.median if ratio.median else math.inf
    if factor <= max(noise.spread, _SHOWN_AS_ONE):
        return NO_DIFFERENCE
    return "better" if (ratio.median > 1) == more_is_better else "worse"


def median(runs: Iterable[Run], figure: str) -> float | None:
    """Median over rounds."""
    values = by_round(runs, figure).values()
    return statistics.median(values) if values else None


def best(runs: Sequence[Run], workload: str, names: Iterable[str], primary: tuple[str, bool]) -> str | None:
    """The contestant with the best median of the primary figure; None where none was measured.

    Args:
        runs: All.
        workload: Of which.
        names: Among whom.
        primary: The figure, and whether more of it is better.
    """
    figure, more_is_better = primary
    medians = {name: value for name in names if (value := median(runs_of(runs, workload, name), figure)) is not None}
    if not medians:
        return None
    return (max if more_is_better else min)(medians, key=lambda name: medians[name])
