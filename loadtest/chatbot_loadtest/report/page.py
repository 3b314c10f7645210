"""Writes the page: the summary as cards and tables, the charts, and Vega's JavaScript, all in one file."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

import vl_convert

from chatbot_loadtest.report.charts import charts
from chatbot_loadtest.report.comparison import comparison
from chatbot_loadtest.results.run import Run

_HERE: Final = Path(__file__).parent
_CARDS: Final = (
    ("success_share", "answered", "share"),
    ("mean_seconds", "mean", "seconds"),
    ("p50_seconds", "p50", "seconds"),
    ("p95_seconds", "p95", "seconds"),
    ("p99_seconds", "p99", "seconds"),
    ("requests_per_hour", "requests per hour", "count"),
    ("connection_errors", "connection errors", "count"),
    ("got_in_share", "let in after Retry-After", "share"),
    ("users_answered_share", "users with an answer", "share"),
    ("first_token_p95_seconds", "first token, p95", "seconds"),
    ("promise_error_p95_seconds", "error of promised waits, p95", "seconds"),
    ("longest_silence_seconds", "longest time without an answer", "seconds"),
)
_FIGURES: Final = {
    "outcomes": "Outcomes over time",
    "percentiles": "Response time over time",
    "histogram": "Distribution of response times",
    "timeline": "Line and concurrency",
    "stages": "Answers by number of users",
    "promises": "Promised and real waits",
}
_MISSING: Final = {
    "outcomes": "There is no attempt in the file.",
    "percentiles": "There is no answer in the file.",
    "histogram": "There is no answer in the file.",
    "timeline": "There is no timeline.csv beside the file.",
    "stages": "The number of users did not change.",
    "promises": "No stream was told a wait.",
}


def shown(value: float | None, unit: str) -> str:
    """A figure for people."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value * 100:.1f} %"
    return f"{value:,.0f}" if unit == "count" else f"{value:.2f} s"


def page(run: Run, summary: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    """The whole file."""
    made = charts(run)
    about = summary["about"]
    title = f"Load test: {about.get('scenario', 'requests')}"
    parts = {
        "title": escape(title),
        "about": escape(_about(about)),
        "notes": "".join(f'<p class="note">{escape(note)}</p>' for note in _notes(summary)),
        "cards": "".join(_card(summary["figures"], *card) for card in _CARDS),
        "verdicts": _verdicts(summary["verdicts"]),
        "figures": "".join(_figure(name, name in made) for name in _FIGURES),
        "outcomes": _table(("outcome", "requests"), [(name, str(n)) for name, n in summary["outcomes"].items()]),
        "characters": _groups("character", summary["characters"]),
        "kinds": _groups("kind of user", summary["kinds"]),
        "stages": _stages(summary["stages"]),
        "comparison": _comparison(summary, previous),
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
        "charts": json.dumps(made, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "vega": vl_convert.javascript_bundle().replace("</script", "<\\/script"),  # type: ignore[call-arg]
        "script": (_HERE / "page.js").read_text(encoding="utf-8"),
    }
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(parts)


def _about(about: Mapping[str, Any]) -> str:
    names = ("text", "started", "seconds", "version", "model", "machine")
    values = [f"{about[name]} s" if name == "seconds" else str(about[name]) for name in names if about.get(name)]
    return " · ".join(values)


def _notes(summary: Mapping[str, Any]) -> list[str]:
    notes = []
    if not summary["attempts"]:
        notes.append("The file has no rows: nothing was asked, or the run ended before the first answer.")
    if summary["malformed_rows"]:
        notes.append(f"{summary['malformed_rows']} rows were cut or damaged and are in none of the figures.")
    if summary["about"].get("is_whole") is False:
        notes.append("The run was stopped before its end.")
    if summary["about"].get("cut_off_requests"):
        notes.append(
            f"{summary['about']['cut_off_requests']} requests had no end when the run ended; they are not counted."
        )
    return notes


def _card(figures: Mapping[str, float | None], name: str, label: str, unit: str) -> str:
    return f'<div class="card"><b>{shown(figures[name], unit)}</b><span>{escape(label)}</span></div>'


def _figure(name: str, is_there: bool) -> str:
    inner = (
        f'<div class="chart" id="chart-{name}" data-chart="{name}"></div>'
        if is_there
        else f'<p class="empty">{escape(_MISSING[name])}</p>'
    )
    return f"<figure><figcaption>{escape(_FIGURES[name])}</figcaption>{inner}</figure>"


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            "met" if verdict["is_met"] else "missed",
            verdict["threshold"],
            "nothing measured" if verdict["value"] is None else f"{verdict['value']:.4g}",
            "objective" if verdict["is_objective"] else "threshold",
        )
        for verdict in verdicts
    ]
    return _table(("verdict", "rule", "measured", "kind"), rows)


def _groups(label: str, groups: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            str(group["answered"]),
            str(group["failed"]),
            *(shown(group["seconds"][cut], "seconds") for cut in ("mean", "p50", "p95", "p99")),
        )
        for name, group in groups.items()
    ]
    return _table((label, "answered", "failed", "mean", "p50", "p95", "p99"), rows)


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            str(stage["users"]),
            shown(stage["seconds"], "seconds"),
            f"{stage['answers_per_second']:.2f}",
            str(stage["most_waiting"]),
            shown(stage["p95_seconds"], "seconds"),
        )
        for stage in stages
    ]
    return _table(("users", "held for", "answers per second", "most waiting", "p95"), rows)


def _comparison(summary: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    if previous is None:
        return '<p class="empty">No earlier run was given.</p>'
    return _table(("figure", "before", "now", "change"), comparison(previous["figures"], summary["figures"]))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return '<p class="empty">Nothing to show.</p>'
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = f' class="{text}"' if text in ("met", "missed") else ""
    return f"<td{kind}>{escape(text)}</td>"
