"""Thresholds of the command line and the services' objectives, judged."""

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

_FORM: Final = re.compile(r"([a-z0-9_]+)\s*(>=|<=)\s*(\d+(?:\.\d+)?)")
_HOLDS: Final = {">=": operator.ge, "<=": operator.le}

ALWAYS: Final = "answered>=1"
"""A run without an answer has failed, whatever else was asked."""
OBJECTIVES: Final = ("availability_share>=0.995", "admission_share>=0.99", "wait_within_30s_share>=0.95")
"""As the charts' alerts have them; shown, but no reason to fail."""


class BadThreshold(ValueError):
    """It cannot be read, or names no figure. The message says which and what is allowed."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """`name>=limit` or `name<=limit`."""

    name: str
    sign: str
    limit: float

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.name}{self.sign}{self.limit:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A threshold and what was measured.

    Attributes:
        value: None where nothing was measured; such a threshold is not met.
        is_objective: Shown only; the exit code does not hang on it.
    """

    threshold: str
    value: float | None
    is_met: bool
    is_objective: bool = False

    def line(self) -> str:
        """For a terminal."""
        kind = "objective" if self.is_objective else "threshold"
        measured = "nothing was measured" if self.value is None else f"measured {self.value:.4g}"
        return f"{'met   ' if self.is_met else 'MISSED'}  {kind} {self.threshold}: {measured}"

    def document(self) -> dict[str, Any]:
        """For `summary.json`."""
        return asdict(self)


def threshold(text: str, names: Sequence[str]) -> Threshold:
    """Read one.

    Raises:
        BadThreshold: It has another form, or there is no such figure.
    """
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise BadThreshold(f"{text!r}: write NAME>=NUMBER or NAME<=NUMBER, such as success_share>=0.95")
    if found[1] not in names:
        raise BadThreshold(f"{found[1]!r} is no figure; there are: {', '.join(sorted(names))}")
    return Threshold(found[1], found[2], float(found[3]))


def judge(figures: Mapping[str, float | None], required: Sequence[str]) -> list[Verdict]:
    """Every threshold, then the objectives."""
    lists = [(text, False) for text in dict.fromkeys([ALWAYS, *required])] + [(text, True) for text in OBJECTIVES]
    return [_judge(threshold(text, list(figures)), figures, is_objective) for text, is_objective in lists]


def _judge(limit: Threshold, figures: Mapping[str, float | None], is_objective: bool) -> Verdict:
    value = figures[limit.name]
    return Verdict(limit.text, value, value is not None and _HOLDS[limit.sign](value, limit.limit), is_objective)
