"""Writes the page: the summary as cards and tables, the charts, and Vega's JavaScript, all in one file."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

import vl_convert

from chatbot_loadtest.report import tables
from chatbot_loadtest.report.charts import charts
from chatbot_loadtest.results.run import Run
from chatbot_loadtest.scenarios import SCENARIOS

_HERE: Final = Path(__file__).parent
_OVER_TIME: Final = {
    "outcomes": "What attempts ended with",
    "percentiles": "Response time",
    "timeline": "Waiting line and concurrency",
}
_ALL_IN_ALL: Final = {
    "histogram": "Distribution of response times",
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
_FACTS: Final = {
    "model": "Model",
    "version": "Version",
    "limits": "Limits",
    "machine": "Machine",
    "load_average": "Load average",
    "started": "Started",
    "seconds": "Lasted",
}


def page(run: Run, summary: Mapping[str, Any], previous: Mapping[str, Any] | None) -> str:
    """The whole file."""
    made = charts(run)
    about = summary["about"]
    scenario = str(about.get("scenario", "requests"))
    known = SCENARIOS.get(scenario)
    parts = {
        "title": escape(f"Load test: {scenario}"),
        "scenario": escape(scenario),
        "badge": _badge(summary["verdicts"]),
        "lead": escape(_lead(summary)),
        "notes": "".join(_notes(summary)),
        "facts": "".join(_facts(about)),
        "cards": tables.cards(summary["figures"]),
        "over_time": "".join(_figure(name, text, name in made) for name, text in _OVER_TIME.items()),
        "all_in_all": "".join(_figure(name, text, name in made) for name, text in _ALL_IN_ALL.items()),
        "verdicts": tables.verdicts(summary["verdicts"]),
        "stages": tables.stages(summary["stages"]),
        "outcomes": tables.outcomes(summary["outcomes"]),
        "returns": tables.returns(summary["returns"]),
        "characters": tables.groups("character", summary["characters"]),
        "kinds": tables.groups("kind of user", summary["kinds"]),
        "release": tables.release(known.release, summary["figures"]) if known and known.release else "",
        "comparison": tables.earlier(summary, previous),
        "style": (_HERE / "page.css").read_text(encoding="utf-8"),
        "charts": json.dumps(made, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "packed": packed_vega(),
        "script": (_HERE / "page.js").read_text(encoding="utf-8"),
    }
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(parts)


def packed_vega() -> str:
    """Vega-Lite's JavaScript as base64 of gzip (RFC 1952), without a date: equal reports are equal files."""
    source: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return base64.b64encode(gzip.compress(source.encode(), mtime=0)).decode()


def _badge(verdicts: Sequence[Mapping[str, Any]]) -> str:
    missed = sum(not verdict["is_met"] for verdict in verdicts if not verdict["is_objective"])
    text = f"{missed} threshold{'s' * (missed > 1)} missed" if missed else "every threshold met"
    return f'<span class="badge {"missed" if missed else "met"}">{text}</span>'


def _lead(summary: Mapping[str, Any]) -> str:
    figures, text = summary["figures"], str(summary["about"].get("text", ""))
    if not figures["requests"]:
        return text
    said = f"{figures['requests']:,} requests, {tables.shown(figures['success_share'], 'share')} answered"
    if figures["refused_share"]:
        said += f"; {tables.shown(figures['refused_share'], 'share')} were asked to come back first"
    return f"{text}: {said}." if text else f"{said}."


def _facts(about: Mapping[str, Any]) -> list[str]:
    return [
        f"<div><dt>{label}</dt><dd>{escape(_fact(name, about[name]))}</dd></div>"
        for name, label in _FACTS.items()
        if about.get(name)
    ]


def _fact(name: str, value: Any) -> str:
    if name == "started":
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{int(value) // 60} min {int(value) % 60} s" if name == "seconds" else str(value)


def _notes(summary: Mapping[str, Any]) -> list[str]:
    about, notes = summary["about"], []
    if about.get("note"):
        notes.append(f'<p class="note">{escape(about["note"])}</p>')
    if not summary["attempts"]:
        notes.append(_warning("The file has no rows: nothing was asked, or the run ended before the first answer."))
    if summary["malformed_rows"]:
        notes.append(_warning(f"{summary['malformed_rows']} rows were cut or damaged and are in none of the figures."))
    if about.get("is_whole") is False:
        notes.append(_warning("The run was stopped before its end."))
    if about.get("cut_off_requests"):
        notes.append(
            _warning(f"{about['cut_off_requests']} requests had no end when the run ended; they are not counted.")
        )
    return notes


def _warning(text: str) -> str:
    return f'<p class="warning">{escape(text)}</p>'


def _figure(name: str, caption: str, is_there: bool) -> str:
    inner = (
        f'<div class="chart" id="chart-{name}" data-chart="{name}"></div>'
        if is_there
        else f'<p class="empty">{escape(_MISSING[name])}</p>'
    )
    return f"<figure><figcaption>{escape(caption)}</figcaption>{inner}</figure>"
