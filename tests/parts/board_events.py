"""Which event moves which panel of a dashboard: every query before and after it.

Each event has a scope of its own, a value of a dashboard's variable, so that several may happen at once.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from parts.board_picture import Span, picture
from parts.prometheus import BOARDS as FOLDER
from parts.prometheus import Prometheus, Sample, panel_queries

POINTS = 160
Values = dict[tuple[str, str], tuple[tuple[str, float], ...]]


class Events:
    """What every query returned before the events; `look_again` after them."""

    def __init__(
        self, prometheus: Prometheus, window: str, boards: Sequence[str], scopes: Mapping[str, Mapping[str, str]]
    ) -> None:
        self._boards = boards
        self._prometheus = prometheus
        self._window = window
        self._scopes = scopes
        self._begun_at = time.time()
        self._before = {name: self._values(name) for name in scopes}
        self._after: dict[str, Values] = {}
        self._ended_at = self._begun_at

    def look_again(self) -> None:
        """The events have happened."""
        self._ended_at = time.time()
        self._after = {name: self._values(name) for name in self._scopes}

    def moved(self, board: str, title: str) -> list[str]:
        """Events after which a panel shows another value than before; that it shows nothing any more does not count."""
        found = []
        for name in self._scopes:
            before, after = (dict(values[name].get((board, title), ())) for values in (self._before, self._after))
            if any(value != before.get(series) for series, value in after.items()):
                found.append(name)
        return found

    def is_zero(self, board: str, title: str) -> bool:
        """Whether a panel has shown nothing but 0, before and after all events."""
        seen = [*self._before.values(), *self._after.values()]
        return not any(value for values in seen for _, value in values.get((board, title), ()))

    def draw(self, board: str, began_at: float) -> None:
        """Write the dashboard as a picture, where `CHATBOT_TEST_PICTURES` names a folder."""
        if not (folder := os.environ.get("CHATBOT_TEST_PICTURES")):
            return
        span = Span(began_at, self._ended_at, self._begun_at)
        step_seconds = max(1.0, span.seconds / POINTS)

        def ask(query: str) -> list[Sample]:
            return self._prometheus.ask_between(query, span.begin, span.end, step_seconds)

        made = picture(json.loads((FOLDER / f"{board}.json").read_text()), ask, self._window, span)
        (Path(folder) / f"{board}.svg").write_text(made)
        rows = [f"| {title} | {', '.join(events)} |\n" for title, events in moved_by(self, board).items()]
        (Path(folder) / f"{board}.md").write_text("| panel | moved by |\n|---|---|\n" + "".join(rows))

    def _values(self, name: str) -> Values:
        found: Values = {}
        for board in self._boards:
            for title, query in panel_queries(board, self._window, **self._scopes[name]):
                samples = self._prometheus.ask(query)
                rows = tuple(sorted((str(sorted(s["metric"].items())), float(s["value"][1])) for s in samples))
                found[board, title] = (*found.get((board, title), ()), *rows)
        return found


def moved_by(events: Events, board: str) -> dict[str, list[str]]:
    """Title of each panel -> the events that moved it."""
    titles = dict.fromkeys(title for title, _ in panel_queries(board, "5s"))
    return {title: events.moved(board, title) for title in titles}
