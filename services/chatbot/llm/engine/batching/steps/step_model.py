"""How long a step takes, fitted while it runs.

t = a + b x outputs + c x prompt rows + d x cells that answers scan + e x cells that the rows of prompts scan

Two things need it: the size of a prefill chunk beside running answers, and the heartbeat, by which the other process
tells a slow step from a stuck one.

Source: recursive least squares with forgetting (Ljung, System Identification, 2nd ed., section 11.2).
"""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

_FORGETTING = 0.99
_OUTLIER = 4.0
_OUTLIERS_IN_A_ROW = 5
GOOD_CHUNK = 64  # below it a row costs a CPU up to 1.6 times as much
_LEAST_CHUNK = 32
# What they count is scaled to about one.
_SCALE = (1.0, 10.0, 1e3, 1e4, 1e6)
_FEATURES = len(_SCALE)
# A first prompt shows the constant and the cost of its rows; what outputs and cells cost, only many steps show.
_PRIOR = (1e3, 10.0, 1e3, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Load:
    """What a step computes.

    Attributes:
        outputs: Rows whose logits are wanted.
        prompt_rows: All others.
        answer_cells: Cells that the rows of answers scan, added up.
        prompt_cells: Cells that the rows of prompts scan, added up.
    """

    outputs: int
    prompt_rows: int
    answer_cells: int
    prompt_cells: int


class StepModel:
    """A fit of the step time, in seconds."""

    def __init__(self, target_seconds: float) -> None:
        """Aim at steps of `target_seconds` while answers are running beside a prompt."""
        self._target_seconds = target_seconds
        self._weights: NDArray[np.float64] = np.zeros(_FEATURES)
        self._covariance: NDArray[np.float64] = np.diag(_PRIOR)
        self._outliers = self._samples = 0

    def observe(self, load: Load, seconds: float) -> None:
        """Learn from a step. A lone outlier (a neighbour on the machine) is dropped, a series of them is believed."""
        predicted = self.predict(load)
        is_outlier = self._samples > _FEATURES and seconds > _OUTLIER * predicted > 0
        self._outliers = self._outliers + 1 if is_outlier else 0
        if is_outlier and self._outliers < _OUTLIERS_IN_A_ROW:
            return
        self._samples += 1
        row = _row(load)
        gained = self._covariance @ row
        gain = gained / (_FORGETTING + row @ gained)
        self._weights = self._weights + gain * (seconds - row @ self._weights)
        covariance = (self._covariance - np.outer(gain, gained)) / _FORGETTING
        # Without new information the matrix grows for ever; a bound keeps one odd step from throwing the fit.
        self._covariance = np.clip((covariance + covariance.T) / 2, -1e6, 1e6)

    def predict(self, load: Load) -> float:
        """Expected seconds of a step, >= 0; 0 before anything was seen. No part of a step takes less than no time."""
        return float(_row(load) @ np.maximum(self._weights, 0.0))

    def chunk(self, answers: Load, scanned: int, most: int) -> int:
        """Prompt rows that keep a step beside these answers near the target, at most `most`.

        Never below 32; never below 64 where so many rows take at most twice the target.

        Args:
            answers: The rows beside them.
            scanned: Cells that each row of the prompt scans.
            most: Rows that there are.
        """
        row_seconds = self.predict(Load(0, 1, 0, scanned)) - self.predict(Load(0, 0, 0, 0))
        if answers.outputs == 0 or row_seconds <= 0:
            return most
        rows = (self._target_seconds - self.predict(answers)) / row_seconds
        least = GOOD_CHUNK if GOOD_CHUNK * row_seconds <= 2 * self._target_seconds else _LEAST_CHUNK
        return min(most, max(least, int(rows)))


def _row(load: Load) -> NDArray[np.float64]:
    return np.array((1, *astuple(load))) / _SCALE
