"""Which event moves which panel of a dashboard: every query before and after it.

Each event has a scope of its own, a value of a dashboard's variable, so that several may happen at once.
"""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from parts.board_picture import Span, picture
from parts.prometheus import BOARDS as FOLDER
from parts.prometheus import Prometheus, Sample, panel_queries

POINTS = 160
Values = dict[tuple[str, str], dict[str, set[float]]]


class Events:
    """What every query returned before the events, and while they went on; `look_again` ends them.

    A busy machine misses scrapes, so everything that was seen during the events counts, not only their end.
    """

    def __init__(
        self, prometheus: Prometheus, window: str, boards: Sequence[str], scopes: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._boards = boards
        self._prometheus = prometheus
        self._window = window
        self._scopes = scopes
        self._begun_at = self._ended_at = time.time()
        self._before = {name: self._values(name, self._begun_at, self._begun_at) for name in scopes}
        self._during: dict[str, Values] = {}

    def look_again(self) -> None:
        """The events have happened."""
        self._ended_at = time.time()
        self._during = {name: self._values(name, self._begun_at + 1, self._ended_at) for name in self._scopes}

    def moved(self, board: str, title: str) -> list[str]:
        """Events during which a panel showed another value than before; that it showed nothing does not count."""
        found = []
        for name in self._scopes:
            before, during = (values[name].get((board, title), {}) for values in (self._before, self._during))
            if any(values - before.get(series, set()) for series, values in during.items()):
                found.append(name)
        return found

    def is_zero(self, board: str, title: str) -> bool:
        """Whether a panel has shown nothing but 0, before and during all events."""
        seen = [*self._before.values(), *self._during.values()]
        return not any(any(values) for found in seen for values in found.get((board, title), {}).values())

    def draw(self, board: str, began_at: float) -> None:
        """Write the dashboard as a picture, where `CHATBOT_TEST_PICTURES` names a folder."""
        if not (folder := os.environ.get("CHATBOT_TEST_PICTURES")):
            return
        span = Span(began_at, self._ended_at, self._begun_at)
        step_seconds = max(1.0, span.seconds / POINTS)

        def ask(query: str) -> list[Sample]:
            return self._prometheus.ask_between(query, span.begin, span.end, step_seconds)

        made = picture(json.loads((FOLDER / f"{board}.json").read_text()), ask, self._window, span)
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{board}.svg").write_text(made)
        rows = [f"| {title} | {', '.join(events)} |\n" for title, events in moved_by(self, board).items()]
        (Path(folder) / f"{board}.md").write_text("| panel | moved by |\n|---|---|\n" + "".join(rows))

    def _values(self, name: str, begin: float, end: float) -> Values:
        found: Values = {}
        for board in self._boards:
            for title, query in panel_queries(board, self._window, **self._scopes[name]):
                of_panel = found.setdefault((board, title), {})
                for sample in self._prometheus.ask_between(query, begin, end, max(1.0, (end - begin) / POINTS)):
                    values = {float(value) for _, value in sample["values"]}
                    of_panel.setdefault(f"{query} {sorted(sample['metric'].items())}", set()).update(
                        value for value in values if math.isfinite(value)
                    )
        return found


def moved_by(events: Events, board: str) -> dict[str, list[str]]:
    """Title of each panel -> the events that moved it."""
    titles = dict.fromkeys(title for title, _ in panel_queries(board, "5s"))
    return {title: events.moved(board, title) for title in titles}
